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
var loginAt = service.NewFakeClock().Time()

// wantCheck checks a session with a device number and compares the answer.
func (in *instance) wantCheck(c client, device string, want service.CheckResult) {
	in.t.Helper()
	got, err := in.check(c, device)
	if err != nil {
		in.t.Errorf("check: %v", err)
		return
	}
	if want.IsLogin { // it turns by itself when the token or the session ends
		row := in.row(c)
		want.Until = min(c.claims.ExpiresAt, row.IdleUntil, row.EndsAt)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		in.t.Errorf("the answer differs:\n%s", diff)
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
var ends = map[model.Reason]func(in *instance, c client){
	model.ReasonDisplaced: func(in *instance, c client) { in.logIn(alice, withDevice("B", "")) },
	model.ReasonRelogin:   func(in *instance, c client) { in.logIn(alice, withDevice("A", "")) },
	model.ReasonLoggedOut: func(in *instance, c client) {
		_, err := in.logOut(c, service.ScopeCurrent)
		wantFailure(in.t, err, nil)
	},
	model.ReasonReuse: func(in *instance, c client) {
		in.useToken(in.refreshed(c))
		in.clock.Advance(31 * time.Second)
		_, err := in.refresh(c.access, c.Refresh.Value)
		wantFailure(in.t, err, model.ErrSessionEnded)
		in.clock.Advance(-31 * time.Second)
	},
	model.ReasonKicked: func(in *instance, c client) {
		in.sql("UPDATE sessions SET active_slot = NULL, ended_at = ?, end_reason = 'kicked'", int64(in.clock.Time()))
	},
}

func TestCheckTable(t *testing.T) {
	runScenes(t,
		scene{"good, active, the bound device", func(t *testing.T, in *instance) {
			c := in.logIn(alice, withDevice("A", ""))
			in.clearEvents()
			in.wantCheck(c, "A", yes(service.StateActive))
			in.wantEvents()
		}},
		scene{"good, active, none bound yet", func(t *testing.T, in *instance) {
			c := in.logIn(alice)
			in.clearEvents()
			in.wantCheck(c, "A", yes(service.StateBound))
			in.wantCheck(c, "A", yes(service.StateActive))
			if s := in.row(c); s.DeviceNumber != "A" {
				t.Errorf("bound to %q", s.DeviceNumber)
			}
			in.wantEvents(model.EventDeviceBound)
		}},
		scene{"good, active, another device", func(t *testing.T, in *instance) {
			c := in.logIn(alice, withDevice("A", ""))
			in.clock.Advance(time.Minute)
			in.logIn(alice, on(pc)) // another group's login is none of its business
			in.clearEvents()
			for range 3 {
				in.wantCheck(c, "B", no(service.StateDeviceMismatch, loginAt))
			}
			in.wantEvents(model.EventDeviceMismatch)
			in.wantCheck(c, "A", yes(service.StateActive)) // the true device keeps working
			in.wantAlive(c)
		}},
		scene{"mismatches are folded by session, device and hour", func(t *testing.T, in *instance) {
			in.clock.Advance(time.Hour - 5*time.Minute) // to 03:59:05
			c, other := in.logIn(alice, withDevice("A", "")), in.logIn(bob, withDevice("A", ""))
			in.clearEvents()
			for range 2 {
				for _, by := range []struct {
					client
					device string
				}{{c, "B"}, {c, "C"}, {other, "B"}, {c, "B"}} {
					in.wantCheck(by.client, by.device, no(service.StateDeviceMismatch, loginAt+55*60_000))
				}
				in.clock.Advance(time.Minute)
			}
			if diff := cmp.Diff([]string{"1", "1", "1", "1", "2", "2"}, in.texts("SELECT count FROM folds ORDER BY count")); diff != "" {
				t.Errorf("counts differ:\n%s", diff)
			}
		}},
		scene{"good, active, another device of another group's session", func(t *testing.T, in *instance) {
			c := in.logIn(alice, withDevice("A", ""))
			in.logIn(alice, on(pc), withDevice("B", ""))
			in.wantCheck(c, "B", no(service.StateDeviceMismatch, loginAt))
		}},
		scene{"good or expired, ended", func(t *testing.T, in *instance) {
			for reason, end := range ends {
				in.reset()
				c := in.logIn(alice, withDevice("A", ""))
				in.clock.Advance(time.Minute)
				end(in, c)
				last := loginAt
				if reason == model.ReasonDisplaced || reason == model.ReasonRelogin {
					last = last.Add(time.Minute)
				}
				for _, device := range []string{"A", "B"} {
					in.wantCheck(c, device, ended(reason, last))
				}
				in.clock.Advance(15 * time.Minute)
				for _, device := range []string{"A", "B"} {
					in.wantCheck(c, device, ended(reason, last))
				}
				in.clock.Advance(1000 * time.Hour) // the first reason stays
				in.wantCheck(c, "A", ended(reason, last))
			}
		}},
		scene{"expired, active", func(t *testing.T, in *instance) {
			for _, device := range []string{"A", ""} {
				in.reset()
				c := in.logIn(alice, withDevice(device, ""))
				in.clock.Advance(c.claims.ExpiresAt.Sub(in.clock.Time()) - ms)
				_, err := in.check(c, "A")
				wantFailure(t, err, nil)
				in.clock.Advance(ms)
				in.wantSame(c, func() {
					for _, number := range []string{"A", "B"} {
						_, err := in.check(c, number)
						wantFailure(t, err, model.ErrTokenExpired)
					}
				})
			}
		}},
		scene{"a token is good until its own end, also after a refresh", func(t *testing.T, in *instance) {
			old := in.logIn(alice, withDevice("A", ""))
			in.clock.Advance(10 * time.Minute)
			c := in.refreshed(old)
			in.wantCheck(old, "A", yes(service.StateActive))
			in.clock.Advance(5*time.Minute - 678*ms)
			_, err := in.check(old, "A")
			wantFailure(t, err, model.ErrTokenExpired)
			in.wantCheck(c, "A", yes(service.StateActive))
		}},
		scene{"past its idle end", func(t *testing.T, in *instance) {
			c := in.logIn(alice)
			in.clock.Advance(336 * time.Hour)
			in.clearEvents()
			in.wantCheck(c, "A", ended(model.ReasonExpired, loginAt))
			in.wantEnded(c, model.ReasonExpired, "")
			in.wantCheck(c, "A", ended(model.ReasonExpired, loginAt))
			in.wantEvents(model.EventExpired)
		}},
		scene{"past its absolute end", func(t *testing.T, in *instance) {
			in.sessions.RefreshTTL = time.Hour
			c := in.logIn(alice)
			in.clock.Advance(time.Hour)
			in.wantCheck(c, "A", ended(model.ReasonExpired, loginAt))
		}},
		scene{"gone by retention", func(t *testing.T, in *instance) {
			c := in.logIn(alice)
			in.clock.Advance(time.Minute)
			again := in.logIn(alice)
			in.sql("DELETE FROM sessions WHERE id = ?", c.claims.SessionID)
			for _, wait := range []time.Duration{0, 1000 * time.Hour} {
				in.clock.Advance(wait)
				in.wantCheck(c, "A", ended(model.ReasonExpired, loginAt.Add(time.Minute)))
				_, err := in.sessions.Authenticate(t.Context(), c.access)
				wantFailure(t, err, model.ErrSessionEnded)
				wantData(t, err, `{"reason":"expired","lastLoginTime":"2026-01-02T03:05:05Z"}`)
			}
			in.sql("DELETE FROM sessions")
			in.sql("DELETE FROM slots")
			in.wantCheck(again, "A", ended(model.ReasonExpired, 0)) // no login is known
		}},
		scene{"another user's token with this session", func(t *testing.T, in *instance) {
			a, b := in.logIn(alice, withDevice("A", "")), in.logIn(bob)
			a.claims.UserID = b.claims.UserID
			got, err := in.check(a, "A")
			if err != nil || got.IsLogin || got.State != service.LoginState(model.ReasonExpired) {
				t.Errorf("the answer is %+v, error %v", got, err)
			}
		}},
	)
}

// reset empties the database and sets the clock back to the beginning.
func (in *instance) reset() {
	in.t.Helper()
	for _, table := range tables {
		in.sql("DELETE FROM " + table)
	}
	in.clock.Set(loginAt.Std())
}

func TestCheckChangesLittle(t *testing.T) {
	runScenes(t,
		scene{"it never extends a session", func(t *testing.T, in *instance) {
			c := in.logIn(alice)
			before := in.row(c)
			for range 10 {
				in.clock.Advance(time.Minute)
				_, err := in.check(c, "A")
				wantFailure(t, err, nil)
			}
			after := in.row(c)
			before.DeviceNumber, before.Confirmed, before.LastSeenAt = "A", true, loginAt.Add(time.Minute)
			if diff := cmp.Diff(before, after); diff != "" {
				t.Errorf("more changed than device, confirmation and the first use:\n%s", diff)
			}
		}},
		scene{"the first use of a token is its confirmation", func(t *testing.T, in *instance) {
			for name, use := range map[string]func(c client) error{
				"check":        func(c client) error { return errOf(in.check(c, "A")) },
				"mismatch":     func(c client) error { return errOf(in.check(c, "B")) },
				"authenticate": func(c client) error { return errOf(in.sessions.Authenticate(t.Context(), c.access)) },
			} {
				in.reset()
				old := in.logIn(alice, withDevice("A", ""))
				c := in.refreshed(old)
				wantFailure(t, use(old), nil) // the older token's use confirms nothing
				if in.row(c).Confirmed {
					t.Errorf("%s: the predecessor confirmed", name)
				}
				in.clock.Advance(time.Second)
				wantFailure(t, use(c), nil)
				if s := in.row(c); !s.Confirmed || s.LastSeenAt != in.clock.Time() {
					t.Errorf("%s: the session is %+v", name, s)
				}
				in.clock.Advance(time.Second)
				in.wantSame(c, func() { wantFailure(t, use(c), nil) }) // one write per rotation
			}
		}},
		scene{"a token newer than the row confirms nothing", func(t *testing.T, in *instance) {
			c := in.refreshed(in.logIn(alice, withDevice("A", "")))
			in.sql("UPDATE sessions SET gen = 1, prev_gen = 0, confirmed = 0")
			in.wantCheck(c, "A", yes(service.StateActive))
			if in.row(c).Confirmed {
				t.Error("confirmed")
			}
		}},
	)
}

func TestEndedIsFinal(t *testing.T) {
	runScenes(t,
		scene{"an end by time, once it was seen", func(t *testing.T, in *instance) {
			c := in.logIn(alice)
			in.clock.Advance(336 * time.Hour)
			in.wantCheck(c, "A", ended(model.ReasonExpired, loginAt))
			in.clock.Advance(-336 * time.Hour)
			in.wantDead(c, model.ReasonExpired, loginAt)
		}},
		scene{"whoever sees it first", func(t *testing.T, in *instance) {
			for name, look := range map[string]func(c client) error{
				"refresh":      func(c client) error { return errOf(in.refresh(c.access, c.Refresh.Value)) },
				"authenticate": func(c client) error { return errOf(in.sessions.Authenticate(t.Context(), c.access)) },
			} {
				in.reset()
				c := in.logIn(alice)
				in.clock.Advance(336 * time.Hour)
				wantFailure(t, look(c), model.ErrSessionEnded)
				in.clock.Advance(-336 * time.Hour)
				if in.row(c).EndReason != model.ReasonExpired {
					t.Errorf("%s did not note it", name)
				}
				in.wantDead(c, model.ReasonExpired, loginAt)
			}
		}},
		scene{"any other end", func(t *testing.T, in *instance) {
			for reason, end := range ends {
				in.reset()
				c := in.logIn(alice, withDevice("A", ""))
				end(in, c)
				in.restart()
				in.wantDead(c, reason, loginAt)
				in.clock.Advance(-20 * time.Second)
				in.wantDead(c, reason, loginAt)
			}
		}},
	)
}

// wantDead tries everything that a session can do.
func (in *instance) wantDead(c client, reason model.Reason, last model.Time) {
	in.t.Helper()
	want := model.ErrSessionEnded
	if reason == model.ReasonDisplaced {
		want = model.ErrDisplaced
	}
	in.wantSame(c, func() {
		in.wantCheck(c, "A", ended(reason, last))
		_, err := in.sessions.Authenticate(in.t.Context(), c.access)
		wantFailure(in.t, err, want)
		_, err = in.refresh(c.access, c.Refresh.Value)
		wantFailure(in.t, err, want)
		n, err := in.logOut(c, service.ScopeCurrent)
		if err != nil || n != 0 {
			in.t.Errorf("a logout ended %d, error %v", n, err)
		}
	})
}

func TestDeviceNumbersAreBytes(t *testing.T) {
	runScenes(t, scene{"what a careless comparison takes for one", func(t *testing.T, in *instance) {
		c := in.logIn(alice)
		in.wantCheck(c, "abc1é", yes(service.StateBound))
		for _, other := range []string{"ABC1é", "abc1É", "abc１é", "abc1e\u0301", "abc1é\u200b", "abc1e", "abc1é.", "%", strings.Repeat("x", 128)} {
			in.wantCheck(c, other, no(service.StateDeviceMismatch, loginAt))
		}
		in.wantCheck(c, "abc1é", yes(service.StateActive))
	}})
}

func TestBindRaces(t *testing.T) {
	runScenes(t,
		scene{"64 first checks with different devices", func(t *testing.T, in *instance) {
			c := in.logIn(alice)
			in.clearEvents()
			other := in.another()
			var yes atomic.Int32
			var winner atomic.Pointer[string]
			for _, err := range race(64, func(i int) error {
				device := fmt.Sprint("device ", i)
				result, err := []*instance{in, other}[i%2].check(c, device)
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
			if got := in.row(c).DeviceNumber; got != *winner.Load() {
				t.Errorf("bound to %q, but %q won", got, *winner.Load())
			}
			if n := in.count("SELECT COUNT(*) FROM events WHERE kind = 'device_bound'"); n != 1 {
				t.Errorf("%d events tell of a binding", n)
			}
			if n := in.count("SELECT SUM(folds.count) FROM events JOIN folds ON name = fold WHERE kind = 'device_mismatch'"); n != 63 {
				t.Errorf("%d mismatches were counted, want 63", n)
			}
		}},
		scene{"32 first checks with one device", func(t *testing.T, in *instance) {
			c := in.logIn(alice)
			in.clearEvents()
			var bound atomic.Int32
			for _, err := range race(32, func(int) error {
				result, err := in.check(c, "A")
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
			in.wantEvents(model.EventDeviceBound)
			if bound.Load() != 1 {
				t.Errorf("%d checks say that they bound the device", bound.Load())
			}
		}},
		scene{"two sessions with one device", func(t *testing.T, in *instance) {
			for i := range 8 {
				a, b := in.logIn(numbered(i), on(tv)), in.logIn(numbered(i), on(tv))
				for _, err := range race(2, func(j int) error { return errOf(in.check([]client{a, b}[j], "A")) }) {
					wantFailure(t, err, nil)
				}
				in.wantEnded(a, model.ReasonRelogin, "")
				in.wantAlive(b)
			}
		}},
	)
}

// TestTwins: one device cannot hold two sessions of one group; the older one
// ends when that comes out.
func TestTwins(t *testing.T) {
	runScenes(t,
		scene{"the newer is bound second", func(t *testing.T, in *instance) {
			old, young := in.logIn(alice, on(tv), withDevice("A", "")), in.logIn(alice, on(box))
			in.clearEvents()
			in.wantCheck(young, "A", yes(service.StateBound))
			in.wantEnded(old, model.ReasonRelogin, "")
			in.wantAlive(young)
			in.wantEvents(model.EventDeviceBound, model.EventRelogin)
		}},
		scene{"the older is bound second", func(t *testing.T, in *instance) {
			old := in.logIn(alice, on(tv))
			in.clock.Advance(time.Minute)
			young := in.logIn(alice, on(box), withDevice("A", ""))
			in.wantCheck(old, "A", ended(model.ReasonRelogin, loginAt.Add(time.Minute)))
			in.wantEnded(old, model.ReasonRelogin, "")
			in.wantCheck(young, "A", yes(service.StateActive))
		}},
		scene{"in another group", func(t *testing.T, in *instance) {
			a, b := in.logIn(alice, on(tv), withDevice("A", "")), in.logIn(alice, on(pos))
			in.wantCheck(b, "A", yes(service.StateBound))
			in.wantAlive(a, b)
		}},
		scene{"of another user", func(t *testing.T, in *instance) {
			a, b := in.logIn(alice, on(tv), withDevice("A", "")), in.logIn(bob, on(tv))
			in.wantCheck(b, "A", yes(service.StateBound))
			in.wantAlive(a, b)
		}},
		scene{"of another spelling", func(t *testing.T, in *instance) {
			a, b := in.logIn(alice, on(tv), withDevice("A", "")), in.logIn(alice, on(tv))
			in.wantCheck(b, "a", yes(service.StateBound))
			in.wantAlive(a, b)
		}},
		scene{"one that ended before", func(t *testing.T, in *instance) {
			a, b := in.logIn(alice, on(tv), withDevice("A", "")), in.logIn(alice, on(tv))
			_, err := in.logOut(a, service.ScopeCurrent)
			wantFailure(t, err, nil)
			in.wantCheck(b, "A", yes(service.StateBound))
			in.wantEnded(a, model.ReasonLoggedOut, "")
		}},
		scene{"a newer one past its end ends nobody", func(t *testing.T, in *instance) {
			old, young := in.logIn(alice, on(tv)), in.logIn(alice, on(tv), withDevice("A", ""))
			in.clock.Advance(300 * time.Hour)
			old = in.refreshed(old)
			in.clock.Advance(36 * time.Hour) // young is idle for 336 hours
			old = in.refreshed(old)
			in.wantCheck(old, "A", yes(service.StateBound))
			in.wantEnded(young, model.ReasonExpired, "")
		}},
		scene{"an older one past its end has expired", func(t *testing.T, in *instance) {
			old := in.logIn(alice, on(tv), withDevice("A", ""))
			in.clock.Advance(300 * time.Hour)
			young := in.logIn(alice, on(tv))
			in.clock.Advance(36 * time.Hour)
			young = in.refreshed(young)
			in.wantCheck(young, "A", yes(service.StateBound))
			in.wantEnded(old, model.ReasonExpired, "")
		}},
	)
}
