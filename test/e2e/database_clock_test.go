//go:build cluster

package e2e

import (
	"os"
	"testing"
	"time"
)

// TestDatabaseClock: the clock of the database, which is that of the deployment, jumps
// by half a minute and by a day, forwards and backwards, and back. Nothing that ended is
// active again, and every session is active with the tokens that it had, as long as the
// clock is not ahead of their end. "make test-clock" starts the database for it.
func TestDatabaseClock(t *testing.T) {
	file := os.Getenv("MENSHEN_TEST_CLOCK")
	if file == "" {
		t.Fatal("MENSHEN_TEST_CLOCK is not set: run `make test-clock`")
	}
	a, b := startTwo(t)
	setClock := func(offset string) {
		if err := os.WriteFile(file, []byte(offset+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	now := func() (at int64) {
		if err := a.d.sql(t).QueryRowContext(t.Context(), "SELECT UNIX_TIMESTAMP()").Scan(&at); err != nil {
			t.Fatal(err)
		}
		return at
	}
	kicked, out := a.login(t, "", "device-kicked"), a.login(t, "", "device-out")
	a.kick(t, kicked)
	a.call(out.logoutRequest()).wantSuccess(t)
	mobile := a.d.number()
	displaced := a.login(t, mobile, "device-old")
	living := a.login(t, mobile, "device")
	nothingReturns := func(when string) {
		for _, s := range []*session{kicked, out, displaced} {
			for _, i := range []*instance{a, b} {
				if state, answer := i.check(s); state == "active" || state == "bound" {
					t.Errorf("%s: an ended session is active: %s", when, answer)
				}
			}
		}
	}
	for _, i := range []*instance{a, b} {
		i.wantState(t, living, "active")
	}
	for offset, seconds := range map[string]int64{"+29s": 29, "-29s": -29, "+1d": 86400, "-1d": -86400} {
		setClock(offset)
		eventually(t, callTime, "the database's clock is off by "+offset, func() bool {
			return max(now()-time.Now().Unix()-seconds, -(now()-time.Now().Unix()-seconds)) <= 2
		})
		begin := time.Now()
		for time.Since(begin) < 3*time.Second { // the instances measure it each second
			nothingReturns(offset)
			for _, i := range []*instance{a, b} {
				if state, answer := i.check(living); state != "active" && (seconds < 900 || answer.code != 40101) {
					t.Errorf("%s: %s", offset, answer)
				}
			}
		}
		a.login(t, "", "device") // and serve
		setClock("+0s")
		for _, i := range []*instance{a, b} {
			eventually(t, callTime, "the session is active after "+offset, func() bool {
				nothingReturns("after " + offset)
				state, _ := i.check(living)
				return state == "active"
			})
		}
	}
	a.wantState(t, kicked, "kicked")
	b.wantState(t, out, "logged_out")
	b.wantState(t, displaced, "displaced")
	a.refreshSession(t, living)
	b.wantState(t, living, "active")
	a.d.wantInvariants(t)
}
