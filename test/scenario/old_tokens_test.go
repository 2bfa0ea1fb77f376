package scenario

import (
	"fmt"
	"net/http"
	"testing"

	"menshen/repository"
	"menshen/repository/dbtest"
)

// oldSession is a session whose access token was replaced twice, and another one of the
// same user.
type oldSession struct {
	account
	other  account
	tokens map[string]string // by age
}

// oldTokens are the ages of a session's tokens, the newest first.
var oldTokens = []string{"current", "predecessor", "older"}

func (d *deployment) oldSession(t *testing.T) oldSession {
	t.Helper()
	mobile := d.number()
	s := oldSession{account: d.login(t, form{Mobile: mobile}), other: d.login(t, form{Mobile: mobile, ProductType: 1})}
	older := s.AccessToken.Value
	predecessor := d.refresh(t, older, s.RefreshToken.Value).Value
	current := d.refresh(t, predecessor, s.RefreshToken.Value).Value
	s.tokens = map[string]string{"current": current, "predecessor": predecessor, "older": older}
	return s
}

// stored is what the database holds of both sessions and of the events about them.
func (d *deployment) stored(t *testing.T, s oldSession) string {
	t.Helper()
	text := ""
	for _, id := range []any{s.claims["sid"], s.other.claims["sid"]} {
		for _, column := range []string{"gen", "prev_gen", "confirmed", "device_number", "last_seen_at", "idle_until", "ended_at", "end_reason"} {
			text += d.value(t, "SELECT "+column+" FROM sessions WHERE id = ?", id) + " "
		}
		text += d.value(t, "SELECT COUNT(*) FROM events WHERE session_id = ?", id) + " "
	}
	return text
}

// oldTokenRow is a request by a token and its result: a code, or for a success of code 0
// the data.
type oldTokenRow struct {
	name string
	call func(s oldSession, token string) call
	// Results for the tokens current, predecessor and older; a result that is the same
	// for all stands once.
	live, expired []string
}

// testOldTokens: each age of a token × not expired and expired × each route that takes
// one. A refusal changes nothing.
func testOldTokens(t *testing.T, d *deployment) {
	bearer := func(method, path, body string) func(oldSession, string) call {
		return func(_ oldSession, token string) call {
			return call{method: method, path: path, body: body, as: token}
		}
	}
	logout := func(scope string) func(oldSession, string) call {
		return bearer(http.MethodPost, "/app/auth/logout", `{"scope":"`+scope+`"}`)
	}
	const changeNumber = `{"mobile":"13712345678","validateNo":"0000000000","oldValidateNo":"0000000000"}`
	for _, row := range []oldTokenRow{
		{"check", bearer("", checkPath("device-of-old"), ""), []string{`{"isLogin":true}`}, []string{"40101"}},
		{"check by path", bearer("", "/wx/pc/check-login-status/device-of-old", ""), []string{`{"isLogin":true}`}, []string{"40101"}},
		{"held check", bearer("", checkPath("device-of-old")+"&wait=1", ""), []string{`{"isLogin":true}`}, []string{"40101"}},
		{"sessions", bearer("", "/app/auth/sessions", ""), []string{"0"}, []string{"40101"}},
		{"ended sessions", bearer("", "/app/auth/sessions?ended=true", ""), []string{"0"}, []string{"40101"}},
		{"end of a session", func(s oldSession, token string) call {
			return call{method: http.MethodDelete, path: "/app/auth/sessions/" + s.other.claims.text("sid"), as: token}
		}, []string{`{"ended":1}`}, []string{"40101"}},
		{"user", bearer("", "/app/auth/user", ""), []string{"0"}, []string{"40101"}},
		{"change of the user", bearer(http.MethodPatch, "/app/auth/user", `{"nickName":"x"}`), []string{"0"}, []string{"40101"}},
		{"deletion", bearer(http.MethodDelete, "/app/auth/user", `{"validateNo":"0000000000"}`), []string{"40002"}, []string{"40101"}},
		{"change of number", bearer(http.MethodPost, "/app/auth/user/mobile", changeNumber), []string{"40002"}, []string{"40101"}},
		{"logout", logout("current"), []string{`{"ended":1}`}, []string{`{"ended":1}`, `{"ended":1}`, "40105"}},
		{"logout of others", logout("others"), []string{`{"ended":1}`}, []string{"40101"}},
		{"logout of all", logout("all"), []string{`{"ended":2}`}, []string{"40101"}},
		{"refresh", func(s oldSession, token string) call {
			return call{path: refreshPath, body: pairBody(token, s.RefreshToken.Value)}
		}, []string{"0", "0", "40105"}, []string{"0", "0", "40105"}},
		{"refresh with a wrong refresh token", func(s oldSession, token string) call {
			return call{path: refreshPath, body: pairBody(token, s.other.RefreshToken.Value)}
		}, []string{"40104"}, []string{"40104"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			for i, age := range oldTokens {
				d.tryOldToken(t, row, age, row.live[min(i, len(row.live)-1)], false)
				d.tryOldToken(t, row, age, row.expired[min(i, len(row.expired)-1)], true)
			}
		})
	}
	t.Run("streams", func(t *testing.T) { testOldTokensStreams(t, d) })
}

