package scenario

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"menshen/repository/dbtest"
	"menshen/router"
)

// adminRequest is a request of the admin API about a person.
type adminRequest struct {
	route  string // with its method
	path   string // {id} and {mobile} stand for those of the person
	body   string // of DELETE too
	leaves string // the kind of event about the person; "": it shows no single person
	own    bool   // a test of its own shows what it leaves
}

// adminRequests has a row for each way in which a route is asked.
var adminRequests = []adminRequest{
	{route: "DELETE /admin/users/:id", path: "/admin/users/{id}", body: `{"reason":"r"}`, leaves: "user_deleted", own: true},
	{route: "POST /admin/users/:id/mobile", path: "/admin/users/{id}/mobile", body: `{"mobile":"13700000001","validateNo":"0000000000","reason":"r"}`, leaves: "number_changed", own: true},
	{route: "POST /admin/users/:id/code", path: "/admin/users/{id}/code", body: `{"mobile":"13700000002"}`, leaves: "code_sent"},
	{route: "GET /admin/users/:id/export", path: "/admin/users/{id}/export", leaves: "exported"},
	{route: "GET /admin/users", path: "/admin/users?mobile={mobile}", leaves: "viewed"},
	{route: "GET /admin/users", path: "/admin/users?id={id}", leaves: "viewed"},
	{route: "GET /admin/users", path: "/admin/users?id={id}&mobile={mobile}", leaves: "viewed"},
	{route: "GET /admin/users/:id", path: "/admin/users/{id}", leaves: "viewed"},
	{route: "GET /admin/users/:id/timeline", path: "/admin/users/{id}/timeline", leaves: "viewed"},
	{route: "GET /admin/numbers", path: "/admin/numbers?mobile={mobile}", leaves: "viewed"},
	{route: "GET /admin/audit", path: "/admin/audit?userId={id}&kind=login", leaves: "viewed"},
	{route: "GET /admin/audit", path: "/admin/audit"},
	{route: "GET /admin/stats", path: "/admin/stats"},
	{route: "GET /admin/messages", path: "/admin/messages?mobile={mobile}", leaves: "viewed"},
	{route: "GET /admin/messages", path: "/admin/messages?userId={id}", leaves: "viewed"},
	{route: "GET /admin/messages", path: "/admin/messages"},
	{route: "GET /admin/me", path: "/admin/me"},
	{route: "GET /admin/health", path: "/admin/health"},
	{route: "GET /admin/config", path: "/admin/config"},
	{route: "POST /admin/simulate", path: "/admin/simulate", body: `{"userId":{id},"productType":0}`, leaves: "viewed"},
	{route: "POST /admin/users/:id/ban", path: "/admin/users/{id}/ban", body: `{"reason":"r"}`, leaves: "ban"},
	{route: "POST /admin/users/:id/unban", path: "/admin/users/{id}/unban", body: `{}`, leaves: "unban"},
	{route: "POST /admin/users/:id/kick", path: "/admin/users/{id}/kick", body: `{"reason":"r","productType":9}`, leaves: "kick"},
	{route: "POST /admin/users/:id/unlock", path: "/admin/users/{id}/unlock", body: `{"reason":"r"}`, leaves: "unlocked"},
	{route: "POST /admin/numbers/unlock", path: "/admin/numbers/unlock", body: `{"mobile":"{mobile}","reason":"r"}`, leaves: "unlocked"},
	{route: "POST /admin/users", path: "/admin/users", body: `{"companyType":0,"mobile":"{mobile}"}`},
	{route: "PATCH /admin/users/:id", path: "/admin/users/{id}", body: `{"nickName":"n","metadata":{"a":1}}`, leaves: "user_changed"},
}

// keyless are the paths of the admin listener that need no operator's key.
var keyless = []string{"/swagger", "/swagger/*path", "/metrics", "/healthz", "/readyz", "/internal/revocations"}

// TestAdminRequestsAreAll: each route that needs an operator's key has a row, and one that
// names a person leaves an event.
func TestAdminRequestsAreAll(t *testing.T) {
	engine, ok := router.Admin{Metrics: http.NotFoundHandler(), Profiling: true}.Handler().(*gin.Engine)
	if !ok {
		t.Fatal("the admin listener is no gin engine")
	}
	tested := map[string]bool{}
	for _, r := range adminRequests {
		tested[r.route] = true
		if r.leaves == "" && (strings.Contains(r.path, "{") || strings.Contains(r.route, ":id")) {
			t.Errorf("%s leaves no event", r.path)
		}
	}
	served := 0
	for _, route := range engine.Routes() {
		if route.Method == http.MethodHead || slices.Contains(keyless, route.Path) || strings.HasPrefix(route.Path, "/debug/pprof") {
			continue
		}
		served++
		if !tested[route.Method+" "+route.Path] {
			t.Errorf("%s %s is in no row of adminRequests", route.Method, route.Path)
		}
	}
	if served != len(tested) {
		t.Errorf("%d routes are served, %d have rows", served, len(tested))
	}
}

