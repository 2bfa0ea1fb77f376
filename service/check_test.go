package service_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"menshen/model"
	"menshen/service"
)

// loginAt is when every first login of these scenes is.
var loginAt = newFakeClock().time()

// wantCheck checks a session with a device number and compares the answer.
func (w *world) wantCheck(c client, device string, want service.CheckResult) {
	w.t.Helper()
	got, err := w.check(c, device)
	if err != nil {
		w.t.Errorf("check: %v", err)
		return
	}
	if want.IsLogin { // it turns by itself when the token or the session ends
		row := w.row(c)
		want.Until = min(c.claims.ExpiresAt, row.IdleUntil, row.EndsAt)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		w.t.Errorf("the answer differs:\n%s", diff)
	}
}

func yes(state service.LoginState) service.CheckResult {
	return service.CheckResult{IsLogin: true, State: state}
}

func no(state service.LoginState, last model.Time) service.CheckResult {
	return service.CheckResult{State: state, LastLoginTime: last}
}

func ended(reason model.Reason, last model.Time) service.CheckResult {
	return no(service.LoginState(reason), last)
}

// ends are the ways in which a session ends, other than by its time.
var ends = map[model.Reason]func(w *world, c client){
	model.ReasonDisplaced: func(w *world, c client) { w.logIn(alice, withDevice("B", "")) },
	model.ReasonRelogin:   func(w *world, c client) { w.logIn(alice, withDevice("A", "")) },
	model.ReasonLoggedOut: func(w *world, c client) {
		_, err := w.logOut(c, service.ScopeCurrent)
		wantFailure(w.t, err, nil)
	},
	model.ReasonReuse: func(w *world, c client) {
		w.use(w.renewed(c))
		w.clock.advance(31 * time.Second)
		_, err := w.refresh(c.access, c.Refresh.Value)
		wantFailure(w.t, err, model.ErrSessionEnded)
		w.clock.advance(-31 * time.Second)
	},
	model.ReasonKicked: func(w *world, c client) {
		w.sql("UPDATE sessions SET active_slot = NULL, ended_at = ?, end_reason = 'kicked'", int64(w.clock.time()))
	},
}

