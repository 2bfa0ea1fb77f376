package main

import (
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// walkThrough is the main job from the first code to the last logout, as a new
// client would do it.
func walkThrough(t *testing.T, d *deployment) {
	mobile := d.number()
	sent := d.do(t, call{path: "/auth/mobile/code", body: codeBody(mobile), want: `{"resendAfter":0}`})
	message := d.messages.take(t, "+86"+mobile)
	if *message.CompanyType != 0 || *message.ProductType != 0 || message.Purpose != "" || len(message.Code) != 10 {
		t.Errorf("the provider was told %+v", message)
	}
	near(t, "the code's end", decode(t, sent.data).(map[string]any)["expire"].(string), 5*time.Minute)
	if expire := decode(t, sent.data).(map[string]any)["expire"]; expire != message.Expire {
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
	tokenOfLogin(t, first)

	d.checks(t, first.AccessToken.Value, "device-of-walk-1", "active")
	next := d.refresh(t, first.AccessToken.Value, first.RefreshToken.Value)
	d.checks(t, next.Value, "device-of-walk-1", "active")

	second := d.login(t, form{Mobile: mobile}, "X-Device-Number", "device-of-walk-2", "X-Device-Name", "Pixel 11")
	if second.header.Get("X-Displaced") != "1" || second.UserInfo != first.UserInfo {
		t.Errorf("X-Displaced is %q, the user %+v", second.header.Get("X-Displaced"), second.UserInfo)
	}
	told := d.checks(t, next.Value, "device-of-walk-1", "displaced")
	if got, want := lastLogin(t, told), d.loginTime(t, second, "app"); got != want {
		t.Errorf("the last login was %s, want %s", got, want)
	}
	d.do(t, call{path: "/app/auth/user", as: next.Value, code: 40102, want: `{"reason":"displaced","by":"Pixel 11","lastLoginTime":"` + d.loginTime(t, second, "app") + `"}`})
	d.checks(t, second.AccessToken.Value, "device-of-walk-2", "active")
	d.do(t, call{method: "POST", path: "/app/auth/logout", as: second.AccessToken.Value, want: `{"ended":1}`})
	d.checks(t, second.AccessToken.Value, "device-of-walk-2", "logged_out")
	d.do(t, call{path: "/app/auth/token/refresh", body: pairBody(second.AccessToken.Value, second.RefreshToken.Value), code: 40103, want: `{"reason":"logged_out"}`})
}

// near checks that a time on the wire is about so long from now.
func near(t *testing.T, what, text string, from time.Duration) {
	t.Helper()
	at, err := time.Parse("2006-01-02T15:04:05Z", text)
	if off := time.Until(at) - from; err != nil || off.Abs() > 30*time.Second {
		t.Errorf("%s is %s, %s off, error %v", what, text, off, err)
	}
}

// tokenOfLogin checks the tokens' form (contract §7, §10; RFC 9068).
func tokenOfLogin(t *testing.T, a account) {
	t.Helper()
	header, payload := parts(t, a.AccessToken.Value)
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
	near(t, "the access token's end", a.AccessToken.Expire.Format(time.RFC3339), 15*time.Minute)
	near(t, "the refresh token's end", a.RefreshToken.Expire.Format(time.RFC3339), 720*time.Hour)
}

// playCodes: one answer for every way in which a code is not right.
func playCodes(t *testing.T, d *deployment) {
	wrong := func(t *testing.T, f form) {
		t.Helper()
		d.do(t, call{path: "/auth/mobile/login", body: jsonOf(t, f), code: 40002, want: "null"})
	}
	t.Run("never sent", func(t *testing.T) { wrong(t, form{Mobile: d.number(), ValidateNo: "0123456789"}) })
	t.Run("empty", func(t *testing.T) { wrong(t, form{Mobile: d.number(), ValidateNo: ""}) })
	t.Run("used", func(t *testing.T) {
		f := form{Mobile: d.number()}
		f.ValidateNo = d.sendCode(t, f.Mobile, 0)
		d.login(t, f)
		wrong(t, f)
	})
	t.Run("superseded", func(t *testing.T) {
		f := form{Mobile: d.number()}
		f.ValidateNo = d.sendCode(t, f.Mobile, 0)
		newest := d.sendCode(t, f.Mobile, 0)
		wrong(t, f)
		f.ValidateNo = newest
		d.login(t, f)
	})
	t.Run("expired", func(t *testing.T) {
		f := form{Mobile: d.number()}
		f.ValidateNo = d.sendCode(t, f.Mobile, 0)
		d.exec(t, "UPDATE codes SET expires_at = ? WHERE sent_at = (SELECT * FROM (SELECT MAX(sent_at) FROM codes) newest)", time.Now().UnixMilli())
		wrong(t, f)
	})
	t.Run("of another company", func(t *testing.T) {
		f := form{Mobile: d.number(), CompanyType: 1}
		f.ValidateNo = d.sendCode(t, f.Mobile, 0)
		wrong(t, f)
		d.login(t, form{Mobile: f.Mobile, CompanyType: 1})
		f.CompanyType = 0 // neither attempts nor newer codes of the other one touched it
		d.login(t, f)
	})
	t.Run("of another number", func(t *testing.T) {
		mine, theirs := d.number(), d.number()
		code := d.sendCode(t, mine, 0)
		d.sendCode(t, theirs, 0)
		wrong(t, form{Mobile: theirs, ValidateNo: code})
	})
	t.Run("for every product", func(t *testing.T) {
		f := form{Mobile: d.number(), ProductType: 2147483647}
		d.login(t, f) // asked for with product 0
	})
	t.Run("exactly as it is", func(t *testing.T) {
		f := form{Mobile: d.number()}
		code := d.sendCode(t, f.Mobile, 0)
		wide := strings.Map(func(r rune) rune { return r - '0' + '０' }, code)
		for _, spelling := range []string{" " + code, code + " ", wide, "0" + code} {
			f.ValidateNo = spelling
			wrong(t, f)
		}
		f.ValidateNo = code // the fifth attempt
		d.login(t, f)
	})
	t.Run("dead after five attempts", func(t *testing.T) {
		f := form{Mobile: d.number()}
		code := d.sendCode(t, f.Mobile, 0)
		f.ValidateNo = "none"
		for range 5 {
			wrong(t, f)
		}
		f.ValidateNo = code
		wrong(t, f)
		d.login(t, form{Mobile: f.Mobile}) // another code does
	})
	t.Run("of another purpose", func(t *testing.T) {
		f := form{Mobile: d.number()}
		for _, purpose := range []string{"change", "delete"} {
			d.do(t, call{path: "/auth/mobile/code", body: strings.Replace(codeBody(f.Mobile), "{", `{"purpose":"`+purpose+`",`, 1)})
			m := d.messages.take(t, "+86"+f.Mobile)
			if m.Purpose != purpose {
				t.Errorf("the provider was told %+v", m)
			}
			f.ValidateNo = m.Code
			wrong(t, f)
		}
		d.do(t, call{path: "/auth/mobile/code", body: strings.Replace(codeBody(f.Mobile), "{", `{"purpose":"any",`, 1), code: 40000, fields: []string{"purpose unknown"}})
	})
	t.Run("where registration is closed", func(t *testing.T) {
		f := form{Mobile: d.number(), CompanyType: 2}
		f.ValidateNo = d.sendCode(t, f.Mobile, 2)
		wrong(t, f)
	})
	t.Run("sixteen at once", func(t *testing.T) {
		f := form{Mobile: d.number()}
		f.ValidateNo = d.sendCode(t, f.Mobile, 0)
		row := call{path: "/auth/mobile/login", body: jsonOf(t, f)}
		answers := inTime(t, together(16, func(int) answer { return d.send(t, row.request(t, d.public)) }))
		if codes := codesOf(answers); codes[0] != 1 || codes[40002] != len(answers)-1 {
			t.Errorf("the logins answer %v", codes)
		}
		for _, a := range answers {
			if a.code == 0 {
				d.accountOf(t, a)
			}
		}
	})
	t.Run("is sent for a banned number alike", func(t *testing.T) {
		a := d.login(t, form{Mobile: d.number()})
		d.exec(t, "UPDATE users SET banned_until = ? WHERE id = ?", time.Now().Add(time.Hour).UnixMilli(), a.UserInfo.ID)
		d.sendCode(t, a.UserInfo.Mobile, 0)
	})
}

// playNumbers: any spelling of a number is that number, anything else is none.
func playNumbers(t *testing.T, d *deployment) {
	mobile := d.number()
	first := d.login(t, form{Mobile: mobile})
	for _, spelling := range []string{
		"+86" + mobile, "0086" + mobile, "+86 139-" + mobile[3:7] + "-" + mobile[7:], " " + mobile + " ", "(139) " + mobile[3:],
		mobile[:3] + "." + mobile[3:7] + "." + mobile[7:], "＋８６" + strings.Map(func(r rune) rune { return r - '0' + '０' }, mobile),
	} {
		t.Run(spelling, func(t *testing.T) {
			f := form{Mobile: spelling}
			d.do(t, call{path: "/auth/mobile/code", body: codeBody(spelling)})
			f.ValidateNo = d.messages.take(t, "+86"+mobile).Code
			if again := d.login(t, f); again.UserInfo != first.UserInfo {
				t.Errorf("the user is %+v, want %+v", again.UserInfo, first.UserInfo)
			}
		})
	}
	for _, text := range []string{
		"", " ", "1", "12345678901", "1390000000", "139000000001", "010-62345678", "+1 202 555 0123", "+852 5123 4567", "+86 139 0000 000",
		"86" + mobile, "+" + mobile, "0" + mobile, "+860" + mobile, "tel:" + mobile, mobile + ";ext=1", "1-800-FLOWERS", "١٣٩٠٠٠٠٠٠٠١",
		mobile + "\n", "\t" + mobile, mobile + "\x00", mobile[:5] + "\u200b" + mobile[5:], strings.Repeat("1", 8000), mobile + "," + mobile,
	} {
		t.Run(fmt.Sprintf("%.20q", text), func(t *testing.T) {
			d.do(t, call{path: "/auth/mobile/code", body: jsonOf(t, form{Mobile: text}), code: 40001, want: "null"})
			d.do(t, call{path: "/auth/mobile/login", body: jsonOf(t, form{Mobile: text}), code: 40001, want: "null"})
		})
	}
	t.Run("one account per company", func(t *testing.T) {
		other := d.login(t, form{Mobile: mobile, CompanyType: 1})
		if other.UserInfo.ID == first.UserInfo.ID || other.UserInfo.UserName == first.UserInfo.UserName || other.UserInfo.CompanyType != 1 {
			t.Errorf("the user is %+v", other.UserInfo)
		}
		least := d.login(t, form{Mobile: mobile, CompanyType: -2147483648})
		if least.UserInfo.CompanyType != -2147483648 || least.claims.text("company_type") != "-2147483648" {
			t.Errorf("the user is %+v, the claims %v", least.UserInfo, least.claims)
		}
	})
}

// playLogin: what a login brings along and keeps.
func playLogin(t *testing.T, d *deployment) {
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
				d.checks(t, a.AccessToken.Value, "device-of-login", "active")
				d.checks(t, a.AccessToken.Value, "device-of-another", "device_mismatch")
			})
		}
	})
	t.Run("device number refused", func(t *testing.T) {
		f := form{Mobile: d.number(), ValidateNo: "1"}
		for _, text := range []string{"undefined", "null", "", " a", "a ", "a\n", "a\x00b", "\u202ea", strings.Repeat("设", 43), strings.Repeat("x", 129)} {
			body := strings.TrimSuffix(jsonOf(t, f), "}") + `,"deviceNumber":` + jsonOf(t, text) + "}"
			a := d.do(t, call{path: "/auth/mobile/login", body: body, code: 40000})
			if problems := a.problems(t); len(problems) != 1 || !strings.HasPrefix(problems[0], "deviceNumber ") {
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
		d.play(t, rows...)
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
			items := list(t, d.do(t, call{path: "/app/auth/sessions", as: a.AccessToken.Value}))
			if got := strings.Join(strings.Fields(items[0]["deviceName"].(string)), " "); got != row.want {
				t.Errorf("%q, %.20q: the device is %q, want %q", row.name, row.userAgent, got, row.want)
			}
		}
	})
	t.Run("order of judgement", func(t *testing.T) {
		f := form{CompanyType: 9, ProductType: 9, Mobile: "none", ValidateNo: "none"}
		both := []string{"companyType unknown", "productType unknown"}
		d.play(t,
			call{name: "shape before catalogue", path: "/auth/mobile/login", body: `{"companyType":9,"mobile":"none","productType":"9","source":"","validateNo":""}`, code: 40000, fields: []string{"productType type"}},
			call{name: "catalogue before number", path: "/auth/mobile/login", body: jsonOf(t, f), code: 40000, fields: both},
			call{name: "catalogue before number, sending", path: "/auth/mobile/code", body: jsonOf(t, f), code: 40000, fields: both},
			call{name: "number before code", path: "/auth/mobile/login", body: jsonOf(t, form{Mobile: "none"}), code: 40001},
		)
	})
	t.Run("a product's own times", func(t *testing.T) {
		a := d.login(t, form{Mobile: d.number(), ProductType: 5})
		near(t, "the access token's end", a.AccessToken.Expire.Format(time.RFC3339), 90*time.Second)
		near(t, "the refresh token's end", a.RefreshToken.Expire.Format(time.RFC3339), 2*time.Hour)
		next := d.refresh(t, a.AccessToken.Value, a.RefreshToken.Value)
		near(t, "the new access token's end", next.Expire.Format(time.RFC3339), 90*time.Second)
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

// playPolicies: who gives way to whom, and who is not let in.
func playPolicies(t *testing.T, d *deployment) {
	t.Run("groups do not disturb each other", func(t *testing.T) {
		mobile := d.number()
		app, pc := d.login(t, form{Mobile: mobile}), d.login(t, form{Mobile: mobile, ProductType: 1})
		if pc.header.Get("X-Displaced") != "0" {
			t.Errorf("X-Displaced is %q", pc.header.Get("X-Displaced"))
		}
		d.checks(t, app.AccessToken.Value, "device-app", "bound")
		tv := d.login(t, form{Mobile: mobile, ProductType: 5}) // of the app's group
		if tv.header.Get("X-Displaced") != "1" {
			t.Errorf("X-Displaced is %q", tv.header.Get("X-Displaced"))
		}
		d.checks(t, app.AccessToken.Value, "device-app", "displaced")
		d.checks(t, pc.AccessToken.Value, "device-pc0", "bound")
	})
	t.Run("same device logs in anew", func(t *testing.T) {
		f := form{Mobile: d.number(), DeviceNumber: "device-anew"}
		old := d.login(t, f)
		if anew := d.login(t, f); anew.header.Get("X-Displaced") != "0" {
			t.Errorf("X-Displaced is %q", anew.header.Get("X-Displaced"))
		}
		d.checks(t, old.AccessToken.Value, "device-anew", "relogin")
		d.do(t, call{path: "/app/auth/user", as: old.AccessToken.Value, code: 40103, want: `{"reason":"relogin"}`})
	})
	t.Run("two devices", func(t *testing.T) {
		f := form{Mobile: d.number(), ProductType: 3}
		a, b := d.login(t, f, "X-Device-Number", "device-pad-a"), d.login(t, f, "X-Device-Number", "device-pad-b")
		again := d.login(t, f, "X-Device-Number", "device-pad-b") // takes its own place, not a's
		d.checks(t, a.AccessToken.Value, "device-pad-a", "active")
		d.checks(t, b.AccessToken.Value, "device-pad-b", "relogin")
		c := d.login(t, f, "X-Device-Number", "device-pad-c")
		if c.header.Get("X-Displaced") != "1" {
			t.Errorf("X-Displaced is %q", c.header.Get("X-Displaced"))
		}
		d.checks(t, a.AccessToken.Value, "device-pad-a", "displaced")
		d.checks(t, again.AccessToken.Value, "device-pad-b", "active")
	})
	t.Run("reject", func(t *testing.T) { playReject(t, d) })
	t.Run("ban", func(t *testing.T) { playBan(t, d) })
	t.Run("sessions past their end neither count nor block", func(t *testing.T) {
		f := form{Mobile: d.number(), ProductType: 4}
		old := d.login(t, f)
		d.exec(t, "UPDATE sessions SET idle_until = 1 WHERE id = ?", old.claims["sid"])
		if a := d.login(t, f); a.header.Get("X-Displaced") != "0" {
			t.Errorf("X-Displaced is %q", a.header.Get("X-Displaced"))
		}
		d.checks(t, old.AccessToken.Value, "device-any0", "expired")
	})
}

func playReject(t *testing.T, d *deployment) {
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
	d.checks(t, stranger.AccessToken.Value, "device-desk-x", "bound")
	f.ReplaceSession = holder.claims.text("sid")
	a := d.login(t, f) // the same code, the fifth time
	if a.header.Get("X-Displaced") != "1" {
		t.Errorf("X-Displaced is %q", a.header.Get("X-Displaced"))
	}
	d.checks(t, holder.AccessToken.Value, "device-desk-a", "displaced")
	// The device that is in may always come again.
	d.checks(t, a.AccessToken.Value, "device-desk-b", "bound")
	d.login(t, form{Mobile: f.Mobile, ProductType: 4, DeviceNumber: "device-desk-b"})
	d.checks(t, a.AccessToken.Value, "device-desk-b", "relogin")
}

func playBan(t *testing.T, d *deployment) {
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

// playProvider: what becomes of a code that the provider does not take.
func playProvider(t *testing.T, d *deployment) {
	f := form{Mobile: d.number()}
	e164 := "+86" + f.Mobile
	f.ValidateNo = d.sendCode(t, f.Mobile, 0)
	for name, mood := range map[string]http.HandlerFunc{
		"refuses":   func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusInternalServerError) },
		"redirects": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) },
	} {
		t.Run(name, func(t *testing.T) {
			d.messages.mood(e164, mood)
			d.do(t, call{path: "/auth/mobile/code", body: codeBody(f.Mobile), code: 50301, want: "null"})
			dead := f
			dead.ValidateNo = d.messages.take(t, e164).Code
			d.do(t, call{path: "/auth/mobile/login", body: jsonOf(t, dead), code: 40002})
			d.messages.none(t, e164)
		})
	}
	t.Run("the code before is still good", func(t *testing.T) { d.login(t, f) })
	t.Run("does not answer", func(t *testing.T) {
		release := make(chan struct{})
		d.messages.mood(e164, func(http.ResponseWriter, *http.Request) { <-release })
		begin := time.Now()
		d.do(t, call{path: "/auth/mobile/code", body: codeBody(f.Mobile), code: 50301})
		if took := time.Since(begin); took < 2500*time.Millisecond || took > 5*time.Second {
			t.Errorf("the answer took %s", took)
		}
		close(release)
		f.ValidateNo = d.messages.take(t, e164).Code // it came all the same
		d.login(t, f)
	})
}
