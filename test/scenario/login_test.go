package scenario

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// testWalkThrough is the whole life of a client from the first code to the last
// logout.
func testWalkThrough(t *testing.T, d *deployment) {
	mobile := d.number()
	sent := d.do(t, call{path: "/auth/mobile/code", body: codeBody(mobile), want: `{"resendAfter":0}`})
	message := d.messages.nextMessage(t, "+86"+mobile)
	if *message.CompanyType != 0 || *message.ProductType != 0 || message.Purpose != "" || len(message.Code) != 10 {
		t.Errorf("the provider was told %+v", message)
	}
	wantTimeFromNow(t, "the code's end", decodeJSON(t, sent.data).(map[string]any)["expire"].(string), 5*time.Minute)
	if expire := decodeJSON(t, sent.data).(map[string]any)["expire"]; expire != message.Expire {
		t.Errorf("the client reads %v, the provider %s", expire, message.Expire)
	}

	first := d.login(t, form{Mobile: mobile, ValidateNo: message.Code, Source: "appstore"}, "X-Device-Number", "device-of-walk-1")
	if first.header.Get("X-Displaced") != "0" {
		t.Errorf("X-Displaced is %q", first.header.Get("X-Displaced"))
	}
	user := first.UserInfo
	if user.Mobile != mobile || user.NickName != "用户"+mobile[7:] || user.UserName == "" || user.ID <= 0 || user.ID > 1<<53-1 {
		t.Errorf("the user is %+v", user)
	}
	wantLoginTokens(t, first)

	d.wantState(t, first.AccessToken.Value, "device-of-walk-1", "active")
	next := d.refresh(t, first.AccessToken.Value, first.RefreshToken.Value)
	d.wantState(t, next.Value, "device-of-walk-1", "active")

	second := d.login(t, form{Mobile: mobile}, "X-Device-Number", "device-of-walk-2", "X-Device-Name", "Pixel 11")
	if second.header.Get("X-Displaced") != "1" || second.UserInfo != first.UserInfo {
		t.Errorf("X-Displaced is %q, the user %+v", second.header.Get("X-Displaced"), second.UserInfo)
	}
	told := d.wantState(t, next.Value, "device-of-walk-1", "displaced")
	if got, want := lastLoginTime(t, told), d.loginTime(t, second, "app"); got != want {
		t.Errorf("the last login was %s, want %s", got, want)
	}
	d.do(t, call{path: "/app/auth/user", as: next.Value, code: 40102, want: `{"reason":"displaced","by":"Pixel 11","lastLoginTime":"` + d.loginTime(t, second, "app") + `"}`})
	d.wantState(t, second.AccessToken.Value, "device-of-walk-2", "active")
	d.do(t, call{method: "POST", path: "/app/auth/logout", as: second.AccessToken.Value, want: `{"ended":1}`})
	d.wantState(t, second.AccessToken.Value, "device-of-walk-2", "logged_out")
	d.do(t, call{path: "/app/auth/token/refresh", body: pairBody(second.AccessToken.Value, second.RefreshToken.Value), code: 40103, want: `{"reason":"logged_out"}`})
}

// wantTimeFromNow checks that a time in an answer is about as far from now as
// given.
func wantTimeFromNow(t *testing.T, what, text string, from time.Duration) {
	t.Helper()
	at, err := time.Parse("2006-01-02T15:04:05Z", text)
	if off := time.Until(at) - from; err != nil || off.Abs() > 30*time.Second {
		t.Errorf("%s is %s, %s off, error %v", what, text, off, err)
	}
}

// wantLoginTokens checks the form of the tokens (contract §7, §10; RFC 9068).
func wantLoginTokens(t *testing.T, a account) {
	t.Helper()
	header, payload := parseJWT(t, a.AccessToken.Value)
	if names := slices.Sorted(maps.Keys(header)); !slices.Equal(names, []string{"alg", "kid", "typ"}) || header["typ"] != "at+jwt" || header["alg"] != "ES256" {
		t.Errorf("the token's header is %v", header)
	}
	want := []string{"aud", "company_type", "exp", "gen", "iat", "iss", "jti", "product_type", "sid", "sub"}
	if names := slices.Sorted(maps.Keys(payload)); !slices.Equal(names, want) {
		t.Errorf("the token claims %v", names)
	}
	if payload.text("sub") != fmt.Sprint(a.UserInfo.ID) || payload["iss"] != "menshen" || payload.text("exp") != fmt.Sprint(a.AccessToken.Expire.Unix()) {
		t.Errorf("the token claims %v, it expires at %s", payload, a.AccessToken.Expire)
	}
	if _, isText := payload["sub"].(string); !isText {
		t.Error("sub is no string")
	}
	wantTimeFromNow(t, "the access token's end", a.AccessToken.Expire.Format(time.RFC3339), 15*time.Minute)
	wantTimeFromNow(t, "the refresh token's end", a.RefreshToken.Expire.Format(time.RFC3339), 720*time.Hour)
}

