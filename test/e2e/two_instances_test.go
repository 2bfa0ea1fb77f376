package e2e

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"menshen/repository"
)

// startTwo runs two instances on one MySQL, each with a folder of its own.
func startTwo(t *testing.T, settings ...string) (a, b *instance) {
	t.Helper()
	needMySQL(t)
	d := newDeployment(t, repository.MySQL, settings...)
	a, b = d.spawn(t, "a"), d.spawn(t, "b")
	a.awaitServing(t)
	b.awaitServing(t)
	return a, b
}

// TestTwoInstances: what one of two instances did holds on the other.
func TestTwoInstances(t *testing.T) {
	t.Parallel()
	a, b := startTwo(t, "CODE_MAX_ATTEMPTS=5")
	t.Run("a login here is seen there", func(t *testing.T) {
		for range 20 {
			s := a.login(t, "", "device")
			b.wantState(t, s, "active")
			b.call(request{path: "/app/auth/user", token: s.access}).wantSuccess(t)
		}
	})
	t.Run("a code sent here is good there", func(t *testing.T) {
		mobile := a.d.number()
		s := b.call(loginRequest(mobile, a.sendCode(t, mobile), "device")).session(t, mobile, "device")
		a.wantState(t, s, "active")
	})
	t.Run("a refresh here, a check there", func(t *testing.T) {
		s := a.login(t, "", "device")
		for range 10 {
			a.refreshSession(t, s)
			b.wantState(t, s, "active")
			b.refreshSession(t, s)
			a.wantState(t, s, "active")
		}
	})
	t.Run("a first check here binds there", func(t *testing.T) {
		s := a.login(t, "", "")
		b.call(request{path: "/app/auth/user", token: s.access}).wantSuccess(t) // b remembers it without a device
		s.device = "device-bound"
		a.wantState(t, s, "bound")
		b.wantState(t, s, "active")
		other := *s
		other.device = "device-other"
		b.wantState(t, &other, "device_mismatch")
		a.wantState(t, s, "active")
	})
	t.Run("one code over both", func(t *testing.T) {
		for range 5 {
			raceCode(t, 32, a, b)
		}
	})
	t.Run("one pair of tokens over both", func(t *testing.T) {
		for range 3 {
			raceRefresh(t, 24, a, b)
		}
	})
	t.Run("a device displaced here", func(t *testing.T) {
		t.Logf("a check on the other instance turned false after %s", displace(t, 50, a, b))
	})
	a.d.wantInvariants(t)
}

// TestTwoInstancesNotify: streams and held checks on one instance react to what
// happens on the other.
func TestTwoInstancesNotify(t *testing.T) {
	t.Parallel()
	a, b := startTwo(t)
	for reason, act := range map[string]func(t *testing.T, s *session){
		"displaced":  func(t *testing.T, s *session) { a.login(t, s.mobile, "device-new") },
		"relogin":    func(t *testing.T, s *session) { a.login(t, s.mobile, s.device) },
		"kicked":     func(t *testing.T, s *session) { a.kick(t, s) },
		"logged_out": func(t *testing.T, s *session) { a.call(s.logoutRequest()).wantSuccess(t) },
		"banned": func(t *testing.T, s *session) {
			a.callAdmin(request{path: fmt.Sprintf("/admin/users/%d/ban", s.user), body: object{"reason": "e2e"}}).wantSuccess(t)
		},
	} {
		t.Run(reason, func(t *testing.T) {
			t.Parallel()
			var streams, holds delays
			for range 5 {
				s := a.login(t, "", "")
				held := b.holdCheck(t, s, "device-old")
				stream := b.events(t, s)
				act(t, s)
				begin := time.Now()
				stream.wantEnded(t, reason, visible)
				streams = append(streams, time.Since(begin))
				answer := <-held
				holds = append(holds, time.Since(begin))
				if answer.state() != reason || time.Since(begin) > visible {
					t.Errorf("the held check after %s: %s", time.Since(begin), answer)
				}
			}
			t.Logf("streams heard after %s; held checks after %s", streams, holds)
		})
	}
}

// holdCheck opens a held check of a session without a device and returns once it
// is held: the check binds the device first, which is visible in the database.
func (i *instance) holdCheck(t *testing.T, s *session, device string) <-chan answer {
	t.Helper()
	s.device = device
	held := make(chan answer, 1)
	go func() { held <- i.call(s.checkRequest("&wait=25")) }()
	eventually(t, stopTime, "the held check binds the device", func() bool {
		var sessions []struct {
			DeviceNumber string
			Current      bool
		}
		i.call(request{path: "/app/auth/sessions", token: s.access}).wantSuccess(t).decode(t, &sessions)
		for _, listed := range sessions {
			if listed.Current && listed.DeviceNumber != "" {
				return true
			}
		}
		return false
	})
	return held
}

