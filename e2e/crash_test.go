package e2e

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Kills, and the people who keep the instance busy meanwhile.
const (
	kills   = 20
	players = 6
	mostAct = 90 // acts that are answered before a kill, at most
)

// TestCrash kills the process at random moments in a stream of logins,
// refreshes, checks, logouts and kicks, and starts it again: whatever was
// answered is true, nothing that ended lives again, a code that was sent can be
// redeemed, and no act is done by half.
func TestCrash(t *testing.T) {
	t.Parallel()
	eachDriver(t, func(t *testing.T, driver string) {
		d := newDeployment(t, driver)
		seed := uint64(time.Now().UnixNano())
		t.Logf("seed %d", seed)
		chance := rand.New(rand.NewPCG(seed, 1))
		everybody := make([]*player, players)
		for n := range everybody {
			everybody[n] = &player{name: n, mobile: d.number(), chance: rand.New(rand.NewPCG(seed, uint64(n)+2))}
		}
		acts := int64(0)
		begin := time.Now()
		for range kills {
			i := d.start(t, data)
			for _, p := range everybody {
				p.verify(t, i, 10)
			}
			acts += playUntilKilled(t, i, everybody, 1+chance.Int64N(mostAct))
			d.intact(t)
		}
		i := d.start(t, data)
		sessions, open := 0, 0
		for _, p := range everybody {
			p.verify(t, i, len(p.history))
			sessions, open = sessions+len(p.history), open+p.unanswered
		}
		i.stop(t)
		d.intact(t)
		t.Logf("%s: %d kills in %s, %d acts answered, %d cut off, %d sessions checked", driver, kills, time.Since(begin).Round(time.Second), acts, open, sessions)
	})
}

// playUntilKilled lets everybody act at once and kills the instance in the
// middle of it, when so many acts were answered.
func playUntilKilled(t *testing.T, i *instance, everybody []*player, after int64) int64 {
	t.Helper()
	var answered atomic.Int64
	reached := make(chan struct{})
	var all sync.WaitGroup
	for _, p := range everybody {
		all.Go(func() {
			for p.act(t, i) {
				if answered.Add(1) == after {
					close(reached)
				}
			}
		})
	}
	select {
	case <-reached:
	case <-time.After(callTime):
		t.Error("the acts do not get on")
	}
	i.kill(t)
	all.Wait()
	return answered.Load()
}

// player is one user, who does one thing after the other and remembers what was
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

// current is the live session, nil for none.
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
		return p.finish(t, i, s, "kicked", func() answer { return i.operate(s.kickRequest()) })
	}
	state, a := i.check(s.session)
	if p.answered(t, a) && state != "active" {
		t.Errorf("player %d: a check of a live session: %s", p.name, a)
	}
	return state == "active"
}

// answered reports whether there was an answer; one that is not a success is a fault.
func (p *player) answered(t *testing.T, a answer) bool {
	if a.err != nil || p.patient && a.code == 50300 {
		p.unanswered++
		return false
	}
	if a.code != 0 {
		t.Errorf("player %d: %s", p.name, a)
	}
	return a.code == 0
}

func (p *player) ask(t *testing.T, i *instance) bool {
	p.tried, p.sent = "code", len(i.d.messages.sent(p.mobile))
	if !p.answered(t, i.call(codeRequest(p.mobile))) {
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
	if !p.answered(t, a) {
		return false
	}
	p.loggedIn(t, a, device)
	return true
}

// device is a device number that was not used yet.
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
	if !p.answered(t, a) {
		return false
	}
	s.access = a.token(t)
	return true
}

func (p *player) finish(t *testing.T, i *instance, s *played, state string, act func() answer) bool {
	s.maybe = state
	if !p.answered(t, act()) {
		return false
	}
	s.state, s.maybe = state, ""
	return true
}

// verify compares the newest sessions with what was answered, and finds out
// what became of the act that was not.
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
	if s = p.current(); s != nil && p.refresh(t, i, s) { // a lost answer logs nobody out
		i.expect(t, s.session, "active")
	}
}
