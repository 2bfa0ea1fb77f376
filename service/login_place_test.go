package service_test

import (
	"fmt"
	"testing"
	"time"

	"menshen/model"
	"menshen/service"
)

// wantEnded checks how a session ended.
func (w *world) wantEnded(c client, reason model.Reason, by string) {
	w.t.Helper()
	if s := w.row(c); s.EndedAt == 0 || s.ActiveSlot != nil || s.EndReason != reason || s.EndedBy != by {
		w.t.Errorf("session %d ended at %d by %q because of %q; want %q by %q", s.Epoch, s.EndedAt, s.EndedBy, s.EndReason, reason, by)
	}
}

// wantAlive checks that sessions go on.
func (w *world) wantAlive(clients ...client) {
	w.t.Helper()
	for _, c := range clients {
		if s := w.row(c); s.EndedAt != 0 {
			w.t.Errorf("session %d ended because of %q", s.Epoch, s.EndReason)
		}
	}
}

func TestLoginDisplaces(t *testing.T) {
	play(t,
		scene{"the older of the group", func(t *testing.T, w *world) {
			old := w.logIn(alice, withDevice("A", "Old phone"))
			w.clock.advance(time.Minute)
			young := w.logIn(alice, withDevice("B", "New phone"))
			if young.Displaced != 1 {
				t.Errorf("displaced %d, want 1", young.Displaced)
			}
			w.wantEnded(old, model.ReasonDisplaced, "New phone")
			w.wantAlive(young)
			const data = `{"reason":"displaced","lastLoginTime":"2026-01-02T03:05:05Z","by":"New phone"}`
			_, err := w.refresh(old.access, old.Refresh.Value)
			wantFailure(t, err, model.ErrDisplaced)
			wantData(t, err, data)
			_, err = w.sessions.Authenticate(t.Context(), old.access)
			wantFailure(t, err, model.ErrDisplaced)
			wantData(t, err, data)
			w.wantEvents(model.EventCodeSent, model.EventRegister, model.EventLogin, model.EventCodeSent, model.EventDisplaced, model.EventLogin)
		}},
		scene{"by a device without a label", func(t *testing.T, w *world) {
			old := w.logIn(alice)
			w.logIn(alice)
			_, err := w.sessions.Authenticate(t.Context(), old.access)
			wantData(t, err, `{"reason":"displaced","lastLoginTime":"2026-01-02T03:04:05Z","by":null}`)
		}},
		scene{"within the group alone", func(t *testing.T, w *world) {
			a, b, c, other := w.logIn(alice), w.logIn(alice, on(pc)), w.logIn(alice, on(tv)), w.logIn(bob)
			w.wantAlive(a, b, c, other)
			second := w.logIn(alice, on(pc))
			w.wantEnded(b, model.ReasonDisplaced, "")
			w.wantAlive(a, c, other, second)
		}},
		scene{"users on one device do not disturb each other", func(t *testing.T, w *world) {
			a, b := w.logIn(alice, withDevice("A", "")), w.logIn(bob, withDevice("A", ""))
			w.wantAlive(a, b)
		}},
		scene{"the lowest epoch beyond the limit", func(t *testing.T, w *world) {
			first, second := w.logIn(alice, on(tv)), w.logIn(alice, on(box))
			w.wantAlive(first, second)
			third := w.logIn(alice, on(tv))
			if second.Displaced != 0 || third.Displaced != 1 {
				t.Errorf("displaced %d and %d, want 0 and 1", second.Displaced, third.Displaced)
			}
			w.wantEnded(first, model.ReasonDisplaced, "")
			w.wantAlive(second, third)
		}},
		scene{"all beyond a limit that was lowered", func(t *testing.T, w *world) {
			a, b := w.logIn(alice, on(tv)), w.logIn(alice, on(tv))
			w.serve(func(c *service.Catalog) { c.Products[tv].MaxSessions = 1 })
			c := w.logIn(alice, on(tv))
			if c.Displaced != 2 {
				t.Errorf("displaced %d, want 2", c.Displaced)
			}
			w.wantEnded(a, model.ReasonDisplaced, "")
			w.wantEnded(b, model.ReasonDisplaced, "")
			w.wantAlive(c)
		}},
		scene{"the same device logs in anew", func(t *testing.T, w *world) {
			other, old := w.logIn(alice, on(tv), withDevice("other", "")), w.logIn(alice, on(tv), withDevice("A", "Phone"))
			again := w.logIn(alice, on(box), withDevice("A", "Phone"))
			if again.Displaced != 0 {
				t.Errorf("displaced %d, want 0", again.Displaced)
			}
			w.wantEnded(old, model.ReasonRelogin, "Phone")
			w.wantAlive(other, again)
			_, err := w.sessions.Authenticate(t.Context(), old.access)
			wantFailure(t, err, model.ErrSessionEnded)
			wantData(t, err, `{"reason":"relogin","lastLoginTime":"2026-01-02T03:04:05Z"}`)
			w.wantEvents(model.EventCodeSent, model.EventRegister, model.EventLogin, model.EventCodeSent, model.EventLogin,
				model.EventCodeSent, model.EventRelogin, model.EventLogin)
		}},
		scene{"a device is its bytes", func(t *testing.T, w *world) {
			old := w.logIn(alice, on(tv), withDevice("dev1", ""))
			for _, number := range []string{"DEV1", "dev１", "dev1\u200b"} {
				c := w.logIn(alice, on(tv), withDevice(number, ""))
				if c.Displaced == 0 && w.row(old).EndedAt != 0 {
					t.Errorf("%q is taken for dev1", number)
				}
			}
			w.wantEnded(old, model.ReasonDisplaced, "") // by the third
		}},
		scene{"the same device in another group", func(t *testing.T, w *world) {
			a, b := w.logIn(alice, withDevice("A", "")), w.logIn(alice, on(pc), withDevice("A", ""))
			w.wantAlive(a, b)
		}},
		scene{"two devices without a number are two", func(t *testing.T, w *world) {
			a, b := w.logIn(alice, on(tv)), w.logIn(alice, on(tv))
			w.wantAlive(a, b)
		}},
		scene{"what is past its end neither counts nor blocks", func(t *testing.T, w *world) {
			idle := w.logIn(alice, on(tv))
			w.clock.advance(336*time.Hour - ms)
			young := w.logIn(alice, on(tv))
			w.clock.advance(ms)
			third := w.logIn(alice, on(tv))
			if third.Displaced != 0 {
				t.Errorf("displaced %d, want 0", third.Displaced)
			}
			w.wantEnded(idle, model.ReasonExpired, "")
			w.wantAlive(young, third)
		}},
		scene{"expired comes before relogin and displaced", func(t *testing.T, w *world) {
			old := w.logIn(alice, withDevice("A", ""))
			w.clock.advance(336 * time.Hour)
			if c := w.logIn(alice, withDevice("A", "")); c.Displaced != 0 {
				t.Errorf("displaced %d, want 0", c.Displaced)
			}
			w.wantEnded(old, model.ReasonExpired, "")
		}},
		scene{"a product that is removed", func(t *testing.T, w *world) {
			old := w.logIn(alice, on(box))
			w.serve(func(c *service.Catalog) { c.Products = c.Products[:box] })
			_, err := w.try(alice, w.code(alice), on(box))
			wantFailure(t, err, model.ErrMalformed)
			w.wantAlive(old)
			if _, err := w.refresh(old.access, old.Refresh.Value); err != nil {
				t.Errorf("its sessions do not live on: %v", err)
			}
			w.logIn(alice, on(tv))
			w.logIn(alice, on(tv))
			w.wantEnded(old, model.ReasonDisplaced, "") // it keeps the group of its login
		}},
	)
}