// TestTwoInstancesLimits: limits hold exactly over both instances together.
func TestTwoInstancesLimits(t *testing.T) {
	t.Parallel()
	const parallel = 64
	for _, row := range []struct {
		name    string
		setting string
		ask     func(d *deployment) func(n int) request
		want    map[int32]int
		sent    int
	}{
		{"cooldown", "CODE_COOLDOWN=60s", oneNumber, map[int32]int{0: 1, 42901: parallel - 1}, 1},
		{"hour of a number", "CODE_PER_MOBILE_HOUR=5", oneNumber, map[int32]int{0: 5, 42901: parallel - 5}, 5},
		{"day of a number", "CODE_PER_MOBILE_DAY=7", oneNumber, map[int32]int{0: 7, 42902: parallel - 7}, 7},
		{"hour of an address", "CODE_PER_IP_HOUR=10", manyNumbers, map[int32]int{0: 10, 42900: parallel - 10}, 10},
		{"budget of a day", "CODE_DAILY_BUDGET=10", manyNumbers, map[int32]int{0: 10, 42900: parallel - 10}, 10},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			a, b := startTwo(t, row.setting)
			ask := row.ask(a.d)
			answers := make([]answer, parallel)
			runAtOnce(parallel, func(n int) { answers[n] = []*instance{a, b}[n%2].call(ask(n)) })
			if got := countCodes(answers); !sameCounts(got, row.want) {
				t.Errorf("answered %v, want %v: %s", got, row.want, unexpectedAnswers(answers, row.want))
			}
			if sent := a.d.messages.total(); sent != row.sent {
				t.Errorf("%d messages were sent, want %d", sent, row.sent)
			}
		})
	}
	t.Run("failures of a number", func(t *testing.T) {
		t.Parallel()
		a, b := startTwo(t, "CODE_FAILS_PER_MOBILE_DAY=20", "CODE_MAX_ATTEMPTS=100")
		mobile := a.d.number()
		code := a.sendCode(t, mobile)
		answers := make([]answer, parallel)
		runAtOnce(parallel, func(n int) { answers[n] = []*instance{a, b}[n%2].call(loginRequest(mobile, "wrong", "device")) })
		if got, want := countCodes(answers), map[int32]int{40002: 20, 42903: parallel - 20}; !sameCounts(got, want) {
			t.Errorf("answered %v, want %v: %s", got, want, unexpectedAnswers(answers, want))
		}
		for _, i := range []*instance{a, b} {
			if answer := i.call(loginRequest(mobile, code, "device")); answer.code != 42903 {
				t.Errorf("the right code: %s", answer)
			}
		}
	})
}

func oneNumber(d *deployment) func(int) request {
	mobile := d.number()
	return func(int) request { return codeRequest(mobile) }
}

func manyNumbers(d *deployment) func(int) request {
	return func(int) request { return codeRequest(d.number()) }
}

// TestTwoInstancesCrash kills one busy instance again and again: the other
// continues without a failure, and has everything that was answered.
func TestTwoInstancesCrash(t *testing.T) {
	t.Parallel()
	a, b := startTwo(t)
	d := a.d
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	chance := rand.New(rand.NewPCG(seed, 1))
	var victims, others []*player
	for n := range 4 {
		victims = append(victims, &player{name: n, mobile: d.number(), chance: rand.New(rand.NewPCG(seed, uint64(n)+2))})
		others = append(others, &player{name: n + 100, mobile: d.number(), chance: rand.New(rand.NewPCG(seed, uint64(n)+200))})
	}
	var answered atomic.Int64
	for range 6 {
		stop := make(chan struct{})
		var all sync.WaitGroup
		for _, p := range others {
			all.Go(func() {
				for p.act(t, b) {
					answered.Add(1)
					select {
					case <-stop:
						return
					default:
					}
				}
				t.Errorf("player %d: the other instance did not answer", p.name)
			})
		}
		runUntilKilled(t, a, victims, 1+chance.Int64N(60))
		for _, p := range victims { // at once, on the one that is left
			p.verify(t, b, len(p.history))
		}
		close(stop)
		all.Wait()
		a, b = b, d.start(t, a.name) // now the other one dies
	}
	for _, p := range append(victims, others...) {
		p.verify(t, a, len(p.history))
		p.verify(t, b, len(p.history))
	}
	d.wantInvariants(t)
	t.Logf("the instance that was left answered %d acts without a fault", answered.Load())
}

// TestRollingStop replaces both instances one after the other under load: no
// request to an instance in service fails.
func TestRollingStop(t *testing.T) {
	t.Parallel()
	a, b := startTwo(t)
	d := a.d
	s := a.login(t, "", "device")
	var service atomic.Pointer[instance]
	service.Store(b)
	stop := make(chan struct{})
	var answers atomic.Int64
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			ticker := time.NewTicker(2 * time.Millisecond)
			defer ticker.Stop()
			for {
				select {
				case <-stop:
					return
				case <-ticker.C:
				}
				i := service.Load()
				if state, answer := i.check(s); state != "active" {
					t.Errorf("on %s: %s", i.name, answer)
					return
				}
				answers.Add(1)
			}
		})
	}
	for range 4 {
		a.stop(t) // out of service; what it had accepted was answered
		if answer := b.call(request{path: "/readyz"}); answer.status != http.StatusOK || !strings.Contains(string(answer.raw), "ok") {
			t.Errorf("readiness: %s", answer)
		}
		a = d.start(t, a.name)
		service.Store(a)
		a, b = b, a
		before := answers.Load()
		eventually(t, callTime, "the clients have moved", func() bool { return answers.Load() > before+20 })
	}
	close(stop)
	all.Wait()
}
