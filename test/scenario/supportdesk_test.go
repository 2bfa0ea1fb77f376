package scenario

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"menshen/repository"
	"menshen/repository/dbtest"
)

// TestSupportDesk: what operators do for people.
func TestSupportDesk(t *testing.T) {
	for _, driver := range dbtest.Drivers(t) {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			d := newDeployment(t, driver, "CODE_LENGTH=10", "CODE_COOLDOWN=0s", "CODE_PER_MOBILE_HOUR=0", "CODE_PER_MOBILE_DAY=0", roleKeys(t))
			d.start(t)
			for _, area := range []struct {
				name string
				test func(*testing.T, *deployment)
			}{
				{"pages", testPages}, {"lost number", testLostNumber}, {"delete", testOperatorDelete}, {"export", testExport},
				{"five unlocks", testFiveUnlocks}, {"page of the document", testAdminDocument},
			} {
				t.Run(area.name, func(t *testing.T) { area.test(t, d) })
			}
		})
	}
}

// userPage is a page of users.
type userPage struct {
	Items []struct{ ID int64 }
	Next  *string
}

func (d *deployment) userPage(t *testing.T, query string) (page userPage) {
	t.Helper()
	if err := json.Unmarshal(d.callAdmin(t, call{path: "/admin/users?" + query}).data, &page); err != nil {
		t.Fatal(err)
	}
	return page
}

// testPages: pages hold each account once, whatever happens between them.
func testPages(t *testing.T, d *deployment) {
	var want []string
	var oldest account
	for range 5 {
		a := d.login(t, form{Mobile: d.number(), Source: "paged"})
		want = append([]string{strconv.FormatInt(a.UserInfo.ID, 10)}, want...)
		if oldest.UserInfo.ID == 0 {
			oldest = a
		}
	}
	query, cursor := "source=paged&companyType=0&banned=false&limit=2&mobile=&id=&externalId=&from=2000-01-01T00:00:00Z&to=2100-01-01T00:00:00Z", ""
	var got []string
	for n := 0; ; n++ {
		page := d.userPage(t, query+cursor)
		for _, user := range page.Items {
			got = append(got, strconv.FormatInt(user.ID, 10))
		}
		if page.Next == nil {
			break
		}
		cursor = "&cursor=" + *page.Next
		if n == 0 { // a new account, and the one that the cursor names goes
			d.login(t, form{Mobile: d.number(), Source: "paged"})
			d.callAdmin(t, call{method: http.MethodDelete, path: "/admin/users/" + *page.Next, body: `{"reason":"r"}`})
		}
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("the pages hold %q, want %q", got, want)
	}
	d.callAdmin(t, call{path: userPath(oldest, "/ban"), body: `{"reason":"r"}`})
	d.callAdmin(t, call{path: "/admin/users?source=paged&banned=true", want: fmt.Sprintf(`{"items":[{"id":%d,"banned":true}],"next":null}`, oldest.UserInfo.ID)})
}

