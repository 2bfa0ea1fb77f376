package service_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"menshen/model"
	"menshen/repository"
	"menshen/service"
	"menshen/service/code"
	"menshen/service/token"
)

func TestLoginRegisters(t *testing.T) {
	runScenes(t,
		scene{"the first right code", func(t *testing.T, in *instance) {
			c := in.logIn("+86 138 0013 8000", func(r *service.LoginRequest) { r.Source = "应用商店" })
			u := c.User.User
			if u.ID <= 0 || u.ID >= 1<<52 {
				t.Errorf("id %d is none of 52 bits", u.ID)
			}
			if !regexp.MustCompile(`^u[0-9a-z]{5,12}$`).MatchString(u.UserName) {
				t.Errorf("user name %q", u.UserName)
			}
			if c.User.Mobile != alice {
				t.Errorf("mobile %q, want the national number", c.User.Mobile)
			}
			want := model.User{
				ID: u.ID, CompanyType: 0, MobileKey: u.MobileKey, Mobile: u.Mobile, UserName: u.UserName, NickName: "用户8000",
				FirstSource: "应用商店", LastSource: "应用商店", CreatedAt: in.clock.Time(),
			}
			if diff := cmp.Diff(want, u); diff != "" {
				t.Errorf("the account differs:\n%s", diff)
			}
			if c.Displaced != 0 {
				t.Errorf("displaced %d", c.Displaced)
			}
			in.wantEvents(model.EventCodeSent, model.EventRegister, model.EventLogin)
		}},
		scene{"the second is the same account", func(t *testing.T, in *instance) {
			first := in.logIn(alice, func(r *service.LoginRequest) { r.Source = "first" })
			in.clock.Advance(time.Hour)
			second := in.logIn("0086-138-0013-8000", func(r *service.LoginRequest) { r.Source = "" })
			want := first.User
			want.User.LastSource = ""
			if diff := cmp.Diff(want, second.User); diff != "" {
				t.Errorf("the account differs:\n%s", diff)
			}
			if s := in.row(first); s.Source != "first" {
				t.Errorf("the session's source is %q", s.Source)
			}
			in.wantEvents(model.EventCodeSent, model.EventRegister, model.EventLogin, model.EventCodeSent, model.EventDisplaced, model.EventLogin)
		}},
		scene{"accounts are apart", func(t *testing.T, in *instance) {
			a, b, c := in.logIn(alice), in.logIn(alice, inCompany(1)), in.logIn(bob)
			ids := map[int64]bool{a.User.User.ID: true, b.User.User.ID: true, c.User.User.ID: true}
			names := map[string]bool{a.User.User.UserName: true, b.User.User.UserName: true, c.User.User.UserName: true}
			if len(ids) != 3 || len(names) != 3 {
				t.Errorf("accounts %v, names %v", ids, names)
			}
			if b.claims.CompanyType != 1 || b.User.User.CompanyType != 1 || a.Displaced+b.Displaced+c.Displaced != 0 {
				t.Errorf("companies or places are mixed up")
			}
		}},
		scene{"ids that are taken", func(t *testing.T, in *instance) {
			other := in.logIn(bob)
			in.login.Users = &colliding{in.login.Users, other.User.User.ID, 2}
			if c := in.logIn(alice); c.User.User.ID == other.User.User.ID || c.User.Mobile != alice {
				t.Errorf("signed in to account %+v", c.User)
			}
			if n := in.count("SELECT COUNT(*) FROM users"); n != 2 {
				t.Errorf("%d users, want 2", n)
			}
			in.wantEvents(model.EventCodeSent, model.EventRegister, model.EventLogin, model.EventCodeSent, model.EventRegister, model.EventLogin)
		}},
		scene{"closed to newcomers", func(t *testing.T, in *instance) {
			code := in.receiveCode(alice, forCompany(7))
			_, err := in.tryLogIn(alice, code, inCompany(7))
			wantFailure(t, err, model.ErrCode)
			if n := in.count("SELECT COUNT(*) FROM users"); n != 0 {
				t.Errorf("%d users", n)
			}
			in.serve(func(c *model.Catalog) { c.Companies = []model.Company{{Type: 0}, {Type: 7}} })
			_, err = in.tryLogIn(alice, code, inCompany(7)) // the code stayed unused
			wantFailure(t, err, nil)
			in.serve(func(c *model.Catalog) { c.Companies = []model.Company{{Type: 0}, {Type: 7, Closed: true}} })
			in.logIn(alice, inCompany(7)) // the known go in and out
		}},
		scene{"closed, and the account is deleted meanwhile", func(t *testing.T, in *instance) {
			code := in.receiveCode(alice, forCompany(7))
			in.login.Users = remembering{in.login.Users}
			_, err := in.tryLogIn(alice, code, inCompany(7))
			wantFailure(t, err, model.ErrCode)
			if n := in.count("SELECT COUNT(*) FROM users") + in.count("SELECT COUNT(*) FROM codes WHERE used_at <> 0"); n != 0 {
				t.Errorf("%d users and used codes", n)
			}
		}},
		scene{"64 first logins", func(t *testing.T, in *instance) {
			codes := make([]model.Secret, 64)
			for i := range codes {
				codes[i] = in.receiveCode(numbered(i/2), forCompany(int32(i%2)))
			}
			for _, err := range race(len(codes), func(i int) error {
				return errOf(in.tryLogIn(numbered(i/2), codes[i], inCompany(int32(i%2))))
			}) {
				wantFailure(t, err, nil)
			}
			if n := in.count("SELECT COUNT(*) FROM users"); n != 64 {
				t.Errorf("%d users, want 64", n)
			}
		}},
	)
}