func TestCheckTable(t *testing.T) {
	play(t,
		scene{"good, active, the bound device", func(t *testing.T, w *world) {
			c := w.logIn(alice, withDevice("A", ""))
			w.quiet()
			w.wantCheck(c, "A", yes(service.StateActive))
			w.wantEvents()
		}},
		scene{"good, active, none bound yet", func(t *testing.T, w *world) {
			c := w.logIn(alice)
			w.quiet()
			w.wantCheck(c, "A", yes(service.StateBound))
			w.wantCheck(c, "A", yes(service.StateActive))
			if s := w.row(c); s.DeviceNumber != "A" {
				t.Errorf("bound to %q", s.DeviceNumber)
			}
			w.wantEvents(model.EventDeviceBound)
		}},
		scene{"good, active, another device", func(t *testing.T, w *world) {
			c := w.logIn(alice, withDevice("A", ""))
			w.clock.advance(time.Minute)
			w.logIn(alice, on(pc)) // another group's login is none of its business
			w.quiet()
			w.wantCheck(c, "B", no(service.StateDeviceMismatch, loginAt))
			w.wantEvents(model.EventDeviceMismatch)
			w.wantCheck(c, "A", yes(service.StateActive)) // the true device keeps working
			w.wantAlive(c)
		}},
		scene{"good, active, another device of another group's session", func(t *testing.T, w *world) {
			c := w.logIn(alice, withDevice("A", ""))
			w.logIn(alice, on(pc), withDevice("B", ""))
			w.wantCheck(c, "B", no(service.StateDeviceMismatch, loginAt))
		}},
		scene{"good or expired, ended", func(t *testing.T, w *world) {
			for reason, end := range ends {
				w.reset()
				c := w.logIn(alice, withDevice("A", ""))
				w.clock.advance(time.Minute)
				end(w, c)
				last := loginAt
				if reason == model.ReasonDisplaced || reason == model.ReasonRelogin {
					last = last.Add(time.Minute)
				}
				for _, device := range []string{"A", "B"} {
					w.wantCheck(c, device, ended(reason, last))
				}
				w.clock.advance(15 * time.Minute)
				for _, device := range []string{"A", "B"} {
					w.wantCheck(c, device, ended(reason, last))
				}
				w.clock.advance(1000 * time.Hour) // the first reason stays
				w.wantCheck(c, "A", ended(reason, last))
			}
		}},
		scene{"expired, active", func(t *testing.T, w *world) {
			for _, device := range []string{"A", ""} {
				w.reset()
				c := w.logIn(alice, withDevice(device, ""))
				w.clock.advance(c.claims.ExpiresAt.Sub(w.clock.time()) - ms)
				_, err := w.check(c, "A")
				wantFailure(t, err, nil)
				w.clock.advance(ms)
				w.wantSame(c, func() {
					for _, number := range []string{"A", "B"} {
						_, err := w.check(c, number)
						wantFailure(t, err, model.ErrTokenExpired)
					}
				})
			}
		}},
		scene{"a token is good until its own end, also after a refresh", func(t *testing.T, w *world) {
			old := w.logIn(alice, withDevice("A", ""))
			w.clock.advance(10 * time.Minute)
			c := w.renewed(old)
			w.wantCheck(old, "A", yes(service.StateActive))
			w.clock.advance(5*time.Minute - 678*ms)
			_, err := w.check(old, "A")
			wantFailure(t, err, model.ErrTokenExpired)
			w.wantCheck(c, "A", yes(service.StateActive))
		}},
		scene{"past its idle end", func(t *testing.T, w *world) {
			c := w.logIn(alice)
			w.clock.advance(336 * time.Hour)
			w.quiet()
			w.wantCheck(c, "A", ended(model.ReasonExpired, loginAt))
			w.wantEnded(c, model.ReasonExpired, "")
			w.wantCheck(c, "A", ended(model.ReasonExpired, loginAt))
			w.wantEvents(model.EventExpired)
		}},
		scene{"past its absolute end", func(t *testing.T, w *world) {
			w.sessions.RefreshTTL = time.Hour
			c := w.logIn(alice)
			w.clock.advance(time.Hour)
			w.wantCheck(c, "A", ended(model.ReasonExpired, loginAt))
		}},
		scene{"gone by retention", func(t *testing.T, w *world) {
			c := w.logIn(alice)
			w.clock.advance(time.Minute)
			again := w.logIn(alice)
			w.sql("DELETE FROM sessions WHERE id = ?", c.claims.SessionID)
			for _, wait := range []time.Duration{0, 1000 * time.Hour} {
				w.clock.advance(wait)
				w.wantCheck(c, "A", ended(model.ReasonExpired, loginAt.Add(time.Minute)))
				_, err := w.sessions.Authenticate(t.Context(), c.access)
				wantFailure(t, err, model.ErrSessionEnded)
				wantData(t, err, `{"reason":"expired","lastLoginTime":"2026-01-02T03:05:05Z"}`)
			}
			w.sql("DELETE FROM sessions")
			w.sql("DELETE FROM slots")
			w.wantCheck(again, "A", ended(model.ReasonExpired, 0)) // no login is known
		}},
		scene{"another user's token with this session", func(t *testing.T, w *world) {
			a, b := w.logIn(alice, withDevice("A", "")), w.logIn(bob)
			a.claims.UserID = b.claims.UserID
			got, err := w.check(a, "A")
			if err != nil || got.IsLogin || got.State != service.LoginState(model.ReasonExpired) {
				t.Errorf("the answer is %+v, error %v", got, err)
			}
		}},
	)
}

// reset empties the world and sets its clock back to the beginning.
func (w *world) reset() {
	w.t.Helper()
	for _, table := range tables {
		w.sql("DELETE FROM " + table)
	}
	w.clock.ms.Store(int64(loginAt))
}

func TestCheckChangesLittle(t *testing.T) {
	play(t,
		scene{"it never extends a session", func(t *testing.T, w *world) {
			c := w.logIn(alice)
			before := w.row(c)
			for range 10 {
				w.clock.advance(time.Minute)
				_, err := w.check(c, "A")
				wantFailure(t, err, nil)
			}
			after := w.row(c)
			before.DeviceNumber, before.Confirmed, before.LastSeenAt = "A", true, loginAt.Add(time.Minute)
			if diff := cmp.Diff(before, after); diff != "" {
				t.Errorf("more changed than device, confirmation and the first use:\n%s", diff)
			}
		}},
		scene{"the first use of a token is its confirmation", func(t *testing.T, w *world) {
			for name, use := range map[string]func(c client) error{
				"check":        func(c client) error { return second(w.check(c, "A")) },
				"mismatch":     func(c client) error { return second(w.check(c, "B")) },
				"authenticate": func(c client) error { return second(w.sessions.Authenticate(t.Context(), c.access)) },
			} {
				w.reset()
				old := w.logIn(alice, withDevice("A", ""))
				c := w.renewed(old)
				wantFailure(t, use(old), nil) // the older token's use confirms nothing
				if w.row(c).Confirmed {
					t.Errorf("%s: the predecessor confirmed", name)
				}
				w.clock.advance(time.Second)
				wantFailure(t, use(c), nil)
				if s := w.row(c); !s.Confirmed || s.LastSeenAt != w.clock.time() {
					t.Errorf("%s: the session is %+v", name, s)
				}
				w.clock.advance(time.Second)
				w.wantSame(c, func() { wantFailure(t, use(c), nil) }) // one write per rotation
			}
		}},
		scene{"a token newer than the row confirms nothing", func(t *testing.T, w *world) {
			c := w.renewed(w.logIn(alice, withDevice("A", "")))
			w.sql("UPDATE sessions SET gen = 1, prev_gen = 0, confirmed = 0")
			w.wantCheck(c, "A", yes(service.StateActive))
			if w.row(c).Confirmed {
				t.Error("confirmed")
			}
		}},
	)
}

