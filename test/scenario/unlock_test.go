package scenario

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"menshen/repository/dbtest"
)

// locks are what an operator sees of a number.
type locks struct {
	Failures, CodesToday      int
	FailuresUntil, NextCodeAt *time.Time
}

// locksOf returns the locks of a number, which a user's view must have too.
func (d *deployment) locksOf(t *testing.T, owner account) (l locks) {
	t.Helper()
	mobile := owner.UserInfo.Mobile
	var number struct {
		Mobile string
		Locks  json.RawMessage
	}
	if err := json.Unmarshal(d.callAdmin(t, call{path: "/admin/numbers?mobile=%2B86+" + mobile, not: []string{mobile}}).data, &number); err != nil {
		t.Fatal(err)
	}
	d.callAdmin(t, call{path: userPath(owner, ""), want: fmt.Sprintf(`{"mobile":%q,"locks":%s}`, number.Mobile, number.Locks)})
	if want := mobile[:3] + "****" + mobile[7:]; number.Mobile != want || !strings.Contains(string(number.Locks), `"nextCodeAt":`) {
		t.Errorf("the number is %s, its locks %s", number.Mobile, number.Locks)
	}
	if err := json.Unmarshal(number.Locks, &l); err != nil {
		t.Fatal(err)
	}
	return l
}

// lockOut does what a stranger can: ten messages and twenty failures of a number.
func (d *deployment) lockOut(t *testing.T, mobile string) {
	t.Helper()
	attempt := call{path: "/auth/mobile/login", body: jsonOf(t, form{Mobile: mobile, ValidateNo: "none"})}
	row := call{path: "/auth/mobile/code", body: codeBody(mobile)}
	for failures := 0; ; {
		a := d.send(t, row.request(t, d.public))
		if a.code != 0 {
			break
		}
		d.ticketOf(t, a)
		d.messages.nextMessage(t, "+86"+mobile)
		for ; failures < 20 && d.send(t, attempt.request(t, d.public)).code == 40002; failures++ {
			if failures%5 == 4 {
				failures++
				break
			}
		}
	}
	d.wantRefusals(t, row, 42902, 1, day)
	d.wantRefusals(t, attempt, 42903, 1, day+300)
}

// TestLockOut: a stranger locks a number. A device that was there before goes on; a new
// one needs an operator, who sees the locks and lifts them.
func TestLockOut(t *testing.T) {
	for _, driver := range dbtest.Drivers(t) {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			d := newDeployment(t, driver, "CODE_LENGTH=10", "CODE_COOLDOWN=0s", "CODE_PER_MOBILE_HOUR=0", operatorKeys())
			d.start(t)
			mobile := d.number()
			owner := d.login(t, form{Mobile: mobile})
			credential := d.credentialOf(t, owner.header)
			if got := d.locksOf(t, owner); got != (locks{CodesToday: 1}) {
				t.Errorf("the locks are %+v", got)
			}
			d.lockOut(t, mobile)
			got := d.locksOf(t, owner)
			if got.Failures != 20 || got.CodesToday != 10 || got.FailuresUntil == nil || got.NextCodeAt == nil || !got.FailuresUntil.After(time.Now().Add(23*time.Hour)) || !got.NextCodeAt.After(time.Now().Add(23*time.Hour)) {
				t.Errorf("the locks are %+v", got)
			}

			t.Run("a known device goes on", func(t *testing.T) {
				code, ticket := d.codeAndTicket(t, mobile, "login", "X-Device-Credential", credential)
				owner = d.login(t, form{Mobile: mobile, ValidateNo: code}, "X-Code-Ticket", ticket)
				credential = d.credentialOf(t, owner.header)
			})
			t.Run("an operator unlocks", func(t *testing.T) {
				d.callAdmin(t, call{path: "/admin/numbers/unlock", as: bobKey, body: fmt.Sprintf(`{"mobile":"+86 %s","reason":"owner called"}`, mobile), want: `{"cleared":3}`})
				if got := d.locksOf(t, owner); got != (locks{}) {
					t.Errorf("the locks are %+v", got)
				}
				owner = d.login(t, form{Mobile: mobile}) // without ticket and credential
				d.callAdmin(t, call{path: userPath(owner, "/unlock"), body: `{"reason":"again"}`, want: `{"cleared":1}`})
				d.callAdmin(t, call{path: userPath(owner, "/unlock"), body: `{"reason":"again"}`, want: `{"cleared":0}`})
			})
			t.Run("the old credential counts as none", func(t *testing.T) {
				d.lockOut(t, mobile)
				d.wantRefusals(t, call{path: "/auth/mobile/code", body: codeBody(mobile), headers: headersOf("X-Device-Credential", credential)}, 42902, 1, day)
			})
			t.Run("the timeline tells it", func(t *testing.T) {
				var got []string
				for _, e := range d.allEvents(t, userPath(owner, "/timeline")) {
					if e.Kind == "unlocked" {
						got = append(got, fmt.Sprintf("%s %s %s", e.Actor, e.Detail, e.Text.En))
					}
				}
				masked := mobile[:3] + "****" + mobile[7:]
				again := fmt.Sprintf(`alice {"mobile":%q,"reason":"again"} An operator lifted the limits of the number.`, masked)
				if want := []string{again, again, fmt.Sprintf(`bob {"mobile":%q,"reason":"owner called"} An operator lifted the limits of the number.`, masked)}; !slices.Equal(got, want) {
					t.Errorf("the timeline has %q, want %q", got, want)
				}
			})
			t.Run("a command unlocks", func(t *testing.T) {
				if lines := d.commandLines(t, "unlock", "+86 "+mobile, "-reason", "from the shell"); !slices.Equal(lines, []string{`{"cleared":2}`}) {
					t.Errorf("unlock says %q", lines)
				}
				d.login(t, form{Mobile: mobile})
			})
			t.Run("without an account", func(t *testing.T) { testUnlockStranger(t, d) })
			d.stop(t)
			searchStorage(t, d)
		})
	}
}