// colliding registers under the id of another account, n times.
type colliding struct {
	service.UserStore
	id int64
	n  int
}

func (c *colliding) Register(ctx context.Context, user model.User) (model.User, bool, error) {
	if c.n > 0 {
		c.n--
		user.ID = c.id
	}
	return c.UserStore.Register(ctx, user)
}

func TestLoginTokens(t *testing.T) {
	runScenes(t,
		scene{"their ends and claims", func(t *testing.T, in *instance) {
			c := in.logIn(alice, on(pc), inCompany(1))
			now := in.clock.Time().Second()
			if c.Access.Expire != now.Add(15*time.Minute) || c.Refresh.Expire != now.Add(720*time.Hour) {
				t.Errorf("access ends %v, refresh %v", c.Access.Expire, c.Refresh.Expire)
			}
			want := model.Claims{
				UserID: c.User.User.ID, SessionID: c.claims.SessionID, TokenID: c.claims.TokenID, Gen: 1, CompanyType: 1, ProductType: pc,
				IssuedAt: now, ExpiresAt: c.Access.Expire,
			}
			if diff := cmp.Diff(want, c.claims); diff != "" {
				t.Errorf("claims differ:\n%s", diff)
			}
			if !strings.HasPrefix(string(c.Refresh.Value), "rt1_"+c.claims.SessionID+"_") || len(c.Refresh.Value) > 256 {
				t.Errorf("the refresh token has the form of none: %d bytes", len(c.Refresh.Value))
			}
			if secret := strings.SplitN(string(c.Refresh.Value), "_", 3)[2]; len(secret) < 43 {
				t.Errorf("the secret has %d characters, too few for 256 bits", len(secret))
			}
		}},
		scene{"of the product", func(t *testing.T, in *instance) {
			in.serve(func(c *model.Catalog) {
				c.Products[1].AccessTTL, c.Products[1].RefreshTTL = time.Minute, time.Hour
			})
			c := in.logIn(alice, on(pc))
			now := in.clock.Time().Second()
			if c.Access.Expire != now.Add(time.Minute) || c.Refresh.Expire != now.Add(time.Hour) {
				t.Errorf("access ends %v, refresh %v", c.Access.Expire, c.Refresh.Expire)
			}
		}},
		scene{"never beyond the session", func(t *testing.T, in *instance) {
			in.sessions.RefreshTTL = 10 * time.Minute
			c := in.logIn(alice)
			if c.Access.Expire != c.Refresh.Expire || c.claims.ExpiresAt != c.Refresh.Expire {
				t.Errorf("access ends %v, refresh %v", c.Access.Expire, c.Refresh.Expire)
			}
		}},
		scene{"every login has its own", func(t *testing.T, in *instance) {
			a, b := in.logIn(alice), in.logIn(alice)
			if a.claims.SessionID == b.claims.SessionID || a.claims.TokenID == b.claims.TokenID || a.Refresh.Value == b.Refresh.Value {
				t.Error("two logins share something")
			}
		}},
		scene{"the session", func(t *testing.T, in *instance) {
			c := in.logIn(alice, on(box), withDevice("Dev 1", "客厅"), func(r *service.LoginRequest) { r.Caller.IP = "2001:db8::1" })
			got := in.row(c)
			now := in.clock.Time()
			place := int32(0)
			want := model.Session{
				ID: c.claims.SessionID, UserID: c.User.User.ID, ProductType: box, ProductGroup: "home", Epoch: 1, Seat: &place,
				DeviceNumber: "Dev 1", DeviceName: "客厅", IP: "2001:db8::1", Source: "store", LoginAt: now, LastSeenAt: now, RefreshHash: got.RefreshHash,
				Gen: 1, CurJTI: c.claims.TokenID, CurIat: now.Second(), CurExp: c.Access.Expire, MaxExp: c.Access.Expire, MintedAt: now,
				IdleUntil: now.Add(336 * time.Hour), EndsAt: c.Refresh.Expire,
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("the session differs:\n%s", diff)
			}
		}},
	)
}

