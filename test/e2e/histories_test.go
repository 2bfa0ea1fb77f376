package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"menshen/repository"
)

// act is an operation on the seat of one user in one product group.
type act struct {
	kind string // "login", "check", "refresh", "logout", "kick"
	on   string // the instance
	sid  string // the session it names, for a login the one it opened
	yes  bool   // the session was active when the act took effect
}

// seatModel is the seat as one thread of control would leave it: the state is the
// id of the active session, "" for none.
var seatModel = porcupine.Model{
	Init: func() any { return "" },
	Step: func(state, input, _ any) (bool, any) {
		a := input.(act)
		switch {
		case a.kind == "login":
			return true, a.sid
		case a.yes != (state == a.sid):
			return false, state
		case a.yes && (a.kind == "logout" || a.kind == "kick"):
			return true, ""
		}
		return true, state
	},
	DescribeOperation: func(input, _ any) string { return fmt.Sprintf("%+v", input) },
}

// history records what clients of one user do at the same time, and what they get.
type history struct {
	begin time.Time

	mu       sync.Mutex
	acts     []porcupine.Operation
	sessions []*session
}

// record runs do as an operation of the client and keeps its result, unless it had
// no effect. A pair of the monotonic clock's readings encloses it.
func (h *history) record(client int, do func() (act, bool)) {
	call := time.Since(h.begin)
	a, effective := do()
	back := time.Since(h.begin)
	h.mu.Lock()
	defer h.mu.Unlock()
	if effective {
		h.acts = append(h.acts, porcupine.Operation{ClientId: client, Input: a, Call: int64(call), Return: int64(back)})
	}
}

// recent returns one of the newest three sessions, nil for none.
func (h *history) recent(chance *rand.Rand) *session {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := len(h.sessions)
	if n == 0 {
		return nil
	}
	s := *h.sessions[n-1-chance.IntN(min(3, n))]
	return &s
}

// play lets clients of one user act at the same time on the instances.
func (h *history) play(t *testing.T, seed uint64, acts int, instances ...*instance) {
	mobile := instances[0].d.number()
	runAtOnce(6, func(client int) {
		chance := rand.New(rand.NewPCG(seed, uint64(client)))
		for n := range acts {
			i := instances[chance.IntN(len(instances))]
			s := h.recent(chance)
			dice := chance.IntN(20)
			h.record(client, func() (act, bool) {
				switch {
				case s == nil || dice < 3:
					return h.login(t, i, mobile, fmt.Sprintf("device-%d-%d", client, n))
				case dice < 12:
					return i.checkAct(t, s)
				case dice < 16:
					return h.refresh(t, i, s)
				case dice < 18:
					return i.endAct(t, "logout", s, i.call(s.logoutRequest()))
				}
				return i.endAct(t, "kick", s, i.callAdmin(s.kickRequest()))
			})
		}
	})
}

// login requests a code and logs in with it. A code that another client has replaced
// or used meanwhile has no effect.
func (h *history) login(t *testing.T, i *instance, mobile, device string) (act, bool) {
	if a := i.call(codeRequest(mobile)); a.code != 0 {
		t.Errorf("a code: %s", a)
		return act{}, false
	}
	a := i.call(loginRequest(mobile, i.d.messages.newest(mobile), device))
	if a.code != 0 {
		if a.code != 40002 {
			t.Errorf("a login: %s", a)
		}
		return act{}, false
	}
	s := a.session(t, mobile, device)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sessions = append(h.sessions, s)
	return act{kind: "login", on: i.name, sid: s.id}, true
}

func (i *instance) checkAct(t *testing.T, s *session) (act, bool) {
	state, a := i.check(s)
	if state == "" {
		t.Errorf("a check: %s", a)
	}
	return act{kind: "check", on: i.name, sid: s.id, yes: state == "active"}, state != ""
}

// refresh refreshes the session. 40105, of a pair that others have replaced, is the
// answer for an active session too.
func (h *history) refresh(t *testing.T, i *instance, s *session) (act, bool) {
	a := i.call(s.refreshRequest())
	result := act{kind: "refresh", on: i.name, sid: s.id, yes: a.code == 0 || a.code == 40105}
	switch a.code {
	case 0:
		token := a.token(t)
		h.mu.Lock()
		defer h.mu.Unlock()
		for _, known := range h.sessions {
			if known.id == s.id && claimsOf(t, token).Gen > claimsOf(t, known.access).Gen {
				known.access = token
			}
		}
	case 40102, 40103, 40105:
	default:
		t.Errorf("a refresh: %s", a)
		return act{}, false
	}
	return result, true
}

// endAct is the act of a logout or a kick of s with the answer a.
func (i *instance) endAct(t *testing.T, kind string, s *session, a answer) (act, bool) {
	var data struct{ Ended *int }
	if a.code != 0 || json.Unmarshal(a.data, &data) != nil || data.Ended == nil {
		t.Errorf("a %s: %s", kind, a)
		return act{}, false
	}
	return act{kind: kind, on: i.name, sid: s.id, yes: *data.Ended == 1}, true
}

