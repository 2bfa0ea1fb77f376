package scenario

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// testCheck is the table of contract §5 for active sessions, with every form of
// the request.
func testCheck(t *testing.T, d *deployment) {
	const device = "Device/ä+7 %&=#?"
	a := d.login(t, form{Mobile: d.number(), DeviceNumber: device})
	good := a.AccessToken.Value
	d.secrets.add(kindDevice, device)

	t.Run("token", func(t *testing.T) { testBadTokens(t, d, good, device) })
	t.Run("shape", func(t *testing.T) { testDeviceShapes(t, d, good) })
	t.Run("forms", func(t *testing.T) { testDeviceForms(t, d, good, device) })

	t.Run("other devices", func(t *testing.T) {
		last := d.loginTime(t, a, "app")
		for _, other := range []string{
			"device/ä+7 %&=#?", "Device/a\u0308+7 %&=#?", "Device/ä 7 %&=#?", "Device/ä+7 %&=#", "x", "0", "Null", "UNDEFINED", strings.Repeat("d", 128),
		} {
			if got := lastLoginTime(t, d.wantState(t, good, other, "device_mismatch")); got != last {
				t.Errorf("%q: the last login was %s, want %s", other, got, last)
			}
		}
		d.wantState(t, good, device, "active") // the session goes on
		events := d.value(t, "SELECT COUNT(*) FROM events WHERE kind = 'device_mismatch' AND session_id = ?", a.claims["sid"])
		if events != "9" {
			t.Errorf("%s mismatches are in the event log", events)
		}
	})
	t.Run("expired token", func(t *testing.T) {
		expired := d.expire(t, good)
		for _, device := range []string{device, "device-of-another"} {
			d.do(t, call{path: checkPath(device), as: expired, code: 40101, want: "null", header: map[string]string{"X-Login-State": ""}})
		}
	})
	t.Run("extends nothing", func(t *testing.T) {
		idle := "SELECT idle_until FROM sessions WHERE id = ?"
		before := d.value(t, idle, a.claims["sid"])
		d.wantState(t, good, device, "active")
		if after := d.value(t, idle, a.claims["sid"]); after != before {
			t.Errorf("the session's idle end moved from %s to %s", before, after)
		}
	})
	t.Run("an older token is good until its own end", func(t *testing.T) {
		d.refresh(t, good, a.RefreshToken.Value)
		d.wantState(t, good, device, "active")
	})
	t.Run("no login known", func(t *testing.T) {
		a := d.login(t, form{Mobile: d.number(), DeviceNumber: device})
		d.exec(t, "DELETE FROM slots WHERE user_id = ?", a.UserInfo.ID)
		if got := lastLoginTime(t, d.wantState(t, a.AccessToken.Value, "device-of-another", "device_mismatch")); got != "null" {
			t.Errorf("the last login was %s", got)
		}
	})
}

// testBadTokens: every token but a valid one is refused, whatever the device
// number.
func testBadTokens(t *testing.T, d *deployment, good, device string) {
	segments := strings.Split(good, ".")
	foreign := d.forge(t, good, func(_, payload claims) { payload["iss"] = "stranger" })
	tokens := map[string][]string{
		"none":                {},
		"empty":               {""},
		"no scheme":           {good},
		"another scheme":      {"Basic " + good},
		"garbage":             {"Bearer garbage"},
		"two tokens":          {"Bearer " + good + " " + good},
		"two headers":         {"Bearer " + good, "Bearer " + good},
		"no signature":        {"Bearer " + segments[0] + "." + segments[1] + "."},
		"another's signature": {"Bearer " + segments[0] + "." + segments[1] + "." + strings.Repeat("A", len(segments[2]))},
		"changed claims":      {"Bearer " + segments[0] + "." + strings.Split(foreign, ".")[1] + "." + segments[2]},
		"foreign issuer":      {"Bearer " + foreign},
		"foreign audience":    {"Bearer " + d.forge(t, good, func(_, payload claims) { payload["aud"] = []string{"stranger"} })},
		"another type":        {"Bearer " + d.forge(t, good, func(header, _ claims) { header["typ"] = "JWT" })},
		"a crit header":       {"Bearer " + d.forge(t, good, func(header, _ claims) { header["crit"] = []string{"b64"} })},
		"no end":              {"Bearer " + d.forge(t, good, func(_, payload claims) { delete(payload, "exp") })},
		"no session":          {"Bearer " + d.forge(t, good, func(_, payload claims) { delete(payload, "sid") })},
		"from the future":     {"Bearer " + d.forge(t, good, func(_, payload claims) { payload["iat"] = 4102444800 })},
		"expired and foreign": {"Bearer " + d.forge(t, d.expire(t, good), func(_, payload claims) { payload["aud"] = "stranger" })},
	}
	for name, values := range tokens {
		headers := http.Header{"Authorization": values, "Accept-Language": {"en"}}
		same := ""
		for _, path := range []string{checkPath(device), checkPath("undefined"), "/wx/pc/check-login-status", "/app/auth/user", "/app/auth/sessions"} {
			a := d.do(t, call{name: name, path: path, headers: headers, code: 40100, want: "null"})
			if same == "" {
				same = string(a.raw)
			}
			if string(a.raw) != same { // no answer tells which check failed
				t.Errorf("%s: %s differs from %s", name, a.raw, same)
			}
		}
	}
	t.Run("elsewhere", func(t *testing.T) {
		d.runCalls(t,
			call{name: "query", path: checkPath(device) + "&access_token=" + good, code: 40100},
			call{name: "cookie", path: checkPath(device), headers: headersOf("Cookie", "access_token="+good), code: 40100},
			call{name: "body", method: "POST", path: "/app/auth/logout", body: fmt.Sprintf(`{"accessToken":%q}`, good), code: 40100},
		)
	})
	d.do(t, call{name: "scheme in any case", path: checkPath(device), headers: headersOf("Authorization", "bEARER "+good), want: `{"isLogin":true}`})
}

