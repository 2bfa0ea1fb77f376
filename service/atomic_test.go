package service_test

import (
	"testing"
	"time"

	"menshen/model"
	"menshen/service"
)

// state counts what an act that fails must not change.
func (w *world) state() map[string]int64 {
	w.t.Helper()
	state := map[string]int64{
		"users":         w.count("SELECT COUNT(*) FROM users"),
		"slots":         w.count("SELECT COALESCE(SUM(epoch), 0) FROM slots"),
		"sessions":      w.count("SELECT COUNT(*) FROM sessions"),
		"active":        w.count("SELECT COUNT(*) FROM sessions WHERE active_slot IS NOT NULL"),
		"generations":   w.count("SELECT COALESCE(SUM(gen), 0) FROM sessions"),
		"bound devices": w.count("SELECT COUNT(*) FROM sessions WHERE device_number <> ''"),
		"used codes":    w.count("SELECT COUNT(*) FROM codes WHERE used_at <> 0"),
		"events":        w.count("SELECT COUNT(*) FROM events"),
		"described":     w.count("SELECT COUNT(*) FROM users WHERE nick_name = 'new'"),
	}
	return state
}

// TestNoActWithoutItsEvent: when the log refuses the event of an act, the act is
// undone whole, the client is told of a fault, and all is well when the log is
// back.
func TestNoActWithoutItsEvent(t *testing.T) {
	tests := []struct {
		kind    model.Kind
		prepare func(w *world) func() error // what is done before the log fails; the act
		after   *model.Failure              // the act's answer once the log is back
	}{
		{model.EventRegister, newcomer, nil},
		{model.EventLogin, newcomer, nil},
		{model.EventDisplaced, func(w *world) func() error {
			w.logIn(alice)
			return newcomer(w)
		}, nil},
		{model.EventRelogin, func(w *world) func() error {
			w.logIn(alice, withDevice("A", ""))
			code := w.code(alice)
			return func() error { return second(w.try(alice, code, withDevice("A", ""))) }
		}, nil},
		{model.EventExpired, func(w *world) func() error {
			w.logIn(alice)
			w.clock.advance(336 * time.Hour)
			return newcomer(w)
		}, nil},
		{model.EventExpired, func(w *world) func() error {
			c := w.logIn(alice)
			w.clock.advance(336 * time.Hour)
			return func() error { return second(w.check(c, "A")) }
		}, nil},
		{model.EventCodeFailed, func(w *world) func() error {
			w.code(alice)
			return func() error { return second(w.try(alice, wrong)) }
		}, model.ErrCode},
		{model.EventDeviceBound, func(w *world) func() error {
			c := w.logIn(alice)
			return func() error { return second(w.check(c, "A")) }
		}, nil},
		{model.EventRelogin, func(w *world) func() error {
			w.logIn(alice, on(tv), withDevice("A", ""))
			c := w.logIn(alice, on(tv))
			return func() error { return second(w.check(c, "A")) }
		}, nil},
		{model.EventDeviceMismatch, func(w *world) func() error {
			c := w.logIn(alice, withDevice("A", ""))
			return func() error { return second(w.check(c, "B")) }
		}, nil},
		{model.EventLogout, func(w *world) func() error {
			c := w.logIn(alice)
			return func() error { return second(w.logOut(c, service.ScopeCurrent)) }
		}, nil},
		{model.EventLogout, func(w *world) func() error {
			w.logIn(alice, on(pc))
			c := w.logIn(alice)
			return func() error { return second(w.logOut(c, service.ScopeAll)) }
		}, nil},
		{model.EventRecover, func(w *world) func() error {
			c := w.logIn(alice)
			w.mustRefresh(c)
			w.clock.advance(time.Minute)
			return func() error { return second(w.refresh(c.access, c.Refresh.Value)) }
		}, nil},
		{model.EventRecover, func(w *world) func() error { // the stale pair
			c := w.logIn(alice)
			w.mustRefresh(w.renewed(c))
			return func() error { return second(w.refresh(c.access, c.Refresh.Value)) }
		}, model.ErrStalePair},
		{model.EventAdopt, func(w *world) func() error {
			c := w.logIn(alice)
			w.sql("UPDATE sessions SET gen = 0, prev_gen = -1")
			return func() error { return second(w.refresh(c.access, c.Refresh.Value)) }
		}, nil},
		{model.EventReuse, func(w *world) func() error {
			c := w.logIn(alice)
			w.use(w.renewed(c))
			w.clock.advance(time.Minute)
			return func() error { return second(w.refresh(c.access, c.Refresh.Value)) }
		}, model.ErrSessionEnded},
		{model.EventUserChanged, func(w *world) func() error {
			c := w.logIn(alice)
			name := "new"
			return func() error {
				return second(w.users.Change(w.t.Context(), w.row(c), service.Changes{NickName: &name}, service.Caller{}))
			}
		}, nil},
	}
	for _, tt := range tests {
		t.Run(string(tt.kind), func(t *testing.T) {
			play(t, scene{"refused", func(t *testing.T, w *world) {
				act := tt.prepare(w)
				before := w.state()
				restore := w.failEvents(tt.kind)
				wantFailure(t, act(), model.ErrUnavailable)
				after := w.state()
				for what, n := range before {
					if after[what] != n {
						t.Errorf("%s: %d before, %d after", what, n, after[what])
					}
				}
				restore()
				wantFailure(t, act(), tt.after)
				if n := w.state()["events"]; n <= before["events"] {
					t.Error("the act left no event once the log was back")
				}
			}})
		})
	}
}

