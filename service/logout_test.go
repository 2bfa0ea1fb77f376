package service_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"menshen/model"
	"menshen/service"
)

func (in *instance) wantLogOut(c client, scope service.Scope, want int) {
	in.t.Helper()
	if n, err := in.logOut(c, scope); err != nil || n != want {
		in.t.Errorf("logout of %s ended %d, error %v; want %d", scope, n, err, want)
	}
}

func TestLogout(t *testing.T) {
	runScenes(t,
		scene{"current", func(t *testing.T, in *instance) {
			c, other := in.logIn(alice), in.logIn(alice, on(pc))
			in.clearEvents()
			in.wantLogOut(c, service.ScopeCurrent, 1)
			in.wantLogOut(c, service.ScopeCurrent, 0)
			in.wantEnded(c, model.ReasonLoggedOut, "")
			in.wantAlive(other)
			in.wantEvents(model.EventLogout)
		}},
		scene{"others", func(t *testing.T, in *instance) {
			c, a, b, foreign := in.logIn(alice), in.logIn(alice, on(pc)), in.logIn(alice, on(tv)), in.logIn(bob)
			in.clearEvents()
			in.wantLogOut(c, service.ScopeOthers, 2)
			in.wantLogOut(c, service.ScopeOthers, 0)
			in.wantEnded(a, model.ReasonLoggedOut, "")
			in.wantEnded(b, model.ReasonLoggedOut, "")
			in.wantAlive(c, foreign)
			in.wantEvents(model.EventLogout, model.EventLogout)
		}},
		scene{"all", func(t *testing.T, in *instance) {
			c, a, foreign := in.logIn(alice), in.logIn(alice, on(pc)), in.logIn(bob)
			company := in.logIn(alice, inCompany(1))
			in.wantLogOut(c, service.ScopeAll, 2)
			in.wantEnded(c, model.ReasonLoggedOut, "")
			in.wantEnded(a, model.ReasonLoggedOut, "")
			in.wantAlive(foreign, company)
			_, err := in.logOut(c, service.ScopeAll)
			wantFailure(t, err, model.ErrSessionEnded)
		}},
		scene{"with an expired token", func(t *testing.T, in *instance) {
			c, other := in.logIn(alice), in.logIn(alice, on(pc))
			in.clock.Advance(time.Hour)
			for _, scope := range []service.Scope{service.ScopeOthers, service.ScopeAll} {
				_, err := in.logOut(c, scope)
				wantFailure(t, err, model.ErrTokenExpired)
			}
			in.wantAlive(c, other)
			in.wantLogOut(c, service.ScopeCurrent, 1)
			in.wantAlive(other)
		}},
		scene{"with an old expired token", func(t *testing.T, in *instance) {
			oldest := in.logIn(alice)
			predecessor := in.refreshed(oldest)
			current := in.refreshed(predecessor)
			in.wantLogOut(oldest, service.ScopeOthers, 0) // all three are good until their own end
			in.clock.Advance(time.Hour)
			in.clearEvents()
			in.wantSame(current, func() {
				_, err := in.logOut(oldest, service.ScopeCurrent)
				wantFailure(t, err, model.ErrStalePair)
			})
			in.wantEvents()
			in.wantLogOut(predecessor, service.ScopeCurrent, 1)
			in.wantEnded(current, model.ReasonLoggedOut, "")
			in.wantLogOut(oldest, service.ScopeCurrent, 0) // of an ended session, however old
			in.wantEvents(model.EventLogout)
		}},
		scene{"with an expired token, while a refresh replaces it", func(t *testing.T, in *instance) {
			for i := range 8 {
				predecessor := in.logIn(numbered(i))
				current := in.refreshed(predecessor)
				in.clock.Advance(time.Hour)
				errs := race(6, func(j int) error {
					if j%2 == 0 {
						_, err := in.refresh(current.access, current.Refresh.Value)
						return err
					}
					_, err := in.logOut(predecessor, service.ScopeCurrent)
					return err
				})
				stale, ended := 0, in.row(current).EndedAt != 0
				for j, err := range errs {
					switch {
					case j%2 == 1 && errors.Is(err, model.ErrStalePair):
						stale++
					case j%2 == 1 || !errors.Is(err, model.ErrSessionEnded):
						wantFailure(t, err, nil)
					}
				}
				if ended == (stale > 0) {
					t.Errorf("%d of 3 logouts were stale, ended: %v", stale, ended)
				}
			}
		}},
		scene{"with the token of an ended session", func(t *testing.T, in *instance) {
			c := in.logIn(alice)
			young := in.logIn(alice)
			for _, scope := range []service.Scope{service.ScopeOthers, service.ScopeAll} {
				_, err := in.logOut(c, scope)
				wantFailure(t, err, model.ErrDisplaced)
			}
			in.wantLogOut(c, service.ScopeCurrent, 0)
			in.wantEnded(c, model.ReasonDisplaced, "")
			in.wantAlive(young)
		}},
		scene{"of a session past its end", func(t *testing.T, in *instance) {
			c := in.logIn(alice)
			in.clock.Advance(336 * time.Hour)
			in.wantLogOut(c, service.ScopeCurrent, 0)
			in.wantEnded(c, model.ReasonExpired, "")
		}},
		scene{"of a session that is gone", func(t *testing.T, in *instance) {
			c := in.logIn(alice)
			in.sql("DELETE FROM sessions")
			in.wantLogOut(c, service.ScopeCurrent, 0)
		}},
		scene{"what is past its end has expired, and is not counted", func(t *testing.T, in *instance) {
			idle := in.logIn(alice, on(pc))
			in.clock.Advance(336 * time.Hour)
			c := in.logIn(alice)
			in.wantLogOut(c, service.ScopeAll, 1)
			in.wantEnded(idle, model.ReasonExpired, "")
		}},
		scene{"16 at once", func(t *testing.T, in *instance) {
			c := in.logIn(alice)
			for i := range int32(3) {
				in.logIn(alice, on(i+1))
			}
			in.clearEvents()
			ended := make([]int, 16)
			for _, err := range race(len(ended), func(i int) (err error) {
				ended[i], err = in.logOut(c, service.ScopeOthers)
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
			in.wantEvents(model.EventLogout, model.EventLogout, model.EventLogout)
		}},
	)
}

func TestDeleteSession(t *testing.T) {
	remove := func(in *instance, owner client, id string) (int, error) {
		return in.sessions.Delete(in.t.Context(), in.row(owner), id, model.Caller{})
	}
	runScenes(t,
		scene{"one of the caller's", func(t *testing.T, in *instance) {
			c, other, third := in.logIn(alice), in.logIn(alice, on(pc)), in.logIn(alice, on(tv))
			in.clearEvents()
			for _, want := range []int{1, 0} {
				if n, err := remove(in, c, other.claims.SessionID); err != nil || n != want {
					t.Errorf("ended %d, error %v; want %d", n, err, want)
				}
			}
			in.wantEnded(other, model.ReasonLoggedOut, "")
			in.wantAlive(c, third)
			in.wantEvents(model.EventLogout)
			if n, err := remove(in, c, c.claims.SessionID); err != nil || n != 1 {
				t.Errorf("its own: ended %d, error %v", n, err)
			}
		}},
		scene{"foreign and unknown alike", func(t *testing.T, in *instance) {
			c, foreign, company := in.logIn(alice), in.logIn(bob), in.logIn(alice, inCompany(1))
			in.clearEvents()
			for _, id := range []string{
				foreign.claims.SessionID, company.claims.SessionID, strings.Repeat("A", 26), "", "x", "' OR 1=1 --", strings.Repeat("A", 33),
				strings.ToLower(c.claims.SessionID), c.claims.SessionID + " ", "%",
			} {
				_, err := remove(in, c, id)
				wantFailure(t, err, model.ErrNotFound)
				wantData(t, err, "null")
			}
			in.wantAlive(c, foreign, company)
			in.wantEvents()
		}},
		scene{"past its end", func(t *testing.T, in *instance) {
			idle := in.logIn(alice, on(pc))
			in.clock.Advance(336 * time.Hour)
			c := in.logIn(alice)
			if n, err := remove(in, c, idle.claims.SessionID); err != nil || n != 0 {
				t.Errorf("ended %d, error %v; want 0", n, err)
			}
			in.wantEnded(idle, model.ReasonExpired, "")
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
	runScenes(t,
		scene{"active ones, newest first", func(t *testing.T, in *instance) {
			a := in.logIn(alice, on(pc))
			in.clock.Advance(time.Second)
			b := in.logIn(alice, on(tv))
			in.clock.Advance(time.Second)
			c := in.logIn(alice)
			in.logIn(bob)
			got, err := in.sessions.Active(t.Context(), in.row(c))
			wantFailure(t, err, nil)
			want := []string{c.claims.SessionID, b.claims.SessionID, a.claims.SessionID}
			if diff := cmp.Diff(want, ids(got)); diff != "" {
				t.Errorf("the list differs:\n%s", diff)
			}
		}},
		scene{"what is past its end is not active", func(t *testing.T, in *instance) {
			in.logIn(alice, on(pc))
			in.clock.Advance(336 * time.Hour)
			c := in.logIn(alice)
			got, err := in.sessions.Active(t.Context(), in.row(c))
			wantFailure(t, err, nil)
			if diff := cmp.Diff([]string{c.claims.SessionID}, ids(got)); diff != "" {
				t.Errorf("the list differs:\n%s", diff)
			}
		}},
		scene{"the newest is the highest epoch, whatever the clock", func(t *testing.T, in *instance) {
			a := in.logIn(alice, on(tv))
			in.clock.Advance(-time.Hour)
			b := in.logIn(alice, on(tv))
			got, err := in.sessions.Active(t.Context(), in.row(b))
			wantFailure(t, err, nil)
			if diff := cmp.Diff([]string{b.claims.SessionID, a.claims.SessionID}, ids(got)); diff != "" {
				t.Errorf("the list differs:\n%s", diff)
			}
		}},
		scene{"the last 20 ended", func(t *testing.T, in *instance) {
			var all []string
			for i := range 23 {
				all = append([]string{in.logIn(alice, withDevice("", fmt.Sprint("phone ", i))).claims.SessionID}, all...)
				in.clock.Advance(time.Minute)
			}
			c := in.logIn(alice, withDevice("", "last"))
			got, err := in.sessions.Ended(t.Context(), in.row(c))
			wantFailure(t, err, nil)
			if diff := cmp.Diff(all[:20], ids(got)); diff != "" {
				t.Errorf("the list differs:\n%s", diff)
			}
			if got[0].EndReason != model.ReasonDisplaced || got[0].EndedBy != "last" || got[0].EndedAt != in.clock.Time() || got[1].EndedBy != "phone 22" {
				t.Errorf("the newest is %+v", got[0])
			}
		}},
		scene{"none", func(t *testing.T, in *instance) {
			c := in.logIn(alice)
			if got, err := in.sessions.Ended(t.Context(), in.row(c)); err != nil || len(got) != 0 {
				t.Errorf("ended ones %v, error %v", got, err)
			}
		}},
	)
}
