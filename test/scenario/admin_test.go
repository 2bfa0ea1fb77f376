package scenario

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"menshen/repository"
	"menshen/repository/dbtest"
)

// Two operators; the configuration holds no more than the hash of Bob's key.
const (
	aliceKey = "alice-0123456789-0123456789-0123456789"
	bobKey   = "bob-9876543210-9876543210-9876543210"
)

func operatorKeys() string {
	hash := sha256.Sum256([]byte(bobKey))
	return fmt.Sprintf(`ADMIN_KEYS=[{"name":"alice","key":%q},{"name":"bob","key":"sha256:%s"}]`, aliceKey, hex.EncodeToString(hash[:]))
}

// callAdmin is do on the admin listener, as Alice unless the row has another key.
func (d *deployment) callAdmin(t *testing.T, c call) answer {
	t.Helper()
	if c.as == "" && c.headers["Authorization"] == nil {
		c.as = aliceKey
	}
	request := c.request(t, d.admin)
	a, sent := d.exchange(t, request)
	doc, err := adminDocument()
	if err != nil {
		t.Fatal(err)
	}
	if problem := validateExchange(t, doc, request, sent, a); problem != nil {
		t.Errorf("%s %s, answered %d: the exchange does not fit the document: %v\n%s", request.Method, request.URL.Path, a.code, problem, a.raw)
	}
	c.checkAnswer(t, a)
	return a
}

// TestAdmin tests the admin API of the whole program.
func TestAdmin(t *testing.T) {
	for _, driver := range dbtest.Drivers(t) {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			d := newDeployment(t, driver, "CODE_LENGTH=10", "CODE_COOLDOWN=0s", "CODE_PER_MOBILE_HOUR=0", "CODE_PER_MOBILE_DAY=0", operatorKeys(),
				`PRODUCTS=[{"type":0,"group":"app"},{"type":1,"group":"pc"},{"type":3,"group":"pads","max_sessions":2}]`)
			d.secrets.add(kindToken, aliceKey)
			d.secrets.add(kindToken, bobKey)
			d.start(t)
			for _, area := range []struct {
				name string
				test func(*testing.T, *deployment)
			}{
				{"stats", testStats}, // first: it counts everything
				{"keys", testAdminKeys}, {"find", testFind}, {"ban", testOperatorBan}, {"kick", testKick}, {"unban", testUnbanReason}, {"timeline", testTimeline},
				{"audit", testAudit}, {"bad input", testAdminInput}, {"kick war", testKickWar},
			} {
				t.Run(area.name, func(t *testing.T) { area.test(t, d) })
			}
			d.stop(t)
			searchStorage(t, d)
		})
	}
}

// testAdminKeys: which keys are valid on which listener.
func testAdminKeys(t *testing.T, d *deployment) {
	a := d.login(t, form{Mobile: d.number()})
	hash := sha256.Sum256([]byte(bobKey))
	for _, route := range []string{"/admin/users?id=1", "/admin/users/1", "/admin/users/1/timeline", "/admin/numbers?mobile=13800138000", "/admin/audit", "/admin/stats"} {
		for name, authorization := range map[string][]string{
			"none": {}, "another scheme": {"Basic " + aliceKey}, "nobody's": {"Bearer " + strings.Repeat("x", 40)}, "a user's token": {"Bearer " + a.AccessToken.Value},
			"a refresh token": {"Bearer " + a.RefreshToken.Value}, "the hash": {"Bearer sha256:" + hex.EncodeToString(hash[:])}, "bare hash": {"Bearer " + hex.EncodeToString(hash[:])},
			"a part": {"Bearer " + aliceKey[:len(aliceKey)-1]}, "two": {"Bearer " + aliceKey, "Bearer " + bobKey},
			"with a role": {"Bearer " + d.forge(t, a.AccessToken.Value, func(_, claims claims) { claims["role"] = "admin" })},
		} {
			t.Run(name+" "+route, func(t *testing.T) {
				d.callAdmin(t, call{path: route, headers: http.Header{"Authorization": authorization}, code: 40100})
			})
		}
	}
	d.callAdmin(t, call{path: "/admin/numbers/unlock", as: a.AccessToken.Value, body: `{"mobile":"13800138000","reason":"x"}`, code: 40100})
	for _, method := range []string{"ban", "unban", "kick", "unlock"} {
		d.callAdmin(t, call{path: fmt.Sprintf("/admin/users/%d/%s", a.UserInfo.ID, method), as: a.AccessToken.Value, body: `{"reason":"x"}`, code: 40100})
	}
	d.wantState(t, a.AccessToken.Value, "device-of-none", "bound")
	for _, key := range []string{aliceKey, bobKey} {
		d.callAdmin(t, call{path: "/admin/users?id=1", as: key, want: `{"items":[],"next":null}`})
		d.do(t, call{path: "/app/auth/user", as: key, code: 40100})
		d.do(t, call{path: "/app/auth/logout", as: key, body: `{}`, code: 40100})
		d.do(t, call{path: "/admin/users?id=1", as: key, code: 40400})
	}
}