// about returns the request with the person's id and number.
func (r adminRequest) about(a account) call {
	fill := strings.NewReplacer("{id}", strconv.FormatInt(a.UserInfo.ID, 10), "{mobile}", a.UserInfo.Mobile)
	c := call{path: fill.Replace(r.path), body: fill.Replace(r.body)}
	c.method, _, _ = strings.Cut(r.route, " ")
	if r.route == "POST /admin/users" {
		c.code = 40901 // the person has an account
	}
	return c
}

// TestLooksLeaveNames: each request about a person leaves an event with the name of the
// key, looks folded with their number; each request with a key has its name in the access
// log, and one that is refused has none and leaves nothing.
func TestLooksLeaveNames(t *testing.T) {
	const desk = `desk "one" 前台`
	for _, driver := range dbtest.Drivers(t) {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			d := newDeployment(t, driver, "CODE_COOLDOWN=0s",
				"ADMIN_KEYS="+jsonOf(t, []map[string]string{{"name": desk, "key": aliceKey}, {"name": "bob", "key": bobKey}}))
			d.start(t)
			for _, r := range adminRequests {
				if r.own {
					continue
				}
				t.Run(r.path, func(t *testing.T) { testLook(t, d, r, desk) })
			}
			t.Run("a number without an account", func(t *testing.T) {
				for _, path := range []string{"/admin/users?mobile=", "/admin/numbers?mobile="} {
					mobile := d.number()
					for range 3 {
						d.callAdmin(t, call{path: path + mobile})
					}
					masked := mobile[:3] + "****" + mobile[7:]
					if got := d.countOf(t, "viewed", 0, desk, masked); got != "3" {
						t.Errorf("%s: the looks are counted %s", path, got)
					}
				}
			})
		})
	}
}

func testLook(t *testing.T, d *deployment, r adminRequest, desk string) {
	a := d.login(t, form{Mobile: d.number()})
	all := func() string { return d.value(t, "SELECT COUNT(*) FROM events") }
	before := all()
	for _, key := range []string{strings.Repeat("x", 40), a.AccessToken.Value, "sha256:" + aliceKey} {
		refused := r.about(a)
		refused.as, refused.code = key, 40100
		if line := d.accessLine(t, d.callAdmin(t, refused)); line["actor"] != nil {
			t.Errorf("a refused key is %v", line["actor"])
		}
	}
	if after := all(); after != before {
		t.Errorf("refused keys leave %s events, there were %s", after, before)
	}
	for key, name := range map[string]string{aliceKey: desk, bobKey: "bob"} {
		row := r.about(a)
		row.as = key
		asked := []answer{d.callAdmin(t, row), d.callAdmin(t, row)}
		if row.body == "" {
			row.method = http.MethodHead
			asked = append(asked, d.callAdmin(t, row))
		}
		for _, answer := range asked {
			if line := d.accessLine(t, answer); line["actor"] != name {
				t.Errorf("the access log has the actor %v, want %s", line["actor"], name)
			}
		}
		if r.leaves == "" {
			continue
		}
		if got, want := d.countOf(t, r.leaves, a.UserInfo.ID, name, ""), strconv.Itoa(len(asked)); got != want {
			t.Errorf("%s left %s of %s, want %s", name, got, r.leaves, want)
		}
	}
	if r.leaves == "" && all() != before {
		t.Errorf("it left %s events, there were %s", all(), before)
	}
	if looks := d.value(t, "SELECT COUNT(*) FROM events WHERE kind = 'viewed' AND user_id = ?", a.UserInfo.ID); r.leaves == "viewed" && looks != "2" && looks != "4" {
		t.Errorf("the looks of two keys are %s events", looks) // four if an hour began meanwhile
	}
}

// countOf returns the number of an actor's events of a kind about a user, repeats
// included, and ends of sessions not. Their detail must have the mobile, masked.
func (d *deployment) countOf(t *testing.T, kind string, user int64, actor, mobile string) string {
	t.Helper()
	return d.value(t, `SELECT COALESCE(SUM(COALESCE(folds.count, 1)), 0) FROM events LEFT JOIN folds ON folds.name = events.fold
WHERE kind = ? AND user_id = ? AND actor = ? AND detail LIKE ? AND session_id = ''`, kind, user, actor, "%"+mobile+"%")
}

// accessLine returns the line of the access log about a request.
func (d *deployment) accessLine(t *testing.T, a answer) (line map[string]any) {
	t.Helper()
	id := fmt.Sprintf(`"msg":"request","requestId":%q`, a.header.Get("X-Request-Id"))
	d.log.await(t, 0, id)
	text := d.log.text()
	from := strings.LastIndex(text[:strings.Index(text, id)], "\n") + 1
	text, _, _ = strings.Cut(text[from:], "\n")
	if err := json.Unmarshal([]byte(text), &line); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return line
}
