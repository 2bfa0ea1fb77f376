package e2e

import (
	"testing"
)

// TestRestart: what was answered holds after a stop and after a kill: final
// answers, cooldowns, attempts, codes, and a pair of tokens that was replaced.
func TestRestart(t *testing.T) {
	t.Parallel()
	for _, ending := range []struct {
		name string
		end  func(*instance, *testing.T)
	}{{"stop", (*instance).stop}, {"kill", (*instance).kill}} {
		t.Run(ending.name, func(t *testing.T) {
			t.Parallel()
			eachDriver(t, func(t *testing.T, driver string) {
				// Without grace an old pair is a replay at once.
				d := newDeployment(t, driver, "TOKEN_REUSE_GRACE=0s", "CODE_COOLDOWN=60s", "CODE_MAX_ATTEMPTS=2")
				i := d.start(t, data)
				displaced := i.login(t, "", "device-old")
				kicked, out := i.login(t, "", "device-kicked"), i.login(t, "", "device-out")
				i.kick(t, kicked)
				i.call(out.logoutRequest()).wantSuccess(t)

				// Rotated and used: from now on the first pair is a replay.
				rotated := i.login(t, "", "device-rotated")
				stolen := *rotated
				i.refreshSession(t, rotated)
				i.wantState(t, rotated, "active")
				// Rotated and not used: the answer may have been lost.
				lost := i.login(t, "", "device-lost")
				i.call(lost.refreshRequest()).wantSuccess(t)

				asked, spent := d.number(), d.number()
				code := i.sendCode(t, asked)
				spentCode := i.sendCode(t, spent)
				for range 2 {
					if a := i.call(loginRequest(spent, "wrong", "device")); a.code != 40002 {
						t.Errorf("a wrong code: %s", a)
					}
				}

				ending.end(i, t)
				i = d.start(t, data)
				i.wantState(t, kicked, "kicked")
				i.wantState(t, out, "logged_out")
				i.wantState(t, rotated, "active")
				if a := i.call(codeRequest(asked)); a.code != 42901 {
					t.Errorf("the cooldown: %s", a)
				}
				i.call(loginRequest(asked, code, "device")).wantSuccess(t)
				if a := i.call(loginRequest(asked, code, "device")); a.code != 40002 {
					t.Errorf("a used code: %s", a)
				}
				if a := i.call(loginRequest(spent, spentCode, "device")); a.code != 40002 {
					t.Errorf("a spent code: %s", a)
				}
				i.refreshSession(t, lost)
				i.wantState(t, lost, "active")
				if a := i.call(stolen.refreshRequest()); a.code != 40103 {
					t.Errorf("the replay: %s", a)
				}
				i.wantState(t, rotated, "reuse")

				ending.end(i, t)
				i = d.start(t, data)
				i.wantState(t, rotated, "reuse")
				for _, s := range []*session{&stolen, rotated, kicked, out} {
					if a := i.call(s.refreshRequest()); a.code != 40103 {
						t.Errorf("a refresh of an ended session: %s", a)
					}
				}
				i.wantState(t, displaced, "active") // it was not displaced
			})
		})
	}
}
