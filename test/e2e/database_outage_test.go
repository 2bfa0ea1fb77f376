package e2e

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"time"

	"menshen/repository"
)

// Bounds of answers while the database is unreachable. Promised are 2 s for an
// answer and 1 s for a positive one from the cache, which no slow machine makes older.
var (
	awayAnswer = patient(4 * time.Second)
	awayYes    = 3 * time.Second
	backTime   = patient(5 * time.Second) // of the contract
)

// TestDatabaseOutage makes the database unreachable, by refusals, resets and silence
// in both directions or in one: every call that needs it is 50300 in time, no client
// gets "not logged in", and everything works again soon after its return.
func TestDatabaseOutage(t *testing.T) {
	t.Parallel()
	needMySQL(t)
	for name, fault := range map[string]fault{"cut": cut, "reset": reset, "hole": hole, "half open": halfOpen} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDeployment(t, repository.MySQL)
			network, dsn := d.startProxy(t)
			i := d.start(t, data, dsn, withClient)
			s, gone := i.login(t, "", "device-live"), i.login(t, "", "device-gone")
			i.call(gone.logoutRequest()).wantSuccess(t)
			mobile := d.number()
			code := i.sendCode(t, mobile)
			i.cacheSession(t, s)

			begin := time.Now()
			network.fail(t, fault)
			if last := i.awaitRefusal(t, s); last > 0 {
				t.Logf("%s: the last yes from memory began %s after the fault", name, last.Round(time.Millisecond))
			}
			for round, times := range []int{1, 6} { // the second time more than the pool has connections
				slowest := i.callAway(t, s, gone, loginRequest(mobile, code, "device"), times)
				t.Logf("%s: the slowest answer of round %d took %s", name, round, slowest.Round(time.Millisecond))
			}
			i.callHealthy(t, s)
			if state, a := i.check(s); state != "" {
				t.Errorf("%s after the fault: %s", time.Since(begin), a)
			}

			network.heal(t)
			took := eventually(t, backTime, "the database is back", func() bool {
				state, a := i.check(s)
				if state != "active" && a.code != 50300 {
					t.Fatalf("on the way back: %s", a)
				}
				ready := i.call(request{path: "/readyz"}).status
				return state == "active" && ready == http.StatusOK
			})
			t.Logf("%s: well again after %s", name, took.Round(time.Millisecond))
			i.wantState(t, gone, "logged_out")
			i.refreshSession(t, s)
			i.wantState(t, s, "active")
			i.call(loginRequest(mobile, code, "device")).wantSuccess(t) // 50300 left the code unused
			i.login(t, "", "device")
			d.wantInvariants(t)
		})
	}
}

// awaitRefusal checks until the answer is 50300; until then it may be positive. It
// returns when the last positive check was sent.
func (i *instance) awaitRefusal(t *testing.T, s *session) (last time.Duration) {
	t.Helper()
	begin := time.Now()
	eventually(t, awayYes+awayAnswer, "the check is refused", func() bool {
		asked := time.Since(begin)
		state, a := i.check(s)
		switch {
		case a.code == 50300:
			return true
		case state != "active":
			t.Fatalf("%s after the fault: %s", asked, a)
		case asked > awayYes:
			t.Fatalf("yes from memory %s after the fault: %s", asked, a)
		}
		last = asked
		return false
	})
	return last
}

