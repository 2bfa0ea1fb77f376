package scenario

import (
	"net/http"
	"testing"

	"menshen/repository"
)

// TestRequestLimits: the shields of limits.* stand before any work on the
// database, count by address or by session, and say when the next one passes.
func TestRequestLimits(t *testing.T) {
	d := newDeployment(t, repository.SQLite, "LIMITS_ENABLED=true", "LIMITS_LOGIN=3", "LIMITS_REFRESH=3", "LIMITS_CHECK=3", "LIMITS_OTHER=12",
		"CODE_COOLDOWN=0s", "SERVER_TRUSTED_PROXIES=127.0.0.1", `CLIENTS=[{"id":"orders","secret":"0123456789abcdef0123456789abcdef"}]`)
	d.start(t)
	a, b := d.login(t, form{Mobile: d.number()}), d.login(t, form{Mobile: d.number()}) // two logins, two codes of this address
	refresh := func(of account) call {
		return call{path: refreshPath, body: pairBody(of.AccessToken.Value, of.RefreshToken.Value)}
	}
	check := func(of account, headers ...string) call {
		return call{path: checkPath("device-1"), as: of.AccessToken.Value, headers: headersOf(headers...)}
	}
	d.exec(t, "ALTER TABLE sessions RENAME TO away") // so that a request that comes through is 50300
	d.exec(t, "ALTER TABLE codes RENAME TO away2")
	spend := func(t *testing.T, c call, n int, through int32, least, most int) {
		t.Helper()
		for range n {
			c.code = through
			d.do(t, c)
		}
		d.wantRefusals(t, c, 42900, least, most)
	}
	login := func(headers ...string) call {
		return call{path: "/auth/mobile/login", body: jsonOf(t, form{Mobile: d.number(), ValidateNo: "000000"}), headers: headersOf(headers...)}
	}
	t.Run("login by address", func(t *testing.T) {
		spend(t, login(), 1, 50300, 1, 20)
		for _, header := range []string{"X-Real-IP", "Forwarded", "CF-Connecting-IP", "X-Client-IP", "True-Client-IP"} {
			d.wantRefusals(t, login(header, "198.51.100.1"), 42900, 1, 20) // no header but one names an address
		}
		spend(t, login("X-Forwarded-For", "198.51.100.1"), 3, 50300, 1, 20)
		d.wantRefusals(t, login("X-Forwarded-For", "203.0.113.7, 198.51.100.1"), 42900, 1, 20)
		spend(t, login("X-Forwarded-For", "2001:db8::1"), 3, 50300, 1, 20)
		d.wantRefusals(t, login("X-Forwarded-For", "2001:db8::ffff:1"), 42900, 1, 20)
		bad := login("X-Forwarded-For", "198.51.100.2")
		bad.body, bad.code = `{}`, 40000
		for range 5 {
			d.do(t, bad) // a malformed body is refused first and does not count
		}
		spend(t, login("X-Forwarded-For", "198.51.100.2"), 3, 50300, 1, 20)
	})
	t.Run("refresh by session", func(t *testing.T) {
		spend(t, refresh(a), 3, 50300, 1, 20)
		spend(t, refresh(b), 3, 50300, 1, 20)
	})
	t.Run("check by session", func(t *testing.T) {
		spend(t, check(a), 3, 50300, 1, 20)
		d.wantRefusals(t, check(a, "X-Forwarded-For", "198.51.100.3"), 42900, 1, 20)
		spend(t, check(b), 3, 50300, 1, 20)
	})
	t.Run("others by address", func(t *testing.T) {
		ask := call{path: "/auth/mobile/code", body: codeBody(d.number()), headers: headersOf("X-Forwarded-For", "198.51.100.4")}
		spend(t, ask, 12, 50300, 1, 5)
		d.wantRefusals(t, call{path: "/app/auth/user", as: a.AccessToken.Value, headers: ask.headers}, 42900, 1, 5)
		d.wantRefusals(t, call{path: "/app/auth/logout", body: `{}`, as: a.AccessToken.Value, headers: ask.headers}, 42900, 1, 5)
		forged := check(a)
		forged.as, forged.headers = forged.as[:len(forged.as)-4]+"AAAA", ask.headers
		d.wantRefusals(t, forged, 42900, 1, 5) // without a signature there is no session to count for
		d.wantRefusals(t, call{path: refreshPath, body: pairBody("forged", "rt1_forged"), headers: ask.headers}, 42900, 1, 5)
		for range 20 {
			d.do(t, call{path: "/.well-known/jwks.json", headers: ask.headers})
			d.do(t, call{path: "/healthz", headers: ask.headers})
		}
	})
	d.exec(t, "ALTER TABLE away RENAME TO sessions")
	d.exec(t, "ALTER TABLE away2 RENAME TO codes")
	t.Run("a forger uses up no session's share", func(t *testing.T) {
		c := d.login(t, form{Mobile: d.number()}, "X-Forwarded-For", "198.51.100.6")
		forged := check(c, "X-Forwarded-For", "198.51.100.5")
		forged.as, forged.code = forged.as[:len(forged.as)-4]+"AAAA", 40100
		for range 6 {
			d.do(t, forged)
		}
		for range 3 {
			d.do(t, check(c, "X-Forwarded-For", "198.51.100.5"))
		}
	})
	t.Run("back ends are exempt", func(t *testing.T) {
		for range 20 {
			row := call{path: "/oauth/introspect", body: "token=" + a.AccessToken.Value, headers: headersOf("X-Forwarded-For", "198.51.100.7")}
			request := row.request(t, d.public)
			request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			request.SetBasicAuth("orders", "0123456789abcdef0123456789abcdef")
			response, err := d.client.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			if _ = response.Body.Close(); response.StatusCode != http.StatusOK {
				t.Fatalf("a back end is answered %d", response.StatusCode)
			}
		}
	})
}
