package service_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"menshen/model"
	"menshen/service"
)

// useToken authenticates with the access token, which confirms it.
func (in *instance) useToken(c client) {
	in.t.Helper()
	if _, err := in.sessions.Authenticate(in.t.Context(), c.access); err != nil {
		in.t.Fatalf("use a token: %v", err)
	}
}

// mustRefresh refreshes the pair and returns the new access token.
func (in *instance) mustRefresh(c client) service.IssuedToken {
	in.t.Helper()
	token, err := in.refresh(c.access, c.Refresh.Value)
	if err != nil {
		in.t.Fatalf("refresh: %v", err)
	}
	return token
}

// refreshed returns the client after a refresh.
func (in *instance) refreshed(c client) client {
	in.t.Helper()
	c.access = in.mustRefresh(c).Value
	c.claims = in.claims(c.access)
	return c
}

func (in *instance) logOut(c client, scope service.Scope) (int, error) {
	return in.sessions.Logout(in.t.Context(), c.access, c.claims, scope, model.Caller{})
}

// wantSame checks that an act changed nothing of the session.
func (in *instance) wantSame(c client, act func()) {
	in.t.Helper()
	before := in.row(c)
	act()
	if diff := cmp.Diff(before, in.row(c)); diff != "" {
		in.t.Errorf("the session changed:\n%s", diff)
	}
}

// clearEvents deletes the events so far.
func (in *instance) clearEvents() { in.sql("DELETE FROM events") }

func TestRefreshRotates(t *testing.T) {
	runScenes(t,
		scene{"the current token", func(t *testing.T, in *instance) {
			c := in.logIn(alice)
			before := in.row(c)
			in.clearEvents()
			in.clock.Advance(10 * time.Minute)
			token := in.mustRefresh(c)
			claims := in.claims(token.Value)
			now := in.clock.Time()
			want := c.claims
			want.TokenID, want.Gen, want.IssuedAt, want.ExpiresAt = claims.TokenID, 2, now.Second(), now.Second().Add(15*time.Minute)
			if diff := cmp.Diff(want, claims); diff != "" || token.Expire != claims.ExpiresAt || claims.TokenID == c.claims.TokenID {
				t.Errorf("expire %v, claims differ:\n%s", token.Expire, diff)
			}
			row := before
			row.Gen, row.PrevGen, row.CurJTI, row.CurIat, row.CurExp, row.MaxExp = 2, 1, claims.TokenID, claims.IssuedAt, claims.ExpiresAt, claims.ExpiresAt
			row.MintedAt, row.LastSeenAt, row.IdleUntil, row.Confirmed = now, now, now.Add(336*time.Hour), false
			if diff := cmp.Diff(row, in.row(c)); diff != "" {
				t.Errorf("the session differs:\n%s", diff)
			}
			in.wantEvents() // the row is its trace
		}},
		scene{"an expired token", func(t *testing.T, in *instance) {
			c := in.logIn(alice)
			in.clock.Advance(300 * time.Hour)
			in.useToken(in.refreshed(c))
		}},
		scene{"many times within one second", func(t *testing.T, in *instance) {
			c := in.logIn(alice)
			first := c
			for i := range int64(5) {
				c = in.refreshed(c)
				if c.claims.Gen != i+2 {
					t.Errorf("generation %d, want %d", c.claims.Gen, i+2)
				}
			}
			in.useToken(c)
			in.clock.Advance(30*time.Second + ms)
			_, err := in.refresh(first.access, first.Refresh.Value)
			wantFailure(t, err, model.ErrSessionEnded)
		}},
		scene{"never beyond the session's end", func(t *testing.T, in *instance) {
			in.sessions.RefreshTTL = time.Hour
			c := in.logIn(alice)
			end := c.Refresh.Expire
			in.clock.Advance(50 * time.Minute)
			c = in.refreshed(c)
			if c.claims.ExpiresAt != end || in.row(c).EndsAt != end {
				t.Errorf("the token ends %v, the session %v; want %v", c.claims.ExpiresAt, in.row(c).EndsAt, end)
			}
			in.clock.Advance(end.Sub(in.clock.Time()) - ms)
			in.useToken(c)
			c = in.refreshed(c)
			in.clock.Advance(ms)
			_, err := in.refresh(c.access, c.Refresh.Value)
			wantFailure(t, err, model.ErrSessionEnded)
			in.wantEnded(c, model.ReasonExpired, "")
		}},
		scene{"moves the idle end", func(t *testing.T, in *instance) {
			c := in.logIn(alice)
			in.clock.Advance(335 * time.Hour)
			c = in.refreshed(c)
			in.clock.Advance(336*time.Hour - ms)
			c = in.refreshed(c)
			in.clock.Advance(40 * time.Hour)
			_, err := in.refresh(c.access, c.Refresh.Value) // 30 days after the login, however busy
			wantFailure(t, err, nil)
			in.clock.Advance(10 * time.Hour)
			_, err = in.refresh(c.access, c.Refresh.Value)
			wantFailure(t, err, model.ErrSessionEnded)
			wantData(t, err, `{"reason":"expired","lastLoginTime":"2026-01-02T03:04:05Z"}`)
		}},
		scene{"a restart and another instance do not show", func(t *testing.T, in *instance) {
			c := in.refreshed(in.logIn(alice))
			in.restart()
			c = in.refreshed(c)
			other := in.another()
			c = other.refreshed(c)
			in.useToken(c)
			other.clock.Advance(time.Minute)
			_, err := in.refresh(c.access, c.Refresh.Value)
			wantFailure(t, err, nil)
		}},
	)
}

