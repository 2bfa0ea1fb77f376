package scenario

import (
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"menshen/repository/dbtest"
)

var moment = regexp.MustCompile(`"expire":"[^"]+"`)

// looks is an answer without what is random in it or depends on the moment.
func (a answer) looks() string {
	var text strings.Builder
	fmt.Fprintln(&text, a.status, moment.ReplaceAllString(string(a.raw), `"expire":"…"`))
	for _, name := range slices.Sorted(maps.Keys(a.header)) {
		values := slices.Clone(a.header[name])
		for i, value := range values {
			switch name {
			case "X-Code-Ticket":
				values[i] = fmt.Sprint(value[:4], " and ", len(value)-4)
			case "Date", "X-Request-Id", "Retry-After":
				values[i] = "…"
			}
		}
		fmt.Fprintln(&text, name, values)
	}
	return text.String()
}

// alike is a number whose answers are compared with those of others.
type alike struct {
	kind, mobile, credential string
}

// alikes are numbers with and without an account; device is the credential of another.
func (d *deployment) alikes(t *testing.T, device string) []alike {
	t.Helper()
	known, banned, deleted := d.login(t, form{Mobile: d.number()}), d.login(t, form{Mobile: d.number()}), d.login(t, form{Mobile: d.number()})
	d.exec(t, "UPDATE users SET banned_until = ? WHERE id = ?", time.Now().Add(time.Hour).UnixMilli(), banned.UserInfo.ID)
	d.skipTenMinutes(t)
	mobile := deleted.UserInfo.Mobile
	d.do(t, call{path: "/auth/mobile/code", body: strings.Replace(codeBody(mobile), "{", `{"purpose":"delete",`, 1)})
	body := fmt.Sprintf(`{"validateNo":%q}`, d.messages.nextMessage(t, "+86"+mobile).Code)
	d.do(t, call{method: http.MethodDelete, path: "/app/auth/user", as: deleted.AccessToken.Value, body: body})
	d.skipTenMinutes(t)
	credential := func(a account) string { return a.header.Get("X-Device-Credential") }
	return []alike{
		{"known", known.UserInfo.Mobile, credential(known)}, {"banned", banned.UserInfo.Mobile, credential(banned)},
		{"deleted", mobile, credential(deleted)}, {"unknown", d.number(), device},
	}
}

// compare sends a request for each number and compares the answers with the first.
func (d *deployment) compare(t *testing.T, numbers []alike, request func(n alike) call) answer {
	t.Helper()
	var first answer
	for i, n := range numbers {
		a := d.send(t, request(n).request(t, d.public))
		if i == 0 {
			first = a
		} else if a.looks() != first.looks() {
			t.Errorf("a number that is %s is answered\n%sone that is %s\n%s", n.kind, a.looks(), numbers[0].kind, first.looks())
		}
	}
	return first
}

// TestAlike: known, unknown, deleted and banned numbers have the same answers and headers,
// whatever ticket or credential a request bears.
func TestAlike(t *testing.T) {
	for _, driver := range dbtest.Drivers(t) {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			d := newDeployment(t, driver, "CODE_PER_MOBILE_HOUR=100", "CODE_PER_MOBILE_DAY=100", "CODE_FAILS_PER_MOBILE_DAY=12")
			d.start(t)
			other := d.login(t, form{Mobile: d.number()}).header.Get("X-Device-Credential")
			numbers := d.alikes(t, other)
			tickets := map[string]string{}
			for _, bears := range []string{"its own", "no credential", "a malformed one", "that of another"} {
				t.Run("codes with "+bears, func(t *testing.T) {
					d.skipTenMinutes(t)
					d.compare(t, numbers, func(n alike) call {
						credential := map[string]string{"no credential": "", "a malformed one": "dc1_x", "that of another": other, "its own": n.credential}[bears]
						return d.codeWith(n.mobile, credential)
					})
					for _, n := range numbers {
						d.messages.nextMessage(t, "+86"+n.mobile)
					}
				})
			}
			t.Run("a cooldown", func(t *testing.T) {
				if a := d.compare(t, numbers, func(n alike) call { return d.codeWith(n.mobile, "") }); a.code != 42901 {
					t.Errorf("the answer is %s", a.raw)
				}
			})
			d.skipTenMinutes(t)
			wrong := map[string]string{}
			for _, n := range numbers {
				a := d.do(t, d.codeWith(n.mobile, ""))
				tickets[n.mobile] = a.header.Get("X-Code-Ticket")
				wrong[n.mobile] = another(d.messages.nextMessage(t, "+86"+n.mobile).Code)
			}
			silent := append(slices.Clone(numbers), alike{kind: "without a code", mobile: d.number()})
			wrong[silent[4].mobile] = "000000"
			for _, bears := range []string{"no ticket", "a malformed one", "that of another", "its own"} {
				t.Run("logins with "+bears, func(t *testing.T) {
					a := d.compare(t, silent, func(n alike) call {
						ticket := map[string]string{"no ticket": "", "a malformed one": "ct1_x", "that of another": tickets[numbers[3].mobile], "its own": tickets[n.mobile]}[bears]
						if n == numbers[3] && bears == "that of another" {
							ticket = tickets[numbers[0].mobile]
						}
						return loginWith(t, n.mobile, wrong[n.mobile], ticket)
					})
					if a.code != 40002 {
						t.Errorf("the answer is %s", a.raw)
					}
				})
			}
			t.Run("failures", func(t *testing.T) {
				var last answer
				for range 3 {
					for range 5 {
						last = d.compare(t, numbers, func(n alike) call { return loginWith(t, n.mobile, wrong[n.mobile], "") })
					}
					d.exec(t, "UPDATE codes SET sent_at = sent_at - 60000")
					for _, n := range numbers {
						d.do(t, d.codeWith(n.mobile, ""))
						wrong[n.mobile] = another(d.messages.nextMessage(t, "+86"+n.mobile).Code)
					}
				}
				if last.code != 42903 {
					t.Errorf("the answer is %s", last.raw)
				}
			})
		})
	}
}

func (d *deployment) codeWith(mobile, credential string) call {
	c := call{path: "/auth/mobile/code", body: codeBody(mobile)}
	if credential != "" {
		c.headers = headersOf("X-Device-Credential", credential)
	}
	return c
}

func loginWith(t *testing.T, mobile, code, ticket string) call {
	t.Helper()
	c := call{path: "/auth/mobile/login", body: jsonOf(t, form{Mobile: mobile, ValidateNo: code})}
	if ticket != "" {
		c.headers = headersOf("X-Code-Ticket", ticket)
	}
	return c
}

// another is a code of the same length that is not this one.
func another(code string) string {
	if code == "000000" {
		return "000001"
	}
	return "000000"
}