// testUnbanReason: a reason is in the event, and judged like the others.
func testUnbanReason(t *testing.T, d *deployment) {
	a := d.login(t, form{Mobile: d.number()})
	d.callAdmin(t, call{path: userPath(a, "/unban"), body: `{"reason":"a mistake"}`, want: "null"})
	d.callAdmin(t, call{path: userPath(a, "/timeline"), want: `{"items":[{"kind":"unban","detail":{"reason":"a mistake"}},{"kind":"login"},{"kind":"register"}]}`})
	for _, body := range []string{`{"reason":5}`, `{"reason":""}`, `{"reason":"` + strings.Repeat("x", 257) + `"}`} {
		d.callAdmin(t, call{path: userPath(a, "/unban"), body: body, code: 40000})
	}
}

func userPath(a account, rest string) string {
	return fmt.Sprintf("/admin/users/%d%s", a.UserInfo.ID, rest)
}

// testFind: finds by number in any spelling and by id; shows active sessions.
func testFind(t *testing.T, d *deployment) {
	a := d.login(t, form{Mobile: d.number(), Source: "store"}, "X-Device-Number", "device-found", "X-Device-Name", "Phone")
	mobile := a.UserInfo.Mobile
	masked := mobile[:3] + "****" + mobile[7:]
	item := fmt.Sprintf(`{"id":%d,"companyType":0,"mobile":%q,"firstSource":"store","banned":false,"bannedUntil":null,"banReason":"","deletedAt":null}`, a.UserInfo.ID, masked)
	for _, query := range []string{
		"mobile=" + mobile, "mobile=%2B86" + mobile, "mobile=+86" + mobile, "mobile=+" + mobile, "mobile=%2086+" + mobile, "mobile=+%2B86" + mobile, "mobile=%E2%80%AD%2B86" + mobile + "%E2%80%AC", "mobile=" + url.QueryEscape("+86 "+mobile[:3]+"-"+mobile[3:]), fmt.Sprintf("id=%d", a.UserInfo.ID),
		fmt.Sprintf("mobile=%s&id=%d", mobile, a.UserInfo.ID),
	} {
		d.callAdmin(t, call{path: "/admin/users?" + query, want: `{"items":[` + item + `],"next":null}`, not: []string{mobile}})
	}
	for _, query := range []string{"mobile=13700000000", "id=42", "id=42&mobile=" + mobile} {
		d.callAdmin(t, call{path: "/admin/users?" + query, want: `{"items":[],"next":null}`})
	}
	d.callAdmin(t, call{path: userPath(a, ""), not: []string{mobile}, want: strings.TrimSuffix(item, "}") +
		fmt.Sprintf(`,"sessions":[{"id":%q,"productType":0,"deviceNumber":"device-found","deviceName":"Phone"}]}`, a.claims["sid"])})
}