// stored returns the acts that the database decides: a check may be answered by the
// instance's cache.
func (h *history) stored() (acts []porcupine.Operation) {
	for _, one := range h.acts {
		if one.Input.(act).kind != "check" {
			acts = append(acts, one)
		}
	}
	return acts
}

// wantLinearizable checks that there is an order of the acts, each at a moment between
// its call and its answer, that explains all answers.
func wantLinearizable(t *testing.T, what string, acts []porcupine.Operation) {
	t.Helper()
	result, info := porcupine.CheckOperationsVerbose(seatModel, acts, 2*time.Minute)
	if result == porcupine.Ok {
		return
	}
	t.Errorf("%s: %d acts are %s", what, len(acts), result)
	longest := 0
	for _, partial := range info.PartialLinearizationsOperations() {
		for _, order := range partial {
			longest = max(longest, len(order))
		}
	}
	for _, one := range acts {
		t.Logf("%d: %s to %s: %+v", one.ClientId, time.Duration(one.Call), time.Duration(one.Return), one.Input)
	}
	t.Logf("%d of them can be explained", longest)
}

// wantBoundedStaleness checks that no check is active once an end of the session was
// visible in an answer: never after one on the same instance, and on another instance
// only within the time of propagation. It returns these times.
func (h *history) wantBoundedStaleness(t *testing.T) (stale delays) {
	t.Helper()
	for _, end := range h.acts {
		over := end.Input.(act)
		ends := over.kind == "logout" || over.kind == "kick" || !over.yes
		if over.kind == "login" || !ends {
			continue
		}
		for _, one := range h.acts {
			check := one.Input.(act)
			if check.kind != "check" || !check.yes || check.sid != over.sid || one.Call <= end.Return {
				continue
			}
			late := time.Duration(one.Call - end.Return)
			if check.on == over.on || late > visible {
				t.Errorf("active on %s %s after an end on %s: %+v after %+v", check.on, late, over.on, check, over)
			}
			stale = append(stale, late)
		}
	}
	return stale
}

// TestHistories records what clients of one user do at the same time, logins, checks,
// refreshes, logouts and kicks, and judges whether one seat could have given all
// answers, one after the other. On one instance that holds for every answer. On two it
// holds for what the database decides; their checks may be late by the time of
// propagation (see TestHistoryModel for what is judged).
func TestHistories(t *testing.T) {
	t.Parallel()
	const users = 4
	rounds, acts := soak(2, 100), 40
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	play := func(t *testing.T, judge func(*history), instances ...*instance) {
		total := 0
		for round := range rounds {
			histories := make([]*history, users)
			runAtOnce(users, func(n int) {
				histories[n] = &history{begin: time.Now()}
				histories[n].play(t, seed+uint64(round*users+n), acts, instances...)
			})
			for _, h := range histories {
				total += len(h.acts)
				judge(h)
			}
			if t.Failed() {
				return
			}
		}
		t.Logf("%d histories of %d acts in all", rounds*users, total)
	}
	eachDriver(t, func(t *testing.T, driver string) {
		d := newDeployment(t, driver)
		i := d.start(t, data)
		play(t, func(h *history) {
			wantLinearizable(t, driver, h.acts)
			h.wantBoundedStaleness(t)
		}, i)
		d.wantInvariants(t)
	})
	t.Run("two instances", func(t *testing.T) {
		t.Parallel()
		a, b := startTwo(t)
		var stale delays
		play(t, func(h *history) {
			wantLinearizable(t, repository.MySQL+" twice", h.stored())
			stale = append(stale, h.wantBoundedStaleness(t)...)
		}, a, b)
		t.Logf("checks that were active after an end was seen on the other instance, by: %s", stale)
		a.d.wantInvariants(t)
	})
}

// TestHistoryModel proves that the model refuses what no seat can answer.
func TestHistoryModel(t *testing.T) {
	t.Parallel()
	login := func(sid string) act { return act{kind: "login", sid: sid} }
	check := func(sid string, yes bool) act { return act{kind: "check", sid: sid, yes: yes} }
	end := func(sid string, yes bool) act { return act{kind: "kick", sid: sid, yes: yes} }
	for name, row := range map[string]struct {
		acts []act
		want bool
	}{
		"displaced":            {[]act{login("a"), check("a", true), login("b"), check("a", false), check("b", true)}, true},
		"active after a login": {[]act{login("a"), login("b"), check("a", true)}, false},
		"kicked":               {[]act{login("a"), end("a", true), check("a", false), end("a", false)}, true},
		"active after a kick":  {[]act{login("a"), end("a", true), check("a", true)}, false},
		"ended twice":          {[]act{login("a"), end("a", true), end("a", true)}, false},
		"ended by nothing":     {[]act{login("a"), check("a", false)}, false},
	} {
		var acts []porcupine.Operation
		for n, one := range row.acts { // one after the other
			acts = append(acts, porcupine.Operation{Input: one, Call: int64(2 * n), Return: int64(2*n + 1)})
		}
		if got := porcupine.CheckOperations(seatModel, acts); got != row.want {
			t.Errorf("%s: linearizable is %v", name, got)
		}
	}
}
