package e2e

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// The users that keep the instance busy before a kill.
const (
	players = 6
	mostAct = 90 // acts that are answered before a kill, at most
)

// TestCrash kills the process at random moments in a stream of logins, refreshes,
// checks, logouts and kicks, and starts it again: every answer still holds, no
// ended session is active again, a code that was sent can be redeemed, and no act
// is done in part.
func TestCrash(t *testing.T) {
	t.Parallel()
	eachDriver(t, func(t *testing.T, driver string) {
		d := newDeployment(t, driver, "CODE_TTL=10m") // a machine that stands still expires codes
		users, chance := d.players(t, players)
		for _, p := range users {
			p.patient = soak(0, 1) == 1 // a long test shares its machine with others
		}
		kind := d.kind(t)
		kills := soak(20, map[string]int{"SQLite": 200, "MariaDB": 100, "MySQL": 50}[kind])
		if _, err := program(); err != nil { // not within the time of the first start
			t.Fatal(err)
		}
		acts := int64(0)
		begin := time.Now()
		var ready delays
		for range kills {
			started := time.Now()
			i := d.start(t, data)
			i.awaitReady(t)
			ready = append(ready, time.Since(started))
			for _, p := range users {
				p.verify(t, i, 10)
			}
			acts += runUntilKilled(t, i, users, 1+chance.Int64N(mostAct))
			d.wantInvariants(t)
		}
		i := d.start(t, data)
		sessions, open := 0, 0
		for _, p := range users {
			p.verify(t, i, len(p.history))
			sessions, open = sessions+len(p.history), open+p.unanswered
		}
		i.stop(t)
		d.wantInvariants(t)
		t.Logf("%s: %d kills in %s, %d acts answered, %d cut off, %d sessions checked", kind, kills, time.Since(begin).Round(time.Second), acts, open, sessions)
		t.Logf("%s: ready after %s", kind, ready)
	})
}

// players returns users that act at random, and the randomness of the test.
func (d *deployment) players(t *testing.T, n int) ([]*player, *rand.Rand) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	users := make([]*player, n)
	for n := range users {
		users[n] = &player{name: n, mobile: d.number(), chance: rand.New(rand.NewPCG(seed, uint64(n)+2))}
	}
	return users, rand.New(rand.NewPCG(seed, 1))
}

// runUntilKilled lets the users act in parallel and kills the instance after the
// given number of answers.
func runUntilKilled(t *testing.T, i *instance, users []*player, after int64) int64 {
	t.Helper()
	var answered atomic.Int64
	reached, refused := make(chan struct{}), make(chan struct{})
	var all sync.WaitGroup
	for _, p := range users {
		all.Go(func() {
			for p.act(t, i) {
				if answered.Add(1) == after {
					close(reached)
				}
			}
		})
	}
	go func() { all.Wait(); close(refused) }() // all users
	select {
	case <-reached:
	case <-refused:
	case <-time.After(callTime):
		t.Error("the acts do not get on")
	}
	i.kill(t)
	all.Wait()
	return answered.Load()
}

// player is one user, that does one thing after the other and remembers what was
// answered.
type player struct {
	name       int
	mobile     string
	chance     *rand.Rand
	code       string    // sent and not used
	history    []*played // oldest first
	devices    int
	patient    bool // 503 is no fault but no answer
	unanswered int
	last       answer // of those

	// What was under way when the instance died.
	tried string // "", "code", "login"
	had   bool   // with "login": a live session
	sent  int    // with "code": how many codes there were
}

// played is a session and what must be true of it.
type played struct {
	*session
	state string // what a check must say: "active" or how it ended
	maybe string // how an unanswered act may have ended it
}

// current returns the active session, nil for none.
func (p *player) current() *played {
	if n := len(p.history); n > 0 && p.history[n-1].state == "active" {
		return p.history[n-1]
	}
	return nil
}