// testLogin: what a login stores and returns.
func testLogin(t *testing.T, d *deployment) {
	t.Run("source", func(t *testing.T) {
		long := strings.Repeat("源", 64)
		a := d.login(t, form{Mobile: d.number(), Source: long})
		d.login(t, form{Mobile: a.UserInfo.Mobile, Source: ""})
		d.login(t, form{Mobile: a.UserInfo.Mobile, Source: "latest"})
		if first := d.value(t, "SELECT first_source FROM users WHERE id = ?", a.UserInfo.ID); first != long {
			t.Errorf("the first source is %q", first)
		}
		if last := d.value(t, "SELECT last_source FROM users WHERE id = ?", a.UserInfo.ID); last != "latest" {
			t.Errorf("the latest source is %q", last)
		}
	})
	t.Run("device number", func(t *testing.T) {
		for name, row := range map[string]struct {
			f       form
			headers []string
		}{
			"in the body":   {form{DeviceNumber: "device-of-login"}, nil},
			"in the header": {form{}, []string{"X-Device-Number", "device-of-login"}},
			"in both":       {form{DeviceNumber: "device-of-login"}, []string{"X-Device-Number", "device-of-login"}},
		} {
			t.Run(name, func(t *testing.T) {
				row.f.Mobile = d.number()
				a := d.login(t, row.f, row.headers...)
				d.wantState(t, a.AccessToken.Value, "device-of-login", "active")
				d.wantState(t, a.AccessToken.Value, "device-of-another", "device_mismatch")
			})
		}
	})
	t.Run("device number refused", func(t *testing.T) {
		f := form{Mobile: d.number(), ValidateNo: "1"}
		for _, text := range []string{"undefined", "null", "", " a", "a ", "a\n", "a\x00b", "\u202ea", strings.Repeat("设", 43), strings.Repeat("x", 129)} {
			body := strings.TrimSuffix(jsonOf(t, f), "}") + `,"deviceNumber":` + jsonOf(t, text) + "}"
			a := d.do(t, call{path: "/auth/mobile/login", body: body, code: 40000})
			if problems := a.fieldProblems(t); len(problems) != 1 || !strings.HasPrefix(problems[0], "deviceNumber ") {
				t.Errorf("%q: the fields are %q", text, problems)
			}
		}
		f.DeviceNumber = "device-in-body"
		rows := []call{
			{name: "differ", headers: headersOf("X-Device-Number", "device-in-head"), fields: []string{"deviceNumber conflict"}},
			{name: "twice", headers: headersOf("X-Device-Number", "device-in-body", "X-Device-Number", "device-in-body"), fields: []string{"deviceNumber duplicate"}},
			{name: "empty header", headers: headersOf("X-Device-Number", ""), fields: []string{"deviceNumber conflict"}},
		}
		for i := range rows {
			rows[i].path, rows[i].body, rows[i].code = "/auth/mobile/login", jsonOf(t, f), 40000
		}
		d.runCalls(t, rows...)
	})
	t.Run("device name", func(t *testing.T) {
		mobile := d.number()
		iPhone := "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15"
		for _, row := range []struct{ name, userAgent, want string }{
			{"iPhone 17", iPhone, "iPhone 17"},
			{"", iPhone, "iPhone"},
			{"%E5%B0%8F%E6%98%8E%20%F0%9F%93%B1", iPhone, "小明 📱"},
			{"a%0d%0aX-Injected:%20b", iPhone, "a X-Injected: b"},
			{strings.Repeat("名", 100), iPhone, strings.Repeat("名", 64)},
			{"\x80\xff", "curl/8.5.0", "curl"},
		} {
			a := d.login(t, form{Mobile: mobile}, "X-Device-Name", row.name, "User-Agent", row.userAgent)
			items := decodeList(t, d.do(t, call{path: "/app/auth/sessions", as: a.AccessToken.Value}))
			if got := strings.Join(strings.Fields(items[0]["deviceName"].(string)), " "); got != row.want {
				t.Errorf("%q, %.20q: the device is %q, want %q", row.name, row.userAgent, got, row.want)
			}
		}
	})
	t.Run("order of judgement", func(t *testing.T) {
		f := form{CompanyType: 9, ProductType: 9, Mobile: "none", ValidateNo: "none"}
		both := []string{"companyType unknown", "productType unknown"}
		d.runCalls(t,
			call{name: "shape before catalogue", path: "/auth/mobile/login", body: `{"companyType":9,"mobile":"none","productType":"9","source":"","validateNo":""}`, code: 40000, fields: []string{"productType type"}},
			call{name: "catalogue before number", path: "/auth/mobile/login", body: jsonOf(t, f), code: 40000, fields: both},
			call{name: "catalogue before number, sending", path: "/auth/mobile/code", body: jsonOf(t, f), code: 40000, fields: both},
			call{name: "number before code", path: "/auth/mobile/login", body: jsonOf(t, form{Mobile: "none"}), code: 40001},
		)
	})
	t.Run("a product's own times", func(t *testing.T) {
		a := d.login(t, form{Mobile: d.number(), ProductType: 5})
		wantTimeFromNow(t, "the access token's end", a.AccessToken.Expire.Format(time.RFC3339), 90*time.Second)
		wantTimeFromNow(t, "the refresh token's end", a.RefreshToken.Expire.Format(time.RFC3339), 2*time.Hour)
		next := d.refresh(t, a.AccessToken.Value, a.RefreshToken.Value)
		wantTimeFromNow(t, "the new access token's end", next.Expire.Format(time.RFC3339), 90*time.Second)
	})
	t.Run("secrets stay apart", func(t *testing.T) {
		a, b := d.login(t, form{Mobile: d.number()}), d.login(t, form{Mobile: d.number()})
		if a.UserInfo.UserName == b.UserInfo.UserName || a.RefreshToken.Value == b.RefreshToken.Value || a.claims["jti"] == b.claims["jti"] || a.claims["sid"] == b.claims["sid"] {
			t.Error("two logins share something")
		}
		if !regexp.MustCompile(`^[\x21-\x7e]{40,256}$`).MatchString(a.RefreshToken.Value) {
			t.Errorf("the refresh token has %d bytes", len(a.RefreshToken.Value))
		}
	})
}

