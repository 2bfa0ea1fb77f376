package scenario

import (
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"menshen/model"
)

// event is a line of the log as operators read it.
type event struct {
	ID        int64
	At        time.Time
	Kind      string
	Text      struct{ Zh, En string }
	UserID    *int64
	SessionID string
	Actor     string
	IP        string
	Device    string
	RequestID string
	Detail    json.RawMessage
}

// eventPage returns one page of a list of events.
func (d *deployment) eventPage(t *testing.T, path string) (events []event, next *string) {
	t.Helper()
	var data struct {
		Items []event
		Next  *string
	}
	if err := json.Unmarshal(d.callAdmin(t, call{path: path}).data, &data); err != nil {
		t.Fatal(err)
	}
	return data.Items, data.Next
}

// allEvents returns all pages of a list.
func (d *deployment) allEvents(t *testing.T, path string) (all []event) {
	t.Helper()
	separator := "?"
	if strings.Contains(path, "?") {
		separator = "&"
	}
	for at := path; ; {
		events, next := d.eventPage(t, at)
		all = append(all, events...)
		if next == nil {
			return all
		}
		at = path + separator + "cursor=" + url.QueryEscape(*next)
	}
}

func kindsOf(events []event) (kinds []string) {
	for _, e := range events {
		kinds = append(kinds, e.Kind)
	}
	return kinds
}

// withoutLooks returns the events that are no looks of operators.
func withoutLooks(events []event) []event {
	return slices.DeleteFunc(events, func(e event) bool { return e.Kind == "viewed" })
}

// testTimeline: a user's events as sentences, newest first, page by page.
func testTimeline(t *testing.T, d *deployment) {
	a := d.login(t, form{Mobile: d.number()})
	d.wantState(t, a.AccessToken.Value, "device-of-timeline", "bound")
	d.callAdmin(t, call{path: userPath(a, "/kick"), body: `{"reason":"<r> & \"q\""}`, want: `{"ended":1}`})
	d.callAdmin(t, call{path: userPath(a, "/kick"), as: bobKey, body: `{"reason":"again"}`, want: `{"ended":0}`})
	d.callAdmin(t, call{path: userPath(a, "/ban"), body: `{"reason":"b"}`})
	d.callAdmin(t, call{path: userPath(a, "/unban"), body: `{}`})
	events := d.allEvents(t, userPath(a, "/timeline"))
	if got, want := kindsOf(events), []string{"unban", "ban", "kick", "kick", "device_bound", "login", "register"}; !slices.Equal(got, want) {
		t.Errorf("the timeline is %v, want %v", got, want)
	}
	for i, e := range events {
		zh, en := model.Kind(e.Kind).Sentence()
		if idle := e.Kind == "kick" && e.SessionID == ""; idle {
			zh, en = "管理员执行了踢下线，但没有可结束的会话", "An operator's kick found no session to end."
			if e.Actor != "bob" || string(e.Detail) != `{"reason":"again"}` || e.IP == "" || e.RequestID == "" {
				t.Errorf("line %+v", e)
			}
		}
		if e.Text.Zh != zh || e.Text.En != en || e.UserID == nil || *e.UserID != a.UserInfo.ID || i > 0 && e.At.After(events[i-1].At) {
			t.Errorf("line %+v", e)
		}
		var detail struct{ Reason string }
		if e.Kind == "kick" && e.SessionID != "" && (json.Unmarshal(e.Detail, &detail) != nil || detail.Reason != `<r> & "q"` || e.SessionID != a.claims["sid"]) {
			t.Errorf("line %+v", e)
		}
	}
	for range 60 {
		d.callAdmin(t, call{path: userPath(a, "/unban"), body: `{}`})
	}
	first, next := d.eventPage(t, userPath(a, "/timeline"))
	if len(first) != 50 || next == nil {
		t.Fatalf("the first page has %d lines and the cursor %v", len(first), next)
	}
	if all := withoutLooks(d.allEvents(t, userPath(a, "/timeline"))); len(all) != 67 || kindsOf(all)[66] != "register" {
		t.Errorf("in all %d lines: %v", len(all), kindsOf(all))
	}
	d.callAdmin(t, call{path: "/admin/users/42/timeline", code: 40400})
}

// testAudit: filters work alone and together, and pages neither repeat nor lose
// events.
func testAudit(t *testing.T, d *deployment) {
	a := d.login(t, form{Mobile: d.number()})
	d.callAdmin(t, call{path: userPath(a, "/kick"), as: bobKey, body: `{"reason":"audit"}`})
	newest := d.allEvents(t, "/admin/audit")
	ids := map[int64]bool{}
	for i, e := range newest {
		ids[e.ID] = true
		if i > 0 && e.ID >= newest[i-1].ID {
			t.Errorf("line %d comes after %d", e.ID, newest[i-1].ID)
		}
	}
	if total := d.value(t, "SELECT COUNT(*) FROM events"); fmt.Sprint(len(ids)) != total || len(ids) != len(newest) {
		t.Errorf("%d lines, %d of them different; the log has %s", len(newest), len(ids), total)
	}
	mine := fmt.Sprintf("userId=%d", a.UserInfo.ID)
	for query, want := range map[string][]string{
		mine:                                {"kick", "login", "register"},
		mine + "&kind=kick":                 {"kick"},
		mine + "&kind=ban":                  nil,
		mine + "&actor=bob":                 {"kick"},
		mine + "&actor=alice":               nil,
		mine + "&actor=user&kind=login":     {"login"},
		mine + "&from=2020-01-01T00:00:00Z": {"kick", "login", "register"},
		mine + "&from=2020-01-01T08:00:00%2B08:00&to=2100-01-01T00:00:00Z": {"kick", "login", "register"},
		mine + "&to=2020-01-01T00:00:00Z":                                  nil,
		mine + "&from=2100-01-01T00:00:00Z":                                nil,
		"actor=nobody' OR '1'='1":                                          nil,
		"actor=BOB":                                                        nil,
		"kind=kick&actor=bob&" + mine + "&x=1":                             {"kick"},
	} {
		if got := kindsOf(withoutLooks(d.allEvents(t, "/admin/audit?"+strings.ReplaceAll(query, " ", "%20")))); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", query, got, want)
		}
	}
}

// eventCount returns the counter of a kind of events.
func (d *deployment) eventCount(t *testing.T, kind string) string {
	t.Helper()
	found := regexp.MustCompile(`(?m)^menshen_events_total\{kind="` + kind + `"\} (\d+)$`).FindStringSubmatch(d.metrics(t))
	if found == nil {
		t.Fatalf("there is no counter of %s", kind)
	}
	return found[1]
}