// testUnlockStranger: a number that never logged in, and what is no number or no reason.
func testUnlockStranger(t *testing.T, d *deployment) {
	mobile := d.number()
	path := "/admin/numbers?mobile=" + mobile
	d.callAdmin(t, call{path: path, want: `{"locks":{"failures":0,"failuresUntil":null,"codesToday":0,"nextCodeAt":null}}`})
	d.lockOut(t, mobile)
	d.callAdmin(t, call{path: path, want: `{"locks":{"failures":20,"codesToday":10}}`})
	d.callAdmin(t, call{path: path, method: http.MethodHead})
	d.callAdmin(t, call{path: "/admin/numbers/unlock", body: fmt.Sprintf(`{"mobile":%q,"reason":"r"}`, mobile), want: `{"cleared":2}`})
	d.login(t, form{Mobile: mobile})
	var unlocked, viewed int
	for _, e := range d.allEvents(t, "/admin/audit?actor=alice") {
		if e.UserID == nil && e.Kind == "unlocked" {
			unlocked++
		}
		if e.UserID == nil && e.Kind == "viewed" {
			viewed++
		}
	}
	if unlocked != 1 || viewed < 1 || viewed > 2 { // two if an hour began meanwhile
		t.Errorf("%d events of the act, %d of looks", unlocked, viewed)
	}
	for body, fields := range map[string][]string{
		`{}`:                             {"mobile required", "reason required"},
		`{"mobile":"1"}`:                 {"reason required"},
		`{"mobile":1,"reason":"r"}`:      {"mobile type"},
		`{"mobile":"1","reason":""}`:     {"reason required"},
		`{"mobile":"1","reason":"a\tb"}`: {"reason charset"},
		`{"mobile":"1","reason":"` + strings.Repeat("长", 257) + `"}`: {"reason length"},
	} {
		d.callAdmin(t, call{path: "/admin/numbers/unlock", body: body, code: 40000, fields: fields})
	}
	d.callAdmin(t, call{path: "/admin/numbers/unlock", body: `{"mobile":"12345","reason":"r"}`, code: 40001})
	d.callAdmin(t, call{path: "/admin/numbers?mobile=12345", code: 40001})
	d.callAdmin(t, call{path: "/admin/numbers", code: 40000, fields: []string{"mobile required"}})
	d.callAdmin(t, call{path: "/admin/numbers?mobile=1&mobile=2", code: 40000, fields: []string{"mobile duplicate"}})
	d.callAdmin(t, call{path: "/admin/numbers/unlock", code: 40500})
}
