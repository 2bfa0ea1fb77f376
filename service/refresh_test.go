package service_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"menshen/model"
	"menshen/service"
)

// use shows the access token somewhere: from then on it is confirmed.
func (w *world) use(c client) {
	w.t.Helper()
	if _, err := w.sessions.Authenticate(w.t.Context(), c.access); err != nil {
		w.t.Fatalf("use a token: %v", err)
	}
}

// mustRefresh refreshes the pair and gives the new access token.
func (w *world) mustRefresh(c client) service.IssuedToken {
	w.t.Helper()
	token, err := w.refresh(c.access, c.Refresh.Value)
	if err != nil {
		w.t.Fatalf("refresh: %v", err)
	}
	return token
}

// renewed is the client after a refresh.
func (w *world) renewed(c client) client {
	w.t.Helper()
	c.access = w.mustRefresh(c).Value
	c.claims = w.claims(c.access)
	return c
}

func (w *world) logOut(c client, scope service.Scope) (int, error) {
	return w.sessions.Logout(w.t.Context(), c.access, c.claims, scope, service.Caller{})
}

// wantSame checks that an act changed nothing of the session.
func (w *world) wantSame(c client, act func()) {
	w.t.Helper()
	before := w.row(c)
	act()
	if diff := cmp.Diff(before, w.row(c)); diff != "" {
		w.t.Errorf("the session changed:\n%s", diff)
	}
}

// quiet forgets the events so far.
func (w *world) quiet() { w.sql("DELETE FROM events") }

func TestRefreshRotates(t *testing.T) {
	play(t,
		scene{"the current token", func(t *testing.T, w *world) {
			c := w.logIn(alice)
			before := w.row(c)
			w.quiet()
			w.clock.advance(10 * time.Minute)
			token := w.mustRefresh(c)
			claims := w.claims(token.Value)
			now := w.clock.time()
			want := c.claims
			want.TokenID, want.Gen, want.IssuedAt, want.ExpiresAt = claims.TokenID, 2, now.Second(), now.Second().Add(15*time.Minute)
			if diff := cmp.Diff(want, claims); diff != "" || token.Expire != claims.ExpiresAt || claims.TokenID == c.claims.TokenID {
				t.Errorf("expire %v, claims differ:\n%s", token.Expire, diff)
			}
			row := before
			row.Gen, row.PrevGen, row.CurJTI, row.CurIat, row.CurExp, row.MaxExp = 2, 1, claims.TokenID, claims.IssuedAt, claims.ExpiresAt, claims.ExpiresAt
			row.MintedAt, row.LastSeenAt, row.IdleUntil, row.Confirmed = now, now, now.Add(336*time.Hour), false
			if diff := cmp.Diff(row, w.row(c)); diff != "" {
				t.Errorf("the session differs:\n%s", diff)
			}
			w.wantEvents() // the row is its trace
		}},
		scene{"an expired token", func(t *testing.T, w *world) {
			c := w.logIn(alice)
			w.clock.advance(300 * time.Hour)
			w.use(w.renewed(c))
		}},
		scene{"many times within one second", func(t *testing.T, w *world) {
			c := w.logIn(alice)
			first := c
			for i := range int64(5) {
				c = w.renewed(c)
				if c.claims.Gen != i+2 {
					t.Errorf("generation %d, want %d", c.claims.Gen, i+2)
				}
			}
			w.use(c)
			w.clock.advance(30*time.Second + ms)
			_, err := w.refresh(first.access, first.Refresh.Value)
			wantFailure(t, err, model.ErrSessionEnded)
		}},
		scene{"never beyond the session's end", func(t *testing.T, w *world) {
			w.sessions.RefreshTTL = time.Hour
			c := w.logIn(alice)
			end := c.Refresh.Expire
			w.clock.advance(50 * time.Minute)
			c = w.renewed(c)
			if c.claims.ExpiresAt != end || w.row(c).EndsAt != end {
				t.Errorf("the token ends %v, the session %v; want %v", c.claims.ExpiresAt, w.row(c).EndsAt, end)
			}
			w.clock.advance(end.Sub(w.clock.time()) - ms)
			w.use(c)
			c = w.renewed(c)
			w.clock.advance(ms)
			_, err := w.refresh(c.access, c.Refresh.Value)
			wantFailure(t, err, model.ErrSessionEnded)
			w.wantEnded(c, model.ReasonExpired, "")
		}},
		scene{"moves the idle end", func(t *testing.T, w *world) {
			c := w.logIn(alice)
			w.clock.advance(335 * time.Hour)
			c = w.renewed(c)
			w.clock.advance(336*time.Hour - ms)
			c = w.renewed(c)
			w.clock.advance(40 * time.Hour)
			_, err := w.refresh(c.access, c.Refresh.Value) // 30 days after the login, however busy
			wantFailure(t, err, nil)
			w.clock.advance(10 * time.Hour)
			_, err = w.refresh(c.access, c.Refresh.Value)
			wantFailure(t, err, model.ErrSessionEnded)
			wantData(t, err, `{"reason":"expired","lastLoginTime":"2026-01-02T03:04:05Z"}`)
		}},
		scene{"a restart and another instance do not show", func(t *testing.T, w *world) {
			c := w.renewed(w.logIn(alice))
			w.start()
			c = w.renewed(c)
			other := w.another()
			c = other.renewed(c)
			w.use(c)
			other.clock.advance(time.Minute)
			_, err := w.refresh(c.access, c.Refresh.Value)
			wantFailure(t, err, nil)
		}},
	)
}

