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
	runScenes(t,
		scene{"refresh tokens", func(t *testing.T, in *instance) {
			c, other := in.logIn(alice), in.logIn(bob)
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
				in.wantSame(c, func() {
					_, err := in.refresh(c.access, model.Secret(token))
					if model.AsFailure(err).Code != model.ErrRefreshToken.Code {
						t.Errorf("%s: %v", what, err)
					}
				})
			}
			in.wantAlive(c, other)
		}},
		scene{"access tokens", func(t *testing.T, in *instance) {
			c := in.logIn(alice)
			foreign := *in.sessions.Tokens
			foreign.Name = "elsewhere"
			issuer, err := foreign.Sign(c.claims)
			wantFailure(t, err, nil)
			foreign.Name, foreign.Audience = "menshen", []string{"elsewhere"}
			audience, err := foreign.Sign(c.claims)
			wantFailure(t, err, nil)
			raw := string(c.access)
			in.clock.Advance(time.Hour) // expired as well, which must not excuse the rest
			for what, token := range map[string]string{
				"empty": "", "the refresh token": string(c.Refresh.Value), "foreign issuer": issuer, "foreign audience": audience,
				"another signature": raw[:len(raw)-4] + "AAAA", "unsigned": raw[:strings.LastIndex(raw, ".")+1], "with a line break": raw + "\n",
			} {
				in.wantSame(c, func() {
					_, err := in.refresh(model.Secret(token), c.Refresh.Value)
					if model.AsFailure(err).Code != model.ErrToken.Code {
						t.Errorf("%s: %v", what, err)
					}
				})
			}
		}},
		scene{"pairs of two sessions", func(t *testing.T, in *instance) {
			a, b, other := in.logIn(alice), in.logIn(alice, on(pc)), in.logIn(bob)
			in.clock.Advance(time.Hour)
			for _, c := range []client{b, other} {
				in.wantSame(a, func() {
					in.wantSame(c, func() {
						_, err := in.refresh(c.access, a.Refresh.Value)
						wantFailure(t, err, model.ErrRefreshToken)
						_, err = in.refresh(a.access, c.Refresh.Value)
						wantFailure(t, err, model.ErrRefreshToken)
					})
				})
			}
		}},
		scene{"a token of another user with this session", func(t *testing.T, in *instance) {
			a, b := in.logIn(alice), in.logIn(bob)
			claims := a.claims
			claims.UserID = b.claims.UserID
			forged, err := in.sessions.Tokens.Sign(claims)
			wantFailure(t, err, nil)
			_, err = in.refresh(model.Secret(forged), a.Refresh.Value)
			wantFailure(t, err, model.ErrRefreshToken)
		}},
		scene{"in order", func(t *testing.T, in *instance) {
			a, other := in.logIn(alice), in.logIn(bob)
			_, err := in.refresh("x", "x")
			wantFailure(t, err, model.ErrRefreshToken)
			_, err = in.logOut(a, service.ScopeCurrent)
			wantFailure(t, err, nil)
			_, err = in.refresh(a.access, "x")
			wantFailure(t, err, model.ErrRefreshToken)
			_, err = in.refresh("x", a.Refresh.Value)
			wantFailure(t, err, model.ErrToken)
			_, err = in.refresh(other.access, a.Refresh.Value)
			wantFailure(t, err, model.ErrRefreshToken)
			_, err = in.refresh(a.access, a.Refresh.Value)
			wantFailure(t, err, model.ErrSessionEnded)
			wantData(t, err, `{"reason":"logged_out","lastLoginTime":"2026-01-02T03:04:05Z"}`)
		}},
		scene{"displaced before expired", func(t *testing.T, in *instance) {
			a := in.logIn(alice)
			in.logIn(alice)
			in.clock.Advance(1000 * time.Hour)
			_, err := in.refresh(a.access, a.Refresh.Value)
			wantFailure(t, err, model.ErrDisplaced)
		}},
		scene{"gone by retention", func(t *testing.T, in *instance) {
			a := in.logIn(alice)
			in.sql("DELETE FROM sessions")
			_, err := in.refresh(a.access, a.Refresh.Value)
			wantFailure(t, err, model.ErrRefreshToken)
		}},
		scene{"the storage is away", func(t *testing.T, in *instance) {
			a := in.logIn(alice)
			in.sql("ALTER TABLE sessions RENAME TO away")
			t.Cleanup(func() { in.sqlAfter("ALTER TABLE away RENAME TO sessions") })
			_, err := in.refresh(a.access, a.Refresh.Value)
			wantFailure(t, err, model.ErrUnavailable)
			_, err = in.sessions.Authenticate(t.Context(), a.access)
			wantFailure(t, err, model.ErrUnavailable)
			_, err = in.check(a, "A")
			wantFailure(t, err, model.ErrUnavailable)
			_, err = in.logOut(a, service.ScopeCurrent)
			wantFailure(t, err, model.ErrUnavailable)
		}},
	)
}

