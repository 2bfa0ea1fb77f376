package scenario

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"menshen/repository/dbtest"
)

// TestLosses: what strangers take from whom, and what they cannot take: the table of
// docs/security.md, row by row. TestLockOut has its first row.
func TestLosses(t *testing.T) {
	for _, driver := range dbtest.Drivers(t) {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			d := newDeployment(t, driver, "CODE_LENGTH=10", "CODE_COOLDOWN=0s", "CODE_PER_MOBILE_HOUR=0", "CODE_PER_IP_HOUR=0", "CODE_PER_IP_DAY=0",
				"CODE_PER_BLOCK_HOUR=0", "CODE_PER_BLOCK_DAY=0")
			d.start(t)
			t.Run("a first login with a ticket", func(t *testing.T) { testFirstLogin(t, d) })
			t.Run("a client without tickets", func(t *testing.T) { testNoTicket(t, d) })
			d.stop(t)
			t.Run("a shared address", func(t *testing.T) { testSharedAddress(t, driver) })
			t.Run("a challenge", func(t *testing.T) { testLockedChallenge(t, driver) })
		})
	}
}

// testFirstLogin: a new client with a ticket keeps its attempts, but not its next messages.
func testFirstLogin(t *testing.T, d *deployment) {
	mobile := d.number()
	code, ticket := d.codeAndTicket(t, mobile, "login")
	d.lockOut(t, mobile)
	d.wantRefusals(t, call{path: "/auth/mobile/code", body: codeBody(mobile)}, 42902, 1, day)
	owner := d.login(t, form{Mobile: mobile, ValidateNo: code}, "X-Code-Ticket", ticket)
	code, ticket = d.codeAndTicket(t, mobile, "login", "X-Device-Credential", d.credentialOf(t, owner.header)) // a known device by now
	d.login(t, form{Mobile: mobile, ValidateNo: code}, "X-Code-Ticket", ticket)
}

// testNoTicket: a client that keeps no ticket loses its attempts too, and keeps its session.
func testNoTicket(t *testing.T, d *deployment) {
	mobile := d.number()
	owner := d.login(t, form{Mobile: mobile, DeviceNumber: "device-of-owner"})
	attempt := func(code string) call {
		return call{path: "/auth/mobile/login", body: jsonOf(t, form{Mobile: mobile, ValidateNo: code}), code: 40002}
	}
	code := d.sendCode(t, mobile, 0)
	next := d.sendCode(t, mobile, 0) // at a stranger's request
	d.do(t, attempt(code))
	code = next
	for range 4 {
		d.do(t, attempt("none"))
	}
	d.do(t, attempt(code)) // the right one
	d.lockOut(t, mobile)
	d.wantRefusals(t, attempt(code), 42903, 1, day+300)
	access := d.refresh(t, owner.AccessToken.Value, owner.RefreshToken.Value).Value
	d.do(t, call{path: checkPath("device-of-owner"), as: access, want: `{"isLogin":true}`})
	d.do(t, call{path: "/app/auth/user", as: access})
	d.do(t, call{path: "/app/auth/sessions", as: access})
}

// testSharedAddress: neighbours behind an address, and in its block, use up the messages of
// new clients there. They take neither a known device's nor a ticket's attempts.
func testSharedAddress(t *testing.T, driver string) {
	d := newDeployment(t, driver, "CODE_LENGTH=10", "CODE_COOLDOWN=0s", "CODE_PER_IP_HOUR=4", "CODE_PER_BLOCK_HOUR=6", "SERVER_TRUSTED_PROXIES=127.0.0.1")
	d.start(t)
	const shared, near, elsewhere = "198.51.100.1", "198.51.100.2", "203.0.113.1"
	known, first := d.number(), d.number()
	credential := d.credentialOf(t, d.login(t, form{Mobile: known}).header)
	code, ticket := d.codeAndTicket(t, first, "login", "X-Forwarded-For", shared)
	for range 3 {
		d.do(t, codeCall(d.number(), shared))
	}
	d.wantRefusals(t, codeCall(d.number(), shared), 42900, hour-60, hour)
	for range 2 {
		d.do(t, codeCall(d.number(), near))
	}
	d.wantRefusals(t, codeCall(d.number(), near), 42900, hour-60, hour)
	d.do(t, codeCall(d.number(), elsewhere))
	d.login(t, form{Mobile: first, ValidateNo: code}, "X-Code-Ticket", ticket, "X-Forwarded-For", shared)
	code, ticket = d.codeAndTicket(t, known, "login", "X-Device-Credential", credential, "X-Forwarded-For", shared)
	d.login(t, form{Mobile: known, ValidateNo: code}, "X-Code-Ticket", ticket, "X-Forwarded-For", shared)
	d.stop(t)
}

// testLockedChallenge: where a challenge is configured, a new client that passes it gets a
// code of a number whose messages strangers have used up.
func testLockedChallenge(t *testing.T, driver string) {
	server := httptest.NewServer(&siteverify{})
	t.Cleanup(server.Close)
	d := newDeployment(t, driver, "CODE_LENGTH=10", "CODE_COOLDOWN=0s", "CODE_PER_MOBILE_HOUR=0", "CHALLENGE_PROVIDER=turnstile", "CHALLENGE_SECRET=site-secret",
		"CHALLENGE_URL="+server.URL+"/turnstile/v0/siteverify", "CHALLENGE_TURNSTILE_SITE_KEY=0x4site")
	d.start(t)
	mobile := d.number()
	for range 10 {
		d.codeAndTicket(t, mobile, "login")
	}
	d.do(t, call{path: "/auth/mobile/code", body: codeBody(mobile), code: 42902, want: `{"challenge":{"provider":"turnstile","siteKey":"0x4site","params":{},"alternatives":[]}}`})
	body := strings.TrimSuffix(codeBody(mobile), "}") + fmt.Sprintf(`,"challenge":%q}`, "good")
	a := d.do(t, call{path: "/auth/mobile/code", body: body})
	d.login(t, form{Mobile: mobile, ValidateNo: d.messages.nextMessage(t, "+86"+mobile).Code}, "X-Code-Ticket", d.ticketOf(t, a))
	d.stop(t)
}
