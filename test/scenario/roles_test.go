package scenario

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"menshen/repository/dbtest"
)

// needed are the roles of the routes that not every key may use (contract §14).
var needed = map[string]string{
	"POST /admin/users/:id/ban": "support", "POST /admin/users/:id/unban": "support", "POST /admin/users/:id/kick": "support",
	"POST /admin/users/:id/unlock": "support", "POST /admin/numbers/unlock": "support",
	"POST /admin/users": "admin", "PATCH /admin/users/:id": "admin", "POST /admin/users/:id/code": "admin", "POST /admin/users/:id/mobile": "admin", "DELETE /admin/users/:id": "admin", "GET /admin/users/:id/export": "admin", "GET /admin/config": "admin",
}

var roles = []string{"read", "support", "admin"}

// mayDo reports whether a role may do what another one is needed for.
func mayDo(role, needs string) bool {
	order := map[string]int{"": 0, "read": 0, "support": 1, "admin": 2}
	return order[role] >= order[needs]
}

// scope is the companies of a key, and whether the users of company 0 are among them.
type scope struct {
	name      string
	companies []int32
	serves    bool
}

var scopes = []scope{{"all", nil, true}, {"own", []int32{3, 0}, true}, {"foreign", []int32{1, 2}, false}}

func roleKey(role string, s scope) string {
	return role + "-" + s.name + strings.Repeat("-0123456789", 4)
}

// roleKeys are a key for each role and scope.
func roleKeys(t *testing.T) string {
	keys := []map[string]any{{"name": "alice", "key": aliceKey}}
	for _, role := range roles {
		for _, s := range scopes {
			keys = append(keys, map[string]any{"name": role + " " + s.name, "key": roleKey(role, s), "role": role, "companies": s.companies})
		}
	}
	return "ADMIN_KEYS=" + jsonOf(t, keys)
}

// TestRoles: each route by each role with each scope of companies. What a role may not do
// is 40301, whatever is asked, and an event; a user of another company is none.
func TestRoles(t *testing.T) {
	for _, driver := range dbtest.Drivers(t) {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			d := newDeployment(t, driver, "CODE_LENGTH=10", "CODE_COOLDOWN=0s", "CODE_PER_MOBILE_HOUR=0", "CODE_PER_MOBILE_DAY=0", roleKeys(t))
			d.start(t)
			for _, r := range adminRequests {
				a := d.login(t, form{Mobile: d.number()})
				for _, role := range roles {
					for _, s := range scopes {
						t.Run(r.path+" "+role+" "+s.name, func(t *testing.T) { d.testRole(t, r.about(a), roleCell{r, role, s}) })
						if strings.HasPrefix(r.route, "DELETE") {
							a = d.login(t, form{Mobile: d.number()})
						}
					}
				}
			}
			t.Run("lists and counts", func(t *testing.T) { testCompanies(t, d) })
		})
	}
}

// roleCell is a cell of the matrix.
type roleCell struct {
	adminRequest
	role string
	scope
}

func (d *deployment) testRole(t *testing.T, row call, r roleCell) {
	role, s := r.role, r.scope
	denied := func() string { return d.value(t, "SELECT COUNT(*) FROM events WHERE kind = 'denied'") }
	all := func() string { return d.value(t, "SELECT COUNT(*) FROM events") }
	before, events := denied(), all()
	row.as = roleKey(role, s)
	needs := needed[r.route]
	if !mayDo(role, needs) {
		row.code, row.want = 40301, fmt.Sprintf(`{"role":%q,"needs":%q}`, role, needs)
		d.callAdmin(t, row)
		row.path, row.body = regexp.MustCompile(`/[0-9]+`).ReplaceAllString(row.path, "/no-id"), strings.Replace(row.body, "{", "", 1)
		d.callAdmin(t, row) // judged before anything else
		last := d.value(t, "SELECT CONCAT(actor, detail, user_id) FROM events ORDER BY id DESC LIMIT 1")
		want := fmt.Sprintf(`%s %s{"needs":%q,"role":%q,"route":%q}0`, role, s.name, needs, role, r.route)
		if n, _ := strconv.Atoi(before); denied() != strconv.Itoa(n+2) || last != want {
			t.Errorf("%s refusals, there were %s; the last is %s, want %s", denied(), before, last, want)
		}
		return
	}
	person := strings.Contains(r.path, "{id}") && !strings.Contains(r.path, "?") || strings.Contains(r.path, "/numbers") || r.route == "POST /admin/users" || r.route == "POST /admin/simulate"
	switch {
	case !s.serves && person:
		row.code = 40400
	case strings.HasSuffix(r.path, "/mobile"):
		row.code = 40002
	}
	got := d.callAdmin(t, row)
	shown := strings.Contains(string(got.data), `"id":`)
	if !s.serves && person && shown || !s.serves && r.leaves == "viewed" && shown {
		t.Errorf("it shows a user of another company: %s", got.data)
	}
	if s.serves && r.leaves == "viewed" && !strings.Contains(r.path, "/numbers") && !shown {
		t.Errorf("it does not show the user: %s", got.data)
	}
	byNumber := strings.Contains(r.path, "mobile=") // as of a number without an account
	if !s.serves && !byNumber && all() != events || denied() != before {
		t.Errorf("%s events, there were %s", all(), events)
	}
	row.method = http.MethodHead
	if head, _ := d.exchange(t, row.request(t, d.admin)); strings.HasPrefix(r.route, "GET ") && head.status != got.status {
		t.Errorf("HEAD answers %d, GET %d", head.status, got.status)
	}
}

