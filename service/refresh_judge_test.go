package service_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"menshen/model"
	"menshen/service"
)

func TestRefreshJudges(t *testing.T) {
	play(t,
		scene{"refresh tokens", func(t *testing.T, w *world) {
			c, other := w.logIn(alice), w.logIn(bob)
			right := string(c.Refresh.Value)
			id, secret := c.claims.SessionID, strings.Split(right, "_")[2]
			for what, token := range map[string]string{
				"empty": "", "the access token": string(c.access), "another's": string(other.Refresh.Value), "cut": right[:len(right)-1],
				"longer": right + "A", "with a line break": right + "\n", "with a space": " " + right, "without prefix": id + "_" + secret,
				"another prefix": "rt2_" + id + "_" + secret, "in capitals": strings.ToUpper(right), "id in small letters": "rt1_" + strings.ToLower(id) + "_" + secret,
				"without id": "rt1__" + secret, "without secret": "rt1_" + id + "_", "no secret at all": "rt1_" + id, "huge": "rt1_" + id + "_" + strings.Repeat("A", 10000),
				"another's secret": "rt1_" + id + "_" + strings.Split(string(other.Refresh.Value), "_")[2], "unknown id": "rt1_" + strings.Repeat("A", 26) + "_" + secret,
				"SQL": "rt1_' OR 1=1 --_" + secret, "nul": right + "\x00",
			} {
				w.wantSame(c, func() {
					_, err := w.refresh(c.access, model.Secret(token))
					if model.AsFailure(err).Code != model.ErrRefreshToken.Code {
						t.Errorf("%s: %v", what, err)
					}
				})
			}
			w.wantAlive(c, other)
		}},
		scene{"access tokens", func(t *testing.T, w *world) {
			c := w.logIn(alice)
			foreign := *w.sessions.Tokens
			foreign.Issuer = "elsewhere"
			issuer, err := foreign.Sign(c.claims)
			wantFailure(t, err, nil)
			foreign.Issuer, foreign.Audience = "menshen", []string{"elsewhere"}
			audience, err := foreign.Sign(c.claims)
			wantFailure(t, err, nil)
			raw := string(c.access)
			w.clock.advance(time.Hour) // expired as well, which must not excuse the rest
			for what, token := range map[string]string{
				"empty": "", "the refresh token": string(c.Refresh.Value), "foreign issuer": issuer, "foreign audience": audience,
				"another signature": raw[:len(raw)-4] + "AAAA", "unsigned": raw[:strings.LastIndex(raw, ".")+1], "with a line break": raw + "\n",
			} {
				w.wantSame(c, func() {
					_, err := w.refresh(model.Secret(token), c.Refresh.Value)
					if model.AsFailure(err).Code != model.ErrToken.Code {
						t.Errorf("%s: %v", what, err)
					}
				})
			}
		}},
		scene{"pairs of two sessions", func(t *testing.T, w *world) {
			a, b, other := w.logIn(alice), w.logIn(alice, on(pc)), w.logIn(bob)
			w.clock.advance(time.Hour)
			for _, c := range []client{b, other} {
				w.wantSame(a, func() {
					w.wantSame(c, func() {
						_, err := w.refresh(c.access, a.Refresh.Value)
						wantFailure(t, err, model.ErrRefreshToken)
						_, err = w.refresh(a.access, c.Refresh.Value)
						wantFailure(t, err, model.ErrRefreshToken)
					})
				})
			}
		}},
		scene{"a token of another user with this session", func(t *testing.T, w *world) {
			a, b := w.logIn(alice), w.logIn(bob)
			claims := a.claims
			claims.UserID = b.claims.UserID
			forged, err := w.sessions.Tokens.Sign(claims)
			wantFailure(t, err, nil)
			_, err = w.refresh(model.Secret(forged), a.Refresh.Value)
			wantFailure(t, err, model.ErrRefreshToken)
		}},
		scene{"in order", func(t *testing.T, w *world) {
			a, other := w.logIn(alice), w.logIn(bob)
			_, err := w.refresh("x", "x")
			wantFailure(t, err, model.ErrRefreshToken)
			_, err = w.logOut(a, service.ScopeCurrent)
			wantFailure(t, err, nil)
			_, err = w.refresh(a.access, "x")
			wantFailure(t, err, model.ErrRefreshToken)
			_, err = w.refresh("x", a.Refresh.Value)
			wantFailure(t, err, model.ErrToken)
			_, err = w.refresh(other.access, a.Refresh.Value)
			wantFailure(t, err, model.ErrRefreshToken)
			_, err = w.refresh(a.access, a.Refresh.Value)
			wantFailure(t, err, model.ErrSessionEnded)
			wantData(t, err, `{"reason":"logged_out","lastLoginTime":"2026-01-02T03:04:05Z"}`)
		}},
		scene{"displaced before expired", func(t *testing.T, w *world) {
			a := w.logIn(alice)
			w.logIn(alice)
			w.clock.advance(1000 * time.Hour)
			_, err := w.refresh(a.access, a.Refresh.Value)
			wantFailure(t, err, model.ErrDisplaced)
		}},
		scene{"gone by retention", func(t *testing.T, w *world) {
			a := w.logIn(alice)
			w.sql("DELETE FROM sessions")
			_, err := w.refresh(a.access, a.Refresh.Value)
			wantFailure(t, err, model.ErrRefreshToken)
		}},
		scene{"the storage is away", func(t *testing.T, w *world) {
			a := w.logIn(alice)
			w.sql("ALTER TABLE sessions RENAME TO away")
			t.Cleanup(func() { w.sqlAfter("ALTER TABLE away RENAME TO sessions") })
			_, err := w.refresh(a.access, a.Refresh.Value)
			wantFailure(t, err, model.ErrUnavailable)
			_, err = w.sessions.Authenticate(t.Context(), a.access)
			wantFailure(t, err, model.ErrUnavailable)
			_, err = w.check(a, "A")
			wantFailure(t, err, model.ErrUnavailable)
			_, err = w.logOut(a, service.ScopeCurrent)
			wantFailure(t, err, model.ErrUnavailable)
		}},
	)
}