// testLostNumber: an operator moves an account to the number to which the code was sent.
func testLostNumber(t *testing.T, d *deployment) {
	old, fresh := d.number(), d.number()
	a, other := d.login(t, form{Mobile: old}), d.login(t, form{Mobile: d.number()})
	path, support := userPath(a, "/mobile"), roleKey("support", scopes[0])
	body := func(mobile, code string) string {
		return fmt.Sprintf(`{"mobile":%q,"validateNo":%q,"reason":"lost SIM"}`, mobile, code)
	}
	d.callAdmin(t, call{path: userPath(a, "/code"), body: `{"mobile":"123"}`, code: 40001})
	sent := d.callAdmin(t, call{path: userPath(a, "/code"), body: fmt.Sprintf(`{"mobile":%q}`, fresh), not: []string{fresh}})
	d.ticketOf(t, sent)
	code := d.messages.nextMessage(t, "+86"+fresh).Code
	if pool := d.value(t, "SELECT MAX(send_pool) FROM codes WHERE purpose = 'change'"); pool != "1" {
		t.Errorf("the code is of the pool %s", pool)
	}
	d.callAdmin(t, call{path: path, as: support, body: body(fresh, code), code: 40301})
	d.callAdmin(t, call{path: path, body: body(fresh, "0000000000"), code: 40002})
	d.callAdmin(t, call{path: path, body: body(old, code), code: 40901})
	d.callAdmin(t, call{path: path, body: body(d.number(), code), code: 40002})
	d.callAdmin(t, call{path: path, body: `{"mobile":"x","reason":""}`, code: 40000, fields: []string{"validateNo required", "reason required"}})
	d.callAdmin(t, call{path: userPath(a, "/code"), body: fmt.Sprintf(`{"mobile":%q}`, other.UserInfo.Mobile)})
	taken := d.messages.nextMessage(t, "+86"+other.UserInfo.Mobile).Code
	d.callAdmin(t, call{path: path, body: body(other.UserInfo.Mobile, taken), code: 40901})
	credential := d.credentialOf(t, a.header)

	d.callAdmin(t, call{path: path, body: body(fresh, code), want: `{"ended":1}`, not: []string{fresh}})
	d.wantState(t, a.AccessToken.Value, "device-of-lost", "kicked")
	d.callAdmin(t, call{path: path, body: body(fresh, code), code: 40901}) // its own by now
	if again := d.login(t, form{Mobile: fresh}); again.UserInfo.ID != a.UserInfo.ID {
		t.Error("the new number has another account")
	}
	d.do(t, d.codeWith(fresh, credential)) // of the open pool: the credential has ended
	if pool := d.value(t, "SELECT send_pool FROM codes ORDER BY sent_at DESC, seq DESC LIMIT 1"); pool != "0" {
		t.Errorf("the old credential opens the pool %s", pool)
	}
	timeline := d.allEvents(t, userPath(a, "/timeline"))
	var got []string
	for _, e := range timeline {
		if e.Actor == "alice" && e.Kind != "viewed" {
			detail := map[string]any{}
			_ = json.Unmarshal(e.Detail, &detail)
			for _, ofMessage := range []string{"messageId", "provider", "state"} {
				if e.Kind == "code_sent" && detail[ofMessage] == "" {
					t.Errorf("code_sent without its message: %s", e.Detail)
				}
				delete(detail, ofMessage)
			}
			if e.Kind == "code_sent" {
				delete(detail, "reason")
			}
			got = append(got, e.Kind+" "+jsonOf(t, detail))
		}
	}
	mask := func(n string) string { return n[:3] + "****" + n[7:] }
	want := []string{
		`kick {"reason":"lost SIM"}`, fmt.Sprintf(`number_changed {"from":%q,"reason":"lost SIM","to":%q}`, mask(old), mask(fresh)),
		fmt.Sprintf(`code_sent {"mobile":%q,"purpose":"change"}`, mask(other.UserInfo.Mobile)), fmt.Sprintf(`code_sent {"mobile":%q,"purpose":"change"}`, mask(fresh)),
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("the timeline has %q, want %q", got, want)
	}
}