// testCompanies: what lists and counts show to keys of some companies.
func testCompanies(t *testing.T, d *deployment) {
	zero, one := roleKey("read", scopes[1]), roleKey("read", scopes[2])
	mobile := d.number()
	a := d.login(t, form{Mobile: mobile, Source: "s"})
	b := d.login(t, form{Mobile: mobile, CompanyType: 1, Source: "s"})
	for key, want := range map[string]account{zero: a, one: b} {
		item := fmt.Sprintf(`{"items":[{"id":%d,"companyType":%d}],"next":null}`, want.UserInfo.ID, want.UserInfo.CompanyType)
		for _, query := range []string{"mobile=" + mobile, "source=s", "source=s&limit=1"} {
			d.callAdmin(t, call{path: "/admin/users?" + query, as: key, want: item})
		}
		foreign := "/admin/users?source=s&companyType=" + strconv.Itoa(1-int(want.UserInfo.CompanyType))
		d.callAdmin(t, call{path: foreign, as: key, want: `{"items":[],"next":null}`})
		d.callAdmin(t, call{path: foreign + "&mobile=" + mobile, as: key, want: `{"items":[],"next":null}`})
		d.callAdmin(t, call{path: foreign + "&mobile=12345", as: key, code: 40001}) // judged as always
		d.callAdmin(t, call{path: foreign + "&cursor=42", as: key, code: 40000, fields: []string{"cursor unknown"}})
		d.callAdmin(t, call{path: foreign + "&cursor=x&limit=0", as: key, code: 40000, fields: []string{"limit range"}})
		d.callAdmin(t, call{path: "/admin/audit?kind=register&cursor=", as: key})
	}
	var log struct{ Items []event }
	if err := json.Unmarshal(d.callAdmin(t, call{path: "/admin/audit", as: one}).data, &log); err != nil {
		t.Fatal(err)
	}
	for _, e := range log.Items {
		if e.Kind != "code_sent" && (e.UserID == nil || *e.UserID != b.UserInfo.ID) {
			t.Errorf("a key of company 1 sees %+v", e)
		}
	}
	if len(log.Items) < 3 { // code_sent, register, login
		t.Errorf("a key of company 1 sees %d events", len(log.Items))
	}
	cursor := d.value(t, "SELECT MAX(id) FROM events WHERE company_type = 0")
	d.callAdmin(t, call{path: "/admin/audit?cursor=" + cursor, as: one, code: 40000, fields: []string{"cursor unknown"}})
	d.callAdmin(t, call{path: "/admin/users?cursor=" + strconv.FormatInt(a.UserInfo.ID, 10), as: one, code: 40000, fields: []string{"cursor unknown"}})
	d.callAdmin(t, call{path: "/admin/stats", as: one, want: `{"items":[{"codes":{"sent":1,"redeemed":1,"failed":0},"logins":[{"productType":0,"source":"s","count":1}]}],"activeSessions":{"0":1}}`})
	d.callAdmin(t, call{path: "/admin/stats", as: roleKey("read", scope{name: "all"}), want: `{"next":null}`})
	for _, change := range []call{{path: "/app/auth/user"}, {method: http.MethodPatch, path: "/app/auth/user", body: `{"nickName":"n"}`}} {
		change.as = b.AccessToken.Value
		d.do(t, change) // the first one has the session cached
	}
	if got := d.value(t, "SELECT CONCAT(kind, company_type) FROM events WHERE user_id = ? ORDER BY id DESC LIMIT 1", b.UserInfo.ID); got != "user_changed1" {
		t.Errorf("the change of a user of company 1 is the event %s", got)
	}
}