// testOperatorBan: a ban ends all sessions at once; lifting it restores none
//
func testOperatorBan(t *testing.T, d *deployment) {
	a := d.login(t, form{Mobile: d.number()})
	mobile := a.UserInfo.Mobile
	d.login(t, form{Mobile: mobile, ProductType: 1})
	until := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	banned := d.callAdmin(t, call{path: userPath(a, "/ban"), as: bobKey, body: `{"reason":"fraud"}`, want: `{"ended":2}`, headers: headersOf("X-Request-Id", "ban-1")})
	d.callAdmin(t, call{path: userPath(a, ""), want: `{"banned":true,"bannedUntil":null,"banReason":"fraud","sessions":[]}`})
	d.callAdmin(t, call{path: userPath(a, "/ban"), body: fmt.Sprintf(`{"reason":"less","until":%q}`, until.Format(time.RFC3339)), want: `{"ended":0}`})
	d.wantState(t, a.AccessToken.Value, "device-banned", "banned")
	d.wantReason(t, a, "banned")
	f := form{Mobile: mobile, ValidateNo: d.sendCode(t, mobile, 0)} // a code like any user
	d.do(t, call{path: "/auth/mobile/login", body: jsonOf(t, form{Mobile: mobile, ValidateNo: "0000000000"}), code: 40002})
	d.do(t, call{path: "/auth/mobile/login", body: jsonOf(t, f), code: 40300, want: fmt.Sprintf(`{"until":%q}`, until.Format(time.RFC3339))})
	d.do(t, call{path: "/auth/mobile/login", body: jsonOf(t, f), code: 40002}) // the code is used up
	for range 2 {                                                              // without a body, twice
		d.callAdmin(t, call{method: http.MethodPost, path: userPath(a, "/unban"), want: `null`})
	}
	d.wantState(t, a.AccessToken.Value, "device-banned", "banned")
	d.login(t, form{Mobile: mobile})
	want := []string{"unban alice null", "unban alice null", `ban alice {"reason":"less","until":"` + until.Format(time.RFC3339) + `"}`, `ban bob {"reason":"fraud"}`}
	var got []string
	for _, e := range d.allEvents(t, userPath(a, "/timeline")) {
		if e.SessionID == "" && strings.HasSuffix(e.Kind, "ban") {
			got = append(got, fmt.Sprintf("%s %s %s", e.Kind, e.Actor, e.Detail))
			if e.IP != "127.0.0.1" || e.RequestID == "" || e.Actor == "bob" && e.RequestID != banned.header.Get("X-Request-Id") {
				t.Errorf("line %+v", e)
			}
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("the timeline tells %q, want %q", got, want)
	}
}

// wantReason checks that every other call of an ended session returns the reason
// too.
func (d *deployment) wantReason(t *testing.T, a account, reason string) {
	t.Helper()
	want := fmt.Sprintf(`{"reason":%q}`, reason)
	d.do(t, call{path: "/app/auth/user", as: a.AccessToken.Value, code: 40103, want: want})
	d.do(t, call{path: refreshPath, body: pairBody(a.AccessToken.Value, a.RefreshToken.Value), code: 40103, want: want})
}

// testKick: by session, by product, all. Each answer has the number of ended
// sessions, and the device gets the reason.
func testKick(t *testing.T, d *deployment) {
	mobile := d.number()
	app, pad := d.login(t, form{Mobile: mobile}), d.login(t, form{Mobile: mobile, ProductType: 3})
	pad2, pc := d.login(t, form{Mobile: mobile, ProductType: 3}), d.login(t, form{Mobile: mobile, ProductType: 1})
	stranger := d.login(t, form{Mobile: d.number()})
	for _, step := range []struct {
		body  string
		ended int
		gone  *account
	}{
		{fmt.Sprintf(`{"reason":"r","sessionId":%q}`, stranger.claims["sid"]), 0, nil},
		{`{"reason":"r","sessionId":"NOBODYS"}`, 0, nil},
		{fmt.Sprintf(`{"reason":"r","productType":0,"sessionId":%q}`, pad.claims["sid"]), 0, nil},
		{fmt.Sprintf(`{"reason":"r","sessionId":%q}`, pad.claims["sid"]), 1, &pad},
		{fmt.Sprintf(`{"reason":"r","sessionId":%q}`, pad.claims["sid"]), 0, &pad},
		{`{"reason":"r","productType":3}`, 1, &pad2},
		{`{"reason":"r","productType":9}`, 0, nil},
		{`{"reason":"r","productType":0}`, 1, &app},
		{`{"reason":"r"}`, 1, &pc},
		{`{"reason":"r"}`, 0, &pc},
	} {
		d.callAdmin(t, call{path: userPath(app, "/kick"), body: step.body, want: fmt.Sprintf(`{"ended":%d}`, step.ended)})
		if step.gone != nil {
			d.wantState(t, step.gone.AccessToken.Value, "device-kicked", "kicked")
			d.wantReason(t, *step.gone, "kicked")
		}
	}
	d.wantState(t, stranger.AccessToken.Value, "device-stranger", "bound")
	again := d.login(t, form{Mobile: mobile}) // kicked is not banned
	d.do(t, call{path: "/app/auth/sessions?ended=true", as: again.AccessToken.Value, want: `[{"reason":"kicked","by":null},{"reason":"kicked"},{"reason":"kicked"},{"reason":"kicked"}]`})
}

// testAdminInput: invalid input is refused with the names of its fields and never
// causes an internal error.
func testAdminInput(t *testing.T, d *deployment) {
	a := d.login(t, form{Mobile: d.number()})
	long, past := strings.Repeat("长", 257), time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)
	for path, fields := range map[string][]string{
		"/admin/users?externalId=" + long:                                {"externalId length"},
		"/admin/users?externalId=a%0Ab":                                  {"externalId charset"},
		"/admin/users?source=" + long:                                    {"source length"},
		"/admin/users?companyType=x":                                     {"companyType format"},
		"/admin/users?companyType=2147483648":                            {"companyType format"},
		"/admin/users?banned=1":                                          {"banned format"},
		"/admin/users?banned=True":                                       {"banned format"},
		"/admin/users?limit=0":                                           {"limit range"},
		"/admin/users?limit=201":                                         {"limit range"},
		"/admin/users?limit=x":                                           {"limit format"},
		"/admin/users?from=2026-01-02":                                   {"from format"},
		"/admin/users?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z": {"from range"},
		"/admin/users?cursor=x":                                          {"cursor format"},
		"/admin/users?cursor=42":                                         {"cursor unknown"},
		"/admin/users?id=x":                                              {"id format"},
		"/admin/users?id=0":                                              {"id format"},
		"/admin/users?id=-1":                                             {"id format"},
		"/admin/users?id=9223372036854775808":                            {"id format"},
		"/admin/users?id=1&id=2":                                         {"id duplicate"},
		"/admin/users?mobile=1&mobile=1":                                 {"mobile duplicate"},
		"/admin/audit?cursor=x":                                          {"cursor format"},
		"/admin/audit?cursor=-1":                                         {"cursor format"},
		"/admin/audit?cursor=%2B1":                                       {"cursor format"},
		"/admin/audit?cursor=9223372036854775807":                        {"cursor format"},
		"/admin/audit?cursor=9223372036854775806":                        {"cursor unknown"},
		"/admin/audit?kind=nothing":                                      {"kind unknown"},
		"/admin/audit?kind=Login":                                        {"kind unknown"},
		"/admin/audit?userId=abc":                                        {"userId format"},
		"/admin/audit?userId=0":                                          {"userId format"},
		"/admin/audit?from=yesterday":                                    {"from format"},
		"/admin/audit?from=2026-01-02":                                   {"from format"},
		"/admin/audit?to=1767312000":                                     {"to format"},
		"/admin/audit?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z": {"from range"},
		"/admin/stats?step=week":                                         {"step unknown"},
		"/admin/stats?step=minute":                                       {"from range"},
		"/admin/stats?from=x":                                            {"from format"},
		"/admin/stats?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z": {"from range"},
		"/admin/stats?from=2026-01-02T00:00:00Z&to=2026-01-02T00:00:00Z": {"from range"},
		"/admin/stats?from=2100-01-01T00:00:00Z":                         {"from range"},
		userPath(a, "/timeline?cursor=x"):                                {"cursor format"},
	} {
		d.callAdmin(t, call{path: path, code: 40000, fields: fields})
	}
	for _, path := range []string{"/admin/audit?from=1969-01-01T00:00:00Z", "/admin/stats?from=0001-01-01T00:00:00Z&to=9999-12-31T00:00:00Z"} {
		if a := d.callAdmin(t, call{path: path}); !strings.Contains(string(a.data), `"items":[{`) {
			t.Errorf("%s: %s", path, a.data)
		}
	}
	for body, fields := range map[string][]string{
		`{}`:                                    {"reason required"},
		`{"reason":""}`:                         {"reason required"},
		`{"reason":null}`:                       {"reason type"},
		`{"reason":1}`:                          {"reason type"},
		`{"reason":"a\nb"}`:                     {"reason charset"},
		`{"reason":"` + long + `"}`:             {"reason length"},
		`{"reason":"r","until":1}`:              {"until type"},
		`{"reason":"r","until":null}`:           {"until type"},
		`{"reason":"r","until":"tomorrow"}`:     {"until format"},
		`{"reason":"r","until":"` + past + `"}`: {"until range"},
		`[]`:                                    {"body format"},
		`{"reason":"r"`:                         {"body format"},
		`{"reason":"r","reason":"r"}`:           {"body duplicate"},
	} {
		d.callAdmin(t, call{path: userPath(a, "/ban"), body: body, code: 40000, fields: fields})
	}
	for body, fields := range map[string][]string{
		`{}`:                                      {"reason required"},
		`{"reason":"r","productType":"0"}`:        {"productType type"},
		`{"reason":"r","productType":null}`:       {"productType type"},
		`{"reason":"r","productType":2147483648}`: {"productType range"},
		`{"reason":"r","sessionId":""}`:           {"sessionId length"},
		`{"reason":"r","sessionId":7}`:            {"sessionId type"},
		`{"productType":"0","sessionId":7}`:       {"reason required", "productType type", "sessionId type"},
	} {
		d.callAdmin(t, call{path: userPath(a, "/kick"), body: body, code: 40000, fields: fields})
	}
	d.callAdmin(t, call{path: "/admin/users?mobile=12345", code: 40001})
	d.callAdmin(t, call{path: "/admin/users?mobile=%2B12025550100", code: 40001})
	for _, id := range []string{"42", "0", "x", "-1", "007", "9223372036854775808", "1%20OR%201=1"} {
		d.callAdmin(t, call{path: "/admin/users/" + id, code: 40400})
		d.callAdmin(t, call{path: "/admin/users/" + id + "/timeline", code: 40400})
		for _, act := range []string{"ban", "unban", "kick", "unlock"} {
			d.callAdmin(t, call{path: "/admin/users/" + id + "/" + act, body: `{"reason":"r"}`, code: 40400})
		}
	}
	d.callAdmin(t, call{path: "/admin/audit", method: http.MethodDelete, code: 40500})
	d.callAdmin(t, call{path: "/admin/audit/", code: 40400})
	d.wantState(t, a.AccessToken.Value, "device-unharmed", "bound")
}