func TestRefreshConverges(t *testing.T) {
	runScenes(t,
		scene{"within the grace, as often as one likes", func(t *testing.T, in *instance) {
			c := in.logIn(alice)
			first := in.mustRefresh(c)
			in.clearEvents()
			in.clock.Advance(30 * time.Second)
			in.wantSame(c, func() {
				for range 3 {
					again := in.mustRefresh(c)
					if in.claims(again.Value) != in.claims(first.Value) || again.Expire != first.Expire {
						t.Errorf("another token: %+v", in.claims(again.Value))
					}
				}
			})
			in.wantEvents()
		}},
		scene{"also when the new one was used", func(t *testing.T, in *instance) {
			c := in.logIn(alice)
			second := in.refreshed(c)
			in.useToken(second)
			if again := in.claims(in.mustRefresh(c).Value); again != second.claims {
				t.Errorf("another token: %+v", again)
			}
		}},
		scene{"near the session's end", func(t *testing.T, in *instance) {
			in.sessions.RefreshTTL = time.Hour
			c := in.logIn(alice)
			in.clock.Advance(50 * time.Minute)
			next := in.refreshed(c)
			if again := in.claims(in.mustRefresh(c).Value); again != next.claims || again.ExpiresAt != c.Refresh.Expire {
				t.Errorf("another token: %+v", again)
			}
		}},
		scene{"signed with the key of the moment", func(t *testing.T, in *instance) {
			c := in.logIn(alice)
			first := in.mustRefresh(c)
			in.keys.SetActivation(0)
			in.clock.Advance(2 * time.Second) // the newer key is known by its age
			if _, err := in.keys.Rotate(); err != nil {
				t.Fatal(err)
			}
			again := in.mustRefresh(c)
			if first.Value == again.Value || in.claims(again.Value) != in.claims(first.Value) {
				t.Error("the token is not the same under another key")
			}
		}},
		scene{"not on a token that has expired", func(t *testing.T, in *instance) {
			in.sessions.AccessTTL = 10 * time.Second
			c := in.logIn(alice)
			second := in.refreshed(c)
			in.useToken(second)
			in.clock.Advance(10 * time.Second)
			third := in.refreshed(c)
			if third.claims.Gen != 3 || third.claims.ExpiresAt <= second.claims.ExpiresAt {
				t.Errorf("converged on the expired token: %+v", third.claims)
			}
			if s := in.row(c); s.PrevGen != 1 {
				t.Errorf("the predecessor is %d, want 1", s.PrevGen)
			}
		}},
	)
}

func TestRefreshRecovers(t *testing.T) {
	runScenes(t,
		scene{"a lost answer", func(t *testing.T, in *instance) {
			c := in.logIn(alice)
			in.mustRefresh(c) // lost
			in.clearEvents()
			in.clock.Advance(30*time.Second + ms)
			c = in.refreshed(c)
			if s := in.row(c); c.claims.Gen != 3 || s.PrevGen != 1 || s.Confirmed || s.MintedAt != in.clock.Time() {
				t.Errorf("the session is %+v", s)
			}
			in.wantEvents(model.EventRecover)
		}},
		scene{"under a shorter life of tokens, whose feed still tells of the longer one", func(t *testing.T, in *instance) {
			c := in.logIn(alice)
			lost := in.mustRefresh(c)
			in.sessions.AccessTTL = time.Minute
			in.clock.Advance(30*time.Second + ms)
			c = in.refreshed(c)
			if s := in.row(c); s.MaxExp != lost.Expire || s.CurExp >= lost.Expire {
				t.Errorf("the latest end is %v, want %v", s.MaxExp, lost.Expire)
			}
		}},
		scene{"a lost answer near the session's end", func(t *testing.T, in *instance) {
			in.sessions.RefreshTTL = time.Hour
			c := in.logIn(alice)
			in.clock.Advance(50 * time.Minute)
			in.mustRefresh(c) // lost
			in.clock.Advance(30*time.Second + ms)
			in.useToken(in.refreshed(c))
		}},
		scene{"many lost answers", func(t *testing.T, in *instance) {
			c := in.logIn(alice)
			for range 5 {
				in.mustRefresh(c)
				in.clock.Advance(time.Hour)
			}
			in.useToken(in.refreshed(c))
		}},
		scene{"an expired pair", func(t *testing.T, in *instance) {
			c := in.logIn(alice)
			in.mustRefresh(c)
			in.clock.Advance(100 * time.Hour)
			in.useToken(in.refreshed(c))
		}},
	)
}

