package scenario

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"menshen/repository"
)

// callDev is do for the routes of development, which the API document leaves out.
func (d *deployment) callDev(t *testing.T, c call) answer {
	t.Helper()
	a, _ := d.exchange(t, c.request(t, d.public))
	c.checkAnswer(t, a)
	return a
}

// inboxItem is a message as the inbox shows it.
type inboxItem struct {
	ID, At, Mobile, Code, Purpose, Language, Text string
	CompanyType, ProductType                      *int32
}

func (d *deployment) inbox(t *testing.T, query string) []inboxItem {
	t.Helper()
	var list struct{ Items []inboxItem }
	a := d.callDev(t, call{path: "/dev/sms.json" + query, header: map[string]string{"Cache-Control": "no-store"}})
	if err := json.Unmarshal(a.data, &list); err != nil || list.Items == nil {
		t.Fatalf("the inbox: %s", a.raw)
	}
	return list.Items
}

// TestDevelopment plays the first minute: the code is in the inbox, whose stream reports it,
// sessions show how they move, and the acts of operators need no key.
func TestDevelopment(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, repository.SQLite, "SMS_PROVIDER=log", "SMS_WEBHOOK_URL=", "SMS_WEBHOOK_SECRET=", "CODE_COOLDOWN=0s", operatorKeys())
	defer func() { d.secrets = newCanaries() }() // codes and numbers stand in the log
	d.start(t)
	mobile, other := d.number(), d.number()
	if items := d.inbox(t, ""); len(items) != 0 {
		t.Errorf("a new inbox holds %v", items)
	}
	request := call{path: "/dev/sms/events"}.request(t, d.public)
	stream, err := d.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stream.Body.Close() }()
	lines := bufio.NewScanner(stream.Body)
	if !lines.Scan() || lines.Text() != "retry: 3000" || stream.Header.Get("Content-Type") != "text/event-stream; charset=utf-8" {
		t.Fatalf("the stream begins with %q", lines.Text())
	}
	d.do(t, call{path: "/auth/mobile/code", body: codeBody(other)})
	d.do(t, call{path: "/auth/mobile/code", body: codeBody(mobile), headers: headersOf("Accept-Language", "en")})
	items := d.inbox(t, "")
	if len(items) != 2 || items[0].Mobile != "+86"+mobile || items[1].Mobile != "+86"+other {
		t.Fatalf("the inbox holds %+v", items)
	}
	m := items[0]
	if m.ID == "" || m.ID == items[1].ID || len(m.At) != 20 || m.Purpose != "login" || m.Language != "en" || *m.CompanyType != 0 || *m.ProductType != 0 ||
		!strings.Contains(m.Text, m.Code) || !strings.Contains(items[1].Text, "验证码是 "+items[1].Code) {
		t.Errorf("the message is %+v", m)
	}
	var told inboxItem
	for lines.Scan() && told.Code != m.Code {
		if data, found := strings.CutPrefix(lines.Text(), "data: "); found {
			_ = json.Unmarshal([]byte(data), &told)
		}
	}
	if told.ID != m.ID || told.Text != m.Text {
		t.Errorf("the stream reports %+v, the inbox has %+v", told, m)
	}
	for _, query := range []string{"?mobile=" + mobile, "?mobile=%2B86" + mobile, "?mobile=+86" + mobile} {
		if of := d.inbox(t, query); len(of) != 1 || of[0].ID != m.ID {
			t.Errorf("%s: %+v", query, of)
		}
	}
	d.callDev(t, call{path: "/dev/sms.json?mobile=12", code: 40001})
	d.callDev(t, call{path: "/dev/sms.json?mobile=1&mobile=2", code: 40000})
	a := d.accountOf(t, d.do(t, call{path: "/auth/mobile/login", body: jsonOf(t, form{Mobile: mobile, ValidateNo: m.Code})}))
	d.testDevActs(t, a)
	d.stop(t) // with an open stream
}