func TestRefreshRaces(t *testing.T) {
	runScenes(t,
		scene{"50 with one pair, on two instances", func(t *testing.T, in *instance) {
			c := in.logIn(alice)
			for round := range int64(4) {
				other := in.another()
				got := make([]model.Claims, 50)
				for _, err := range race(len(got), func(i int) error {
					instance := []*instance{in, other}[i%2]
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
				if s := in.row(c); s.Gen != round+2 {
					t.Fatalf("generation %d after %d rotations", s.Gen, round+1)
				}
				c = in.refreshedTo(c, got[0])
				in.clock.Advance(time.Minute)
			}
		}},
		scene{"with and without use", func(t *testing.T, in *instance) {
			c := in.logIn(alice)
			for range 6 {
				next := make([]model.Secret, 24)
				for _, err := range race(len(next), func(i int) error {
					if i%3 == 0 {
						_, err := in.sessions.Authenticate(t.Context(), c.access) // confirms while others rotate
						return err
					}
					token, err := in.refresh(c.access, c.Refresh.Value)
					next[i] = token.Value
					return err
				}) {
					wantFailure(t, err, nil)
				}
				c.access = next[1]
				c.claims = in.claims(c.access)
				in.clock.Advance(time.Minute)
			}
		}},
		scene{"a lost answer, sent 24 times", func(t *testing.T, in *instance) {
			c := in.logIn(alice)
			in.mustRefresh(c)
			in.clock.Advance(time.Minute)
			jtis := make([]string, 24)
			for _, err := range race(len(jtis), func(i int) error {
				token, err := in.refresh(c.access, c.Refresh.Value)
				if err == nil {
					jtis[i] = in.claims(token.Value).TokenID
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
			if s := in.row(c); s.Gen != 3 {
				t.Errorf("generation %d, want 3", s.Gen)
			}
		}},
		scene{"a replay, sent 24 times", func(t *testing.T, in *instance) {
			old := in.logIn(alice)
			in.useToken(in.refreshed(old))
			in.clock.Advance(time.Minute)
			in.clearEvents()
			for _, err := range race(24, func(int) error { return errOf(in.refresh(old.access, old.Refresh.Value)) }) {
				wantFailure(t, err, model.ErrSessionEnded)
			}
			in.wantEvents(model.EventReuse)
		}},
		scene{"against a logout", func(t *testing.T, in *instance) {
			for i := range 12 {
				c := in.logIn(numbered(i))
				errs := race(6, func(j int) error {
					if j == 3 {
						if _, err := in.logOut(c, service.ScopeCurrent); err != nil {
							return err
						}
						// Once it has answered, nothing that starts later succeeds.
						if _, err := in.refresh(c.access, c.Refresh.Value); err == nil {
							return fmt.Errorf("refreshed after the logout was answered")
						}
						return nil
					}
					_, err := in.refresh(c.access, c.Refresh.Value)
					if err != nil {
						wantFailure(t, err, model.ErrSessionEnded)
					}
					return nil
				})
				for _, err := range errs {
					wantFailure(t, err, nil)
				}
				in.wantEnded(c, model.ReasonLoggedOut, "")
			}
		}},
	)
}

// refreshedTo returns the client with a newly signed token of these claims.
func (in *instance) refreshedTo(c client, claims model.Claims) client {
	in.t.Helper()
	raw, err := in.sessions.Tokens.Sign(claims)
	if err != nil {
		in.t.Fatal(err)
	}
	c.access, c.claims = model.Secret(raw), claims
	return c
}