func TestLoginBan(t *testing.T) {
	ban := func(in *instance, c client, until model.Time) {
		in.sql("UPDATE users SET banned_until = ? WHERE id = ?", int64(until), c.User.User.ID)
	}
	runScenes(t,
		scene{"is told after a right code alone", func(t *testing.T, in *instance) {
			c := in.logIn(alice)
			until := in.clock.Time().Add(time.Hour)
			ban(in, c, until)
			code := in.receiveCode(alice) // sent all the same
			in.failLogins(alice, 1)
			_, err := in.tryLogIn(alice, code)
			wantFailure(t, err, model.ErrBanned)
			wantData(t, err, `{"until":"2026-01-02T04:04:05Z"}`)
			_, err = in.tryLogIn(alice, code) // it is used up
			wantFailure(t, err, model.ErrCode)
			if n := in.count("SELECT COUNT(*) FROM sessions"); n != 1 {
				t.Errorf("%d sessions, want the first alone", n)
			}
			in.wantEvents(model.EventCodeSent, model.EventRegister, model.EventLogin, model.EventCodeSent, model.EventCodeFailed)
		}},
		scene{"for ever", func(t *testing.T, in *instance) {
			ban(in, in.logIn(alice), model.Forever)
			_, err := in.tryLogIn(alice, in.receiveCode(alice))
			wantFailure(t, err, model.ErrBanned)
			wantData(t, err, `{"until":null}`)
		}},
		scene{"is over at its end", func(t *testing.T, in *instance) {
			ban(in, in.logIn(alice), in.clock.Time().Add(time.Minute))
			in.clock.Advance(time.Minute - ms)
			_, err := in.tryLogIn(alice, in.receiveCode(alice))
			wantFailure(t, err, model.ErrBanned)
			in.clock.Advance(ms)
			in.logIn(alice)
		}},
		scene{"is of one company", func(t *testing.T, in *instance) {
			ban(in, in.logIn(alice), model.Forever)
			in.logIn(alice, inCompany(1))
		}},
		scene{"is no failure of the number", func(t *testing.T, in *instance) {
			in.quotas.Limits.FailsPerMobileDay = 2
			ban(in, in.logIn(alice), model.Forever)
			for range 4 {
				_, err := in.tryLogIn(alice, in.receiveCode(alice))
				wantFailure(t, err, model.ErrBanned)
			}
		}},
	)
}

// wantData compares the data that the client receives beside the code, as JSON.
func wantData(t testing.TB, err error, want string) {
	t.Helper()
	if err == nil {
		return
	}
	got, marshalErr := json.Marshal(model.AsFailure(err).Data())
	if marshalErr != nil || string(got) != want {
		t.Errorf("data is %s, error %v; want %s", got, marshalErr, want)
	}
}