// testOperatorDelete: as the user's own deletion. Nothing finds or shows the number any
// more, also of a banned user, whose number stays reserved.
func testOperatorDelete(t *testing.T, d *deployment) {
	for _, kind := range []string{"", "banned", "registered long ago"} {
		mobile, banned := d.number(), kind == "banned"
		a := d.login(t, form{Mobile: mobile})
		d.do(t, call{path: "/auth/mobile/login", body: jsonOf(t, form{Mobile: mobile, ValidateNo: "0000000000"}), code: 40002})
		d.callAdmin(t, call{path: "/admin/numbers?mobile=" + mobile})
		d.callAdmin(t, call{path: "/admin/numbers/unlock", body: fmt.Sprintf(`{"mobile":%q,"reason":"r"}`, mobile)})
		number := mobile
		if banned {
			mobile = d.number()
			d.callAdmin(t, call{path: userPath(a, "/code"), body: fmt.Sprintf(`{"mobile":%q}`, mobile)})
			code := d.messages.nextMessage(t, "+86"+mobile).Code
			d.callAdmin(t, call{path: userPath(a, "/mobile"), body: fmt.Sprintf(`{"mobile":%q,"validateNo":%q,"reason":"r"}`, mobile, code)})
			d.callAdmin(t, call{path: userPath(a, "/ban"), body: `{"reason":"r"}`})
		}
		if kind == "registered long ago" { // the janitor has removed the messages, not the events
			d.exec(t, "DELETE FROM messages WHERE mobile = ?", mobile[:3]+"****"+mobile[7:])
		}
		del := call{method: http.MethodDelete, path: userPath(a, ""), body: `{"reason":"asked for it"}`}
		none := del
		none.body, none.code, none.fields = `{}`, 40000, []string{"reason required"}
		d.callAdmin(t, none)
		d.callAdmin(t, del)
		for _, c := range []call{
			del, {path: userPath(a, "/unlock"), body: `{"reason":"r"}`}, {path: userPath(a, "/code"), body: `{"mobile":"13700000003"}`},
			{path: userPath(a, "/mobile"), body: `{"mobile":"13700000003","validateNo":"0000000000","reason":"r"}`},
		} {
			c.code = 40400
			d.callAdmin(t, c)
		}
		for _, had := range []string{mobile, number} {
			mask := had[:3] + "****" + had[7:]
			if n := d.value(t, "SELECT (SELECT COUNT(*) FROM events WHERE detail LIKE ? OR user_id = ? AND detail LIKE '%****%') + (SELECT COUNT(*) FROM messages WHERE mobile = ? OR user_id = ?)",
				"%"+mask+"%", a.UserInfo.ID, mask, a.UserInfo.ID); n != "0" {
				t.Errorf("banned %t: %s rows show the number %s", banned, n, had)
			}
		}
		d.callAdmin(t, call{path: "/admin/users?mobile=" + mobile, want: `{"items":[],"next":null}`})
		d.callAdmin(t, call{path: "/admin/users?id=" + strconv.FormatInt(a.UserInfo.ID, 10), want: `{"items":[{"mobile":"","externalId":null}]}`})
		last := d.value(t, "SELECT CONCAT(kind, ' ', actor, ' ', detail) FROM events WHERE user_id = ? AND kind = 'user_deleted'", a.UserInfo.ID)
		if last != `user_deleted alice {"reason":"asked for it"}` {
			t.Errorf("the log has %s", last)
		}
		count := func() string { return d.value(t, "SELECT MAX(id) FROM events WHERE user_id = ?", a.UserInfo.ID) }
		before := count()
		d.sendCode(t, mobile, 0)
		d.do(t, call{path: "/auth/mobile/login", body: jsonOf(t, form{Mobile: mobile, ValidateNo: "0000000000"}), code: 40002})
		d.callAdmin(t, call{path: "/admin/numbers?mobile=" + mobile})
		d.callAdmin(t, call{path: "/admin/numbers/unlock", body: fmt.Sprintf(`{"mobile":%q,"reason":"r"}`, mobile)})
		if after := count(); before != after {
			t.Errorf("banned %t: the number finds the deleted user", banned)
		}
		d.callAdmin(t, call{path: userPath(a, "/export"), want: `{"user":{"mobile":"","nickName":""},"messages":[]}`, not: []string{mobile}})
	}
}

// testExport: all that is kept, with the whole number, without what belongs to others.
func testExport(t *testing.T, d *deployment) {
	mobile := d.number()
	a := d.login(t, form{Mobile: mobile, Source: "store"}, "X-Device-Number", "device-of-export", "X-Device-Name", "Phone")
	d.login(t, form{Mobile: mobile, ProductType: 1})
	d.do(t, call{path: "/app/auth/logout", as: a.AccessToken.Value, body: `{}`})
	d.do(t, call{path: "/auth/mobile/code", body: codeBody(mobile)})
	d.messages.nextMessage(t, "+86"+mobile)
	d.do(t, call{path: "/auth/mobile/login", body: jsonOf(t, form{Mobile: mobile, ValidateNo: "0000000000"}), headers: headersOf("X-Device-Name", "stranger's"), code: 40002})
	d.callAdmin(t, call{path: userPath(a, "/kick"), body: `{"reason":"r","productType":9}`})
	answer := d.callAdmin(t, call{path: userPath(a, "/export"), not: []string{"stranger's", "Hash", "hash", "jti", `"code":"`}, want: fmt.Sprintf(
		`{"user":{"id":%d,"mobile":%q,"source":"store","metadata":{}},"sessions":[{"productType":1,"endedAt":null,"reason":""},{"deviceNumber":"device-of-export","deviceName":"Phone","ip":"127.0.0.1","reason":"logged_out"}],"messages":[{"provider":"webhook","state":"accepted","redeemedAt":null},{"state":"accepted"},{"state":"accepted"}]}`,
		a.UserInfo.ID, mobile)})
	var export struct{ Events []event }
	if err := json.Unmarshal(answer.data, &export); err != nil {
		t.Fatal(err)
	}
	kinds := map[string]string{}
	for _, e := range export.Events {
		kinds[e.Kind] = e.IP
	}
	for kind, ip := range map[string]string{"login": "127.0.0.1", "logout": "127.0.0.1", "register": "127.0.0.1", "code_failed": "", "kick": ""} {
		if got, listed := kinds[kind]; !listed || got != ip {
			t.Errorf("%s is listed: %t, with the address %q", kind, listed, got)
		}
	}
	if n := d.value(t, "SELECT COUNT(*) FROM events WHERE user_id = ? AND actor = 'alice' AND kind IN ('exported', 'viewed')", a.UserInfo.ID); n != "2" {
		t.Errorf("the export left %s events", n)
	}
}

