package scenario

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// testLogout: the three scopes, and the tokens that may still log out.
func testLogout(t *testing.T, d *deployment) {
	const path = "/app/auth/logout"
	ended := func(n int) string { return fmt.Sprintf(`{"ended":%d}`, n) }
	for name, row := range map[string]call{
		"no body":            {},
		"no scope":           {body: `{}`},
		"unknown members":    {body: `{"Scope":"all","scopes":["all"]}`},
		"current":            {body: `{"scope":"current"}`},
		"type without body":  {headers: headersOf("Content-Type", "application/json")},
		"foreign type alone": {headers: headersOf("Content-Type", "text/plain")},
	} {
		t.Run(name, func(t *testing.T) {
			mobile := d.number()
			a, other := d.login(t, form{Mobile: mobile}), d.login(t, form{Mobile: mobile, ProductType: 1})
			row.method, row.path, row.as, row.want = http.MethodPost, path, a.AccessToken.Value, ended(1)
			d.do(t, row)
			d.wantState(t, a.AccessToken.Value, "device-gone", "logged_out")
			d.wantState(t, other.AccessToken.Value, "device-here", "bound")
			row.want = ended(0)
			d.do(t, row)
		})
	}
	t.Run("expired token", func(t *testing.T) {
		mobile := d.number()
		a := d.login(t, form{Mobile: mobile})
		d.login(t, form{Mobile: mobile, ProductType: 1})
		expired := d.expire(t, a.AccessToken.Value)
		for _, scope := range []string{"others", "all"} {
			d.do(t, call{path: path, as: expired, body: `{"scope":"` + scope + `"}`, code: 40101})
		}
		d.do(t, call{path: path, as: expired, body: `{"scope":"current"}`, want: ended(1)})
		d.wantState(t, a.AccessToken.Value, "device-gone", "logged_out")
	})
	t.Run("others", func(t *testing.T) {
		mobile := d.number()
		a, b, c := d.login(t, form{Mobile: mobile}), d.login(t, form{Mobile: mobile, ProductType: 1}), d.login(t, form{Mobile: mobile, ProductType: 2})
		stranger := d.login(t, form{Mobile: d.number()})
		d.do(t, call{path: path, as: a.AccessToken.Value, body: `{"scope":"others"}`, want: ended(2)})
		d.do(t, call{path: path, as: a.AccessToken.Value, body: `{"scope":"others"}`, want: ended(0)})
		d.wantState(t, a.AccessToken.Value, "device-here", "bound")
		d.wantState(t, b.AccessToken.Value, "device-gone", "logged_out")
		d.wantState(t, c.AccessToken.Value, "device-gone", "logged_out")
		d.wantState(t, stranger.AccessToken.Value, "device-here", "bound")
	})
	t.Run("all", func(t *testing.T) {
		mobile := d.number()
		a, b := d.login(t, form{Mobile: mobile}), d.login(t, form{Mobile: mobile, ProductType: 1})
		d.do(t, call{path: path, as: a.AccessToken.Value, body: `{"scope":"all"}`, want: ended(2)})
		for _, account := range []account{a, b} {
			d.wantState(t, account.AccessToken.Value, "device-gone", "logged_out")
		}
	})
	t.Run("session that ended", func(t *testing.T) {
		a := d.login(t, form{Mobile: d.number()})
		newer := d.login(t, form{Mobile: a.UserInfo.Mobile}, "User-Agent", "")
		for _, access := range []string{a.AccessToken.Value, d.expire(t, a.AccessToken.Value)} {
			d.do(t, call{path: path, as: access, body: `{"scope":"others"}`, code: 40102})
			d.do(t, call{path: path, as: access, body: `{"scope":"all"}`, code: 40102, want: `{"reason":"displaced","by":null}`})
			d.do(t, call{path: path, as: access, body: `{}`, want: ended(0)})
		}
		d.do(t, call{path: path, as: newer.AccessToken.Value, want: ended(1), method: http.MethodPost})
		d.do(t, call{path: path, as: newer.AccessToken.Value, body: `{"scope":"all"}`, code: 40103, want: `{"reason":"logged_out"}`})
		d.wantState(t, a.AccessToken.Value, "device-gone", "displaced") // the first reason stays
	})
	t.Run("token before scope", func(t *testing.T) {
		d.do(t, call{path: path, as: "garbage", body: `{"scope":"any"}`, code: 40100})
	})
}