// testDeviceShapes: a malformed device number is 40000, never "not logged in".
func testDeviceShapes(t *testing.T, d *deployment, good string) {
	const path = "/wx/pc/check-login-status"
	rows := []call{
		{name: "missing", path: path},
		{name: "another parameter", path: path + "?devicenumber=x&DeviceNumber=x"},
		{name: "empty", path: path + "?deviceNumber="},
		{name: "without a value", path: path + "?deviceNumber"},
		{name: "repeated", path: path + "?deviceNumber=x&deviceNumber=x"},
		{name: "repeated in disguise", path: path + "?deviceNumber=x&device%4eumber=x"},
		{name: "undefined", path: path + "?deviceNumber=undefined"},
		{name: "null", path: path + "?deviceNumber=null"},
		{name: "leading space", path: path + "?deviceNumber=%20x"},
		{name: "trailing space", path: path + "?deviceNumber=x+"},
		{name: "leading wide space", path: path + "?deviceNumber=%E3%80%80x"},
		{name: "line break", path: path + "?deviceNumber=x%0d%0aSet-Cookie:%20a"},
		{name: "NUL", path: path + "?deviceNumber=x%00"},
		{name: "invisible", path: path + "?deviceNumber=x%E2%80%AEy"},
		{name: "broken UTF-8", path: path + "?deviceNumber=%ff"},
		{name: "broken escape", path: path + "?deviceNumber=%zz"},
		{name: "broken escape elsewhere", path: path + "?deviceNumber=x&other=%zz"},
		{name: "semicolon", path: path + "?deviceNumber=x;y=1"},
		{name: "129 bytes", path: path + "?deviceNumber=" + strings.Repeat("x", 129)},
		{name: "129 bytes in 43 characters", path: path + "?deviceNumber=" + url.QueryEscape(strings.Repeat("设", 43))},
		{name: "path undefined", path: path + "/undefined"},
		{name: "path null", path: path + "/null"},
		{name: "path space", path: path + "/%20"},
		{name: "path NUL", path: path + "/x%00"},
		{name: "path broken UTF-8", path: path + "/%ff"},
		{name: "path 129 bytes", path: path + "/" + strings.Repeat("x", 129)},
		{name: "header empty", path: path, headers: headersOf("X-Device-Number", "")},
		{name: "header undefined", path: path, headers: headersOf("X-Device-Number", "undefined")},
		{name: "header twice", path: path, headers: headersOf("X-Device-Number", "x", "X-Device-Number", "x")},
		{name: "query empty, header given", path: path + "?deviceNumber=", headers: headersOf("X-Device-Number", "x")},
		{name: "query and header differ", path: path + "?deviceNumber=x", headers: headersOf("X-Device-Number", "y"), fields: []string{"deviceNumber conflict"}},
		{name: "query and path differ", path: path + "/x?deviceNumber=y", fields: []string{"deviceNumber conflict"}},
		{name: "path and header differ", path: path + "/x", headers: headersOf("X-Device-Number", "y"), fields: []string{"deviceNumber conflict"}},
		{name: "one of three differs", path: path + "/x?deviceNumber=x", headers: headersOf("X-Device-Number", "X"), fields: []string{"deviceNumber conflict"}},
	}
	for i := range rows {
		rows[i].as, rows[i].code, rows[i].not = good, 40000, []string{"isLogin", "Set-Cookie"}
	}
	d.runCalls(t, rows...)
	for _, row := range rows { // the number's shape comes before the token's end
		row.as = d.expire(t, good)
		a := d.do(t, row)
		if problems := a.fieldProblems(t); len(problems) != 1 || !strings.HasPrefix(problems[0], "deviceNumber ") {
			t.Errorf("%s: the fields are %q", row.name, problems)
		}
	}
	d.do(t, call{path: path + "/", as: good, code: 40400})
	d.do(t, call{path: path + "/x/", as: good, code: 40400})
	d.do(t, call{path: path + "/x/y", as: good, code: 40400})
}

