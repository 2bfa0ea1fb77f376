package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// visible is how long an end may take to be seen on another instance; promised
// is a second at p99.
var visible = patient(3 * time.Second)

// delays are measured times.
type delays []time.Duration

func (d delays) String() string {
	if len(d) == 0 {
		return "none"
	}
	sorted := slices.Sorted(slices.Values(d))
	at := func(percent int) time.Duration { return sorted[(len(sorted)*percent+99)/100-1].Round(time.Millisecond) }
	return fmt.Sprintf("p50 %s, p99 %s, longest %s of %d", at(50), at(99), sorted[len(sorted)-1].Round(time.Millisecond), len(sorted))
}

// awaitState checks until the session has the wanted state, and returns how long
// that took since begin. Before that it may only be active.
func (i *instance) awaitState(t *testing.T, s *session, want string, begin time.Time) time.Duration {
	t.Helper()
	ticker := time.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	for {
		state, a := i.check(s)
		took := time.Since(begin)
		switch {
		case state == want:
			return took
		case state != "active":
			t.Errorf("waiting for %s on %s: %s", want, i.name, a)
			return took
		case took > visible:
			t.Errorf("not within %s: %s is seen on %s: %s", visible, want, i.name, a)
			return took
		}
		<-ticker.C
	}
}

// displace logs in rounds times on one instance, each time on another device,
// while the others answer from their caches. It returns how long after a login's
// answer the others reported the end of the session before; the same instance must
// report it at once.
func displace(t *testing.T, rounds int, on *instance, others ...*instance) delays {
	t.Helper()
	mobile := on.d.number()
	old := on.login(t, mobile, "device-0")
	var measured delays
	for round := range rounds {
		for _, other := range others {
			other.cacheSession(t, old)
		}
		code := on.sendCode(t, mobile)
		device := fmt.Sprintf("device-%d", round+1)
		a := on.call(loginRequest(mobile, code, device))
		begin := time.Now()
		next := a.session(t, mobile, device)
		if displaced := a.header.Get("X-Displaced"); displaced != "1" {
			t.Errorf("X-Displaced is %q", displaced)
		}
		took := make(delays, len(others))
		runAtOnce(len(others)+1, func(n int) {
			if n == len(others) {
				on.wantState(t, old, "displaced")
				return
			}
			took[n] = others[n].awaitState(t, old, "displaced", begin)
		})
		measured = append(measured, took...)
		old = next
	}
	return measured
}

// raceCode sends one right code from many devices over all instances at once:
// exactly one logs in, and every other gets the answer to a wrong code.
func raceCode(t *testing.T, each int, instances ...*instance) {
	t.Helper()
	d := instances[0].d
	mobile := d.number()
	code := instances[0].sendCode(t, mobile)
	answers := make([]answer, each*len(instances))
	runAtOnce(len(answers), func(n int) {
		answers[n] = instances[n%len(instances)].call(loginRequest(mobile, code, fmt.Sprintf("device-%d", n)))
	})
	if got, want := countCodes(answers), map[int32]int{0: 1, 40002: len(answers) - 1}; !sameCounts(got, want) {
		t.Errorf("a raced code is answered %v, want %v: %s", got, want, unexpectedAnswers(answers, want))
	}
	for n, a := range answers {
		if a.code == 0 {
			winner := a.session(t, mobile, fmt.Sprintf("device-%d", n))
			for _, i := range instances {
				i.wantState(t, winner, "active")
			}
		}
	}
}

// raceRefresh refreshes one pair many times over all instances at once: all
// succeed and get the same token.
func raceRefresh(t *testing.T, each int, instances ...*instance) {
	t.Helper()
	s := instances[0].login(t, "", "device")
	before := claimsOf(t, s.access)
	for round := range 3 {
		answers := make([]answer, each*len(instances))
		runAtOnce(len(answers), func(n int) { answers[n] = instances[n%len(instances)].call(s.refreshRequest()) })
		tokens := map[string]int{}
		for _, a := range answers {
			if a.code != 0 {
				t.Errorf("round %d: a parallel refresh: %s", round, a)
				continue
			}
			tokens[claimsOf(t, a.token(t)).Jti]++
			s.access = a.token(t)
		}
		after := claimsOf(t, s.access)
		if len(tokens) != 1 || after.Gen != before.Gen+1 {
			t.Errorf("round %d: from generation %d to %d with the tokens %v", round, before.Gen, after.Gen, tokens)
		}
		before = after
		for _, i := range instances {
			i.wantState(t, s, "active")
		}
	}
}

// countCodes counts answers by code.
func countCodes(answers []answer) map[int32]int {
	counts := map[int32]int{}
	for _, a := range answers {
		counts[a.code]++
	}
	return counts
}

func sameCounts(a, b map[int32]int) bool { return fmt.Sprint(a) == fmt.Sprint(b) } // maps are printed in order

// unexpectedAnswers returns the answers whose code is not in want.
func unexpectedAnswers(answers []answer, want map[int32]int) string {
	var text strings.Builder
	for _, a := range answers {
		if _, wanted := want[a.code]; !wanted {
			fmt.Fprintf(&text, "\n%s", a)
		}
	}
	return text.String()
}
