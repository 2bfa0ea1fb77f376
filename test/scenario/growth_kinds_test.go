package scenario

import (
	"fmt"
	"net/http"
	"testing"
)

// growthKinds are the kinds of requests, each from an address of its own.
func growthKinds() []growth {
	all := []growth{
		{name: "any path, without token or key", code: 40100, prepare: everyPath},
		{name: "unknown paths", code: 40400, prepare: same(call{path: "/admin/users?id=1"})},
	}
	all = append(all, codeGrowth()...)
	all = append(all, refreshGrowth()...)
	all = append(all, checkGrowth()...)
	return append(all, accountGrowth()...)
}

// same repeats one request.
func same(c call) func(*testing.T, *deployment) func(int) call {
	return func(*testing.T, *deployment) func(int) call { return func(int) call { return c } }
}

// everyPath sends nothing but the path, to all operations of both listeners in turn.
func everyPath(t *testing.T, _ *deployment) func(i int) call {
	var all []call
	for path, item := range mustDocument(t).Paths.Map() {
		for method, operation := range item.Operations() {
			if operation.Security == nil || len(*operation.Security) > 0 {
				all = append(all, call{method: method, path: path})
			}
		}
	}
	all = append(all, call{path: "admin:/internal/revocations"})
	for _, r := range adminRequests {
		c := r.about(account{})
		all = append(all, call{path: "admin:" + c.path, body: c.body})
	}
	return func(i int) call { return all[i%len(all)] }
}

// unsentNumber returns one of the numbers that are never sent a code.
func unsentNumber(i int) string { return fmt.Sprintf("137%08d", i) }

func wrongLogin(mobile string) call {
	return call{path: "/auth/mobile/login", body: fmt.Sprintf(`{"companyType":0,"mobile":%q,"productType":0,"source":"","validateNo":"wrong"}`, mobile)}
}

func codeGrowth() []growth {
	const send, login = "POST /auth/mobile/code", "POST /auth/mobile/login"
	return []growth{
		{"codes for one number", send, 0, same(call{path: "/auth/mobile/code", body: codeBody(unsentNumber(99_999_999))})},
		{"codes for many numbers", send, 0, func(*testing.T, *deployment) func(int) call {
			return func(i int) call { return call{path: "/auth/mobile/code", body: codeBody(fmt.Sprintf("136%08d", i))} }
		}},
		{"codes for no number", send, 40001, same(call{path: "/auth/mobile/code", body: codeBody("1")})},
		{"logins with a number that was sent no code", login, 40002, same(wrongLogin(unsentNumber(0)))},
		{"logins with many such numbers", login, 40002, func(*testing.T, *deployment) func(int) call {
			return func(i int) call { return wrongLogin(unsentNumber(i)) }
		}},
		{"logins with a wrong code", login, 40002, func(t *testing.T, d *deployment) func(int) call {
			victim := d.number()
			d.sendCode(t, victim, 0)
			return func(int) call { return wrongLogin(victim) }
		}},
	}
}

// replacedTwice returns an account whose access token was replaced twice.
func (d *deployment) replacedTwice(t *testing.T) account {
	t.Helper()
	a := d.login(t, form{Mobile: d.number()})
	d.refresh(t, d.refresh(t, a.AccessToken.Value, a.RefreshToken.Value).Value, a.RefreshToken.Value)
	return a
}

func refreshGrowth() []growth {
	const refresh = "POST " + refreshPath
	return []growth{
		{"refreshes with malformed tokens", refresh, 40104, same(call{path: refreshPath, body: pairBody("a", "r")})},
		{"refreshes with a wrong refresh token", refresh, 40104, func(t *testing.T, d *deployment) func(int) call {
			a, b := d.login(t, form{Mobile: d.number()}), d.login(t, form{Mobile: d.number()})
			return func(int) call {
				return call{path: refreshPath, body: pairBody(a.AccessToken.Value, b.RefreshToken.Value)}
			}
		}},
		{"refreshes with one pair", refresh, 0, func(t *testing.T, d *deployment) func(int) call {
			a := d.login(t, form{Mobile: d.number()})
			return func(int) call {
				return call{path: refreshPath, body: pairBody(a.AccessToken.Value, a.RefreshToken.Value)}
			}
		}},
		{"refreshes with a stale pair", refresh, 40105, func(t *testing.T, d *deployment) func(int) call {
			a := d.replacedTwice(t)
			return func(int) call {
				return call{path: refreshPath, body: pairBody(a.AccessToken.Value, a.RefreshToken.Value)}
			}
		}},
		{"introspection without the secret", "POST /oauth/introspect", 401, same(call{path: "/oauth/introspect", body: "token=x"})},
	}
}