// testSessions: the list, the list of ended ones, and the end of one.
func testSessions(t *testing.T, d *deployment) {
	const path = "/app/auth/sessions"
	t.Run("active", func(t *testing.T) {
		mobile := d.number()
		a := d.login(t, form{Mobile: mobile}, "X-Device-Number", "device-list-a", "X-Device-Name", "Phone")
		d.exec(t, "UPDATE sessions SET login_at = login_at - 5000, last_seen_at = last_seen_at - 5000 WHERE id = ?", a.claims["sid"])
		b := d.login(t, form{Mobile: mobile, ProductType: 1}, "User-Agent", "")
		d.login(t, form{Mobile: d.number()}) // a stranger
		answer := d.do(t, call{path: path, as: a.AccessToken.Value})
		items := decodeList(t, answer)
		if len(items) != 2 || items[0]["id"] != b.claims["sid"] || items[1]["id"] != a.claims["sid"] {
			t.Fatalf("the list is %s", answer.data)
		}
		want := []string{"current", "deviceName", "deviceNumber", "id", "ip", "lastSeenTime", "loginTime", "productType"}
		for _, item := range items {
			if names := slices.Sorted(maps.Keys(item)); !slices.Equal(names, want) {
				t.Errorf("an item has %v", names)
			}
		}
		if difference := difference(decodeJSON(t, answer.data), decodeJSON(t, []byte(`[
			{"productType":1,"deviceNumber":"","deviceName":"","ip":"127.0.0.1","current":false},
			{"productType":0,"deviceNumber":"devi…-a","deviceName":"Phone","ip":"127.0.0.1","current":true}]`)), "data"); difference != "" {
			t.Error(difference)
		}
		wantTimeFromNow(t, "the login", items[0]["loginTime"].(string), 0)
		if items[1]["lastSeenTime"].(string) <= items[1]["loginTime"].(string) { // this was the token's first use
			t.Errorf("seen at %v, logged in at %v", items[1]["lastSeenTime"], items[1]["loginTime"])
		}
		d.do(t, call{path: path + "?ended=false", as: a.AccessToken.Value, want: string(answer.data)})
		d.exec(t, "UPDATE sessions SET idle_until = 1 WHERE id = ?", b.claims["sid"])
		if items := decodeList(t, d.do(t, call{path: path, as: a.AccessToken.Value})); len(items) != 1 {
			t.Errorf("a session past its end is in the list: %v", items)
		}
	})
	t.Run("ended", func(t *testing.T) {
		mobile := d.number()
		for i := range 22 {
			d.login(t, form{Mobile: mobile}, "X-Device-Name", fmt.Sprintf("Phone %d", i))
		}
		a := d.login(t, form{Mobile: mobile, DeviceNumber: "device-last"})
		d.do(t, call{method: http.MethodPost, path: "/app/auth/logout", as: a.AccessToken.Value})
		a = d.login(t, form{Mobile: mobile})
		answer := d.do(t, call{path: path + "?ended=true", as: a.AccessToken.Value})
		items := decodeList(t, answer)
		if len(items) != 20 {
			t.Fatalf("%d sessions are listed", len(items))
		}
		for i, item := range items {
			reason, by := "displaced", any("Phone "+fmt.Sprint(23-i))
			switch i {
			case 0:
				reason, by = "logged_out", nil
			case 1:
				by = "Go-http-client"
			}
			if item["reason"] != reason || item["by"] != by || item["current"] != false {
				t.Errorf("item %d is %v, want %s by %v", i, item, reason, by)
			}
			wantTimeFromNow(t, "the end", item["endedAt"].(string), 0)
		}
	})
	t.Run("none ended", func(t *testing.T) {
		a := d.login(t, form{Mobile: d.number()})
		d.do(t, call{path: path + "?ended=true", as: a.AccessToken.Value, want: `[]`})
	})
	t.Run("device numbers", func(t *testing.T) { testMaskedDevices(t, d) })
	t.Run("query", func(t *testing.T) {
		a := d.login(t, form{Mobile: d.number()})
		for _, query := range []string{"ended=", "ended", "ended=1", "ended=TRUE", "ended=true&ended=true", "ended=false&ended=true", "ended=null"} {
			d.do(t, call{path: path + "?" + query, as: a.AccessToken.Value, code: 40000})
		}
		d.do(t, call{path: path + "?other=1", as: a.AccessToken.Value})
	})
	t.Run("delete", func(t *testing.T) {
		mobile := d.number()
		a, b := d.login(t, form{Mobile: mobile}), d.login(t, form{Mobile: mobile, ProductType: 1})
		stranger := d.login(t, form{Mobile: d.number()})
		end := func(as account, id string) call {
			return call{method: http.MethodDelete, path: path + "/" + id, as: as.AccessToken.Value}
		}
		same := ""
		for _, id := range []string{stranger.claims.text("sid"), "AAAAAAAAAAAAAAAAAAAAAAAAAA", "x", "%27%20OR%201=1", "a%2Fb", strings.Repeat("A", 500), strings.ToLower(b.claims.text("sid"))} {
			row := end(a, id)
			row.code = 40400
			answer := d.do(t, row)
			if same == "" {
				same = string(answer.raw)
			}
			if string(answer.raw) != same {
				t.Errorf("%s: %s, want %s", id, answer.raw, same)
			}
		}
		d.wantState(t, stranger.AccessToken.Value, "device-here", "bound")
		row := end(a, b.claims.text("sid"))
		row.want = `{"ended":1}`
		d.do(t, row)
		d.wantState(t, b.AccessToken.Value, "device-gone", "logged_out")
		row.want = `{"ended":0}`
		d.do(t, row)
		row = end(a, a.claims.text("sid"))
		row.want = `{"ended":1}`
		d.do(t, row)
		row = end(a, a.claims.text("sid"))
		row.code, row.want = 40103, `{"reason":"logged_out"}`
		d.do(t, row)
	})
	t.Run("needs a live session", func(t *testing.T) {
		a := d.login(t, form{Mobile: d.number()})
		expired := d.expire(t, a.AccessToken.Value)
		d.runCalls(t,
			call{name: "list", path: path, as: expired, code: 40101},
			call{name: "user", path: "/app/auth/user", as: expired, code: 40101},
			call{name: "change", method: http.MethodPatch, path: "/app/auth/user", body: `{"nickName":"x"}`, as: expired, code: 40101},
			call{name: "delete", method: http.MethodDelete, path: path + "/" + a.claims.text("sid"), as: expired, code: 40101},
			call{name: "token before query", path: path + "?ended=x", as: "garbage", code: 40100},
			call{name: "token before body", method: http.MethodPatch, path: "/app/auth/user", body: `{`, as: "garbage", code: 40100},
		)
	})
}