func TestRefreshConverges(t *testing.T) {
	play(t,
		scene{"within the grace, as often as one likes", func(t *testing.T, w *world) {
			c := w.logIn(alice)
			first := w.mustRefresh(c)
			w.quiet()
			w.clock.advance(30 * time.Second)
			w.wantSame(c, func() {
				for range 3 {
					again := w.mustRefresh(c)
					if w.claims(again.Value) != w.claims(first.Value) || again.Expire != first.Expire {
						t.Errorf("another token: %+v", w.claims(again.Value))
					}
				}
			})
			w.wantEvents()
		}},
		scene{"also when the new one was used", func(t *testing.T, w *world) {
			c := w.logIn(alice)
			second := w.renewed(c)
			w.use(second)
			if again := w.claims(w.mustRefresh(c).Value); again != second.claims {
				t.Errorf("another token: %+v", again)
			}
		}},
		scene{"near the session's end", func(t *testing.T, w *world) {
			w.sessions.RefreshTTL = time.Hour
			c := w.logIn(alice)
			w.clock.advance(50 * time.Minute)
			next := w.renewed(c)
			if again := w.claims(w.mustRefresh(c).Value); again != next.claims || again.ExpiresAt != c.Refresh.Expire {
				t.Errorf("another token: %+v", again)
			}
		}},
		scene{"signed with the key of the moment", func(t *testing.T, w *world) {
			c := w.logIn(alice)
			first := w.mustRefresh(c)
			w.clock.advance(2 * time.Second) // the newer key is told by its age
			if _, err := w.keys.Rotate(); err != nil {
				t.Fatal(err)
			}
			again := w.mustRefresh(c)
			if first.Value == again.Value || w.claims(again.Value) != w.claims(first.Value) {
				t.Error("the token is not the same under another key")
			}
		}},
		scene{"not on a token that has expired", func(t *testing.T, w *world) {
			w.sessions.AccessTTL = 10 * time.Second
			c := w.logIn(alice)
			second := w.renewed(c)
			w.use(second)
			w.clock.advance(10 * time.Second)
			third := w.renewed(c)
			if third.claims.Gen != 3 || third.claims.ExpiresAt <= second.claims.ExpiresAt {
				t.Errorf("converged on the expired token: %+v", third.claims)
			}
			if s := w.row(c); s.PrevGen != 1 {
				t.Errorf("the predecessor is %d, want 1", s.PrevGen)
			}
		}},
	)
}