// stats are the numbers of one hour or day.
type stats struct {
	From                  time.Time
	Codes                 struct{ Sent, Redeemed, Failed int }
	Registrations, Logins []struct {
		ProductType int
		Source      string
		Count       int
	}
	Displaced, Kicked, Reuse int
	Events                   map[string]int
	Returned                 []struct{ Count int }
	Vendors                  []struct {
		Provider, Region          string
		Sent, Redeemed, Delivered int
	}
}

// testStats: exact counts of a program that has done nothing else.
func testStats(t *testing.T, d *deployment) {
	mobile := d.number()
	a := d.login(t, form{Mobile: mobile, Source: "ios"})
	d.login(t, form{Mobile: mobile, Source: "ios"}) // displaces
	pc := d.login(t, form{Mobile: mobile, Source: "", ProductType: 1})
	d.login(t, form{Mobile: d.number(), Source: `an"droid`})
	d.sendCode(t, mobile, 0) // never used
	for range 3 {            // one folded event
		d.do(t, call{path: "/auth/mobile/login", body: jsonOf(t, form{Mobile: mobile, ValidateNo: "0000000000"}), code: 40002})
	}
	d.callAdmin(t, call{path: userPath(a, "/kick"), body: `{"reason":"r","productType":1}`, want: `{"ended":1}`})
	d.callAdmin(t, call{path: userPath(a, "/kick"), body: `{"reason":"r","productType":1}`, want: `{"ended":0}`}) // an act that ends nothing
	d.wantState(t, pc.AccessToken.Value, "device-kicked", "kicked")

	d.callAdmin(t, call{path: "/admin/stats?from=2100-01-01T00:00:00Z&to=2100-01-02T00:00:00Z", want: `{"items":[],"next":null}`})
	for name, query := range map[string]string{
		"the last day, by the hour": "",
		"four days, by the day":     "?from=" + time.Now().Add(-4*24*time.Hour).UTC().Format(time.RFC3339),
	} {
		var data struct {
			Items          []stats
			Next           *string
			ActiveSessions map[string]int
		}
		if err := json.Unmarshal(d.callAdmin(t, call{path: "/admin/stats" + query}).data, &data); err != nil {
			t.Fatal(err)
		}
		if want := map[string]int{"0": 2}; !maps.Equal(data.ActiveSessions, want) || data.Next != nil {
			t.Errorf("%s: active sessions are %v, want %v; next is %v", name, data.ActiveSessions, want, data.Next)
		}
		got := map[string]int{}
		for _, s := range data.Items { // two, if the hour has changed meanwhile
			step := time.Hour
			if query != "" {
				step = 24 * time.Hour
			}
			if !s.From.Equal(s.From.UTC().Truncate(step)) {
				t.Errorf("%s: a bucket begins at %s", name, s.From)
			}
			for what, n := range map[string]int{
				"sent": s.Codes.Sent, "redeemed": s.Codes.Redeemed, "failed": s.Codes.Failed, "displaced": s.Displaced, "kicked": s.Kicked, "reuse": s.Reuse,
				"logins": s.Events["login"],
			} {
				got[what] += n
			}
			for _, part := range s.Logins {
				got[fmt.Sprintf("login %d %s", part.ProductType, part.Source)] += part.Count
			}
			got["returned"] += len(s.Returned) // no account is a day old
			for _, v := range s.Vendors {
				got["sent to "+v.Region] += v.Sent
				got["redeemed in "+v.Region] += v.Redeemed
			}
			for _, part := range s.Registrations {
				got[fmt.Sprintf("register %d %s", part.ProductType, part.Source)] += part.Count
			}
		}
		want := map[string]int{
			"returned": 0, "sent to CN": 5, "redeemed in CN": 4,
			"sent": 5, "redeemed": 4, "failed": 3, "displaced": 1, "kicked": 1, "reuse": 0, "logins": 4,
			"login 0 ios": 2, "login 1 ": 1, `login 0 an"droid`: 1, "register 0 ios": 1, `register 0 an"droid`: 1,
		}
		if !maps.Equal(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}

// testKickWar: two devices that displace each other appear in the log and in the
// metrics.
func testKickWar(t *testing.T, d *deployment) {
	before := d.eventCount(t, "kick_war")
	mobile := d.number()
	var a account
	for turn := range 6 { // the first login displaces no session
		device := []string{"device-at-war-1", "device-at-war-2"}[turn%2]
		a = d.login(t, form{Mobile: mobile}, "X-Device-Number", device, "X-Device-Name", "Phone "+device[len(device)-1:])
	}
	wars := slices.DeleteFunc(d.allEvents(t, userPath(a, "/timeline")), func(e event) bool { return e.Kind != "kick_war" })
	if len(wars) != 1 || wars[0].Actor != "system" || string(wars[0].Detail) != `{"group":"app","times":"5"}` {
		t.Errorf("the wars are %+v", wars)
	}
	if after := d.eventCount(t, "kick_war"); before != "0" || after != "1" {
		t.Errorf("the counter was %s and is %s", before, after)
	}
	if registered := d.eventCount(t, "register"); registered != d.value(t, "SELECT COUNT(*) FROM events WHERE kind = 'register'") {
		t.Errorf("%s were registered", registered)
	}
}

// TestAdminLimits: wrong keys use up the limit of their address; a right key is
// never limited.
func TestAdminLimits(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, repository.SQLite, operatorKeys(), "LIMITS_ENABLED=true", "LIMITS_OTHER=3")
	d.start(t)
	for range 20 {
		d.callAdmin(t, call{path: "/admin/users?id=1"})
	}
	for range 3 {
		d.callAdmin(t, call{path: "/admin/users?id=1", as: strings.Repeat("x", 40), code: 40100})
	}
	d.callAdmin(t, call{path: "/admin/users?id=1", as: strings.Repeat("x", 40), code: 42900})
	d.callAdmin(t, call{path: "/admin/users?id=1", headers: headersOf("Authorization", "Basic x"), code: 42900})
	d.callAdmin(t, call{path: "/internal/revocations", headers: basic(clientID, "wrong"), code: 42900})
	d.callAdmin(t, call{path: "/admin/users?id=1"})
	d.do(t, call{path: "/none", code: 40400}) // the public listener has a share of its own
}