// testDevActs follows a session from login to ban.
func (d *deployment) testDevActs(t *testing.T, a account) {
	t.Helper()
	session, user := "/dev/sessions/"+a.claims.text("sid"), fmt.Sprintf("/dev/users/%d", a.UserInfo.ID)
	first := d.callDev(t, call{path: session, want: `{"state":"active"}`})
	d.refresh(t, a.AccessToken.Value, a.RefreshToken.Value)
	if second := d.callDev(t, call{path: session, want: `{"state":"active"}`}); string(second.data) == string(first.data) {
		t.Errorf("the generation stays: %s", second.data)
	}
	d.callDev(t, call{path: user + "/kick", body: `{"reason":""}`, code: 40000, fields: []string{"reason required"}})
	d.callDev(t, call{path: user + "/kick", body: `{"reason":"demo"}`, want: `{"ended":1}`})
	d.callDev(t, call{path: session, want: `{"state":"kicked"}`})
	d.callDev(t, call{path: user + "/ban", body: `{"reason":"demo"}`, want: `{"ended":0}`})
	d.callDev(t, call{method: http.MethodPost, path: user + "/unban"})
	d.callDev(t, call{path: "/dev/users/1/kick", body: `{"reason":"demo"}`, code: 40400})
	d.callDev(t, call{path: "/dev/sessions/none", code: 40400})
	d.callDev(t, call{path: session, headers: headersOf("Forwarded", "for=192.0.2.7"), code: 40400})
	for _, event := range d.allEvents(t, "/admin/audit") {
		if event.Kind == "ban" && event.Actor != "dev" {
			t.Errorf("the ban is by %q", event.Actor)
		}
	}
}

// TestNoDevelopmentElsewhere: other environments have no such routes, and dev.open does not
// change that.
func TestNoDevelopmentElsewhere(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, repository.SQLite, "ENV=test", "DEV_OPEN=true")
	d.start(t)
	for _, path := range []string{"/", "/demo", "/dev/sms", "/dev/sms.json", "/dev/sms/events", "/dev/sessions/x", "/dev/users/1/unban"} {
		d.callDev(t, call{path: path, code: 40400})
		d.callDev(t, call{method: http.MethodPost, path: path, code: 40400})
	}
	if !strings.Contains(d.log.text(), "dev.open: every client that reaches server.addr") {
		t.Error("no warning of dev.open")
	}
}

// TestHealthIsQuiet: successes of the routes that machines ask are logged at debug, and the
// 404 of a mistyped path names it. An operator learns that the key is wrong.
func TestHealthIsQuiet(t *testing.T) {
	t.Parallel()
	for level, seen := range map[string]bool{"info": false, "debug": true} {
		d := newDeployment(t, repository.SQLite, "LOG_LEVEL="+level)
		d.start(t)
		for _, base := range []string{d.public, d.admin} {
			for _, path := range []string{"/healthz", "/readyz"} {
				d.read(t, http.MethodGet, base+path, "")
			}
		}
		d.read(t, http.MethodGet, d.admin+"/metrics", "")
		d.callDev(t, call{path: "/auth/mobile/logn", code: 40400})
		a := d.callAdmin(t, call{path: "/admin/audit", as: strings.Repeat("x", 40), headers: headersOf("Accept-Language", "en"), code: 40100})
		if a.msg != "The admin key is missing or wrong." {
			t.Errorf("an operator is told %q", a.msg)
		}
		d.stop(t)
		log := d.log.text()
		for _, route := range []string{"/healthz", "/readyz", "/metrics"} {
			line := `"route":"` + route + `"`
			if strings.Contains(log, line) != seen {
				t.Errorf("level %s: %s is in the log: %v", level, route, !seen)
			}
		}
		if !strings.Contains(log, "no route for /auth/mobile/logn") {
			t.Errorf("the log does not name the path:\n%s", log)
		}
	}
}