// lateStore ends no session as seen the first times: the row has moved.
type lateStore struct {
	service.SessionStore
	late int
}

func (s *lateStore) EndSeen(ctx context.Context, seen model.Session, reason model.Reason, now model.Time) (bool, error) {
	if s.late > 0 {
		s.late--
		return false, nil
	}
	return s.SessionStore.EndSeen(ctx, seen, reason, now)
}

func TestRefreshReplay(t *testing.T) {
	wantReuse := func(t *testing.T, in *instance, thief, owner client) {
		t.Helper()
		in.clearEvents()
		_, err := in.refresh(thief.access, thief.Refresh.Value)
		wantFailure(t, err, model.ErrSessionEnded)
		wantData(t, err, `{"reason":"reuse","lastLoginTime":"2026-01-02T03:04:05Z"}`)
		in.wantEnded(owner, model.ReasonReuse, "")
		for _, c := range []client{thief, owner} {
			_, err = in.refresh(c.access, c.Refresh.Value)
			wantFailure(t, err, model.ErrSessionEnded)
			_, err = in.sessions.Authenticate(t.Context(), c.access)
			wantFailure(t, err, model.ErrSessionEnded)
		}
		in.wantEvents(model.EventReuse)
	}
	runScenes(t,
		scene{"the predecessor once the current one was used", func(t *testing.T, in *instance) {
			thief := in.logIn(alice)
			owner := in.refreshed(thief)
			in.useToken(owner)
			in.clock.Advance(30*time.Second + ms)
			wantReuse(t, in, thief, owner)
		}},
		scene{"an orphan", func(t *testing.T, in *instance) {
			owner := in.logIn(alice)
			thief := in.refreshed(owner) // the answer went astray
			in.clock.Advance(time.Minute)
			owner = in.refreshed(owner)
			in.clock.Advance(30*time.Second + ms)
			wantReuse(t, in, thief, owner)
		}},
		scene{"an older one, used or not", func(t *testing.T, in *instance) {
			thief := in.logIn(alice)
			owner := in.refreshed(in.refreshed(thief))
			in.clock.Advance(30*time.Second + ms)
			wantReuse(t, in, thief, owner)
		}},
		scene{"an older one that has expired", func(t *testing.T, in *instance) {
			thief := in.logIn(alice)
			owner := in.refreshed(in.refreshed(thief))
			in.clock.Advance(20 * time.Minute)
			owner = in.refreshed(owner)
			in.clock.Advance(time.Minute)
			wantReuse(t, in, thief, owner)
		}},
		scene{"judged anew when the row has moved", func(t *testing.T, in *instance) {
			thief := in.logIn(alice)
			owner := in.refreshed(thief)
			in.useToken(owner)
			in.clock.Advance(time.Minute)
			in.sessions.Store = &lateStore{SessionStore: in.sessions.Store, late: 1}
			wantReuse(t, in, thief, owner)
		}},
		scene{"after a restart, on another instance", func(t *testing.T, in *instance) {
			thief := in.logIn(alice)
			owner := in.refreshed(thief)
			in.useToken(owner)
			in.restart()
			in.clock.Advance(time.Minute)
			wantReuse(t, in.another(), thief, owner)
		}},
	)
}

func TestRefreshStalePair(t *testing.T) {
	runScenes(t,
		scene{"older than the predecessor, within the grace", func(t *testing.T, in *instance) {
			old := in.logIn(alice)
			c := in.refreshed(in.refreshed(old))
			in.useToken(c)
			in.clock.Advance(30 * time.Second)
			in.clearEvents()
			in.wantSame(c, func() {
				_, err := in.refresh(old.access, old.Refresh.Value)
				wantFailure(t, err, model.ErrStalePair)
			})
			in.wantEvents(model.EventRecover)
			in.useToken(c)
		}},
		scene{"not a millisecond longer", func(t *testing.T, in *instance) {
			old := in.logIn(alice)
			c := in.refreshed(in.refreshed(old))
			in.clock.Advance(30*time.Second + ms)
			_, err := in.refresh(old.access, old.Refresh.Value)
			wantFailure(t, err, model.ErrSessionEnded)
			in.wantEnded(c, model.ReasonReuse, "")
		}},
	)
}

// TestRefreshAdopts: the database was restored from a copy that is older than
// the token.
func TestRefreshAdopts(t *testing.T) {
	runScenes(t, scene{"a newer token", func(t *testing.T, in *instance) {
		c := in.logIn(alice)
		for range 3 {
			c = in.refreshed(c)
		}
		in.sql("UPDATE sessions SET gen = 2, prev_gen = 1, confirmed = 1")
		in.clock.Advance(time.Hour)
		in.clearEvents()
		c = in.refreshed(c)
		if s := in.row(c); c.claims.Gen != 5 || s.PrevGen != 4 || s.Confirmed {
			t.Errorf("the session is %+v", s)
		}
		in.wantEvents(model.EventAdopt)
		in.useToken(c)
	}})
}