// testDeviceForms: query, path and header are equivalent.
func testDeviceForms(t *testing.T, d *deployment, good, device string) {
	const path = "/wx/pc/check-login-status"
	header, escaped := headersOf("X-Device-Number", device), "/"+url.PathEscape(device)
	rows := []call{
		{name: "query", path: checkPath(device)},
		{name: "query among others", path: path + "?a=1&deviceNumber=" + url.QueryEscape(device) + "&b=2"},
		{name: "path", path: path + escaped},
		{name: "header", path: path, headers: header},
		{name: "query and header", path: checkPath(device), headers: header},
		{name: "path and header", path: path + escaped, headers: header},
		{name: "all three", path: path + escaped + "?deviceNumber=" + url.QueryEscape(device), headers: header},
	}
	for i := range rows {
		rows[i].as, rows[i].want = good, `{"isLogin":true,"lastLoginTime":null}`
		rows[i].header = map[string]string{"X-Login-State": "active"}
	}
	d.runCalls(t, rows...)
}

// testBinding: the first check binds the device number, and no later one.
func testBinding(t *testing.T, d *deployment) {
	t.Run("first check", func(t *testing.T) {
		for _, device := range []string{"x", strings.Repeat("设", 42) + "12", "a b", "😀😀😀", "\u00e9 e\u0301"} {
			a := d.login(t, form{Mobile: d.number()})
			d.wantState(t, a.AccessToken.Value, device, "bound")
			d.wantState(t, a.AccessToken.Value, device, "active")
			d.wantState(t, a.AccessToken.Value, "device-of-another", "device_mismatch")
			items := decodeList(t, d.do(t, call{path: "/app/auth/sessions", as: a.AccessToken.Value, headers: headersOf("X-Device-Number", device)}))
			if items[0]["deviceNumber"] != device {
				t.Errorf("the list shows %q, want %q", items[0]["deviceNumber"], device)
			}
		}
	})
	t.Run("expired tokens bind nothing", func(t *testing.T) {
		a := d.login(t, form{Mobile: d.number()})
		d.do(t, call{path: checkPath("device-too-late"), as: d.expire(t, a.AccessToken.Value), code: 40101})
		d.wantState(t, a.AccessToken.Value, "device-in-time", "bound")
	})
	t.Run("eight at once", func(t *testing.T) {
		a := d.login(t, form{Mobile: d.number()})
		answers := withoutTimeouts(t, runAtOnce(8, func(i int) answer {
			row := call{path: checkPath(fmt.Sprintf("device-racing-%d", i)), as: a.AccessToken.Value}
			return d.send(t, row.request(t, d.public))
		}))
		states := map[string]int{}
		for _, a := range answers {
			states[a.header.Get("X-Login-State")+string(a.data[:len(`{"isLogin":true`)])]++
		}
		if states[`bound{"isLogin":true`] != 1 || states[`device_mismatch{"isLogin":fals`] != len(answers)-1 {
			t.Errorf("the checks answer %v", states)
		}
	})
	t.Run("a number on another active session of the group", func(t *testing.T) {
		f := form{Mobile: d.number(), ProductType: 3}
		older, newer := d.login(t, f, "X-Device-Number", "device-twin"), d.login(t, f)
		d.wantState(t, newer.AccessToken.Value, "device-twin", "bound")
		d.wantState(t, older.AccessToken.Value, "device-twin", "relogin")

		f.Mobile = d.number()
		older, newer = d.login(t, f), d.login(t, f, "X-Device-Number", "device-twin")
		d.wantState(t, older.AccessToken.Value, "device-twin", "relogin") // found itself the older one
		d.wantState(t, newer.AccessToken.Value, "device-twin", "active")
	})
	t.Run("groups and users share devices", func(t *testing.T) {
		mobile := d.number()
		for _, f := range []form{{Mobile: mobile}, {Mobile: mobile, ProductType: 1}, {Mobile: d.number()}} {
			a := d.login(t, f)
			d.wantState(t, a.AccessToken.Value, "device-shared", "bound")
		}
	})
}

