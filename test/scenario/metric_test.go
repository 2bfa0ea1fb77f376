package scenario

import (
	"context"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"menshen/repository"
)

// series is a scrape: the value of each series by its name and labels.
type series map[string]float64

// exported is the text of a scrape.
func (d *deployment) exported(t *testing.T) []byte {
	t.Helper()
	response, err := d.client.Get(d.admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func (d *deployment) scrape(t *testing.T) series {
	t.Helper()
	scraped := series{}
	for _, line := range regexp.MustCompile(`(?m)^([a-z_]+(?:\{.*\})?) (\S+)$`).FindAllSubmatch(d.exported(t), -1) {
		value, err := strconv.ParseFloat(string(line[2]), 64)
		if err != nil {
			t.Fatalf("%s: %v", line[0], err)
		}
		scraped[string(line[1])] = value
	}
	return scraped
}

// names are the metrics of a scrape that are ours.
func (s series) names() map[string]bool {
	names := map[string]bool{}
	for line := range s {
		name, _, _ := strings.Cut(line, "{")
		if strings.HasPrefix(name, "menshen_") {
			names[family(name)] = true
		}
	}
	return names
}

// family returns the name of a histogram without the suffixes of its series.
func family(name string) string {
	for _, suffix := range []string{"_bucket", "_sum", "_count"} {
		name = strings.TrimSuffix(name, suffix)
	}
	return name
}

// TestMetrics: each metric changes when what it counts happens, and the table of
// docs/operations.md lists all of them and no other.
func TestMetrics(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, repository.SQLite, "CODE_LENGTH=10", "CODE_COOLDOWN=0s")
	writeFile(t, d.file, "code: {daily_budget: 4321}\n")
	d.start(t)
	early := d.login(t, form{Mobile: d.number()})
	d.stop(t)
	d.start(t) // counts at once
	eventually(t, 20*time.Second, "the sessions are counted", func() bool { return d.scrape(t)[`menshen_active_sessions{product="0"}`] == 1 })
	before := d.scrape(t)
	wantInitialized(t, before)
	d.wantState(t, early.AccessToken.Value, "device-of-metrics-0", "bound") // a token that this process did not sign
	mobile := d.number()
	code := d.sendCode(t, mobile, 0)
	wrong := string('0'+('9'-code[0])) + code[1:]
	d.do(t, call{path: "/auth/mobile/login", body: jsonOf(t, form{Mobile: mobile, ValidateNo: wrong}), code: 40002})
	d.do(t, call{path: "/auth/mobile/login", body: jsonOf(t, form{Mobile: d.number(), ValidateNo: wrong}), code: 40002})
	a := d.login(t, form{Mobile: mobile, ValidateNo: code}, "X-Device-Number", "device-of-metrics-1")
	for range 3 {
		d.wantState(t, a.AccessToken.Value, "device-of-metrics-1", "active")
	}
	testOutcomes(t, d, a)
	d.login(t, form{Mobile: mobile}, "X-Device-Number", "device-of-metrics-2")
	last := d.login(t, form{Mobile: mobile}, "X-Device-Number", "device-of-metrics-3")
	d.wantState(t, last.AccessToken.Value, "device-of-metrics-3", "active")
	d.reloadTwice(t)
	d.wantState(t, last.AccessToken.Value, "device-of-metrics-3", "active") // the applied configuration has a cache of its own
	after := d.scrape(t)
	wantIncreased(t, before, after)
	for name, want := range map[string]float64{
		`menshen_messages_day_budget`: 1234, `menshen_config_last_reload_successful`: 0, `menshen_signing_keys`: 1,
		`menshen_streams`: 0, `menshen_held_checks`: 0, `menshen_writers_waiting`: 0,
		`menshen_build_info{go="` + runtime.Version() + `",version="` + version + `"}`: 1,
		`go_sql_max_open_connections{db_name="write"}`:                                 1,
	} {
		if got, found := after[name]; got != want || !found {
			t.Errorf("%s is %g, want %g", name, got, want)
		}
	}
	if now, at := float64(time.Now().Unix()), after[`menshen_config_last_reload_success_timestamp_seconds`]; now-at < 0 || now-at > 300 {
		t.Errorf("the configuration was applied at %g, now is %g", at, now)
	}
	if after[`menshen_data_free_bytes`] <= 0 || after[`menshen_follower_lag_seconds`] > 60 {
		t.Errorf("free: %g, lag: %g", after[`menshen_data_free_bytes`], after[`menshen_follower_lag_seconds`])
	}
	wantDocumented(t, after.names())
	d.holdRequests(t, last)
	d.failJanitor(t)
}

// wantInitialized: what has not happened yet is 0, not absent, so that an alarm
// sees the first time as an increase.
func wantInitialized(t *testing.T, fresh series) {
	t.Helper()
	for _, name := range []string{
		`menshen_sms_total{outcome="sent",provider="webhook"}`, `menshen_sms_total{outcome="refused",provider="webhook"}`,
		`menshen_sms_total{outcome="throttled",provider="webhook"}`, `menshen_sms_total{outcome="unknown",provider="webhook"}`,
		`menshen_code_attempts_total{outcome="right",provider="webhook"}`, `menshen_code_attempts_total{outcome="wrong",provider="webhook"}`,
		`menshen_code_attempts_total{outcome="wrong",provider="none"}`, `menshen_refreshes_total{outcome="replay"}`,
		`menshen_events_total{kind="kick_war"}`, `menshen_alarms_total{what="prefix"}`, `menshen_challenges_total{outcome="fault"}`,
	} {
		if count, begun := fresh[name]; count != 0 || !begun {
			t.Errorf("%s is %g, begun %t", name, count, begun)
		}
	}
}

// wantIncreased checks by how much the metrics changed.
func wantIncreased(t *testing.T, before, after series) {
	t.Helper()
	const route = `{method="POST",route="/auth/mobile/login"}`
	for name, want := range map[string]float64{
		`menshen_requests_total{code="40002",method="POST",route="/auth/mobile/login",status="400"}`: 2,
		`menshen_request_duration_seconds_count` + route:                                             5,
		`menshen_events_total{kind="code_sent"}`:                                                     3,
		`menshen_events_total{kind="login"}`:                                                         3,
		`menshen_events_total{kind="displaced"}`:                                                     1,
		`menshen_sms_total{outcome="sent",provider="webhook"}`:                                       3,
		`menshen_code_attempts_total{outcome="wrong",provider="webhook"}`:                            1,
		`menshen_code_attempts_total{outcome="wrong",provider="none"}`:                               1,
		`menshen_code_attempts_total{outcome="right",provider="webhook"}`:                            3,
		`menshen_refreshes_total{outcome="rotate"}`:                                                  2,
		`menshen_refreshes_total{outcome="converge"}`:                                                1,
		`menshen_refreshes_total{outcome="recover"}`:                                                 1,
		`menshen_refreshes_total{outcome="stale"}`:                                                   1,
		`menshen_refreshes_total{outcome="adopt"}`:                                                   1,
		`menshen_refreshes_total{outcome="replay"}`:                                                  1,
		`menshen_config_reloads_total{outcome="applied"}`:                                            1,
		`menshen_config_reloads_total{outcome="refused"}`:                                            1,
	} {
		if got := after[name] - before[name]; got != want {
			t.Errorf("%s rose by %g, want %g", name, got, want)
		}
	}
	for _, name := range []string{
		`menshen_request_duration_seconds_sum` + route, `menshen_session_cache_entries`, `menshen_token_cache_entries`, `menshen_live_sessions`, `menshen_signing_key_age_seconds`,
		`menshen_cache_lookups_total{cache="session",result="hit"}`, `menshen_cache_lookups_total{cache="session",result="miss"}`,
		`menshen_cache_lookups_total{cache="token",result="hit"}`, `menshen_cache_lookups_total{cache="token",result="miss"}`,
	} {
		if after[name] <= before[name] {
			t.Errorf("%s was %g and is %g", name, before[name], after[name])
		}
	}
}

// testOutcomes produces every outcome of a refresh.
func testOutcomes(t *testing.T, d *deployment, a account) {
	t.Helper()
	refresh, first := a.RefreshToken.Value, a.AccessToken.Value
	past := func() { d.exec(t, "UPDATE sessions SET minted_at = minted_at - 3600000 WHERE ended_at = 0") }
	d.refresh(t, first, refresh) // rotate: 2 after 1
	d.refresh(t, first, refresh) // converge
	past()
	third := d.refresh(t, first, refresh)                                                       // recover, since 2 was never seen: 3 after 1
	fourth := d.refresh(t, third.Value, refresh)                                                // rotate: 4 after 3
	d.do(t, call{path: "/app/auth/token/refresh", body: pairBody(first, refresh), code: 40105}) // stale
	d.exec(t, "UPDATE sessions SET gen = 2, prev_gen = 1 WHERE ended_at = 0 AND gen = 4")
	d.refresh(t, fourth.Value, refresh) // adopt: 5 after 4
	past()
	d.do(t, call{path: "/app/auth/token/refresh", body: pairBody(first, refresh), code: 40103, want: `{"reason":"reuse"}`}) // replay
}

// reloadTwice applies a configuration and has the next one refused.
func (d *deployment) reloadTwice(t *testing.T) {
	t.Helper()
	since := len(d.log.text())
	writeFile(t, d.file, "code: {daily_budget: 1234}\n")
	d.log.await(t, since, "configuration applied")
	since = len(d.log.text())
	writeFile(t, d.file, "code: {daily_budget: -1}\n")
	d.log.await(t, since, "configuration refused")
	eventually(t, 5*time.Second, "the refusal is counted", func() bool { return d.scrape(t)[`menshen_config_reloads_total{outcome="refused"}`] == 1 })
}

// holdRequests checks the gauges of open streams, held checks and waiting writers.
func (d *deployment) holdRequests(t *testing.T, a account) {
	t.Helper()
	ctx, leave := context.WithCancel(t.Context())
	var open sync.WaitGroup
	sendAsync := func(c call) {
		request := c.request(t, d.public).WithContext(ctx)
		open.Go(func() {
			if response, err := d.client.Do(request); err == nil {
				_, _ = io.Copy(io.Discard, response.Body)
				_ = response.Body.Close()
			}
		})
	}
	sendAsync(call{path: "/app/auth/events", as: a.AccessToken.Value})
	sendAsync(call{path: checkPath("device-of-metrics-3") + "&wait=30", as: a.AccessToken.Value})
	eventually(t, 20*time.Second, "a stream and a held check are open", func() bool {
		now := d.scrape(t)
		return now["menshen_streams"] == 1 && now["menshen_held_checks"] == 1
	})
	release := d.lock(t)
	for range 3 { // the first one has its turn and waits for the file
		sendAsync(call{path: "/auth/mobile/code", body: codeBody(d.number())})
	}
	eventually(t, 20*time.Second, "writers wait", func() bool { return d.scrape(t)["menshen_writers_waiting"] > 0 })
	release()
	leave()
	open.Wait()
}

// failJanitor makes the janitor fail and then succeed again.
func (d *deployment) failJanitor(t *testing.T) {
	t.Helper()
	risen := func(outcome string) {
		name := `menshen_janitor_sweeps_total{outcome="` + outcome + `"}`
		before := d.scrape(t)[name]
		eventually(t, 60*time.Second, "a sweep is "+outcome, func() bool { return d.scrape(t)[name] > before })
	}
	d.exec(t, "ALTER TABLE gates RENAME TO gates_away")
	risen("failed")
	d.exec(t, "ALTER TABLE gates_away RENAME TO gates")
	risen("done")
}

// tableRow is a metric of docs/operations.md.
var tableRow = regexp.MustCompile("(?m)^\\| `(menshen_[a-z_]+)")

// documentedMetrics returns the metrics of the table.
func documentedMetrics(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	for _, row := range tableRow.FindAllSubmatch(readText(t, "docs/operations.md"), -1) {
		names[string(row[1])] = true
	}
	return names
}

func wantDocumented(t *testing.T, names map[string]bool) {
	t.Helper()
	for _, name := range []string{"menshen_sms_conversion", "menshen_sms_cost", "menshen_sms_followups_total"} { // only with what they count
		names[name] = true
	}
	told, are := slices.Sorted(maps.Keys(documentedMetrics(t))), slices.Sorted(maps.Keys(names))
	if !slices.Equal(told, are) {
		t.Errorf("docs/operations.md has the metrics\n%s\nthere are\n%s", strings.Join(told, "\n"), strings.Join(are, "\n"))
	}
}

// TestProfilesInDevOnly: profiles are served in development only.
func TestProfilesInDevOnly(t *testing.T) {
	t.Parallel()
	for env, want := range map[string][]int{"dev": {http.StatusOK, http.StatusFound}, "test": {http.StatusNotFound, http.StatusNotFound}} {
		d := newDeployment(t, repository.SQLite, "ENV="+env)
		d.start(t)
		for n, path := range []string{"/debug/pprof/", "/debug/pprof"} {
			response, err := d.client.Get(d.admin + path)
			if err != nil {
				t.Fatal(err)
			}
			_ = response.Body.Close()
			if response.StatusCode != want[n] {
				t.Errorf("in %s %s answers %d", env, path, response.StatusCode)
			}
		}
		d.stop(t)
	}
}

// TestAlarms: each alarm is explained in docs/operations.md, has a test, and uses
// existing metrics.
func TestAlarms(t *testing.T) {
	rules, played := string(readText(t, "deploy/prometheus/alerts.yaml")), string(readText(t, "deploy/prometheus/alerts_test.yaml"))
	_, told, _ := strings.Cut(string(readText(t, "docs/operations.md")), "## What each alarm means")
	var alarms, explained []string
	for _, found := range regexp.MustCompile(`(?m)^ +- alert: (\w+)$`).FindAllStringSubmatch(rules, -1) {
		alarms = append(alarms, found[1])
		for _, how := range []string{" rings\n", " is quiet\n"} {
			if !strings.Contains(played, "- name: "+found[1]+how) {
				t.Errorf("alerts_test.yaml has no %s%s", found[1], how)
			}
		}
	}
	for _, found := range regexp.MustCompile("(?m)^\\| `(Menshen\\w+)`").FindAllStringSubmatch(told, -1) {
		explained = append(explained, found[1])
	}
	if len(alarms) == 0 || !slices.Equal(alarms, explained) {
		t.Errorf("the alarms are %q, explained are %q", alarms, explained)
	}
	metrics := documentedMetrics(t)
	for _, name := range regexp.MustCompile(`menshen_[a-z_]+`).FindAllString(rules, -1) {
		if !metrics[family(name)] {
			t.Errorf("there is no metric %s", name)
		}
	}
}

func readText(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(top, name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}