// testFiveUnlocks: the role support lifts the limits of a number five times a day, by
// whatever key and route; others have no such limit and use up none of it.
func testFiveUnlocks(t *testing.T, d *deployment) {
	a := d.login(t, form{Mobile: d.number()})
	body := fmt.Sprintf(`{"mobile":%q,"reason":"r"}`, a.UserInfo.Mobile)
	number := func(key string, code int32) answer {
		return d.callAdmin(t, call{path: "/admin/numbers/unlock", as: key, body: body, code: code})
	}
	user := func(key string, code int32) {
		d.callAdmin(t, call{path: userPath(a, "/unlock"), as: key, body: `{"reason":"r"}`, code: code})
	}
	all, own := roleKey("support", scopes[0]), roleKey("support", scopes[1])
	for range 2 {
		number(all, 0)
		user(own, 0)
		number(aliceKey, 0)
	}
	user(all, 0)
	refused := number(own, 42900)
	user(all, 42900)
	if seconds, _ := strconv.Atoi(refused.header.Get("Retry-After")); seconds < day-100 || seconds > day {
		t.Errorf("Retry-After is %d", seconds)
	}
	number(aliceKey, 0)
	b := d.login(t, form{Mobile: d.number()})
	d.callAdmin(t, call{path: userPath(b, "/unlock"), as: all, body: `{"reason":"r"}`})
}

// testAdminDocument: the document and its page need no key.
func testAdminDocument(t *testing.T, d *deployment) {
	for path, want := range map[string]string{"/swagger/doc.json": `"/admin/users/{id}"`, "/swagger/index.html": "swagger-ui"} {
		response, body := d.read(t, http.MethodGet, d.admin+path, "")
		if response.StatusCode != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: %d", path, response.StatusCode)
		}
	}
	for _, path := range []string{"/swagger", "/swagger/"} {
		if response, _ := d.read(t, http.MethodGet, d.admin+path, ""); response.Header.Get("Location") != "/swagger/index.html" {
			t.Errorf("%s leads to %q", path, response.Header.Get("Location"))
		}
	}
}

// TestRolesAreHot: role and companies of a key change while the program runs.
func TestRolesAreHot(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, repository.SQLite)
	keys := func(more string) string {
		return fmt.Sprintf("admin: {keys: [{name: alice, key: %s%s}]}", aliceKey, more)
	}
	d.configure(t, keys(""))
	d.start(t)
	a := d.login(t, form{Mobile: d.number()})
	for _, step := range []struct {
		more string
		code int32
	}{{", role: read", 40301}, {", role: support", 0}, {", role: admin, companies: [1]", 40400}, {"", 0}} {
		d.configure(t, keys(step.more))
		row := call{path: userPath(a, "/kick"), as: aliceKey, body: `{"reason":"r"}`}
		eventually(t, 5*time.Second, "the keys"+step.more+" are in force", func() bool {
			got, _ := d.exchange(t, row.request(t, d.admin))
			return got.code == step.code
		})
	}
}