func (d *deployment) tryOldToken(t *testing.T, row oldTokenRow, age, want string, expired bool) {
	t.Helper()
	s := d.oldSession(t)
	token := s.tokens[age]
	if expired {
		token = d.expire(t, token)
	}
	before := d.stored(t, s)
	c := row.call(s, token)
	if _, err := fmt.Sscan(want, &c.code); err != nil {
		c.want = want
	}
	t.Run(fmt.Sprintf("%s, expired %v", age, expired), func(t *testing.T) {
		d.do(t, c)
		if after := d.stored(t, s); c.code/100 == 401 && c.code != 40105 && after != before {
			t.Errorf("refused, and yet the session is\n%s, and was\n%s", after, before)
		}
		if c.code != 0 { // the owner goes on
			d.do(t, call{path: refreshPath, body: pairBody(s.tokens["current"], s.RefreshToken.Value)})
		}
	})
}

// testOldTokensStreams: a stream is for tokens that have not expired.
func testOldTokensStreams(t *testing.T, d *deployment) {
	s := d.oldSession(t)
	for _, age := range oldTokens {
		for _, row := range []struct {
			token  string
			status int
		}{{s.tokens[age], http.StatusOK}, {d.expire(t, s.tokens[age]), http.StatusUnauthorized}} {
			if got, _ := d.read(t, http.MethodHead, d.public+"/app/auth/events", "Bearer "+row.token); got.StatusCode != row.status {
				t.Errorf("%s: %d, want %d", age, got.StatusCode, row.status)
			}
		}
	}
}

// testOldTokensAtBackends: a token of any age is active until it expires.
func testOldTokensAtBackends(t *testing.T, d *deployment) {
	s := d.oldSession(t)
	for _, age := range oldTokens {
		for token, want := range map[string]bool{s.tokens[age]: true, d.expire(t, s.tokens[age]): false} {
			got, _ := decodeJSON(t, d.do(t, introspect(token)).raw).(map[string]any)
			if got["active"] != want {
				t.Errorf("%s: %v", age, got)
			}
		}
	}
}

// TestShares: whatever is sent by others with old tokens of a session, or with wrong
// pairs, the owner's next check and refresh come through, behind the same address too.
func TestShares(t *testing.T) {
	for _, driver := range dbtest.Drivers(t) {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			d := newDeployment(t, driver, "LIMITS_ENABLED=true", "SERVER_TRUSTED_PROXIES=127.0.0.1", "CODE_PER_IP_HOUR=0", "CODE_PER_IP_DAY=0", "CODE_PER_BLOCK_HOUR=0", "CODE_PER_BLOCK_DAY=0", "CODE_COOLDOWN=0s")
			d.start(t)
			testShares(t, d)
		})
	}
}

