package e2e

import (
	"encoding/json"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"menshen/repository"
)

// TestLoginRaces: devices of one user log in at the same time, over two instances: at
// the end exactly one is logged in, and every other was displaced. The users have test
// numbers, and each device has the ticket of its own code, so that all may succeed.
func TestLoginRaces(t *testing.T) {
	t.Parallel()
	const code = "246813"
	devices, users := soak(12, 64), soak(2, 200)
	var mobiles []string
	var numbers []object
	for n := range users {
		mobiles = append(mobiles, fmt.Sprintf("1380013%04d", n))
		numbers = append(numbers, object{"mobile": mobiles[n], "code": code, "until": time.Now().Add(24 * time.Hour).Format(time.RFC3339)})
	}
	setting, err := json.Marshal(numbers)
	if err != nil {
		t.Fatal(err)
	}
	a, b := startTwo(t, "CODE_TEST_NUMBERS="+string(setting))
	logins := 0
	var busy atomic.Int64
	for _, mobile := range mobiles {
		sessions := make([]*session, devices)
		runAtOnce(devices, func(n int) {
			i := []*instance{a, b}[n%2]
			device := fmt.Sprintf("device-%d", n)
			for sessions[n] == nil {
				answer := i.call(codeRequest(mobile))
				if answer.code == 0 {
					login := loginRequest(mobile, code, device)
					login.ticket = answer.header.Get("X-Code-Ticket")
					answer = i.call(login)
				}
				switch answer.code {
				case 0:
					sessions[n] = answer.session(t, mobile, device)
				case 50300: // the queue for the user's rows is longer than the time of an answer
					busy.Add(1)
				default:
					t.Errorf("a login among %d: %s", devices, answer)
					return
				}
			}
		})
		if t.Failed() {
			return
		}
		active := 0
		for _, s := range sessions {
			onA, onB := a.settled(t, s), b.settled(t, s)
			if onA != onB || onA != "active" && onA != "displaced" {
				t.Errorf("a session is %s on one instance, %s on the other", onA, onB)
			}
			if onA == "active" {
				active++
			}
		}
		if active != 1 && (active != 0 || busy.Load() == 0) { // a login without an answer may be the newest
			t.Errorf("%d of %d sessions are active", active, devices)
		}
		logins += devices
	}
	a.d.wantInvariants(t)
	t.Logf("%d logins of %d users, %d tries unavailable", logins, users, busy.Load())
}

// settled returns the state of the session that the database has: that of a refresh.
func (i *instance) settled(t *testing.T, s *session) string {
	t.Helper()
	if a := i.call(s.refreshRequest()); a.code != 0 && a.code != 40102 && a.code != 40103 {
		t.Errorf("a refresh: %s", a)
	}
	state, _ := i.check(s)
	return state
}

// TestRefreshRaces: a refresh meets a kick, a ban or a logout on another instance. The
// end wins: whatever the refresh was answered, its token is of an ended session.
func TestRefreshRaces(t *testing.T) {
	t.Parallel()
	for state, end := range map[string]func(i *instance, s *session) answer{
		"kicked":     func(i *instance, s *session) answer { return i.callAdmin(s.kickRequest()) },
		"logged_out": func(i *instance, s *session) answer { return i.call(s.logoutRequest()) },
		"banned": func(i *instance, s *session) answer {
			return i.callAdmin(request{path: fmt.Sprintf("/admin/users/%d/ban", s.user), body: object{"reason": "e2e"}})
		},
	} {
		t.Run(state, func(t *testing.T) {
			t.Parallel()
			a, b := startTwo(t)
			rounds, first := soak(10, 1000), 0
			for range rounds {
				s := a.login(t, "", "device")
				var ended, refreshed answer
				runAtOnce(2, func(n int) {
					if n == 0 {
						ended = end(a, s)
						return
					}
					refreshed = b.call(s.refreshRequest())
				})
				ended.wantSuccess(t)
				switch refreshed.code {
				case 0:
					s.access = refreshed.token(t)
					first++
				case 40103:
				default:
					t.Errorf("a refresh during the end: %s", refreshed)
				}
				if again := b.call(s.refreshRequest()); again.code != 40103 {
					t.Errorf("a refresh after the end: %s", again)
				}
				a.wantState(t, s, state)
				b.wantState(t, s, state)
				if t.Failed() {
					return
				}
			}
			a.d.wantInvariants(t)
			t.Logf("%s: the refresh was first in %d of %d", state, first, rounds)
		})
	}
}

// TestCodeRaces: one code, many devices, two instances: one login for each code.
func TestCodeRaces(t *testing.T) {
	t.Parallel()
	a, b := startTwo(t)
	codes := soak(3, 200)
	for range codes {
		if raceCode(t, 32, a, b); t.Failed() {
			return
		}
	}
	a.d.wantInvariants(t)
	t.Logf("%d codes, 64 logins with each on %s", codes, repository.MySQL)
}
