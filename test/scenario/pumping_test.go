package scenario

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"menshen/repository/dbtest"
)

// siteverify is Turnstile's: every token that begins with "good" is right, once.
type siteverify struct {
	spent sync.Map
	asked atomic.Int32
	away  atomic.Bool
}

func (s *siteverify) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.asked.Add(1)
	if s.away.Load() {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	verdict := map[string]any{"success": true, "error-codes": []string{}, "hostname": "app.example.com", "action": "send-code"}
	token := r.PostFormValue("response")
	_, spent := s.spent.LoadOrStore(token, true)
	switch {
	case r.PostFormValue("secret") != "site-secret":
		verdict = map[string]any{"success": false, "error-codes": []string{"invalid-input-secret"}}
	case !strings.HasPrefix(token, "good") || r.PostFormValue("remoteip") != "127.0.0.1":
		verdict = map[string]any{"success": false, "error-codes": []string{"invalid-input-response"}}
	case strings.HasPrefix(token, "good, elsewhere"):
		verdict["hostname"] = "evil.example.com"
	case strings.HasPrefix(token, "good, otherwise"):
		verdict["action"] = "sign-up"
	case spent:
		verdict = map[string]any{"success": false, "error-codes": []string{"timeout-or-duplicate"}}
	}
	_ = json.NewEncoder(w).Encode(verdict)
}

// skipTenMinutes makes all codes expire.
func (d *deployment) skipTenMinutes(t *testing.T) {
	t.Helper()
	d.exec(t, "UPDATE codes SET sent_at = sent_at - 600000, expires_at = expires_at - 600000")
}

