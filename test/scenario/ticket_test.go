package scenario

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"menshen/repository"
	"menshen/repository/dbtest"
)

// codeAndTicket requests a code for a purpose and returns it with its ticket.
func (d *deployment) codeAndTicket(t *testing.T, mobile, purpose string, headers ...string) (code, ticket string) {
	t.Helper()
	body := fmt.Sprintf(`{"companyType":0,"mobile":%q,"productType":0,"purpose":%q}`, mobile, purpose)
	a := d.do(t, call{path: "/auth/mobile/code", body: body, headers: headersOf(headers...)})
	return d.messages.nextMessage(t, "+86"+mobile).Code, d.ticketOf(t, a)
}

// ticketOf returns the ticket of an answer and adds it to the canaries.
func (d *deployment) ticketOf(t *testing.T, a answer) string {
	t.Helper()
	tickets := a.header.Values("X-Code-Ticket")
	if len(tickets) != 1 || !strings.HasPrefix(tickets[0], "ct1_") || len(tickets[0]) < 26 || len(tickets[0]) > 64 {
		t.Fatalf("the tickets are %q", tickets)
	}
	d.secrets.add(kindToken, tickets[0])
	return tickets[0]
}

// credentialOf returns the device credential of an answer and adds it to the canaries.
func (d *deployment) credentialOf(t *testing.T, header http.Header) string {
	t.Helper()
	credentials := header.Values("X-Device-Credential")
	if len(credentials) != 1 || !strings.HasPrefix(credentials[0], "dc1_") || len(credentials[0]) > 256 {
		t.Fatalf("the credentials are %q", credentials)
	}
	d.secrets.add(kindToken, credentials[0])
	return credentials[0]
}

// TestTickets: the headers of tickets and device credentials, and what they are good for.
func TestTickets(t *testing.T) {
	for _, driver := range dbtest.Drivers(t) {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			d := newDeployment(t, driver, "CODE_LENGTH=10", "CODE_COOLDOWN=0s", "CODE_PER_MOBILE_HOUR=0", "CODE_PER_MOBILE_DAY=0", "CODE_PER_IP_HOUR=0",
				"CODE_FAILS_PER_MOBILE_DAY=0", "CODE_PER_IP_DAY=0", "SERVER_TRUSTED_PROXIES=127.0.0.0/8")
			d.start(t)
			for _, area := range []struct {
				name string
				test func(*testing.T, *deployment)
			}{{"headers", testTicketHeaders}, {"change", testTicketsOfChange}, {"answers", testTicketAnswers}, {"credential", testCredentialHeaders}} {
				t.Run(area.name, func(t *testing.T) { area.test(t, d) })
			}
			d.stop(t)
			searchStorage(t, d)
		})
	}
}

// pools returns how many attempts were counted without a ticket and with one, in all.
func (d *deployment) pools(t *testing.T) (open, ticket string) {
	t.Helper()
	return d.value(t, "SELECT COALESCE(SUM(attempts), 0) FROM codes"), d.value(t, "SELECT COALESCE(SUM(ticket_attempts), 0) FROM codes")
}

// headerLines returns a header with a line for each value.
func headerLines(name string, values []string) http.Header {
	headers := http.Header{}
	for _, value := range values {
		headers.Add(name, value)
	}
	return headers
}