// act does one thing and reports whether it was answered.
func (p *player) act(t *testing.T, i *instance) bool {
	s := p.current()
	dice := p.chance.IntN(10)
	switch {
	case p.code == "" && (s == nil || dice < 4):
		return p.ask(t, i)
	case p.code != "" && (s == nil || dice < 4):
		return p.logIn(t, i)
	case dice < 6:
		return p.refresh(t, i, s)
	case dice < 7:
		return p.finish(t, i, s, "logged_out", func() answer { return i.call(s.logoutRequest()) })
	case dice < 8:
		return p.finish(t, i, s, "kicked", func() answer { return i.callAdmin(s.kickRequest()) })
	}
	state, a := i.check(s.session)
	if p.accept(t, a) && state != "active" {
		t.Errorf("player %d: a check of a live session: %s", p.name, a)
	}
	return state == "active"
}

// accept reports whether there was an answer; one that is not a success fails the
// test.
func (p *player) accept(t *testing.T, a answer) bool {
	if a.err != nil || p.patient && a.code == 50300 {
		p.unanswered, p.last = p.unanswered+1, a
		return false
	}
	if a.code != 0 {
		t.Errorf("player %d: %s", p.name, a)
	}
	return a.code == 0
}

func (p *player) ask(t *testing.T, i *instance) bool {
	p.tried, p.sent = "code", len(i.d.messages.sent(p.mobile))
	if !p.accept(t, i.call(codeRequest(p.mobile))) {
		return false
	}
	p.tried, p.code = "", i.d.messages.newest(p.mobile)
	return true
}

func (p *player) logIn(t *testing.T, i *instance) bool {
	s := p.current()
	p.tried, p.had = "login", s != nil
	if p.had {
		s.maybe = "displaced"
	}
	device := p.device()
	a := i.call(loginRequest(p.mobile, p.code, device))
	if !p.accept(t, a) {
		return false
	}
	p.loggedIn(t, a, device)
	return true
}

// device returns an unused device number.
func (p *player) device() string {
	p.devices++
	return fmt.Sprintf("device-%d-%d", p.name, p.devices)
}

func (p *player) loggedIn(t *testing.T, a answer, device string) {
	if s := p.current(); s != nil {
		s.state, s.maybe = "displaced", ""
	}
	p.tried, p.code = "", ""
	p.history = append(p.history, &played{session: a.session(t, p.mobile, device), state: "active"})
}

func (p *player) refresh(t *testing.T, i *instance, s *played) bool {
	a := i.call(s.refreshRequest())
	if !p.accept(t, a) {
		return false
	}
	s.access = a.token(t)
	return true
}

func (p *player) finish(t *testing.T, i *instance, s *played, state string, act func() answer) bool {
	s.maybe = state
	if !p.accept(t, act()) {
		return false
	}
	s.state, s.maybe = state, ""
	return true
}

// verify compares the newest sessions with the answers, and finds out the result
// of the act without an answer.
func (p *player) verify(t *testing.T, i *instance, newest int) {
	t.Helper()
	for n, s := range p.history[max(0, len(p.history)-newest):] {
		state, a := i.check(s.session)
		if state != s.state && (s.maybe == "" || state != s.maybe) {
			t.Errorf("player %d: session %s, %d of %d, is %s, or maybe %q: %s", p.name, s.id, n, len(p.history), s.state, s.maybe, a)
		}
		s.state, s.maybe = state, ""
	}
	s := p.current()
	switch p.tried {
	case "code": // what the provider got is valid, answered or not
		if sent := i.d.messages.sent(p.mobile); len(sent) > p.sent {
			p.code = sent[len(sent)-1]
		}
	case "login": // done as a whole, or not at all
		device := p.device()
		a := i.call(loginRequest(p.mobile, p.code, device))
		switch {
		case a.code == 0 && (!p.had || s != nil):
			p.loggedIn(t, a, device)
		case a.code == 40002 && (!p.had || s == nil):
			p.code = ""
		default:
			t.Errorf("player %d: the code of a login without an answer, which displaced: %t of %t: %s", p.name, s == nil, p.had, a)
		}
	}
	p.tried = ""
	if s = p.current(); s != nil && p.refresh(t, i, s) { // a lost answer does not log the user out
		i.wantState(t, s.session, "active")
	}
}