// testPolicies: which session is displaced by which, and which login is refused.
func testPolicies(t *testing.T, d *deployment) {
	t.Run("groups do not disturb each other", func(t *testing.T) {
		mobile := d.number()
		app, pc := d.login(t, form{Mobile: mobile}), d.login(t, form{Mobile: mobile, ProductType: 1})
		if pc.header.Get("X-Displaced") != "0" {
			t.Errorf("X-Displaced is %q", pc.header.Get("X-Displaced"))
		}
		d.wantState(t, app.AccessToken.Value, "device-app", "bound")
		tv := d.login(t, form{Mobile: mobile, ProductType: 5}) // of the app's group
		if tv.header.Get("X-Displaced") != "1" {
			t.Errorf("X-Displaced is %q", tv.header.Get("X-Displaced"))
		}
		d.wantState(t, app.AccessToken.Value, "device-app", "displaced")
		d.wantState(t, pc.AccessToken.Value, "device-pc0", "bound")
	})
	t.Run("same device logs in anew", func(t *testing.T) {
		f := form{Mobile: d.number(), DeviceNumber: "device-anew"}
		old := d.login(t, f)
		if anew := d.login(t, f); anew.header.Get("X-Displaced") != "0" {
			t.Errorf("X-Displaced is %q", anew.header.Get("X-Displaced"))
		}
		d.wantState(t, old.AccessToken.Value, "device-anew", "relogin")
		d.do(t, call{path: "/app/auth/user", as: old.AccessToken.Value, code: 40103, want: `{"reason":"relogin"}`})
	})
	t.Run("two devices", func(t *testing.T) {
		f := form{Mobile: d.number(), ProductType: 3}
		a, b := d.login(t, f, "X-Device-Number", "device-pad-a"), d.login(t, f, "X-Device-Number", "device-pad-b")
		again := d.login(t, f, "X-Device-Number", "device-pad-b") // takes its own place, not a's
		d.wantState(t, a.AccessToken.Value, "device-pad-a", "active")
		d.wantState(t, b.AccessToken.Value, "device-pad-b", "relogin")
		c := d.login(t, f, "X-Device-Number", "device-pad-c")
		if c.header.Get("X-Displaced") != "1" {
			t.Errorf("X-Displaced is %q", c.header.Get("X-Displaced"))
		}
		d.wantState(t, a.AccessToken.Value, "device-pad-a", "displaced")
		d.wantState(t, again.AccessToken.Value, "device-pad-b", "active")
	})
	t.Run("reject", func(t *testing.T) { testReject(t, d) })
	t.Run("ban", func(t *testing.T) { testBan(t, d) })
	t.Run("sessions past their end neither count nor block", func(t *testing.T) {
		f := form{Mobile: d.number(), ProductType: 4}
		old := d.login(t, f)
		d.exec(t, "UPDATE sessions SET idle_until = 1 WHERE id = ?", old.claims["sid"])
		if a := d.login(t, f); a.header.Get("X-Displaced") != "0" {
			t.Errorf("X-Displaced is %q", a.header.Get("X-Displaced"))
		}
		d.wantState(t, old.AccessToken.Value, "device-any0", "expired")
	})
}

