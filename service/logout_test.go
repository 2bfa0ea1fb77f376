package service_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"menshen/model"
	"menshen/service"
)

func (w *world) wantLogOut(c client, scope service.Scope, want int) {
	w.t.Helper()
	if n, err := w.logOut(c, scope); err != nil || n != want {
		w.t.Errorf("logout of %s ended %d, error %v; want %d", scope, n, err, want)
	}
}

func TestLogout(t *testing.T) {
	play(t,
		scene{"current", func(t *testing.T, w *world) {
			c, other := w.logIn(alice), w.logIn(alice, on(pc))
			w.quiet()
			w.wantLogOut(c, service.ScopeCurrent, 1)
			w.wantLogOut(c, service.ScopeCurrent, 0)
			w.wantEnded(c, model.ReasonLoggedOut, "")
			w.wantAlive(other)
			w.wantEvents(model.EventLogout)
		}},
		scene{"others", func(t *testing.T, w *world) {
			c, a, b, foreign := w.logIn(alice), w.logIn(alice, on(pc)), w.logIn(alice, on(tv)), w.logIn(bob)
			w.quiet()
			w.wantLogOut(c, service.ScopeOthers, 2)
			w.wantLogOut(c, service.ScopeOthers, 0)
			w.wantEnded(a, model.ReasonLoggedOut, "")
			w.wantEnded(b, model.ReasonLoggedOut, "")
			w.wantAlive(c, foreign)
			w.wantEvents(model.EventLogout, model.EventLogout)
		}},
		scene{"all", func(t *testing.T, w *world) {
			c, a, foreign := w.logIn(alice), w.logIn(alice, on(pc)), w.logIn(bob)
			company := w.logIn(alice, inCompany(1))
			w.wantLogOut(c, service.ScopeAll, 2)
			w.wantEnded(c, model.ReasonLoggedOut, "")
			w.wantEnded(a, model.ReasonLoggedOut, "")
			w.wantAlive(foreign, company)
			_, err := w.logOut(c, service.ScopeAll)
			wantFailure(t, err, model.ErrSessionEnded)
		}},
		scene{"with an expired token", func(t *testing.T, w *world) {
			c, other := w.logIn(alice), w.logIn(alice, on(pc))
			w.clock.advance(time.Hour)
			for _, scope := range []service.Scope{service.ScopeOthers, service.ScopeAll} {
				_, err := w.logOut(c, scope)
				wantFailure(t, err, model.ErrTokenExpired)
			}
			w.wantAlive(c, other)
			w.wantLogOut(c, service.ScopeCurrent, 1)
			w.wantAlive(other)
		}},
		scene{"with the token of an ended session", func(t *testing.T, w *world) {
			c := w.logIn(alice)
			young := w.logIn(alice)
			for _, scope := range []service.Scope{service.ScopeOthers, service.ScopeAll} {
				_, err := w.logOut(c, scope)
				wantFailure(t, err, model.ErrDisplaced)
			}
			w.wantLogOut(c, service.ScopeCurrent, 0)
			w.wantEnded(c, model.ReasonDisplaced, "")
			w.wantAlive(young)
		}},
		scene{"of a session past its end", func(t *testing.T, w *world) {
			c := w.logIn(alice)
			w.clock.advance(336 * time.Hour)
			w.wantLogOut(c, service.ScopeCurrent, 0)
			w.wantEnded(c, model.ReasonExpired, "")
		}},
		scene{"of a session that is gone", func(t *testing.T, w *world) {
			c := w.logIn(alice)
			w.sql("DELETE FROM sessions")
			w.wantLogOut(c, service.ScopeCurrent, 0)
		}},
		scene{"what is past its end has expired, and is not counted", func(t *testing.T, w *world) {
			idle := w.logIn(alice, on(pc))
			w.clock.advance(336 * time.Hour)
			c := w.logIn(alice)
			w.wantLogOut(c, service.ScopeAll, 1)
			w.wantEnded(idle, model.ReasonExpired, "")
		}},
		scene{"16 at once", func(t *testing.T, w *world) {
			c := w.logIn(alice)
			for i := range int32(3) {
				w.logIn(alice, on(i+1))
			}
			w.quiet()
			ended := make([]int, 16)
			for _, err := range race(len(ended), func(i int) (err error) {
				ended[i], err = w.logOut(c, service.ScopeOthers)
				return err
			}) {
				wantFailure(t, err, nil)
			}
			sum := 0
			for _, n := range ended {
				sum += n
			}
			if sum != 3 {
				t.Errorf("%d sessions ended, want 3", sum)
			}
			w.wantEvents(model.EventLogout, model.EventLogout, model.EventLogout)
		}},
	)
}