// testTicketHeaders: in which form a ticket is one. Any other value counts as none, and is
// no error.
func testTicketHeaders(t *testing.T, d *deployment) {
	for name, row := range map[string]struct {
		values func(ticket, other string) []string
		good   bool
	}{
		"one":              {func(ticket, _ string) []string { return []string{ticket} }, true},
		"missing":          {func(string, string) []string { return nil }, false},
		"empty":            {func(string, string) []string { return []string{""} }, false},
		"malformed":        {func(string, string) []string { return []string{"ct1_"} }, false},
		"long":             {func(ticket, _ string) []string { return []string{ticket + strings.Repeat("A", 4000)} }, false},
		"another one's":    {func(_, other string) []string { return []string{other} }, false},
		"twice":            {func(ticket, _ string) []string { return []string{ticket, ticket} }, false},
		"beside another":   {func(ticket, other string) []string { return []string{other, ticket} }, false},
		"behind a comma":   {func(ticket, other string) []string { return []string{other + "," + ticket} }, false},
		"before a comma":   {func(ticket, _ string) []string { return []string{ticket + ","} }, false},
		"as a credential":  {func(ticket, _ string) []string { return []string{"dc1_" + ticket[4:]} }, false},
		"in other letters": {func(ticket, _ string) []string { return []string{strings.ToLower(ticket)} }, false},
	} {
		t.Run(name, func(t *testing.T) {
			mobile := d.number()
			code, ticket := d.codeAndTicket(t, mobile, "login")
			_, other := d.codeAndTicket(t, d.number(), "login")
			open, ticketed := d.pools(t)
			headers := headerLines("X-Code-Ticket", row.values(ticket, other))
			d.do(t, call{path: "/auth/mobile/login", body: jsonOf(t, form{Mobile: mobile, ValidateNo: "none"}), headers: headers, code: 40002, header: map[string]string{"X-Code-Ticket": ""}})
			if nowOpen, nowTicketed := d.pools(t); (nowOpen == open) != row.good || (nowTicketed == ticketed) == row.good {
				t.Errorf("counted %s to %s without a ticket, %s to %s with one", open, nowOpen, ticketed, nowTicketed)
			}
			d.codeAndTicket(t, mobile, "login")
			a := d.do(t, call{path: "/auth/mobile/login", body: jsonOf(t, form{Mobile: mobile, ValidateNo: code}), headers: headers, code: map[bool]int32{true: 0, false: 40002}[row.good]})
			if row.good {
				d.accountOf(t, a)
				d.do(t, call{path: "/auth/mobile/login", body: jsonOf(t, form{Mobile: mobile, ValidateNo: code}), headers: headers, code: 40002}) // it is used
			}
		})
	}
}

