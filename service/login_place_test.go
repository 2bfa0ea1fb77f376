package service_test

import (
	"fmt"
	"testing"
	"time"

	"menshen/model"
)

// wantEnded checks how a session ended.
func (in *instance) wantEnded(c client, reason model.Reason, by string) {
	in.t.Helper()
	if s := in.row(c); s.EndedAt == 0 || s.Seat != nil || s.EndReason != reason || s.EndedBy != by {
		in.t.Errorf("session %d ended at %d by %q because of %q; want %q by %q", s.Epoch, s.EndedAt, s.EndedBy, s.EndReason, reason, by)
	}
}

// wantAlive checks that sessions go on.
func (in *instance) wantAlive(clients ...client) {
	in.t.Helper()
	for _, c := range clients {
		if s := in.row(c); s.EndedAt != 0 {
			in.t.Errorf("session %d ended because of %q", s.Epoch, s.EndReason)
		}
	}
}

func TestLoginDisplaces(t *testing.T) {
	runScenes(t,
		scene{"the older of the group", func(t *testing.T, in *instance) {
			old := in.logIn(alice, withDevice("A", "Old phone"))
			in.clock.Advance(time.Minute)
			young := in.logIn(alice, withDevice("B", "New phone"))
			if young.Displaced != 1 {
				t.Errorf("displaced %d, want 1", young.Displaced)
			}
			in.wantEnded(old, model.ReasonDisplaced, "New phone")
			in.wantAlive(young)
			const data = `{"reason":"displaced","lastLoginTime":"2026-01-02T03:05:05Z","by":"New phone"}`
			_, err := in.refresh(old.access, old.Refresh.Value)
			wantFailure(t, err, model.ErrDisplaced)
			wantData(t, err, data)
			_, err = in.sessions.Authenticate(t.Context(), old.access)
			wantFailure(t, err, model.ErrDisplaced)
			wantData(t, err, data)
			in.wantEvents(model.EventCodeSent, model.EventRegister, model.EventLogin, model.EventCodeSent, model.EventDisplaced, model.EventLogin)
		}},
		scene{"by a device without a label", func(t *testing.T, in *instance) {
			old := in.logIn(alice)
			in.logIn(alice)
			_, err := in.sessions.Authenticate(t.Context(), old.access)
			wantData(t, err, `{"reason":"displaced","lastLoginTime":"2026-01-02T03:04:05Z","by":null}`)
		}},
		scene{"within the group alone", func(t *testing.T, in *instance) {
			a, b, c, other := in.logIn(alice), in.logIn(alice, on(pc)), in.logIn(alice, on(tv)), in.logIn(bob)
			in.wantAlive(a, b, c, other)
			second := in.logIn(alice, on(pc))
			in.wantEnded(b, model.ReasonDisplaced, "")
			in.wantAlive(a, c, other, second)
		}},
		scene{"users on one device do not disturb each other", func(t *testing.T, in *instance) {
			a, b := in.logIn(alice, withDevice("A", "")), in.logIn(bob, withDevice("A", ""))
			in.wantAlive(a, b)
		}},
		scene{"the lowest epoch beyond the limit", func(t *testing.T, in *instance) {
			first, second := in.logIn(alice, on(tv)), in.logIn(alice, on(box))
			in.wantAlive(first, second)
			third := in.logIn(alice, on(tv))
			if second.Displaced != 0 || third.Displaced != 1 {
				t.Errorf("displaced %d and %d, want 0 and 1", second.Displaced, third.Displaced)
			}
			in.wantEnded(first, model.ReasonDisplaced, "")
			in.wantAlive(second, third)
		}},
		scene{"all beyond a limit that was lowered", func(t *testing.T, in *instance) {
			a, b := in.logIn(alice, on(tv)), in.logIn(alice, on(tv))
			in.serve(func(c *model.Catalog) { c.Products[tv].MaxSessions = 1 })
			c := in.logIn(alice, on(tv))
			if c.Displaced != 2 {
				t.Errorf("displaced %d, want 2", c.Displaced)
			}
			in.wantEnded(a, model.ReasonDisplaced, "")
			in.wantEnded(b, model.ReasonDisplaced, "")
			in.wantAlive(c)
		}},
		scene{"the same device logs in anew", func(t *testing.T, in *instance) {
			other, old := in.logIn(alice, on(tv), withDevice("other", "")), in.logIn(alice, on(tv), withDevice("A", "Phone"))
			again := in.logIn(alice, on(box), withDevice("A", "Phone"))
			if again.Displaced != 0 {
				t.Errorf("displaced %d, want 0", again.Displaced)
			}
			in.wantEnded(old, model.ReasonRelogin, "Phone")
			in.wantAlive(other, again)
			_, err := in.sessions.Authenticate(t.Context(), old.access)
			wantFailure(t, err, model.ErrSessionEnded)
			wantData(t, err, `{"reason":"relogin","lastLoginTime":"2026-01-02T03:04:05Z"}`)
			in.wantEvents(model.EventCodeSent, model.EventRegister, model.EventLogin, model.EventCodeSent, model.EventLogin,
				model.EventCodeSent, model.EventRelogin, model.EventLogin)
		}},
		scene{"a device is its bytes", func(t *testing.T, in *instance) {
			old := in.logIn(alice, on(tv), withDevice("dev1", ""))
			for _, number := range []string{"DEV1", "dev１", "dev1\u200b"} {
				c := in.logIn(alice, on(tv), withDevice(number, ""))
				if c.Displaced == 0 && in.row(old).EndedAt != 0 {
					t.Errorf("%q is taken for dev1", number)
				}
			}
			in.wantEnded(old, model.ReasonDisplaced, "") // by the third
		}},
		scene{"the same device in another group", func(t *testing.T, in *instance) {
			a, b := in.logIn(alice, withDevice("A", "")), in.logIn(alice, on(pc), withDevice("A", ""))
			in.wantAlive(a, b)
		}},
		scene{"two devices without a number are two", func(t *testing.T, in *instance) {
			a, b := in.logIn(alice, on(tv)), in.logIn(alice, on(tv))
			in.wantAlive(a, b)
		}},
		scene{"what is past its end neither counts nor blocks", func(t *testing.T, in *instance) {
			idle := in.logIn(alice, on(tv))
			in.clock.Advance(336*time.Hour - ms)
			young := in.logIn(alice, on(tv))
			in.clock.Advance(ms)
			third := in.logIn(alice, on(tv))
			if third.Displaced != 0 {
				t.Errorf("displaced %d, want 0", third.Displaced)
			}
			in.wantEnded(idle, model.ReasonExpired, "")
			in.wantAlive(young, third)
		}},
		scene{"expired comes before relogin and displaced", func(t *testing.T, in *instance) {
			old := in.logIn(alice, withDevice("A", ""))
			in.clock.Advance(336 * time.Hour)
			if c := in.logIn(alice, withDevice("A", "")); c.Displaced != 0 {
				t.Errorf("displaced %d, want 0", c.Displaced)
			}
			in.wantEnded(old, model.ReasonExpired, "")
		}},
		scene{"a product that is removed", func(t *testing.T, in *instance) {
			old := in.logIn(alice, on(box))
			in.serve(func(c *model.Catalog) { c.Products = c.Products[:box] })
			_, err := in.tryLogIn(alice, in.receiveCode(alice), on(box))
			wantFailure(t, err, model.ErrMalformed)
			in.wantAlive(old)
			if _, err := in.refresh(old.access, old.Refresh.Value); err != nil {
				t.Errorf("its sessions do not live on: %v", err)
			}
			in.logIn(alice, on(tv))
			in.logIn(alice, on(tv))
			in.wantEnded(old, model.ReasonDisplaced, "") // it keeps the group of its login
		}},
	)
}