func testShares(t *testing.T, d *deployment) {
	const requests = 130 // the shipped limits are 120 a minute: a slow machine needs more
	const most = 10 * requests
	check := func(token string) call { return call{path: checkPath("device-of-owner"), as: token} }
	refresh := func(access, refresh string) call {
		return call{path: refreshPath, body: pairBody(access, refresh)}
	}
	for name, row := range map[string]struct {
		thief func(s oldSession) call
		code  int32 // until the share is used up
	}{
		"expired":                {func(s oldSession) call { return check(d.expire(t, s.tokens["current"])) }, 40101},
		"expired, older":         {func(s oldSession) call { return check(d.expire(t, s.tokens["older"])) }, 40101},
		"predecessor":            {func(s oldSession) call { return check(s.tokens["predecessor"]) }, 0},
		"older":                  {func(s oldSession) call { return check(s.tokens["older"]) }, 0},
		"wrong refresh token":    {func(s oldSession) call { return refresh(s.tokens["current"], s.RefreshToken.Value+"A") }, 40104},
		"no refresh token":       {func(s oldSession) call { return refresh(s.tokens["current"], "x") }, 40104},
		"pair of two sessions":   {func(s oldSession) call { return refresh(s.tokens["current"], s.other.RefreshToken.Value) }, 40104},
		"wrong pair, expired":    {func(s oldSession) call { return refresh(d.expire(t, s.tokens["older"]), s.RefreshToken.Value+"A") }, 40104},
		"forged, with the right": {func(s oldSession) call { return refresh(s.tokens["current"]+"A", s.RefreshToken.Value) }, 40100},
	} {
		t.Run(name, func(t *testing.T) {
			s := d.oldSession(t)
			d.do(t, check(s.tokens["current"])) // the owner is at work
			thief, refused := row.thief(s), 0
			for n := 0; n < requests || refused == 0 && row.code != 40100 && n < most; n++ {
				request := thief.request(t, d.public)
				switch a := d.send(t, request); a.code {
				case 42900:
					refused++
				case row.code:
				default:
					t.Fatalf("the thief gets %s", a.raw)
				}
			}
			if d.do(t, check(s.tokens["current"])); refused == 0 && row.code != 40100 {
				t.Errorf("%d requests of one holder passed", most)
			}
			d.do(t, check(d.refresh(t, s.tokens["current"], s.RefreshToken.Value).Value))
			elsewhere := row.thief(s)
			elsewhere.code, elsewhere.headers = row.code, headersOf("X-Forwarded-For", "198.51.100.9")
			d.do(t, elsewhere) // a share is of a session and an address
		})
	}
	t.Run("the owner's own", func(t *testing.T) {
		s := d.oldSession(t)
		for _, c := range []call{check(s.tokens["current"]), refresh(s.tokens["current"], s.RefreshToken.Value)} {
			codes := map[int32]int{}
			for n := 0; n < requests+70 || codes[42900] == 0 && n < most; n++ {
				codes[d.send(t, c.request(t, d.public)).code]++
			}
			if codes[42900] == 0 || codes[0] < 100 || len(codes) != 2 {
				t.Errorf("%s: %v", c.path, codes)
			}
		}
		expired := check(d.expire(t, s.tokens["current"]))
		expired.code = 40101 // not refused for what the owner does either
		d.do(t, expired)
		wrong := refresh(s.tokens["current"], "x")
		wrong.code = 40104
		d.do(t, wrong)
	})
}

// TestWrongPairsSpareTheStorage: once a session's hash is known, wrong pairs are judged
// and limited without the database.
func TestWrongPairsSpareTheStorage(t *testing.T) {
	d := newDeployment(t, repository.SQLite, "LIMITS_ENABLED=true", "LIMITS_REFRESH=3")
	d.start(t)
	s := d.login(t, form{Mobile: d.number()})
	wrong := call{path: refreshPath, body: pairBody(s.AccessToken.Value, s.RefreshToken.Value+"A"), code: 40104}
	d.do(t, wrong)
	d.exec(t, "ALTER TABLE sessions RENAME TO away")
	d.do(t, wrong)
	d.do(t, wrong)
	d.wantRefusals(t, wrong, 42900, 1, 20)
	d.exec(t, "ALTER TABLE away RENAME TO sessions")
	d.refresh(t, s.AccessToken.Value, s.RefreshToken.Value)
}