func TestEndedIsFinal(t *testing.T) {
	play(t,
		scene{"an end by time, once it was seen", func(t *testing.T, w *world) {
			c := w.logIn(alice)
			w.clock.advance(336 * time.Hour)
			w.wantCheck(c, "A", ended(model.ReasonExpired, loginAt))
			w.clock.advance(-336 * time.Hour)
			w.wantDead(c, model.ReasonExpired, loginAt)
		}},
		scene{"whoever sees it first", func(t *testing.T, w *world) {
			for name, look := range map[string]func(c client) error{
				"refresh":      func(c client) error { return second(w.refresh(c.access, c.Refresh.Value)) },
				"authenticate": func(c client) error { return second(w.sessions.Authenticate(t.Context(), c.access)) },
			} {
				w.reset()
				c := w.logIn(alice)
				w.clock.advance(336 * time.Hour)
				wantFailure(t, look(c), model.ErrSessionEnded)
				w.clock.advance(-336 * time.Hour)
				if w.row(c).EndReason != model.ReasonExpired {
					t.Errorf("%s did not note it", name)
				}
				w.wantDead(c, model.ReasonExpired, loginAt)
			}
		}},
		scene{"any other end", func(t *testing.T, w *world) {
			for reason, end := range ends {
				w.reset()
				c := w.logIn(alice, withDevice("A", ""))
				end(w, c)
				w.start()
				w.wantDead(c, reason, loginAt)
				w.clock.advance(-20 * time.Second)
				w.wantDead(c, reason, loginAt)
			}
		}},
	)
}

// wantDead tries everything that a session can do.
func (w *world) wantDead(c client, reason model.Reason, last model.Time) {
	w.t.Helper()
	want := model.ErrSessionEnded
	if reason == model.ReasonDisplaced {
		want = model.ErrDisplaced
	}
	w.wantSame(c, func() {
		w.wantCheck(c, "A", ended(reason, last))
		_, err := w.sessions.Authenticate(w.t.Context(), c.access)
		wantFailure(w.t, err, want)
		_, err = w.refresh(c.access, c.Refresh.Value)
		wantFailure(w.t, err, want)
		n, err := w.logOut(c, service.ScopeCurrent)
		if err != nil || n != 0 {
			w.t.Errorf("a logout ended %d, error %v", n, err)
		}
	})
}

func TestDeviceNumbersAreBytes(t *testing.T) {
	play(t, scene{"what a careless comparison takes for one", func(t *testing.T, w *world) {
		c := w.logIn(alice)
		w.wantCheck(c, "abc1é", yes(service.StateBound))
		for _, other := range []string{"ABC1é", "abc1É", "abc１é", "abc1e\u0301", "abc1é\u200b", "abc1e", "abc1é.", "%", strings.Repeat("x", 128)} {
			w.wantCheck(c, other, no(service.StateDeviceMismatch, loginAt))
		}
		w.wantCheck(c, "abc1é", yes(service.StateActive))
	}})
}