func testReject(t *testing.T, d *deployment) {
	f := form{Mobile: d.number(), ProductType: 4}
	holder := d.login(t, f, "X-Device-Number", "device-desk-a", "X-Device-Name", "Desk A")
	f.ValidateNo = d.sendCode(t, f.Mobile, 0)
	device := fmt.Sprintf(`{"id":%q,"deviceName":"Desk A","loginTime":%q}`, holder.claims["sid"], d.loginTime(t, holder, "desk"))
	full := call{path: "/auth/mobile/login", body: jsonOf(t, f), code: 40900, want: `{"devices":[` + device + `]}`}
	d.do(t, full)
	stranger := d.login(t, form{Mobile: d.number(), ProductType: 4})
	for _, id := range []string{"", "none", stranger.claims.text("sid")} {
		f.ReplaceSession = id
		full.body = jsonOf(t, f)
		d.do(t, full)
	}
	d.wantState(t, stranger.AccessToken.Value, "device-desk-x", "bound")
	f.ReplaceSession = holder.claims.text("sid")
	a := d.login(t, f) // the same code, the fifth time
	if a.header.Get("X-Displaced") != "1" {
		t.Errorf("X-Displaced is %q", a.header.Get("X-Displaced"))
	}
	d.wantState(t, holder.AccessToken.Value, "device-desk-a", "displaced")
	// The device that is in may always come again.
	d.wantState(t, a.AccessToken.Value, "device-desk-b", "bound")
	d.login(t, form{Mobile: f.Mobile, ProductType: 4, DeviceNumber: "device-desk-b"})
	d.wantState(t, a.AccessToken.Value, "device-desk-b", "relogin")
}

func testBan(t *testing.T, d *deployment) {
	a := d.login(t, form{Mobile: d.number()})
	until := time.Now().Add(time.Hour).Truncate(time.Second)
	for _, row := range []struct {
		until int64
		want  string
	}{
		{until.UnixMilli(), until.UTC().Format(time.RFC3339)},
		{9223372036854775807, ""},
	} {
		d.exec(t, "UPDATE users SET banned_until = ? WHERE id = ?", row.until, a.UserInfo.ID)
		f := form{Mobile: a.UserInfo.Mobile}
		code := d.sendCode(t, f.Mobile, 0)
		f.ValidateNo = "wrong"
		d.do(t, call{path: "/auth/mobile/login", body: jsonOf(t, f), code: 40002}) // is not told
		f.ValidateNo = code
		want := `{"until":null}`
		if row.want != "" {
			want = fmt.Sprintf(`{"until":%q}`, row.want)
		}
		d.do(t, call{path: "/auth/mobile/login", body: jsonOf(t, f), code: 40300, want: want})
		d.exec(t, "UPDATE users SET banned_until = 0 WHERE id = ?", a.UserInfo.ID)
		d.do(t, call{path: "/auth/mobile/login", body: jsonOf(t, f), code: 40002}) // was used up
	}
	d.login(t, form{Mobile: a.UserInfo.Mobile})
}