func TestLoginRejects(t *testing.T) {
	two := func(in *instance) (a, b client) {
		a = in.logIn(alice, on(pos), withDevice("A", "Till A"))
		in.clock.Advance(time.Minute)
		return a, in.logIn(alice, on(pos), withDevice("B", "Till B"))
	}
	runScenes(t,
		scene{"and the code stays unused", func(t *testing.T, in *instance) {
			a, b := two(in)
			code := in.receiveCode(alice)
			_, err := in.tryLogIn(alice, code, on(pos), withDevice("C", "Till C"))
			wantFailure(t, err, model.ErrDeviceLimit)
			line := func(c client, name, at string) string {
				return fmt.Sprintf(`{"id":"%s","deviceName":"%s","loginTime":"%s","lastSeenTime":"%s"}`, c.claims.SessionID, name, at, at)
			}
			wantData(t, err, `{"devices":[`+line(b, "Till B", "2026-01-02T03:05:05Z")+`,`+line(a, "Till A", "2026-01-02T03:04:05Z")+`]}`)
			in.wantAlive(a, b)
			c, err := in.tryLogIn(alice, code, on(pos), withDevice("C", "Till C"), replacing(a.claims.SessionID))
			wantFailure(t, err, nil)
			if c.Displaced != 1 {
				t.Errorf("displaced %d, want 1", c.Displaced)
			}
			in.wantEnded(a, model.ReasonDisplaced, "Till C")
			in.wantAlive(b)
		}},
		scene{"but the attempt stays counted", func(t *testing.T, in *instance) {
			a, _ := two(in)
			code := in.receiveCode(alice)
			for range 5 {
				_, err := in.tryLogIn(alice, code, on(pos))
				wantFailure(t, err, model.ErrDeviceLimit)
			}
			_, err := in.tryLogIn(alice, code, on(pos), replacing(a.claims.SessionID))
			wantFailure(t, err, model.ErrCode)
		}},
		scene{"a session that is not among them", func(t *testing.T, in *instance) {
			a, b := two(in)
			foreign, elsewhere := in.logIn(bob, on(pos)), in.logIn(alice)
			code := in.receiveCode(alice)
			for _, id := range []string{foreign.claims.SessionID, elsewhere.claims.SessionID, "x"} {
				_, err := in.tryLogIn(alice, code, on(pos), replacing(id))
				wantFailure(t, err, model.ErrDeviceLimit)
			}
			in.wantAlive(a, b, foreign, elsewhere)
		}},
		scene{"not the same device", func(t *testing.T, in *instance) {
			a, b := two(in)
			c := in.logIn(alice, on(pos), withDevice("A", ""))
			in.wantEnded(a, model.ReasonRelogin, "")
			in.wantAlive(b, c)
		}},
		scene{"not because of what is past its end", func(t *testing.T, in *instance) {
			a, b := two(in)
			in.clock.Advance(336*time.Hour - time.Minute)
			c := in.logIn(alice, on(pos))
			in.wantEnded(a, model.ReasonExpired, "")
			in.wantAlive(b, c)
		}},
		scene{"a replacement without need is no harm", func(t *testing.T, in *instance) {
			a := in.logIn(alice, on(pos))
			c := in.logIn(alice, on(pos), replacing("none"))
			in.wantAlive(a, c)
		}},
		scene{"below a limit that was lowered one may take another's place, and no more", func(t *testing.T, in *instance) {
			a, b := two(in)
			in.serve(func(c *model.Catalog) { c.Products[pos].MaxSessions = 1 })
			code := in.receiveCode(alice)
			_, err := in.tryLogIn(alice, code, on(pos), withDevice("C", ""))
			wantFailure(t, err, model.ErrDeviceLimit)
			in.wantAlive(a, b)
			c, err := in.tryLogIn(alice, code, on(pos), withDevice("C", ""), replacing(a.claims.SessionID))
			wantFailure(t, err, nil)
			in.wantEnded(a, model.ReasonDisplaced, "")
			again := in.logIn(alice, on(pos), withDevice("B", ""))
			in.wantEnded(b, model.ReasonRelogin, "")
			in.wantAlive(again)
			_, err = in.sessions.Authenticate(t.Context(), c.Access.Value)
			wantFailure(t, err, nil)
		}},
		scene{"what is past its end makes no room below a limit that was lowered", func(t *testing.T, in *instance) {
			a, _ := two(in)
			in.serve(func(c *model.Catalog) { c.Products[pos].MaxSessions = 1 })
			in.sql("UPDATE sessions SET idle_until = ? WHERE id = ?", in.clock.Time()-1, a.claims.SessionID)
			_, err := in.tryLogIn(alice, in.receiveCode(alice), on(pos))
			wantFailure(t, err, model.ErrDeviceLimit)
		}},
		scene{"replaceSession means nothing where logins displace", func(t *testing.T, in *instance) {
			a, b := in.logIn(alice, on(tv)), in.logIn(alice, on(tv))
			in.logIn(alice, on(tv), replacing(b.claims.SessionID))
			in.wantEnded(a, model.ReasonDisplaced, "")
			in.wantAlive(b)
		}},
		scene{"the order of judgement: a ban comes first", func(t *testing.T, in *instance) {
			a, _ := two(in)
			in.sql("UPDATE users SET banned_until = ? WHERE id = ?", int64(model.Forever), a.User.User.ID)
			_, err := in.tryLogIn(alice, in.receiveCode(alice), on(pos))
			wantFailure(t, err, model.ErrBanned)
		}},
	)
}