// testMaskedDevices: a list shows a device number in full to that device alone.
func testMaskedDevices(t *testing.T, d *deployment) {
	const path, own, twelve, eleven = "/app/auth/sessions", "设备设备-0123-é😀", "0123456789ab", "0123456789a"
	d.secrets.add(kindDevice, own)
	mobile := d.number()
	d.login(t, form{Mobile: mobile, DeviceNumber: "an-older-phone"})
	a := d.login(t, form{Mobile: mobile, DeviceNumber: own})
	d.login(t, form{Mobile: mobile, ProductType: 1, DeviceNumber: twelve})
	d.login(t, form{Mobile: mobile, ProductType: 2, DeviceNumber: eleven})
	d.login(t, form{Mobile: mobile, ProductType: 3})
	for name, row := range map[string]struct {
		headers []string
		want    []string // the newest session first
	}{
		"none":                 {nil, []string{"", "…", "0123…ab", "设备设备…é😀"}},
		"its own":              {[]string{own}, []string{"", "…", "0123…ab", own}},
		"another's":            {[]string{twelve}, []string{"", "…", twelve, "设备设备…é😀"}},
		"a short one":          {[]string{eleven}, []string{"", eleven, "0123…ab", "设备设备…é😀"}},
		"a part":               {[]string{"0123456789"}, []string{"", "…", "0123…ab", "设备设备…é😀"}},
		"the mask":             {[]string{"0123…ab"}, []string{"", "…", "0123…ab", "设备设备…é😀"}},
		"in capitals":          {[]string{"0123456789AB"}, []string{"", "…", "0123…ab", "设备设备…é😀"}},
		"in another form":      {[]string{"设备设备-0123-e\u0301😀"}, []string{"", "…", "0123…ab", "设备设备…é😀"}},
		"empty":                {[]string{""}, []string{"", "…", "0123…ab", "设备设备…é😀"}},
		"twice":                {[]string{own, own}, []string{"", "…", "0123…ab", "设备设备…é😀"}},
		"what a check refuses": {[]string{"null"}, []string{"", "…", "0123…ab", "设备设备…é😀"}},
	} {
		t.Run(name, func(t *testing.T) {
			headers := http.Header{}
			for _, value := range row.headers {
				headers.Add("X-Device-Number", value)
			}
			var got []string
			for _, item := range decodeList(t, d.do(t, call{path: path, as: a.AccessToken.Value, headers: headers})) {
				got = append(got, fmt.Sprint(item["deviceNumber"]))
			}
			if !slices.Equal(got, row.want) {
				t.Errorf("the list shows %q, want %q", got, row.want)
			}
			for number, want := range map[string]string{"": "an-o…ne", "an-older-phone": "an-older-phone"} {
				items := decodeList(t, d.do(t, call{path: path + "?ended=true", as: a.AccessToken.Value, headers: headersOf("X-Device-Number", number)}))
				if len(items) != 1 || items[0]["deviceNumber"] != want {
					t.Errorf("ended ones are %v", items)
				}
			}
		})
	}
}