func TestLoginRejects(t *testing.T) {
	two := func(w *world) (a, b client) {
		a = w.logIn(alice, on(pos), withDevice("A", "Till A"))
		w.clock.advance(time.Minute)
		return a, w.logIn(alice, on(pos), withDevice("B", "Till B"))
	}
	play(t,
		scene{"and the code stays unused", func(t *testing.T, w *world) {
			a, b := two(w)
			code := w.code(alice)
			_, err := w.try(alice, code, on(pos), withDevice("C", "Till C"))
			wantFailure(t, err, model.ErrDeviceLimit)
			line := func(c client, name, at string) string {
				return fmt.Sprintf(`{"id":"%s","deviceName":"%s","loginTime":"%s","lastSeenTime":"%s"}`, c.claims.SessionID, name, at, at)
			}
			wantData(t, err, `{"devices":[`+line(b, "Till B", "2026-01-02T03:05:05Z")+`,`+line(a, "Till A", "2026-01-02T03:04:05Z")+`]}`)
			w.wantAlive(a, b)
			c, err := w.try(alice, code, on(pos), withDevice("C", "Till C"), replacing(a.claims.SessionID))
			wantFailure(t, err, nil)
			if c.Displaced != 1 {
				t.Errorf("displaced %d, want 1", c.Displaced)
			}
			w.wantEnded(a, model.ReasonDisplaced, "Till C")
			w.wantAlive(b)
		}},
		scene{"but the attempt stays counted", func(t *testing.T, w *world) {
			a, _ := two(w)
			code := w.code(alice)
			for range 5 {
				_, err := w.try(alice, code, on(pos))
				wantFailure(t, err, model.ErrDeviceLimit)
			}
			_, err := w.try(alice, code, on(pos), replacing(a.claims.SessionID))
			wantFailure(t, err, model.ErrCode)
		}},
		scene{"a session that is not among them", func(t *testing.T, w *world) {
			a, b := two(w)
			foreign, elsewhere := w.logIn(bob, on(pos)), w.logIn(alice)
			code := w.code(alice)
			for _, id := range []string{foreign.claims.SessionID, elsewhere.claims.SessionID, "x"} {
				_, err := w.try(alice, code, on(pos), replacing(id))
				wantFailure(t, err, model.ErrDeviceLimit)
			}
			w.wantAlive(a, b, foreign, elsewhere)
		}},
		scene{"not the same device", func(t *testing.T, w *world) {
			a, b := two(w)
			c := w.logIn(alice, on(pos), withDevice("A", ""))
			w.wantEnded(a, model.ReasonRelogin, "")
			w.wantAlive(b, c)
		}},
		scene{"not because of what is past its end", func(t *testing.T, w *world) {
			a, b := two(w)
			w.clock.advance(336*time.Hour - time.Minute)
			c := w.logIn(alice, on(pos))
			w.wantEnded(a, model.ReasonExpired, "")
			w.wantAlive(b, c)
		}},
		scene{"a replacement without need is no harm", func(t *testing.T, w *world) {
			a := w.logIn(alice, on(pos))
			c := w.logIn(alice, on(pos), replacing("none"))
			w.wantAlive(a, c)
		}},
		scene{"below a limit that was lowered one may take another's place, and no more", func(t *testing.T, w *world) {
			a, b := two(w)
			w.serve(func(c *service.Catalog) { c.Products[pos].MaxSessions = 1 })
			code := w.code(alice)
			_, err := w.try(alice, code, on(pos), withDevice("C", ""))
			wantFailure(t, err, model.ErrDeviceLimit)
			w.wantAlive(a, b)
			c, err := w.try(alice, code, on(pos), withDevice("C", ""), replacing(a.claims.SessionID))
			wantFailure(t, err, nil)
			w.wantEnded(a, model.ReasonDisplaced, "")
			again := w.logIn(alice, on(pos), withDevice("B", ""))
			w.wantEnded(b, model.ReasonRelogin, "")
			w.wantAlive(again)
			_, err = w.sessions.Authenticate(t.Context(), c.Access.Value)
			wantFailure(t, err, nil)
		}},
		scene{"what is past its end makes no room below a limit that was lowered", func(t *testing.T, w *world) {
			a, _ := two(w)
			w.serve(func(c *service.Catalog) { c.Products[pos].MaxSessions = 1 })
			w.sql("UPDATE sessions SET idle_until = ? WHERE id = ?", w.clock.time()-1, a.claims.SessionID)
			_, err := w.try(alice, w.code(alice), on(pos))
			wantFailure(t, err, model.ErrDeviceLimit)
		}},
		scene{"replaceSession means nothing where logins displace", func(t *testing.T, w *world) {
			a, b := w.logIn(alice, on(tv)), w.logIn(alice, on(tv))
			w.logIn(alice, on(tv), replacing(b.claims.SessionID))
			w.wantEnded(a, model.ReasonDisplaced, "")
			w.wantAlive(b)
		}},
		scene{"the order of judgement: a ban comes first", func(t *testing.T, w *world) {
			a, _ := two(w)
			w.sql("UPDATE users SET banned_until = ? WHERE id = ?", int64(model.Forever), a.User.User.ID)
			_, err := w.try(alice, w.code(alice), on(pos))
			wantFailure(t, err, model.ErrBanned)
		}},
	)
}
