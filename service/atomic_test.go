package service_test

import (
	"testing"
	"time"

	"menshen/model"
	"menshen/service"
)

// rowCounts counts what an act that fails must not change.
func (in *instance) rowCounts() map[string]int64 {
	in.t.Helper()
	counts := map[string]int64{
		"users":         in.count("SELECT COUNT(*) FROM users"),
		"slots":         in.count("SELECT COALESCE(SUM(epoch), 0) FROM slots"),
		"sessions":      in.count("SELECT COUNT(*) FROM sessions"),
		"active":        in.count("SELECT COUNT(*) FROM sessions WHERE active_slot IS NOT NULL"),
		"generations":   in.count("SELECT COALESCE(SUM(gen), 0) FROM sessions"),
		"bound devices": in.count("SELECT COUNT(*) FROM sessions WHERE device_number <> ''"),
		"used codes":    in.count("SELECT COUNT(*) FROM codes WHERE used_at <> 0"),
		"events":        in.count("SELECT COUNT(*) FROM events"),
		"described":     in.count("SELECT COUNT(*) FROM users WHERE nick_name = 'new'"),
	}
	return counts
}

// TestNoActWithoutItsEvent: when the log refuses the event of an act, the act is
// undone whole, the client receives a fault, and all is well when the log is
// back.
func TestNoActWithoutItsEvent(t *testing.T) {
	tests := []struct {
		kind    model.Kind
		prepare func(in *instance) func() error // what is done before the log fails; the act
		after   *model.Failure                  // the act's answer once the log is back
	}{
		{model.EventRegister, newcomer, nil},
		{model.EventLogin, newcomer, nil},
		{model.EventDisplaced, func(in *instance) func() error {
			in.logIn(alice)
			return newcomer(in)
		}, nil},
		{model.EventRelogin, func(in *instance) func() error {
			in.logIn(alice, withDevice("A", ""))
			code := in.receiveCode(alice)
			return func() error { return errOf(in.tryLogIn(alice, code, withDevice("A", ""))) }
		}, nil},
		{model.EventExpired, func(in *instance) func() error {
			in.logIn(alice)
			in.clock.Advance(336 * time.Hour)
			return newcomer(in)
		}, nil},
		{model.EventExpired, func(in *instance) func() error {
			c := in.logIn(alice)
			in.clock.Advance(336 * time.Hour)
			return func() error { return errOf(in.check(c, "A")) }
		}, nil},
		{model.EventCodeFailed, func(in *instance) func() error {
			in.receiveCode(alice)
			return func() error { return errOf(in.tryLogIn(alice, wrong)) }
		}, model.ErrCode},
		{model.EventDeviceBound, func(in *instance) func() error {
			c := in.logIn(alice)
			return func() error { return errOf(in.check(c, "A")) }
		}, nil},
		{model.EventRelogin, func(in *instance) func() error {
			in.logIn(alice, on(tv), withDevice("A", ""))
			c := in.logIn(alice, on(tv))
			return func() error { return errOf(in.check(c, "A")) }
		}, nil},
		{model.EventDeviceMismatch, func(in *instance) func() error {
			c := in.logIn(alice, withDevice("A", ""))
			return func() error { return errOf(in.check(c, "B")) }
		}, nil},
		{model.EventLogout, func(in *instance) func() error {
			c := in.logIn(alice)
			return func() error { return errOf(in.logOut(c, service.ScopeCurrent)) }
		}, nil},
		{model.EventLogout, func(in *instance) func() error {
			in.logIn(alice, on(pc))
			c := in.logIn(alice)
			return func() error { return errOf(in.logOut(c, service.ScopeAll)) }
		}, nil},
		{model.EventRecover, func(in *instance) func() error {
			c := in.logIn(alice)
			in.mustRefresh(c)
			in.clock.Advance(time.Minute)
			return func() error { return errOf(in.refresh(c.access, c.Refresh.Value)) }
		}, nil},
		{model.EventRecover, func(in *instance) func() error { // the stale pair
			c := in.logIn(alice)
			in.mustRefresh(in.refreshed(c))
			return func() error { return errOf(in.refresh(c.access, c.Refresh.Value)) }
		}, model.ErrStalePair},
		{model.EventAdopt, func(in *instance) func() error {
			c := in.logIn(alice)
			in.sql("UPDATE sessions SET gen = 0, prev_gen = -1")
			return func() error { return errOf(in.refresh(c.access, c.Refresh.Value)) }
		}, nil},
		{model.EventReuse, func(in *instance) func() error {
			c := in.logIn(alice)
			in.useToken(in.refreshed(c))
			in.clock.Advance(time.Minute)
			return func() error { return errOf(in.refresh(c.access, c.Refresh.Value)) }
		}, model.ErrSessionEnded},
		{model.EventUserChanged, func(in *instance) func() error {
			c := in.logIn(alice)
			name := "new"
			return func() error {
				return errOf(in.users.Change(in.t.Context(), in.row(c), service.Changes{NickName: &name}, model.Caller{}))
			}
		}, nil},
	}
	for _, tt := range tests {
		t.Run(string(tt.kind), func(t *testing.T) {
			runScenes(t, scene{"refused", func(t *testing.T, in *instance) {
				act := tt.prepare(in)
				before := in.rowCounts()
				restore := in.failEvents(tt.kind)
				wantFailure(t, act(), model.ErrUnavailable)
				after := in.rowCounts()
				for what, n := range before {
					if after[what] != n {
						t.Errorf("%s: %d before, %d after", what, n, after[what])
					}
				}
				restore()
				wantFailure(t, act(), tt.after)
				if n := in.rowCounts()["events"]; n <= before["events"] {
					t.Error("the act left no event once the log was back")
				}
			}})
		})
	}
}

