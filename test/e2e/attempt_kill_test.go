package e2e

import (
	"fmt"
	"syscall"
	"testing"

	"menshen/repository"
)

// TestKilledAttempts kills the process before each statement of an attempt, right and
// wrong, and before its COMMIT, and starts it again: nothing was answered, nothing is done
// in part, and the code has as many comparisons left as if the attempt had not been.
func TestKilledAttempts(t *testing.T) {
	t.Parallel()
	needMySQL(t)
	d := newDeployment(t, repository.MySQL, fmt.Sprintf("CODE_MAX_ATTEMPTS=%d", maxAttempts))
	w, dsn := d.startWire(t)
	for _, attempt := range []struct {
		name  string
		wrong bool
		later bool // the number has an account and a session
	}{{name: "first login"}, {name: "later login", later: true}, {name: "wrong code", wrong: true, later: true}} {
		for stop := 1; ; stop++ {
			i := d.start(t, data, dsn)
			i.awaitReady(t)
			mobile := d.number()
			if attempt.later {
				i.login(t, mobile, "before")
			}
			code := i.sendCode(t, mobile)
			typed := code
			if attempt.wrong {
				typed = otherCode(code)
			}
			stage := &attemptStage{stop: stop, stopped: func() { i.signal(t, syscall.SIGKILL) }}
			w.watch(stage.before)
			answer := i.call(loginRequest(mobile, typed, "device"))
			w.watch(nil)
			if stage.committed || len(stage.statements) == 0 {
				if want := map[bool]int32{false: 0, true: 40002}[attempt.wrong]; answer.code != want || stop < 3 {
					t.Errorf("%s: %s after %s", attempt.name, answer, stage)
				}
				t.Logf("%s: killed before each of %d statements", attempt.name, len(stage.statements))
				i.stop(t)
				break
			}
			if answer.err == nil {
				t.Errorf("%s, killed before statement %d: %s", attempt.name, stop, answer)
			}
			i.awaitKilled(t)
			d.wantInvariants(t)
			d.wantComparisons(t, dsn, mobile, code, stop%2 == 0, fmt.Sprintf("%s, killed before statement %d of %s", attempt.name, stop, stage))
			if t.Failed() {
				return
			}
		}
	}
}

// maxAttempts is code.max_attempts.
const maxAttempts = 5

// otherCode returns a code that differs.
func otherCode(code string) string { return code[:5] + string('0'+(code[5]-'0'+1)%10) }

// wantComparisons checks that exactly maxAttempts comparisons of the number's newest code are
// answered: the last of them logs in if it is right, and one after them is refused.
func (d *deployment) wantComparisons(t *testing.T, dsn, mobile, code string, all bool, after string) {
	t.Helper()
	i := d.start(t, data, dsn)
	defer i.stop(t)
	i.awaitReady(t)
	wrongs, want := maxAttempts-1, int32(0)
	if all {
		wrongs, want = maxAttempts, 40002
	}
	for range wrongs {
		if a := i.call(loginRequest(mobile, otherCode(code), "device")); a.code != 40002 {
			t.Errorf("%s: a wrong code: %s", after, a)
		}
	}
	if a := i.call(loginRequest(mobile, code, "device")); a.code != want {
		t.Errorf("%s: the right code after %d wrong ones: %s", after, wrongs, a)
	}
}