// TestLoginRaces: many logins of one user at once leave one session, the one of
// the highest epoch.
func TestLoginRaces(t *testing.T) {
	runScenes(t, scene{"64 logins", func(t *testing.T, in *instance) {
		in.codes.TestNumbers = []code.TestNumber{{
			Mobile: model.NewMobile("+86" + alice), Code: "424242", Until: in.clock.Now().Add(time.Hour),
		}}
		other := in.another()
		other.codes.TestNumbers = in.codes.TestNumbers
		displaced := make([]int, 64)
		errs := race(64, func(i int) error {
			instance := []*instance{in, other}[i%2]
			if _, err := instance.sendCode(alice); err != nil && !errors.Is(err, context.DeadlineExceeded) {
				return err
			}
			// The newest code may be another's by now, or used: then there is no login.
			result, err := instance.tryLogIn(alice, "424242", withDevice(fmt.Sprint("device ", i), ""))
			displaced[i] = result.Displaced
			return err
		})
		logins, ended := 0, 0
		for i, err := range errs {
			if err == nil {
				logins++
				ended += displaced[i]
			} else {
				wantFailure(t, err, model.ErrCode)
			}
		}
		if logins == 0 || ended != logins-1 {
			t.Errorf("%d logins displaced %d sessions", logins, ended)
		}
		if n := in.count("SELECT COUNT(*) FROM sessions WHERE active_slot IS NOT NULL"); n != 1 {
			t.Errorf("%d active sessions", n)
		}
		slot, err := repository.Sessions{DB: in.db}.LoginSequence(t.Context(), in.count("SELECT id FROM users"), "app")
		wantFailure(t, err, nil)
		if winner := in.count("SELECT epoch FROM sessions WHERE active_slot IS NOT NULL"); winner != int64(logins) || slot.Epoch != winner {
			t.Errorf("the winner has the epoch %d, the slot %d; there were %d logins", winner, slot.Epoch, logins)
		}
		if n := in.count("SELECT COUNT(DISTINCT epoch) FROM sessions"); n != int64(logins) {
			t.Errorf("%d epochs for %d logins", n, logins)
		}
	}})
}

// TestLoginTimeNeverFalls: the newest login is known by its epoch; a clock that
// is set back makes it no older.
func TestLoginTimeNeverFalls(t *testing.T) {
	runScenes(t, scene{"set back an hour", func(t *testing.T, in *instance) {
		first := in.logIn(alice)
		at := in.clock.Time()
		in.clock.Advance(-time.Hour)
		second := in.logIn(alice)
		if s := in.row(second); s.LoginAt != at || s.Epoch != 2 {
			t.Errorf("the second login is of %v, epoch %d; want %v", s.LoginAt, s.Epoch, at)
		}
		result, err := in.check(first, "A")
		if err != nil || result.LastLoginTime != at || result.State != service.LoginState(model.ReasonDisplaced) {
			t.Errorf("the first is told %+v, error %v", result, err)
		}
	}})
}

// remembering finds every account, as a read does that a deletion follows.
type remembering struct{ service.UserStore }

func (remembering) ByNumber(context.Context, int32, []byte) (model.User, error) {
	return model.User{ID: 1}, nil
}

// TestLoginWithoutAKey: the token is signed in the transaction, which is rolled back
// when that fails: the code stays valid, and no user is registered.
func TestLoginWithoutAKey(t *testing.T) {
	runScenes(t, scene{"no key", func(t *testing.T, in *instance) {
		code := in.receiveCode("13800138000")
		none, err := token.OpenKeys(token.KeyOptions{Dir: t.TempDir(), Algorithm: token.AlgEdDSA, Lenient: true, Now: in.clock.Now})
		if err != nil {
			t.Fatal(err)
		}
		ring := in.sessions.Tokens.Keys
		in.sessions.Tokens.Keys = none
		if _, err := in.tryLogIn("13800138000", code); err == nil {
			t.Fatal("logged in with a token that nobody signed")
		}
		for _, table := range []string{"users", "slots", "sessions"} {
			if n := in.count("SELECT COUNT(*) FROM " + table); n != 0 {
				t.Errorf("%d rows of %s", n, table)
			}
		}
		in.sessions.Tokens.Keys = ring
		if _, err := in.tryLogIn("13800138000", code); err != nil {
			t.Error(err)
		}
	}})
}
