package scenario

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"menshen/repository"
)

// dashboard is what of deploy/grafana/menshen.json is shown.
type dashboard struct {
	UID    string
	Panels []struct {
		ID         int
		Type       string
		Title      string
		Datasource struct{ Type, UID string }
		GridPos    struct{ H, W, X, Y int }
		Targets    []struct{ RefID, Expr, LegendFormat string }
	}
	Templating struct {
		List []struct{ Name, Query string }
	}
}

var (
	exportedSeries = regexp.MustCompile(`(?m)^([a-z_]+)(?:\{(.*)\})? \S+$`)
	exportedLabel  = regexp.MustCompile(`([a-z]+)="`)
	usedMetric     = regexp.MustCompile(`([a-z_]+)\{([^{}]*)\}`)
	grouping       = regexp.MustCompile(`by \(([a-z, ]+)\)`)
	usedLabel      = regexp.MustCompile(`([a-z]+)(?:=~|!~|!=|=)"`)
	legendLabel    = regexp.MustCompile(`\{\{([a-z]+)\}\}`)
	documentedRow  = regexp.MustCompile("(?m)^\\| `(menshen_[a-z_]+)` \\| ([a-z, ]*) ?\\|")
)

// exportedLabels returns the labels of each metric that an instance exports, and of those that
// docs/operations.md knows, which come with messages and requests.
func exportedLabels(t *testing.T, d *deployment) map[string][]string {
	t.Helper()
	labels := map[string][]string{"up": nil} // Prometheus's own
	for _, row := range documentedRow.FindAllSubmatch(readText(t, "docs/operations.md"), -1) {
		for label := range strings.FieldsFuncSeq(string(row[2]), func(r rune) bool { return r == ',' || r == ' ' }) {
			labels[string(row[1])] = append(labels[string(row[1])], label)
		}
	}
	for _, series := range exportedSeries.FindAllSubmatch(d.exported(t), -1) {
		var own []string
		for _, label := range exportedLabel.FindAllSubmatch(series[2], -1) {
			own = append(own, string(label[1]))
		}
		name := string(series[1])
		documented := slices.Sorted(slices.Values(labels[name]))
		if slices.Sort(own); strings.HasPrefix(name, "menshen_") && family(name) == name && !slices.Equal(own, documented) {
			t.Errorf("docs/operations.md gives %s the labels %q, it has %q", name, documented, own)
		}
		labels[name] = own
	}
	return labels
}

// TestDashboard: each panel of the dashboard of Grafana shows metrics that are exported, by
// labels that they have.
func TestDashboard(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, repository.SQLite)
	d.start(t)
	d.login(t, form{Mobile: d.number()})
	exported := exportedLabels(t, d)
	d.stop(t)

	var shown dashboard
	if err := json.Unmarshal(readText(t, "deploy/grafana/menshen.json"), &shown); err != nil {
		t.Fatal(err)
	}
	used, ids := map[string]bool{}, map[int]bool{}
	for _, panel := range shown.Panels {
		if ids[panel.ID] || panel.Title == "" || panel.GridPos.X+panel.GridPos.W > 24 {
			t.Errorf("%s: id %d, place %+v", panel.Title, panel.ID, panel.GridPos)
		}
		ids[panel.ID] = true
		if panel.Type == "row" {
			continue
		}
		if panel.Datasource.UID != "${datasource}" || len(panel.Targets) == 0 {
			t.Errorf("%s: data from %+v, %d queries", panel.Title, panel.Datasource, len(panel.Targets))
		}
		for _, target := range panel.Targets {
			for _, name := range wantExported(t, panel.Title, target.Expr+" "+target.LegendFormat, exported) {
				used[name] = true
			}
		}
	}
	for _, name := range []string{
		"menshen_events_total", "menshen_active_sessions", "menshen_sms_conversion", "menshen_sms_cost", "menshen_messages_day", "menshen_alarms_total",
		"menshen_requests_total", "menshen_request_duration_seconds_bucket", "menshen_follower_lag_seconds",
	} {
		if !used[name] {
			t.Errorf("no panel shows %s", name)
		}
	}
	if len(shown.Templating.List) != 2 || !strings.Contains(shown.Templating.List[1].Query, "menshen_build_info") {
		t.Errorf("the variables are %+v", shown.Templating.List)
	}
}

// wantExported fails the test for metrics and labels of a query that are not exported. It
// returns the metrics.
func wantExported(t *testing.T, title, query string, exported map[string][]string) []string {
	t.Helper()
	allowed := map[string]bool{"job": true, "instance": true} // Prometheus adds them
	var names []string
	for _, found := range usedMetric.FindAllStringSubmatch(query, -1) {
		name := found[1]
		labels, known := exported[name]
		if !known {
			labels, known = exported[family(name)]
			labels = append(slices.Clone(labels), "le")
		}
		if !known {
			t.Errorf("%s: there is no metric %s", title, name)
		}
		names = append(names, name)
		for _, label := range labels {
			allowed[label] = true
		}
		for _, label := range usedLabel.FindAllStringSubmatch(found[2], -1) {
			if label[1] != "job" && label[1] != "instance" && !slices.Contains(labels, label[1]) {
				t.Errorf("%s: %s has no label %s", title, name, label[1])
			}
		}
	}
	if len(names) == 0 || strings.Count(query, `job="$job"`) != len(names) {
		t.Errorf("%s: %q selects no job", title, query)
	}
	for _, group := range append(grouping.FindAllStringSubmatch(query, -1), legendLabel.FindAllStringSubmatch(query, -1)...) {
		for label := range strings.SplitSeq(group[1], ", ") {
			if !allowed[label] {
				t.Errorf("%s: groups by %s, the labels are %q", title, label, slices.Sorted(maps.Keys(allowed)))
			}
		}
	}
	return names
}