func TestRefreshRaces(t *testing.T) {
	play(t,
		scene{"50 with one pair, on two instances", func(t *testing.T, w *world) {
			c := w.logIn(alice)
			for round := range int64(4) {
				other := w.another()
				got := make([]model.Claims, 50)
				for _, err := range race(len(got), func(i int) error {
					instance := []*world{w, other}[i%2]
					token, err := instance.refresh(c.access, c.Refresh.Value)
					if err != nil {
						return err
					}
					got[i], err = instance.sessions.Tokens.Verify(string(token.Value))
					return err
				}) {
					wantFailure(t, err, nil)
				}
				for _, claims := range got {
					if claims != got[0] {
						t.Fatalf("two tokens: %+v and %+v", claims, got[0])
					}
				}
				if s := w.row(c); s.Gen != round+2 {
					t.Fatalf("generation %d after %d rotations", s.Gen, round+1)
				}
				c = w.renewedTo(c, got[0])
				w.clock.advance(time.Minute)
			}
		}},
		scene{"with and without use", func(t *testing.T, w *world) {
			c := w.logIn(alice)
			for range 6 {
				next := make([]model.Secret, 24)
				for _, err := range race(len(next), func(i int) error {
					if i%3 == 0 {
						_, err := w.sessions.Authenticate(t.Context(), c.access) // confirms while others rotate
						return err
					}
					token, err := w.refresh(c.access, c.Refresh.Value)
					next[i] = token.Value
					return err
				}) {
					wantFailure(t, err, nil)
				}
				c.access = next[1]
				c.claims = w.claims(c.access)
				w.clock.advance(time.Minute)
			}
		}},
		scene{"a lost answer, sent 24 times", func(t *testing.T, w *world) {
			c := w.logIn(alice)
			w.mustRefresh(c)
			w.clock.advance(time.Minute)
			jtis := make([]string, 24)
			for _, err := range race(len(jtis), func(i int) error {
				token, err := w.refresh(c.access, c.Refresh.Value)
				if err == nil {
					jtis[i] = w.claims(token.Value).TokenID
				}
				return err
			}) {
				wantFailure(t, err, nil)
			}
			for _, jti := range jtis {
				if jti != jtis[0] {
					t.Fatal("two tokens")
				}
			}
			if s := w.row(c); s.Gen != 3 {
				t.Errorf("generation %d, want 3", s.Gen)
			}
		}},
		scene{"a replay, sent 24 times", func(t *testing.T, w *world) {
			old := w.logIn(alice)
			w.use(w.renewed(old))
			w.clock.advance(time.Minute)
			w.quiet()
			for _, err := range race(24, func(int) error { return second(w.refresh(old.access, old.Refresh.Value)) }) {
				wantFailure(t, err, model.ErrSessionEnded)
			}
			w.wantEvents(model.EventReuse)
		}},
		scene{"against a logout", func(t *testing.T, w *world) {
			for i := range 12 {
				c := w.logIn(numbered(i))
				errs := race(6, func(j int) error {
					if j == 3 {
						if _, err := w.logOut(c, service.ScopeCurrent); err != nil {
							return err
						}
						// Once it has answered, nothing that starts later succeeds.
						if _, err := w.refresh(c.access, c.Refresh.Value); err == nil {
							return fmt.Errorf("refreshed after the logout was answered")
						}
						return nil
					}
					_, err := w.refresh(c.access, c.Refresh.Value)
					if err != nil {
						wantFailure(t, err, model.ErrSessionEnded)
					}
					return nil
				})
				for _, err := range errs {
					wantFailure(t, err, nil)
				}
				w.wantEnded(c, model.ReasonLoggedOut, "")
			}
		}},
	)
}

// renewedTo is the client with the token of these claims, signed anew.
func (w *world) renewedTo(c client, claims model.Claims) client {
	w.t.Helper()
	raw, err := w.sessions.Tokens.Sign(claims)
	if err != nil {
		w.t.Fatal(err)
	}
	c.access, c.claims = model.Secret(raw), claims
	return c
}