// metrics returns the current metrics in the format of Prometheus.
func (d *deployment) metrics(t *testing.T) string {
	t.Helper()
	response, err := d.client.Do(call{path: "/metrics"}.request(t, d.admin)) // in no document
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// hasMetric reports whether a metric has this line.
func (d *deployment) hasMetric(t *testing.T, line string) bool {
	t.Helper()
	return strings.Contains("\n"+d.metrics(t), "\n"+line+"\n")
}

func (d *deployment) wantMetric(t *testing.T, line string) {
	t.Helper()
	if !d.hasMetric(t, line) {
		t.Errorf("the metric %s is not there", line)
	}
}

// TestPumping simulates SMS pumping: the alarm is an event, a log line and a
// metric, and the configuration decides at every moment what follows.
func TestPumping(t *testing.T) {
	for _, driver := range dbtest.Drivers(t) {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			vendor := &siteverify{}
			server := httptest.NewServer(vendor)
			t.Cleanup(server.Close)
			d := newDeployment(t, driver, "GUARD_LEAST=10", "GUARD_BURST=0", "CODE_PER_IP_HOUR=5000", "CODE_PER_IP_DAY=5000", "CODE_PER_BLOCK_HOUR=5000", "CODE_PER_BLOCK_DAY=5000",
				"CHALLENGE_PROVIDER=turnstile", "CHALLENGE_SECRET=site-secret", "CHALLENGE_URL="+server.URL+"/turnstile/v0/siteverify",
				"CHALLENGE_TURNSTILE_SITE_KEY=0x4site", "CHALLENGE_TURNSTILE_HOSTNAMES=app.example.com", "CHALLENGE_TURNSTILE_ACTION=send-code")
			d.start(t)
			send := func(more string) call {
				return call{path: "/auth/mobile/code", body: strings.TrimSuffix(codeBody(d.number()), "}") + more + "}"}
			}
			for range 10 {
				d.do(t, send(""))
			}
			d.skipTenMinutes(t)
			t.Run("record", func(t *testing.T) {
				d.do(t, send(`,"challenge":"unasked"`)) // as shipped: an alarm and no more
				if n := d.value(t, "SELECT COUNT(*) FROM events WHERE kind = 'pumping'"); n != "2" {
					t.Errorf("%s alarms, want one for the prefix and one for the block", n)
				}
				for _, key := range []string{`"key":"+861391000","`, `"key":"127.0.0.0/24","`} {
					if n := d.value(t, "SELECT COUNT(*) FROM events WHERE detail LIKE ?", "%"+key+"%"); n != "1" {
						t.Errorf("%s alarms of %s", n, key)
					}
				}
				d.wantMetric(t, `menshen_alarms_total{what="prefix"} 1`)
				d.wantMetric(t, `menshen_alarms_total{what="block"} 1`)
				eventually(t, 5*time.Second, "two lines in the log", func() bool { return strings.Count(d.log.text(), "SMS pumping is suspected") == 2 })
			})
			t.Run("deny", func(t *testing.T) {
				d.configure(t, "guard: {action: deny}")
				eventually(t, 5*time.Second, "sending is denied", func() bool {
					return d.send(t, send("").request(t, d.public)).code == 42900
				})
				d.wantRefusals(t, send(""), 42900, hour-60, hour)
				d.wantRefusals(t, send(`,"challenge":"good-1"`), 42900, hour-60, hour)
				if n := vendor.asked.Load(); n != 0 {
					t.Errorf("the vendor was asked %d times in vain", n)
				}
			})
			t.Run("challenge", func(t *testing.T) {
				const demand = `{"challenge":{"provider":"turnstile","siteKey":"0x4site","params":{},"alternatives":[]}}`
				d.configure(t, "guard: {action: challenge}")
				eventually(t, 5*time.Second, "a challenge is demanded", func() bool {
					return string(d.send(t, send("").request(t, d.public)).data) == demand
				})
				demanded := send("")
				demanded.code, demanded.want, demanded.header = 42900, demand, map[string]string{"Retry-After": "1"}
				d.do(t, demanded)
				demanded.body = strings.TrimSuffix(demanded.body, "}") + `,"challenge":"bad"}`
				d.do(t, demanded)
				for _, foreign := range []string{`"good, elsewhere"`, `"good, otherwise"`} {
					of := demanded
					of.body = strings.Replace(demanded.body, `"bad"`, foreign, 1)
					d.do(t, of)
				}
				d.do(t, send(`,"challenge":"good-2"`))
				demanded.body = strings.Replace(demanded.body, `"bad"`, `"good-2"`, 1)
				d.do(t, demanded)
				typed := send(`,"challenge":7`)
				typed.code, typed.fields = 40000, []string{"challenge type"}
				d.do(t, typed)
				d.wantMetric(t, `menshen_challenges_total{outcome="passed"} 1`)
				d.wantMetric(t, `menshen_challenges_total{outcome="failed"} 4`)
				vendor.away.Store(true)
				fault := send(`,"challenge":"good-3"`)
				fault.code, fault.want = 50301, "null"
				d.do(t, fault)
				d.wantMetric(t, `menshen_challenges_total{outcome="fault"} 1`)
			})
			t.Run("open", func(t *testing.T) {
				d.configure(t, "guard: {action: challenge}\nchallenge: {fail_open: true}")
				eventually(t, 5*time.Second, "the provider that is away opens", func() bool {
					return d.send(t, send(`,"challenge":"good-4"`).request(t, d.public)).code == 0
				})
			})
			t.Run("budget", func(t *testing.T) {
				d.configure(t, "code: {daily_budget: "+d.value(t, "SELECT COUNT(*) FROM codes")+"}")
				d.stop(t)
				d.start(t) // counts at once, and then each 15 s
				eventually(t, 5*time.Second, "the messages are counted", func() bool {
					return d.hasMetric(t, "menshen_messages_day "+d.value(t, "SELECT COUNT(*) FROM codes"))
				})
				d.wantMetric(t, "menshen_messages_day_budget "+d.value(t, "SELECT COUNT(*) FROM codes"))
				eventually(t, 5*time.Second, "the alarm is raised", func() bool { return d.hasMetric(t, `menshen_alarms_total{what="budget"} 1`) })
				if n := d.value(t, `SELECT COUNT(*) FROM events WHERE kind = 'pumping' AND detail LIKE '%"what":"budget"%'`); n != "1" {
					t.Errorf("%s alarms of the budget", n)
				}
			})
		})
	}
}

// configure changes the settings of the running program.
func (d *deployment) configure(t *testing.T, text string) {
	t.Helper()
	writeFile(t, d.file, fmt.Sprintf("# %d\n%s\n", len(text), text))
}