// newcomer is a login that waits for its last step.
func newcomer(in *instance) func() error {
	in.t.Helper()
	code := in.receiveCode(alice)
	return func() error { return errOf(in.tryLogIn(alice, code)) }
}

func errOf[T any](_ T, err error) error { return err }

// TestActsMayRunTwice: whatever a transaction did in a try that was rolled back
// must not show in the next one.
func TestActsMayRunTwice(t *testing.T) {
	runScenes(t, scene{"a day in the life", func(t *testing.T, in *instance) {
		twice := &lost{Tx: in.db}
		in.admission.Tx, in.verifier.Tx, in.sessions.Tx = twice, twice, twice
		a := in.logIn(alice, on(tv), withDevice("A", ""))
		in.receiveCode(alice)
		in.failLogins(alice, 1)
		b := in.logIn(alice, on(tv))
		c := in.logIn(alice, on(tv))
		if c.Displaced != 1 {
			t.Errorf("displaced %d, want 1", c.Displaced)
		}
		in.wantEnded(a, model.ReasonDisplaced, "")
		result, err := in.check(c, "C")
		if err != nil || result.State != service.StateBound || !result.IsLogin {
			t.Errorf("check %+v, error %v", result, err)
		}
		in.mustRefresh(c)
		in.clock.Advance(time.Minute)
		in.mustRefresh(c) // recover
		if s := in.row(c); s.Gen != 3 {
			t.Errorf("generation %d, want 3", s.Gen)
		}
		name := "new"
		profile, err := in.users.Change(t.Context(), in.row(c), service.Changes{NickName: &name}, model.Caller{})
		if err != nil || profile.User.NickName != "new" {
			t.Errorf("profile %+v, error %v", profile, err)
		}
		d := in.logIn(alice)
		n, err := in.logOut(d, service.ScopeAll)
		if err != nil || n != 3 {
			t.Errorf("logged out %d, error %v; want 3", n, err)
		}
		in.wantEnded(b, model.ReasonLoggedOut, "")
		in.wantEvents(model.EventCodeSent, model.EventRegister, model.EventLogin, model.EventCodeSent, model.EventCodeFailed, model.EventCodeSent, model.EventLogin,
			model.EventCodeSent, model.EventDisplaced, model.EventLogin, model.EventDeviceBound, model.EventRecover, model.EventUserChanged,
			model.EventCodeSent, model.EventLogin, model.EventLogout, model.EventLogout, model.EventLogout)
	}})
}