// endings returns the ways in which a session ends, by reason.
func endings(t *testing.T, d *deployment) map[string]func(a account) {
	byOperator := func(reason string) func(account) {
		return func(a account) {
			d.exec(t, "UPDATE sessions SET active_slot = NULL, ended_at = login_at, end_reason = ? WHERE id = ?", reason, a.claims["sid"])
		}
	}
	return map[string]func(a account){
		"displaced":  func(a account) { d.login(t, form{Mobile: a.UserInfo.Mobile}, "X-Device-Name", "Newer") },
		"relogin":    func(a account) { d.login(t, form{Mobile: a.UserInfo.Mobile, DeviceNumber: "device-ended"}) },
		"logged_out": func(a account) { d.do(t, call{method: "POST", path: "/app/auth/logout", as: a.AccessToken.Value}) },
		"kicked":     byOperator("kicked"),
		"banned":     byOperator("banned"),
		"reuse": func(a account) {
			next := d.refresh(t, a.AccessToken.Value, a.RefreshToken.Value)
			d.wantState(t, next.Value, "device-ended", "active")
			d.exec(t, "UPDATE sessions SET minted_at = minted_at - 60000 WHERE id = ?", a.claims["sid"])
			d.do(t, call{path: "/app/auth/token/refresh", body: pairBody(a.AccessToken.Value, a.RefreshToken.Value), code: 40103, want: `{"reason":"reuse"}`})
		},
		"expired": func(a account) { d.exec(t, "UPDATE sessions SET ends_at = 1 WHERE id = ?", a.claims["sid"]) },
	}
}

// testEndedCheck: the check of an ended session is false, whatever the expiry of
// the token and the device number.
func testEndedCheck(t *testing.T, d *deployment) {
	for reason, end := range endings(t, d) {
		t.Run(reason, func(t *testing.T) {
			a := d.login(t, form{Mobile: d.number(), DeviceNumber: "device-ended"})
			end(a)
			last := d.loginTime(t, a, "app")
			expired := d.expire(t, a.AccessToken.Value)
			for _, access := range []string{a.AccessToken.Value, expired} {
				for _, device := range []string{"device-ended", "device-of-another"} {
					if got := lastLoginTime(t, d.wantState(t, access, device, reason)); got != last {
						t.Errorf("the last login was %s, want %s", got, last)
					}
				}
				d.do(t, call{path: checkPath("undefined"), as: access, code: 40000})
				code, want := int32(40103), fmt.Sprintf(`{"reason":%q,"lastLoginTime":%q}`, reason, last)
				if reason == "displaced" {
					code, want = 40102, fmt.Sprintf(`{"reason":"displaced","lastLoginTime":%q,"by":"Newer"}`, last)
				}
				d.do(t, call{path: "/app/auth/user", as: access, code: code, want: want})
			}
		})
	}
	t.Run("row gone by retention", func(t *testing.T) {
		a := d.login(t, form{Mobile: d.number()})
		d.exec(t, "DELETE FROM sessions WHERE id = ?", a.claims["sid"])
		for _, access := range []string{a.AccessToken.Value, d.expire(t, a.AccessToken.Value)} {
			if got := lastLoginTime(t, d.wantState(t, access, "device-any0", "expired")); got != d.loginTime(t, a, "app") {
				t.Errorf("the last login was %s", got)
			}
			d.do(t, call{path: "/app/auth/user", as: access, code: 40103, want: `{"reason":"expired"}`})
		}
	})
	t.Run("the first reason stays", func(t *testing.T) {
		a := d.login(t, form{Mobile: d.number()})
		d.do(t, call{method: "POST", path: "/app/auth/logout", as: a.AccessToken.Value})
		d.login(t, form{Mobile: a.UserInfo.Mobile})
		d.exec(t, "UPDATE sessions SET ends_at = 1 WHERE id = ?", a.claims["sid"])
		d.wantState(t, a.AccessToken.Value, "device-any0", "logged_out")
	})
}