func TestDeleteSession(t *testing.T) {
	remove := func(w *world, owner client, id string) (int, error) {
		return w.sessions.Delete(w.t.Context(), w.row(owner), id, service.Caller{})
	}
	play(t,
		scene{"one of the caller's", func(t *testing.T, w *world) {
			c, other, third := w.logIn(alice), w.logIn(alice, on(pc)), w.logIn(alice, on(tv))
			w.quiet()
			for _, want := range []int{1, 0} {
				if n, err := remove(w, c, other.claims.SessionID); err != nil || n != want {
					t.Errorf("ended %d, error %v; want %d", n, err, want)
				}
			}
			w.wantEnded(other, model.ReasonLoggedOut, "")
			w.wantAlive(c, third)
			w.wantEvents(model.EventLogout)
			if n, err := remove(w, c, c.claims.SessionID); err != nil || n != 1 {
				t.Errorf("its own: ended %d, error %v", n, err)
			}
		}},
		scene{"foreign and unknown alike", func(t *testing.T, w *world) {
			c, foreign, company := w.logIn(alice), w.logIn(bob), w.logIn(alice, inCompany(1))
			w.quiet()
			for _, id := range []string{
				foreign.claims.SessionID, company.claims.SessionID, strings.Repeat("A", 26), "", "x", "' OR 1=1 --", strings.Repeat("A", 33),
				strings.ToLower(c.claims.SessionID), c.claims.SessionID + " ", "%",
			} {
				_, err := remove(w, c, id)
				wantFailure(t, err, model.ErrNotFound)
				wantData(t, err, "null")
			}
			w.wantAlive(c, foreign, company)
			w.wantEvents()
		}},
		scene{"past its end", func(t *testing.T, w *world) {
			idle := w.logIn(alice, on(pc))
			w.clock.advance(336 * time.Hour)
			c := w.logIn(alice)
			if n, err := remove(w, c, idle.claims.SessionID); err != nil || n != 0 {
				t.Errorf("ended %d, error %v; want 0", n, err)
			}
			w.wantEnded(idle, model.ReasonExpired, "")
		}},
	)
}

// ids are those of sessions, in their order.
func ids(sessions []model.Session) (all []string) {
	for _, s := range sessions {
		all = append(all, s.ID)
	}
	return all
}

func TestSessionLists(t *testing.T) {
	play(t,
		scene{"active ones, newest first", func(t *testing.T, w *world) {
			a := w.logIn(alice, on(pc))
			w.clock.advance(time.Second)
			b := w.logIn(alice, on(tv))
			w.clock.advance(time.Second)
			c := w.logIn(alice)
			w.logIn(bob)
			got, err := w.sessions.Active(t.Context(), w.row(c))
			wantFailure(t, err, nil)
			want := []string{c.claims.SessionID, b.claims.SessionID, a.claims.SessionID}
			if diff := cmp.Diff(want, ids(got)); diff != "" {
				t.Errorf("the list differs:\n%s", diff)
			}
		}},
		scene{"what is past its end is not active", func(t *testing.T, w *world) {
			w.logIn(alice, on(pc))
			w.clock.advance(336 * time.Hour)
			c := w.logIn(alice)
			got, err := w.sessions.Active(t.Context(), w.row(c))
			wantFailure(t, err, nil)
			if diff := cmp.Diff([]string{c.claims.SessionID}, ids(got)); diff != "" {
				t.Errorf("the list differs:\n%s", diff)
			}
		}},
		scene{"the newest is the highest epoch, whatever the clock", func(t *testing.T, w *world) {
			a := w.logIn(alice, on(tv))
			w.clock.advance(-time.Hour)
			b := w.logIn(alice, on(tv))
			got, err := w.sessions.Active(t.Context(), w.row(b))
			wantFailure(t, err, nil)
			if diff := cmp.Diff([]string{b.claims.SessionID, a.claims.SessionID}, ids(got)); diff != "" {
				t.Errorf("the list differs:\n%s", diff)
			}
		}},
		scene{"the last 20 ended", func(t *testing.T, w *world) {
			var all []string
			for i := range 23 {
				all = append([]string{w.logIn(alice, withDevice("", fmt.Sprint("phone ", i))).claims.SessionID}, all...)
				w.clock.advance(time.Minute)
			}
			c := w.logIn(alice, withDevice("", "last"))
			got, err := w.sessions.Ended(t.Context(), w.row(c))
			wantFailure(t, err, nil)
			if diff := cmp.Diff(all[:20], ids(got)); diff != "" {
				t.Errorf("the list differs:\n%s", diff)
			}
			if got[0].EndReason != model.ReasonDisplaced || got[0].EndedBy != "last" || got[0].EndedAt != w.clock.time() || got[1].EndedBy != "phone 22" {
				t.Errorf("the newest is %+v", got[0])
			}
		}},
		scene{"none", func(t *testing.T, w *world) {
			c := w.logIn(alice)
			if got, err := w.sessions.Ended(t.Context(), w.row(c)); err != nil || len(got) != 0 {
				t.Errorf("ended ones %v, error %v", got, err)
			}
		}},
	)
}