// testTicketsOfChange: a change takes two tickets in one line. Newer codes of both numbers
// show which tickets count.
func testTicketsOfChange(t *testing.T, d *deployment) {
	for name, row := range map[string]struct {
		values func(old, fresh string) []string
		code   int32
	}{
		"old, new":    {func(old, fresh string) []string { return []string{old + "," + fresh} }, 0},
		"new, old":    {func(old, fresh string) []string { return []string{fresh + ", " + old} }, 0},
		"with blanks": {func(old, fresh string) []string { return []string{old + " ,\t" + fresh} }, 0},
		"old alone":   {func(old, _ string) []string { return []string{old} }, 40002},
		"new alone":   {func(_, fresh string) []string { return []string{fresh} }, 40002},
		"three":       {func(old, fresh string) []string { return []string{old + "," + fresh + ","} }, 40002},
		"two lines":   {func(old, fresh string) []string { return []string{old, fresh} }, 40002},
		"another's": {func(old, _ string) []string {
			return []string{old + ",ct1_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}
		}, 40002},
		"without either": {func(string, string) []string { return nil }, 40002},
	} {
		t.Run(name, func(t *testing.T) {
			from, to := d.number(), d.number()
			owner := d.login(t, form{Mobile: from})
			oldCode, oldTicket := d.codeAndTicket(t, from, "change")
			newCode, newTicket := d.codeAndTicket(t, to, "change")
			d.codeAndTicket(t, from, "change")
			d.codeAndTicket(t, to, "change")
			body := fmt.Sprintf(`{"mobile":%q,"validateNo":%q,"oldValidateNo":%q}`, to, newCode, oldCode)
			a := d.do(t, call{path: "/app/auth/user/mobile", as: owner.AccessToken.Value, body: body, code: row.code, headers: headerLines("X-Code-Ticket", row.values(oldTicket, newTicket))})
			if row.code == 0 {
				d.credentialOf(t, a.header)
			} else if a.header.Get("X-Device-Credential") != "" {
				t.Error("a refusal has a credential")
			}
		})
	}
	t.Run("deletion", func(t *testing.T) {
		mobile := d.number()
		owner := d.login(t, form{Mobile: mobile})
		code, ticket := d.codeAndTicket(t, mobile, "delete")
		d.codeAndTicket(t, mobile, "delete")
		row := call{method: http.MethodDelete, path: "/app/auth/user", as: owner.AccessToken.Value, body: fmt.Sprintf(`{"validateNo":%q}`, code), code: 40002}
		d.do(t, row)
		row.code, row.headers = 0, headersOf("X-Code-Ticket", ticket)
		d.do(t, row)
	})
}

// testTicketAnswers: exactly the answers that leave their code valid bear a ticket.
func testTicketAnswers(t *testing.T, d *deployment) {
	mobile := d.number()
	none := map[string]string{"X-Code-Ticket": "", "X-Device-Credential": ""}
	respond := func(status int) {
		d.messages.setResponse("+86"+mobile, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
	}
	respond(http.StatusServiceUnavailable)
	d.do(t, call{path: "/auth/mobile/code", body: codeBody(mobile), code: 50301, header: none})
	d.messages.nextMessage(t, "+86"+mobile)
	respond(http.StatusGatewayTimeout)
	unknown := d.do(t, call{path: "/auth/mobile/code", body: codeBody(mobile), code: 50301, want: "null"})
	f := form{Mobile: mobile, ValidateNo: d.messages.nextMessage(t, "+86"+mobile).Code}
	respond(http.StatusNoContent)
	d.codeAndTicket(t, mobile, "login")
	d.login(t, f, "X-Code-Ticket", d.ticketOf(t, unknown))
	d.do(t, call{path: "/auth/mobile/code", body: codeBody("12345"), code: 40001, header: none})
	d.do(t, call{path: "/auth/mobile/code", body: `{}`, code: 40000, header: none})
}

// testCredentialHeaders: in which form a credential is one. Any other value counts as
// none, and is no error.
func testCredentialHeaders(t *testing.T, d *deployment) {
	for name, row := range map[string]struct {
		values func(credential, other string) []string
		pool   string
	}{
		"one":           {func(credential, _ string) []string { return []string{credential} }, "1"},
		"missing":       {func(string, string) []string { return nil }, "0"},
		"malformed":     {func(string, string) []string { return []string{"dc1_x"} }, "0"},
		"long":          {func(credential, _ string) []string { return []string{credential + strings.Repeat("A", 4000)} }, "0"},
		"another one's": {func(_, other string) []string { return []string{other} }, "0"},
		"twice":         {func(credential, _ string) []string { return []string{credential, credential} }, "0"},
		"with a comma":  {func(credential, _ string) []string { return []string{credential + "," + credential} }, "0"},
	} {
		t.Run(name, func(t *testing.T) {
			mobile := d.number()
			credential := d.credentialOf(t, d.login(t, form{Mobile: mobile}).header)
			other := d.credentialOf(t, d.login(t, form{Mobile: d.number()}).header)
			a := d.do(t, call{path: "/auth/mobile/code", body: codeBody(mobile), headers: headerLines("X-Device-Credential", row.values(credential, other)), header: map[string]string{"X-Device-Credential": ""}})
			d.ticketOf(t, a)
			d.messages.nextMessage(t, "+86"+mobile)
			if got := d.value(t, "SELECT send_pool FROM codes ORDER BY sent_at DESC, seq DESC LIMIT 1"); got != row.pool {
				t.Errorf("the pool is %s, want %s", got, row.pool)
			}
		})
	}
}

// TestTicketRequired: without a good ticket no code is compared, and a lock is not shown.
func TestTicketRequired(t *testing.T) {
	d := newDeployment(t, repository.SQLite, "CODE_COOLDOWN=0s", "CODE_TICKET=required", "CODE_FAILS_PER_MOBILE_DAY=1")
	d.start(t)
	mobile := d.number()
	code, ticket := d.codeAndTicket(t, mobile, "login")
	f := form{Mobile: mobile, ValidateNo: code}
	for range 3 {
		d.do(t, call{path: "/auth/mobile/login", body: jsonOf(t, f), code: 40002})
	}
	if open, ticketed := d.pools(t); open != "0" || ticketed != "0" {
		t.Errorf("%s and %s attempts are counted", open, ticketed)
	}
	d.login(t, f, "X-Code-Ticket", ticket)
}

// TestGuessLimit: an address gets ten wrong answers for a number in ten minutes, whether
// or not a code lives there. A ticket is free of it.
func TestGuessLimit(t *testing.T) {
	d := newDeployment(t, repository.SQLite, "LIMITS_ENABLED=true", "CODE_COOLDOWN=0s", "SERVER_TRUSTED_PROXIES=127.0.0.0/8")
	d.start(t)
	for _, sent := range []bool{true, false} {
		mobile, code, ticket := d.number(), "", ""
		if sent {
			code, ticket = d.codeAndTicket(t, mobile, "login")
		}
		guess := func(address string) call {
			return call{path: "/auth/mobile/login", body: jsonOf(t, form{Mobile: mobile, ValidateNo: "none"}), code: 40002, headers: headersOf("X-Forwarded-For", address)}
		}
		for range 10 {
			d.do(t, guess("2001:db8::1"))
		}
		d.wantRefusals(t, guess("2001:db8::2"), 42900, 540, 600)
		d.do(t, guess("2001:db8:0:1::1"))
		if sent {
			d.login(t, form{Mobile: mobile, ValidateNo: code}, "X-Code-Ticket", ticket, "X-Forwarded-For", "2001:db8::1")
		}
	}
}
