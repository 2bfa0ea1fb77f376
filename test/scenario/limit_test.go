package scenario

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"menshen/repository/dbtest"
)

// wantRefusals checks a refusal with its Retry-After, in seconds.
func (d *deployment) wantRefusals(t *testing.T, c call, code int32, least, most int) {
	t.Helper()
	c.code, c.want = code, "null"
	a := d.do(t, c)
	if seconds, err := strconv.Atoi(a.header.Get("Retry-After")); err != nil || seconds < least || seconds > most {
		t.Errorf("%d: Retry-After is %q, want %d to %d", code, a.header.Get("Retry-After"), least, most)
	}
}

// codeCall returns a request for a code, from an address that a trusted proxy
// names.
func codeCall(mobile, address string) call {
	return call{path: "/auth/mobile/code", body: codeBody(mobile), headers: headersOf("X-Forwarded-For", address)}
}

const (
	hour = 3600
	day  = 24 * hour
)

// TestShippedLimits: with the default limits a number gets one message a minute,
// whatever the client, the spelling of the number and the number of parallel
// requests.
func TestShippedLimits(t *testing.T) {
	for _, driver := range dbtest.Drivers(t) {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			d := newDeployment(t, driver)
			d.start(t)
			t.Run("cooldown", func(t *testing.T) {
				mobile := d.number()
				d.do(t, call{path: "/auth/mobile/code", body: codeBody(mobile), want: `{"resendAfter":60}`})
				if code := d.messages.nextMessage(t, "+86"+mobile).Code; len(code) != 6 {
					t.Errorf("the code has %d digits", len(code))
				}
				for _, spelling := range []string{mobile, "+86" + mobile, "0086 " + mobile, mobile[:3] + "-" + mobile[3:]} {
					d.wantRefusals(t, call{path: "/auth/mobile/code", body: codeBody(spelling)}, 42901, 50, 60)
				}
				for _, body := range []string{ // one number in all companies, products and purposes
					fmt.Sprintf(`{"companyType":1,"mobile":%q,"productType":0}`, mobile),
					fmt.Sprintf(`{"companyType":0,"mobile":%q,"productType":1}`, mobile),
					fmt.Sprintf(`{"companyType":0,"mobile":%q,"productType":0,"purpose":"delete"}`, mobile),
				} {
					d.wantRefusals(t, call{path: "/auth/mobile/code", body: body}, 42901, 50, 60)
				}
				d.messages.wantNoMessage(t, "+86"+mobile)
			})
			t.Run("many at once", func(t *testing.T) {
				mobile := d.number()
				row := codeCall(mobile, "")
				answers := withoutTimeouts(t, runAtOnce(32, func(int) answer { return d.send(t, row.request(t, d.public)) }))
				if codes := countCodes(answers); codes[0] != 1 || codes[42901] != len(answers)-1 {
					t.Errorf("the answers are %v", codes)
				}
				d.messages.nextMessage(t, "+86"+mobile)
				d.messages.wantNoMessage(t, "+86"+mobile)
			})
			t.Run("a login does not end the cooldown", func(t *testing.T) {
				mobile := d.number()
				d.login(t, form{Mobile: mobile})
				d.wantRefusals(t, codeCall(mobile, ""), 42901, 50, 60)
			})
			t.Run("a refusal of the provider charges nothing", func(t *testing.T) {
				mobile := d.number()
				for _, status := range []int{http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusTooManyRequests} {
					d.messages.setResponse("+86"+mobile, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
					d.do(t, call{path: "/auth/mobile/code", body: codeBody(mobile), code: 50301})
					d.messages.nextMessage(t, "+86"+mobile)
				}
				d.messages.setResponse("+86"+mobile, nil)
				d.login(t, form{Mobile: mobile})
			})
			t.Run("a time-out before the provider leaves the code good, and charged", func(t *testing.T) {
				mobile := d.number()
				d.messages.setResponse("+86"+mobile, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusGatewayTimeout) })
				d.do(t, call{path: "/auth/mobile/code", body: codeBody(mobile), code: 50301})
				code := d.messages.nextMessage(t, "+86"+mobile)
				d.wantRefusals(t, codeCall(mobile, ""), 42901, 50, 60)
				d.login(t, form{Mobile: mobile, ValidateNo: code.Code})
			})
			t.Run("five in an hour, ten in a day", func(t *testing.T) {
				mobile := d.number()
				earlier := func(ms int) { // lets time pass for this number's codes
					d.exec(t, "UPDATE codes SET sent_at = sent_at - ?, expires_at = expires_at - ? WHERE number_key = (SELECT * FROM (SELECT number_key FROM codes ORDER BY seq DESC LIMIT 1) newest)", ms, ms)
				}
				for sent := 1; sent <= 10; sent++ {
					next := `{"resendAfter":60}`
					if sent%5 == 0 {
						next = "" // when the first of them is an hour, or a day, old
					}
					d.do(t, call{path: "/auth/mobile/code", body: codeBody(mobile), want: next})
					d.messages.nextMessage(t, "+86"+mobile)
					switch earlier(61_000); sent {
					case 5:
						d.wantRefusals(t, codeCall(mobile, ""), 42901, hour-400, hour-290)
						earlier(3600_000)
					case 10:
						d.wantRefusals(t, codeCall(mobile, ""), 42902, day-3600-1000, day-3600-600)
						earlier(23 * 3600_000)
						d.sendCode(t, mobile, 0)
					}
				}
			})
		})
	}
}