func TestBindRaces(t *testing.T) {
	play(t,
		scene{"64 first checks with different devices", func(t *testing.T, w *world) {
			c := w.logIn(alice)
			w.quiet()
			other := w.another()
			var yes atomic.Int32
			var winner atomic.Pointer[string]
			for _, err := range race(64, func(i int) error {
				device := fmt.Sprint("device ", i)
				result, err := []*world{w, other}[i%2].check(c, device)
				if result.IsLogin {
					yes.Add(1)
					winner.Store(&device)
				} else if err == nil && result.State != service.StateDeviceMismatch {
					t.Errorf("a loser is told %+v", result)
				}
				return err
			}) {
				wantFailure(t, err, nil)
			}
			if yes.Load() != 1 {
				t.Fatalf("%d devices won", yes.Load())
			}
			if got := w.row(c).DeviceNumber; got != *winner.Load() {
				t.Errorf("bound to %q, but %q won", got, *winner.Load())
			}
			if n := w.count("SELECT COUNT(*) FROM events WHERE kind = 'device_bound'"); n != 1 {
				t.Errorf("%d events tell of a binding", n)
			}
			if n := w.count("SELECT COUNT(*) FROM events WHERE kind = 'device_mismatch'"); n != 63 {
				t.Errorf("%d events tell of a mismatch, want 63", n)
			}
		}},
		scene{"32 first checks with one device", func(t *testing.T, w *world) {
			c := w.logIn(alice)
			w.quiet()
			var bound atomic.Int32
			for _, err := range race(32, func(int) error {
				result, err := w.check(c, "A")
				if result.State == service.StateBound {
					bound.Add(1)
				}
				if err == nil && !result.IsLogin {
					return fmt.Errorf("refused: %+v", result)
				}
				return err
			}) {
				wantFailure(t, err, nil)
			}
			w.wantEvents(model.EventDeviceBound)
			if bound.Load() != 1 {
				t.Errorf("%d checks say that they bound the device", bound.Load())
			}
		}},
		scene{"two sessions with one device", func(t *testing.T, w *world) {
			for i := range 8 {
				a, b := w.logIn(numbered(i), on(tv)), w.logIn(numbered(i), on(tv))
				for _, err := range race(2, func(j int) error { return second(w.check([]client{a, b}[j], "A")) }) {
					wantFailure(t, err, nil)
				}
				w.wantEnded(a, model.ReasonRelogin, "")
				w.wantAlive(b)
			}
		}},
	)
}

// TestTwins: one device cannot hold two sessions of one group; the older one
// ends when that comes out.
func TestTwins(t *testing.T) {
	play(t,
		scene{"the newer is bound second", func(t *testing.T, w *world) {
			old, young := w.logIn(alice, on(tv), withDevice("A", "")), w.logIn(alice, on(box))
			w.quiet()
			w.wantCheck(young, "A", yes(service.StateBound))
			w.wantEnded(old, model.ReasonRelogin, "")
			w.wantAlive(young)
			w.wantEvents(model.EventDeviceBound, model.EventRelogin)
		}},
		scene{"the older is bound second", func(t *testing.T, w *world) {
			old := w.logIn(alice, on(tv))
			w.clock.advance(time.Minute)
			young := w.logIn(alice, on(box), withDevice("A", ""))
			w.wantCheck(old, "A", ended(model.ReasonRelogin, loginAt.Add(time.Minute)))
			w.wantEnded(old, model.ReasonRelogin, "")
			w.wantCheck(young, "A", yes(service.StateActive))
		}},
		scene{"in another group", func(t *testing.T, w *world) {
			a, b := w.logIn(alice, on(tv), withDevice("A", "")), w.logIn(alice, on(pos))
			w.wantCheck(b, "A", yes(service.StateBound))
			w.wantAlive(a, b)
		}},
		scene{"of another user", func(t *testing.T, w *world) {
			a, b := w.logIn(alice, on(tv), withDevice("A", "")), w.logIn(bob, on(tv))
			w.wantCheck(b, "A", yes(service.StateBound))
			w.wantAlive(a, b)
		}},
		scene{"of another spelling", func(t *testing.T, w *world) {
			a, b := w.logIn(alice, on(tv), withDevice("A", "")), w.logIn(alice, on(tv))
			w.wantCheck(b, "a", yes(service.StateBound))
			w.wantAlive(a, b)
		}},
		scene{"one that ended before", func(t *testing.T, w *world) {
			a, b := w.logIn(alice, on(tv), withDevice("A", "")), w.logIn(alice, on(tv))
			_, err := w.logOut(a, service.ScopeCurrent)
			wantFailure(t, err, nil)
			w.wantCheck(b, "A", yes(service.StateBound))
			w.wantEnded(a, model.ReasonLoggedOut, "")
		}},
		scene{"a newer one past its end ends nobody", func(t *testing.T, w *world) {
			old, young := w.logIn(alice, on(tv)), w.logIn(alice, on(tv), withDevice("A", ""))
			w.clock.advance(300 * time.Hour)
			old = w.renewed(old)
			w.clock.advance(36 * time.Hour) // young is idle for 336 hours
			old = w.renewed(old)
			w.wantCheck(old, "A", yes(service.StateBound))
			w.wantEnded(young, model.ReasonExpired, "")
		}},
		scene{"an older one past its end has expired", func(t *testing.T, w *world) {
			old := w.logIn(alice, on(tv), withDevice("A", ""))
			w.clock.advance(300 * time.Hour)
			young := w.logIn(alice, on(tv))
			w.clock.advance(36 * time.Hour)
			young = w.renewed(young)
			w.wantCheck(young, "A", yes(service.StateBound))
			w.wantEnded(old, model.ReasonExpired, "")
		}},
	)
}