func checkGrowth() []growth {
	const check, byPath = "GET /wx/pc/check-login-status", "GET /wx/pc/check-login-status/{deviceNumber}"
	checks := func(state func(t *testing.T, d *deployment, a account) string, device func(i int) string) func(*testing.T, *deployment) func(int) call {
		return func(t *testing.T, d *deployment) func(int) call {
			a := d.login(t, form{Mobile: d.number(), DeviceNumber: "device-1"})
			token := state(t, d, a)
			return func(i int) call { return call{path: checkPath(device(i)), as: token} }
		}
	}
	live := func(_ *testing.T, _ *deployment, a account) string { return a.AccessToken.Value }
	own := func(int) string { return "device-1" }
	return []growth{
		{"checks of a device", check, 0, checks(live, own)},
		{"checks of another device", byPath, 0, func(t *testing.T, d *deployment) func(int) call {
			a := d.login(t, form{Mobile: d.number(), DeviceNumber: "device-1"})
			return func(int) call { return call{path: "/wx/pc/check-login-status/device-2", as: a.AccessToken.Value} }
		}},
		{"checks of many other devices", check, 0, checks(live, func(i int) string { return fmt.Sprintf("other-%d", i) })},
		{"checks of an unbound session by many devices", check, 0, func(t *testing.T, d *deployment) func(int) call {
			a := d.login(t, form{Mobile: d.number()})
			return func(i int) call { return call{path: checkPath(fmt.Sprintf("other-%d", i)), as: a.AccessToken.Value} }
		}},
		{"checks with an expired token", check, 40101, checks(func(t *testing.T, d *deployment, a account) string { return d.expire(t, a.AccessToken.Value) }, own)},
		{"checks of an ended session", check, 0, checks(func(t *testing.T, d *deployment, a account) string {
			d.do(t, call{method: http.MethodPost, path: "/app/auth/logout", as: a.AccessToken.Value})
			return a.AccessToken.Value
		}, own)},
	}
}

func accountGrowth() []growth {
	// with repeats a request with the token of a new account.
	with := func(c func(i int) call) func(*testing.T, *deployment) func(int) call {
		return func(t *testing.T, d *deployment) func(int) call {
			a := d.login(t, form{Mobile: d.number()})
			return func(i int) call {
				next := c(i)
				next.as = a.AccessToken.Value
				return next
			}
		}
	}
	always := func(method, path, body string) func(*testing.T, *deployment) func(int) call {
		return with(func(int) call { return call{method: method, path: path, body: body} })
	}
	const logout = "POST /app/auth/logout"
	return []growth{
		{"logouts", logout, 0, always(http.MethodPost, "/app/auth/logout", "")},
		{"logouts of other sessions", logout, 0, always(http.MethodPost, "/app/auth/logout", `{"scope":"others"}`)},
		{"logouts with a replaced, expired token", logout, 40105, func(t *testing.T, d *deployment) func(int) call {
			expired := d.expire(t, d.replacedTwice(t).AccessToken.Value)
			return func(int) call { return call{method: http.MethodPost, path: "/app/auth/logout", as: expired} }
		}},
		{"lists of sessions", "GET /app/auth/sessions", 0, always(http.MethodGet, "/app/auth/sessions", "")},
		{"ends of unknown sessions", "DELETE /app/auth/sessions/{id}", 40400, always(http.MethodDelete, "/app/auth/sessions/X", "")},
		{"event streams", "GET /app/auth/events", 200, always(http.MethodHead, "/app/auth/events", "")},
		{"reading the user", "GET /app/auth/user", 0, always(http.MethodGet, "/app/auth/user", "")},
		{"changes of the user", "PATCH /app/auth/user", 0, with(func(i int) call {
			return call{method: http.MethodPatch, path: "/app/auth/user", body: fmt.Sprintf(`{"nickName":"n%d"}`, i)}
		})},
		{"deletions with a wrong code", "DELETE /app/auth/user", 40002, always(http.MethodDelete, "/app/auth/user", `{"validateNo":"wrong"}`)},
		{"changes of the number with wrong codes", "POST /app/auth/user/mobile", 40002,
			always(http.MethodPost, "/app/auth/user/mobile", `{"mobile":"13500000000","validateNo":"wrong","oldValidateNo":"wrong"}`)},
	}
}