// TestOtherLimits: the limits of an address, of failures and of the whole
// deployment.
func TestOtherLimits(t *testing.T) {
	for _, driver := range dbtest.Drivers(t) {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			d := newDeployment(t, driver,
				"CODE_COOLDOWN=0s", "CODE_PER_MOBILE_HOUR=0", "CODE_PER_IP_HOUR=4", "CODE_PER_IP_DAY=6",
				"CODE_FAILS_PER_MOBILE_DAY=7", "CODE_DAILY_BUDGET=40", "CODE_HOURLY_SHARE=100", "CODE_RESERVE=0", "LIMITS_GUESS=0", "SERVER_TRUSTED_PROXIES=127.0.0.0/8,2001:db8:ffff::/48",
				`CODE_TEST_NUMBERS=[{"mobile":"13800138000","code":"246813","until":"2099-01-01T00:00:00Z"},{"mobile":"13800138001","code":"135792","until":"2020-01-01T00:00:00Z"}]`,
			)
			d.start(t)
			addresses := 0
			fresh := func() string { addresses++; return fmt.Sprintf("198.51.100.%d", addresses) }
			granted := 0
			grant := func(t *testing.T, mobile, address string) string {
				t.Helper()
				granted++
				d.do(t, codeCall(mobile, address))
				return d.messages.nextMessage(t, "+86"+mobile).Code
			}
			t.Run("test numbers", func(t *testing.T) {
				granted++
				d.do(t, codeCall("13800138000", fresh()))
				d.messages.wantNoMessage(t, "+8613800138000")
				d.login(t, form{Mobile: "+86 13800138000", ValidateNo: "246813"})
				d.do(t, call{path: "/auth/mobile/login", body: jsonOf(t, form{Mobile: "13800138001", ValidateNo: "135792"}), code: 40002})
				if code := grant(t, "13800138001", fresh()); code == "135792" {
					t.Error("the fixed code outlives its end")
				}
			})
			t.Run("address", func(t *testing.T) {
				address := fresh()
				for range 4 {
					grant(t, d.number(), address)
				}
				d.wantRefusals(t, codeCall(d.number(), address), 42900, hour-60, hour)
				d.wantRefusals(t, codeCall(d.number(), "203.0.113.1, "+address), 42900, hour-60, hour) // what the client wrote before counts nothing
				d.wantRefusals(t, codeCall(d.number(), address+", 127.0.0.1"), 42900, hour-60, hour)
				d.wantRefusals(t, codeCall(d.number(), address+":4711"), 42900, hour-60, hour)
				d.wantRefusals(t, codeCall(d.number(), "::ffff:"+address), 42900, hour-60, hour) // the same IPv4 address within IPv6
				d.wantRefusals(t, codeCall(d.number(), "64:ff9b::"+address), 42900, hour-60, hour)
				d.wantRefusals(t, codeCall(d.number(), "[64:ff9b::c633:6403]:443"), 42900, hour-60, hour)
				grant(t, d.number(), "64:ff9b::"+fresh()) // another address of the translator's network
			})
			t.Run("address by /64", func(t *testing.T) {
				for i := range 4 {
					grant(t, d.number(), fmt.Sprintf("2001:db8:1:2:%x::1", i))
				}
				d.wantRefusals(t, codeCall(d.number(), "[2001:db8:1:2::ffff]:443, 2001:db8:ffff::1"), 42900, hour-60, hour)
				grant(t, d.number(), "2001:db8:1:3::1")
			})
			t.Run("failures", func(t *testing.T) {
				mobile := d.number()
				fail := func(n int) {
					for range n {
						d.do(t, call{path: "/auth/mobile/login", body: jsonOf(t, form{Mobile: mobile, ValidateNo: "wrong"}), code: 40002})
					}
				}
				fail(9) // there is no live code to guess
				grant(t, mobile, fresh())
				fail(4)
				d.login(t, form{Mobile: mobile, ValidateNo: grant(t, mobile, fresh())}) // that code's failures are none
				code := grant(t, mobile, fresh())
				fail(3) // seven now
				d.wantRefusals(t, call{path: "/auth/mobile/login", body: jsonOf(t, form{Mobile: mobile, ValidateNo: code})}, 42903, 1, day+300)
				d.wantRefusals(t, call{path: "/auth/mobile/login", body: jsonOf(t, form{Mobile: mobile, ValidateNo: code, CompanyType: 1})}, 42903, 1, day+300)
				grant(t, mobile, fresh())                                                                                                                      // the failures never stop sending
				d.do(t, call{path: "/auth/mobile/login", body: strings.Replace(jsonOf(t, form{Mobile: mobile}), `"source":""`, `"source":0`, 1), code: 40000}) // shape comes first
			})
			t.Run("budget", func(t *testing.T) {
				for granted < 40 {
					grant(t, d.number(), fresh())
				}
				mobile := d.number()
				d.wantRefusals(t, codeCall(mobile, fresh()), 42900, day-90, day)
				d.messages.wantNoMessage(t, "+86"+mobile)
			})
		})
	}
}
