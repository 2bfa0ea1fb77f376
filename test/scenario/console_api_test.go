package scenario

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"menshen/repository/dbtest"
)

// TestConsoleAPI tests what the admin API has for the console's sake.
func TestConsoleAPI(t *testing.T) {
	t.Parallel()
	for _, driver := range dbtest.Drivers(t) {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			d := newDeployment(t, driver, "CODE_LENGTH=10", "CODE_COOLDOWN=0s", `ADMIN_KEYS=[{"name":"alice","key":"`+aliceKey+`"},{"name":"bob","key":"`+bobKey+`"},{"name":"carol","key":"`+carolKey+`","companies":[0,1]}]`,
				`PRODUCTS=[{"type":0,"group":"app"},{"type":1,"group":"pc","max_sessions":1,"on_conflict":"reject"},{"type":3,"group":"pads","max_sessions":2}]`)
			d.start(t)
			for _, area := range []struct {
				name string
				test func(*testing.T, *deployment)
			}{{"simulate", testSimulate}, {"follow", testFollow}, {"health", testHealth}, {"config", testShownConfig}} {
				t.Run(area.name, func(t *testing.T) { area.test(t, d) })
			}
		})
	}
}

// carolKey is of the companies 0 and 1.
const carolKey = "carol-0123456789-0123456789-0123456789"

// simulation is the body of a request to simulate.
func simulation(a account, product int, device string) string {
	body := fmt.Sprintf(`{"userId":%d,"productType":%d`, a.UserInfo.ID, product)
	if device != "" {
		body += fmt.Sprintf(`,"deviceNumber":%q`, device)
	}
	return body + "}"
}

// testSimulate: a simulation says what the login then does, and changes nothing.
func testSimulate(t *testing.T, d *deployment) {
	const path = "/admin/simulate"
	a := d.login(t, form{Mobile: d.number()}, "X-Device-Number", "device-first")
	mobile := a.UserInfo.Mobile
	sid, _ := a.claims["sid"].(string)
	ends := func(id, reason string) string {
		return fmt.Sprintf(`{"ends":[{"id":%q,"reason":%q}],"refused":null}`, id, reason)
	}
	none := `{"ends":[],"refused":null}`
	for range 2 {
		d.callAdmin(t, call{path: path, body: simulation(a, 0, ""), want: ends(sid, "displaced")})
		d.callAdmin(t, call{path: path, body: simulation(a, 0, "device-second"), want: ends(sid, "displaced")})
		d.callAdmin(t, call{path: path, body: simulation(a, 0, "device-first"), want: ends(sid, "relogin")})
		d.callAdmin(t, call{path: path, body: simulation(a, 1, "device-first"), want: none})
	}
	d.wantState(t, a.AccessToken.Value, "device-first", "active")
	b := d.login(t, form{Mobile: mobile, ProductType: 1}, "X-Device-Number", "device-pc")
	d.callAdmin(t, call{path: path, body: simulation(a, 1, "device-other"), want: `{"ends":[],"refused":40900}`})
	pc, _ := b.claims["sid"].(string)
	d.callAdmin(t, call{path: path, body: simulation(a, 1, "device-pc"), want: ends(pc, "relogin")})
	d.login(t, form{Mobile: mobile, ProductType: 3})
	d.callAdmin(t, call{path: path, body: simulation(a, 3, ""), want: none})
	d.callAdmin(t, call{path: userPath(a, "/ban"), body: `{"reason":"x"}`})
	d.callAdmin(t, call{path: path, body: simulation(a, 0, ""), want: `{"ends":[],"refused":40300}`})
	d.callAdmin(t, call{path: path, body: simulation(a, 9, ""), code: 40000, fields: []string{"productType unknown"}})
	d.callAdmin(t, call{path: path, body: `{"userId":1,"productType":0}`, code: 40400})
	d.callAdmin(t, call{path: path, body: `{"userId":0,"productType":"0","deviceNumber":"null"}`, code: 40000, fields: []string{"userId range", "productType type", "deviceNumber format"}})
	d.callAdmin(t, call{path: path, body: `{"userId":1.5}`, code: 40000, fields: []string{"userId type", "productType required"}})
	d.callAdmin(t, call{path: path, body: simulation(a, 0, ""), as: "x", code: 40100})
	timeline := d.callAdmin(t, call{path: userPath(a, "/timeline"), as: bobKey})
	if !strings.Contains(string(timeline.raw), `"kind":"viewed"`) {
		t.Errorf("no look is recorded: %s", timeline.raw)
	}
}

type eventPage struct {
	Items []struct {
		ID     int64
		Kind   string
		UserID *int64
	}
	Next *string
}