// testUser: the owner's view of the account, and what may be changed.
func testUser(t *testing.T, d *deployment) {
	const path = "/app/auth/user"
	a := d.login(t, form{Mobile: d.number()})
	as := a.AccessToken.Value
	show := func(t *testing.T, want string) {
		t.Helper()
		d.do(t, call{path: path, as: as, want: want})
	}
	answer := d.do(t, call{path: path, as: as, want: fmt.Sprintf(`{"avatarUrl":"","companyType":0,"id":%d,"mobile":%q,"nickName":%q,"realName":"","userName":%q}`,
		a.UserInfo.ID, a.UserInfo.Mobile, a.UserInfo.NickName, a.UserInfo.UserName)})
	if names := slices.Sorted(maps.Keys(decodeJSON(t, answer.data).(map[string]any))); len(names) != 7 {
		t.Errorf("the user has %v", names)
	}
	patch := func(body string) call { return call{method: http.MethodPatch, path: path, as: as, body: body} }
	for _, body := range []string{
		`{"nickName":"小门神"}`, `{"nickName":"` + strings.Repeat("😀", 32) + `"}`, `{"nickName":" x "}`, `{"nickName":"a'\"<b>&%00"}`,
		"{\"nickName\":\"👨\u200d👩\u200d👧\",\"realName\":\"می\u200cخواهم\"}", "{\"nickName\":\"🏴\U000e0067\U000e0062\U000e007f\",\"realName\":\"\u3164\"}",
		`{"realName":"` + strings.Repeat("名", 64) + `"}`, `{"realName":""}`,
		`{"avatarUrl":"https://cdn.example.com/a/8000.png?x=1#y"}`, `{"avatarUrl":"https://cdn.example.com/` + strings.Repeat("x", 512-24) + `"}`, `{"avatarUrl":""}`,
		`{"nickName":"n","realName":"r","avatarUrl":"https://a.example/b"}`,
	} {
		row := patch(body)
		row.want = body
		d.do(t, row)
		show(t, body)
	}
	before := d.do(t, call{path: path, as: as})
	for _, body := range []string{`{}`, `{"nickname":"x","NickName":"y"}`, `{"id":7,"mobile":"13800138000","userName":"root","companyType":1,"bannedUntil":0}`} {
		row := patch(body)
		row.want = string(before.data)
		d.do(t, row)
	}
	for _, text := range []string{"a\u202eb", "\u200bx", "x\ufeff", "x\u200d", "x\u2028y", "x\u2029y", "x\u00ady", "x\U000e0067", "\u2066x\u2069"} {
		row := patch(jsonOf(t, map[string]string{"nickName": text, "realName": text}))
		row.code, row.fields = 40000, []string{"nickName charset", "realName charset"}
		d.do(t, row)
	}
	for _, text := range []string{" ", "\u3000\u00a0", "\u3164", "\u2800", "\ufe0f", "\u115f\u1160"} {
		row := patch(jsonOf(t, map[string]string{"nickName": text}))
		row.code, row.fields = 40000, []string{"nickName charset"}
		d.do(t, row)
	}
	for body, field := range map[string]string{
		`{"nickName":""}`: "nickName length",
		`{"avatarUrl":"http://cdn.example.com/a.png"}`:        "avatarUrl format",
		`{"avatarUrl":"javascript:alert(1)"}`:                 "avatarUrl format",
		`{"avatarUrl":"//cdn.example.com/a.png"}`:             "avatarUrl format",
		`{"avatarUrl":"https://"}`:                            "avatarUrl format",
		`{"avatarUrl":"https://user:secret@cdn.example.com"}`: "avatarUrl format",
		`{"avatarUrl":" https://cdn.example.com/a.png"}`:      "avatarUrl format",
		`{"avatarUrl":"https://cdn.example.com/a b.png"}`:     "avatarUrl format",
		`{"avatarUrl":"` + strings.Repeat("h", 513) + `"}`:    "avatarUrl length",
	} {
		row := patch(body)
		row.code, row.fields = 40000, []string{field}
		d.do(t, row)
	}
	row := patch(`{"nickName":"","realName":null,"avatarUrl":7}`)
	row.code, row.fields = 40000, []string{"nickName length", "realName type", "avatarUrl type"}
	d.do(t, row)
	row = patch(`{"nickName":"good","realName":null}`) // all or nothing
	row.code = 40000
	d.do(t, row)
	show(t, string(before.data))

	events := d.value(t, "SELECT COUNT(*) FROM events WHERE kind = 'user_changed' AND user_id = ?", a.UserInfo.ID)
	if events == "0" {
		t.Error("no change is in the event log")
	}
	// The account outlives its sessions.
	if again := d.login(t, form{Mobile: a.UserInfo.Mobile}); again.UserInfo.NickName != "n" || again.UserInfo.RealName != "r" {
		t.Errorf("the user is %+v", again.UserInfo)
	}
	wantTimeFromNow(t, "the token's end", a.AccessToken.Expire.Format(time.RFC3339), 15*time.Minute)
}