func TestRefreshRecovers(t *testing.T) {
	play(t,
		scene{"a lost answer", func(t *testing.T, w *world) {
			c := w.logIn(alice)
			w.mustRefresh(c) // lost
			w.quiet()
			w.clock.advance(30*time.Second + ms)
			c = w.renewed(c)
			if s := w.row(c); c.claims.Gen != 3 || s.PrevGen != 1 || s.Confirmed || s.MintedAt != w.clock.time() {
				t.Errorf("the session is %+v", s)
			}
			w.wantEvents(model.EventRecover)
		}},
		scene{"under a shorter life of tokens, whose feed still tells of the longer one", func(t *testing.T, w *world) {
			c := w.logIn(alice)
			lost := w.mustRefresh(c)
			w.sessions.AccessTTL = time.Minute
			w.clock.advance(30*time.Second + ms)
			c = w.renewed(c)
			if s := w.row(c); s.MaxExp != lost.Expire || s.CurExp >= lost.Expire {
				t.Errorf("the latest end is %v, want %v", s.MaxExp, lost.Expire)
			}
		}},
		scene{"a lost answer near the session's end", func(t *testing.T, w *world) {
			w.sessions.RefreshTTL = time.Hour
			c := w.logIn(alice)
			w.clock.advance(50 * time.Minute)
			w.mustRefresh(c) // lost
			w.clock.advance(30*time.Second + ms)
			w.use(w.renewed(c))
		}},
		scene{"many lost answers", func(t *testing.T, w *world) {
			c := w.logIn(alice)
			for range 5 {
				w.mustRefresh(c)
				w.clock.advance(time.Hour)
			}
			w.use(w.renewed(c))
		}},
		scene{"an expired pair", func(t *testing.T, w *world) {
			c := w.logIn(alice)
			w.mustRefresh(c)
			w.clock.advance(100 * time.Hour)
			w.use(w.renewed(c))
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
	wantReuse := func(t *testing.T, w *world, thief, owner client) {
		t.Helper()
		w.quiet()
		_, err := w.refresh(thief.access, thief.Refresh.Value)
		wantFailure(t, err, model.ErrSessionEnded)
		wantData(t, err, `{"reason":"reuse","lastLoginTime":"2026-01-02T03:04:05Z"}`)
		w.wantEnded(owner, model.ReasonReuse, "")
		for _, c := range []client{thief, owner} {
			_, err = w.refresh(c.access, c.Refresh.Value)
			wantFailure(t, err, model.ErrSessionEnded)
			_, err = w.sessions.Authenticate(t.Context(), c.access)
			wantFailure(t, err, model.ErrSessionEnded)
		}
		w.wantEvents(model.EventReuse)
	}
	play(t,
		scene{"the predecessor once the current one was used", func(t *testing.T, w *world) {
			thief := w.logIn(alice)
			owner := w.renewed(thief)
			w.use(owner)
			w.clock.advance(30*time.Second + ms)
			wantReuse(t, w, thief, owner)
		}},
		scene{"an orphan", func(t *testing.T, w *world) {
			owner := w.logIn(alice)
			thief := w.renewed(owner) // the answer went astray
			w.clock.advance(time.Minute)
			owner = w.renewed(owner)
			w.clock.advance(30*time.Second + ms)
			wantReuse(t, w, thief, owner)
		}},
		scene{"an older one, used or not", func(t *testing.T, w *world) {
			thief := w.logIn(alice)
			owner := w.renewed(w.renewed(thief))
			w.clock.advance(30*time.Second + ms)
			wantReuse(t, w, thief, owner)
		}},
		scene{"an older one that has expired", func(t *testing.T, w *world) {
			thief := w.logIn(alice)
			owner := w.renewed(w.renewed(thief))
			w.clock.advance(20 * time.Minute)
			owner = w.renewed(owner)
			w.clock.advance(time.Minute)
			wantReuse(t, w, thief, owner)
		}},
		scene{"judged anew when the row has moved", func(t *testing.T, w *world) {
			thief := w.logIn(alice)
			owner := w.renewed(thief)
			w.use(owner)
			w.clock.advance(time.Minute)
			w.sessions.Store = &lateStore{SessionStore: w.sessions.Store, late: 1}
			wantReuse(t, w, thief, owner)
		}},
		scene{"after a restart, on another instance", func(t *testing.T, w *world) {
			thief := w.logIn(alice)
			owner := w.renewed(thief)
			w.use(owner)
			w.start()
			w.clock.advance(time.Minute)
			wantReuse(t, w.another(), thief, owner)
		}},
	)
}

func TestRefreshStalePair(t *testing.T) {
	play(t,
		scene{"older than the predecessor, within the grace", func(t *testing.T, w *world) {
			old := w.logIn(alice)
			c := w.renewed(w.renewed(old))
			w.use(c)
			w.clock.advance(30 * time.Second)
			w.quiet()
			w.wantSame(c, func() {
				_, err := w.refresh(old.access, old.Refresh.Value)
				wantFailure(t, err, model.ErrStalePair)
			})
			w.wantEvents(model.EventRecover)
			w.use(c)
		}},
		scene{"not a millisecond longer", func(t *testing.T, w *world) {
			old := w.logIn(alice)
			c := w.renewed(w.renewed(old))
			w.clock.advance(30*time.Second + ms)
			_, err := w.refresh(old.access, old.Refresh.Value)
			wantFailure(t, err, model.ErrSessionEnded)
			w.wantEnded(c, model.ReasonReuse, "")
		}},
	)
}

// TestRefreshAdopts: the database was restored from a copy that is older than
// the token.
func TestRefreshAdopts(t *testing.T) {
	play(t, scene{"a newer token", func(t *testing.T, w *world) {
		c := w.logIn(alice)
		for range 3 {
			c = w.renewed(c)
		}
		w.sql("UPDATE sessions SET gen = 2, prev_gen = 1, confirmed = 1")
		w.clock.advance(time.Hour)
		w.quiet()
		c = w.renewed(c)
		if s := w.row(c); c.claims.Gen != 5 || s.PrevGen != 4 || s.Confirmed {
			t.Errorf("the session is %+v", s)
		}
		w.wantEvents(model.EventAdopt)
		w.use(c)
	}})
}