// testFollow: who follows the log misses no event and sees none twice; a held request is
// answered by the next event.
func testFollow(t *testing.T, d *deployment) {
	a := d.login(t, form{Mobile: d.number()})
	cursor := "0"
	seen := map[int64]bool{}
	follow := func(wait int, filter string) (p eventPage) {
		t.Helper()
		answer := d.callAdmin(t, call{path: fmt.Sprintf("/admin/audit?after=%s&wait=%d%s", cursor, wait, filter)})
		if err := json.Unmarshal(answer.data, &p); err != nil || p.Next == nil {
			t.Fatalf("%v: %s", err, answer.raw)
		}
		for _, item := range p.Items {
			if seen[item.ID] {
				t.Errorf("event %d is shown twice", item.ID)
			}
			seen[item.ID] = true
		}
		cursor = *p.Next
		return p
	}
	mine := fmt.Sprintf("&userId=%d", a.UserInfo.ID)
	var kinds []string
	for !slices.Contains(kinds, "kick") { // each response is held until the next event is old enough
		page := follow(20, mine)
		if len(page.Items) == 0 {
			t.Fatalf("nothing within 20 s after %v", kinds)
		}
		kicked := slices.Contains(kinds, "login")
		for _, item := range page.Items {
			if kinds = append(kinds, item.Kind); *item.UserID != a.UserInfo.ID {
				t.Errorf("an event of user %d", *item.UserID)
			}
		}
		if !kicked && slices.Contains(kinds, "login") {
			d.callAdmin(t, call{path: userPath(a, "/kick"), body: `{"reason":"followed"}`})
		}
	}
	kinds = slices.DeleteFunc(kinds, func(kind string) bool { return kind == "viewed" })
	if got := strings.Join(kinds, " "); got != "register login kick" {
		t.Errorf("followed %s", got)
	}
	cursor = ""
	if page := follow(0, mine); len(page.Items) != 0 || *page.Next == "" || *page.Next == "0" {
		t.Errorf("an empty cursor is not the present: %+v", page)
	}
	items := func(key string) (ids []int64) {
		var p eventPage
		answer := d.callAdmin(t, call{path: "/admin/audit?after=0", as: key, not: []string{`"code":"`}})
		if err := json.Unmarshal(answer.data, &p); err != nil {
			t.Fatal(err)
		}
		for _, item := range p.Items {
			ids = append(ids, item.ID)
		}
		return ids
	}
	if all, some := items(aliceKey), items(carolKey); len(some) < 3 || len(all) < len(some) || !slices.IsSorted(all) || !slices.IsSorted(some) {
		t.Errorf("a key of all companies follows %v, one of two %v", all, some)
	}
	for query, problem := range map[string]string{"after=x": "after format", "after=-1": "after format", "after=9007199254740991": "after unknown", "after=0&wait=31": "wait range", "after=0&cursor=1": "cursor conflict", "after=0&kind=x": "kind unknown"} {
		d.callAdmin(t, call{path: "/admin/audit?" + query, code: 40000, fields: []string{problem}})
	}
}

// testHealth: instances with their signs of life, database, lag, keys and doctor's checks.
func testHealth(t *testing.T, d *deployment) {
	a := d.callAdmin(t, call{path: "/admin/health"})
	var health struct {
		Instances []struct {
			ID, Version       string
			StartedAt, SeenAt time.Time
		}
		Database struct {
			Driver, Version string
			OK              bool
		}
		FollowerLagSeconds *float64
		Keys               []struct {
			Kid, Algorithm string
			Signs          bool
		}
		Checks []struct {
			Name, Detail string
			OK           bool
		}
	}
	if err := json.Unmarshal(a.data, &health); err != nil {
		t.Fatalf("%v: %s", err, a.raw)
	}
	if len(health.Instances) != 1 || health.Instances[0].Version != version || health.Instances[0].ID == "" || health.Instances[0].SeenAt.Before(health.Instances[0].StartedAt) {
		t.Errorf("instances: %+v", health.Instances)
	}
	if !health.Database.OK || health.Database.Driver != d.driver || health.Database.Version == "" || health.FollowerLagSeconds == nil {
		t.Errorf("database: %+v", health)
	}
	if len(health.Keys) != 1 || !health.Keys[0].Signs || health.Keys[0].Algorithm != "ES256" || health.Keys[0].Kid == "" {
		t.Errorf("keys: %+v", health.Keys)
	}
	for _, name := range []string{"database", "file modes", "key folder", "vendor webhook"} {
		found := false
		for _, c := range health.Checks {
			found = found || c.Name == name && c.OK
		}
		if !found {
			t.Errorf("no good check %s in %+v", name, health.Checks)
		}
	}
	d.callAdmin(t, call{path: "/admin/health", as: "x", code: 40100})
	other := d.restartAs(t)
	if len(other) != 1 || other[0] == health.Instances[0].ID {
		t.Errorf("instances after a restart: %v, before %s", other, health.Instances[0].ID)
	}
}

// restartAs restarts the program and returns the ids of the instances.
func (d *deployment) restartAs(t *testing.T) (ids []string) {
	t.Helper()
	d.stop(t)
	d.start(t)
	var health struct{ Instances []struct{ ID string } }
	for len(health.Instances) == 0 { // the first sign of life comes a moment after the start
		if err := json.Unmarshal(d.callAdmin(t, call{path: "/admin/health"}).data, &health); err != nil {
			t.Fatal(err)
		}
	}
	for _, i := range health.Instances {
		ids = append(ids, i.ID)
	}
	return ids
}

// testShownConfig: the configuration in force, with every secret masked.
func testShownConfig(t *testing.T, d *deployment) {
	d.callAdmin(t, call{
		path: "/admin/config", not: []string{aliceKey, gatewaySecret, strings.TrimPrefix(gatewaySecret, "whsec_")},
		want: `{"env":"dev","code":{"length":10,"ttl":"5m"},"sms":{"provider":"webhook","webhook":{"secret":"***"}},"products":[{"type":0,"group":"app"},{"type":1,"on_conflict":"reject"},{"type":3,"max_sessions":2}]}`,
	})
	d.callAdmin(t, call{path: "/admin/config", as: "x", code: 40100})
}