// callAway makes every call that needs the database, each times times in parallel,
// and returns the duration of the slowest.
func (i *instance) callAway(t *testing.T, s, gone *session, login request, times int) (slowest time.Duration) {
	t.Helper()
	calls := map[string]request{
		"code":           codeRequest(i.d.number()),
		"login":          login,
		"refresh":        s.refreshRequest(),
		"check":          s.checkRequest(""),
		"held check":     s.checkRequest("&wait=25"),
		"ended check":    gone.checkRequest(""),
		"other device":   {path: "/wx/pc/check-login-status?deviceNumber=device-other", token: s.access},
		"sessions":       {path: "/app/auth/sessions", token: s.access},
		"ended sessions": {path: "/app/auth/sessions?ended=true", token: s.access},
		"delete":         {method: http.MethodDelete, path: "/app/auth/sessions/" + gone.id, token: s.access},
		"user":           {path: "/app/auth/user", token: s.access},
		"change":         {method: http.MethodPatch, path: "/app/auth/user", token: s.access, body: object{"nickName": "x"}},
		"logout":         s.logoutRequest(),
		"logout of all":  {path: "/app/auth/logout", token: s.access, body: object{"scope": "all"}},
		"events":         {path: "/app/auth/events", token: s.access},
	}
	operations := map[string]request{
		"find": {path: "/admin/users?mobile=" + s.mobile},
		"kick": s.kickRequest(),
		// Reports have longer, but not to find out that there is nothing.
		"stats": {path: "/admin/stats"},
		"audit": {path: "/admin/audit"},
	}
	var mu sync.Mutex
	var all sync.WaitGroup
	judge := func(name string, a answer) {
		mu.Lock()
		defer mu.Unlock()
		slowest = max(slowest, a.took)
		if a.code != 50300 || a.status != http.StatusServiceUnavailable || a.took > awayAnswer {
			t.Errorf("%s: %s", name, a)
		}
	}
	for range times {
		for name, r := range calls {
			all.Go(func() { judge(name, i.call(r)) })
		}
		for name, r := range operations {
			all.Go(func() { judge(name, i.callAdmin(r)) })
		}
		all.Go(func() {
			judge("feed", i.d.exchange(context.Background(), i.admin, request{path: "/internal/revocations?since=0", client: clientID + ":" + clientSecret}))
		})
	}
	all.Go(func() {
		if a := i.call(request{path: "/readyz"}); a.status != http.StatusServiceUnavailable || a.took > awayAnswer {
			t.Errorf("readiness: %s", a)
		}
	})
	all.Wait()
	return slowest
}

// callHealthy makes the calls that need no database.
func (i *instance) callHealthy(t *testing.T, s *session) {
	t.Helper()
	for _, path := range []string{"/healthz", "/.well-known/jwks.json"} {
		if a := i.call(request{path: path}); a.status != http.StatusOK {
			t.Errorf("%s: %s", path, a)
		}
	}
	if a := i.call(request{path: "/app/auth/user", token: "garbage"}); a.code != 40100 {
		t.Errorf("garbage for a token: %s", a)
	}
	if a := i.call(request{path: "/wx/pc/check-login-status", token: s.access}); a.code != 40000 {
		t.Errorf("a check without a device: %s", a)
	}
}

// TestLongDatabaseOutage: an instance that was without its database for longer
// than it reads back in the log does not trust its cache: sessions that ended
// elsewhere meanwhile are never active again, and their streams get the event, or
// end and get it when they reconnect.
func TestLongDatabaseOutage(t *testing.T) {
	t.Parallel()
	needMySQL(t)
	const absence = 25 * time.Second
	d := newDeployment(t, repository.MySQL)
	network, dsn := d.startProxy(t)
	a, b := d.start(t, "a"), d.start(t, "b", dsn)
	kicked, streaming, living := a.login(t, "", "device-1"), a.login(t, "", "device-2"), a.login(t, "", "device-3")
	stream := b.events(t, streaming) // reads its state now, while the logins of the next lines are on their way
	b.login(t, "", "device-4")
	b.login(t, "", "device-5")
	b.cacheSession(t, kicked)
	b.cacheSession(t, living)

	network.fail(t, cut)
	begin := time.Now()
	b.awaitRefusal(t, kicked)
	a.kick(t, kicked)
	a.kick(t, streaming)
	eventually(t, 2*absence, "the absence is long", func() bool {
		if _, answer := b.check(kicked); answer.code != 50300 {
			t.Fatalf("without the database: %s", answer)
		}
		select {
		case <-stream.over:
			t.Fatal("the stream ended while nothing was known")
		default:
		}
		return time.Since(begin) > absence
	})
	network.heal(t)
	begin = time.Now()
	eventually(t, backTime, "the kick is seen, and stays", func() bool {
		state, answer := b.check(kicked)
		if state != "kicked" && answer.code != 50300 {
			t.Fatalf("%s after the absence: %s", time.Since(begin), answer)
		}
		return state == "kicked" && time.Since(begin) > backTime/2
	})
	select {
	case <-stream.over:
	case <-time.After(backTime):
		t.Error("the stream is still open")
	}
	if len(stream.events) == 0 {
		t.Log("the stream ended without a word and comes again")
		stream = b.events(t, streaming)
	}
	stream.wantEnded(t, "kicked", backTime)
	b.wantState(t, living, "active")
}