// newcomer is a login that waits for its last step.
func newcomer(w *world) func() error {
	w.t.Helper()
	code := w.code(alice)
	return func() error { return second(w.try(alice, code)) }
}

func second[T any](_ T, err error) error { return err }

// TestActsMayRunTwice: whatever a transaction did in a try that was rolled back
// must not show in the next one.
func TestActsMayRunTwice(t *testing.T) {
	play(t, scene{"a day in the life", func(t *testing.T, w *world) {
		twice := &lost{Tx: w.db}
		w.codes.Tx, w.sessions.Tx, w.users.Tx = twice, twice, twice
		a := w.logIn(alice, on(tv), withDevice("A", ""))
		w.fail(alice, 1)
		b := w.logIn(alice, on(tv))
		c := w.logIn(alice, on(tv))
		if c.Displaced != 1 {
			t.Errorf("displaced %d, want 1", c.Displaced)
		}
		w.wantEnded(a, model.ReasonDisplaced, "")
		result, err := w.check(c, "C")
		if err != nil || result.State != service.StateBound || !result.IsLogin {
			t.Errorf("check %+v, error %v", result, err)
		}
		w.mustRefresh(c)
		w.clock.advance(time.Minute)
		w.mustRefresh(c) // recover
		if s := w.row(c); s.Gen != 3 {
			t.Errorf("generation %d, want 3", s.Gen)
		}
		name := "new"
		profile, err := w.users.Change(t.Context(), w.row(c), service.Changes{NickName: &name}, service.Caller{})
		if err != nil || profile.User.NickName != "new" {
			t.Errorf("profile %+v, error %v", profile, err)
		}
		d := w.logIn(alice)
		n, err := w.logOut(d, service.ScopeAll)
		if err != nil || n != 3 {
			t.Errorf("logged out %d, error %v; want 3", n, err)
		}
		w.wantEnded(b, model.ReasonLoggedOut, "")
		w.wantEvents(model.EventCodeSent, model.EventRegister, model.EventLogin, model.EventCodeFailed, model.EventCodeSent, model.EventLogin,
			model.EventCodeSent, model.EventDisplaced, model.EventLogin, model.EventDeviceBound, model.EventRecover, model.EventUserChanged,
			model.EventCodeSent, model.EventLogin, model.EventLogout, model.EventLogout, model.EventLogout)
	}})
}
