package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"menshen/repository"
)

// TestDatabaseFaults disturbs the network to the database under load, again and again:
// whatever needs the database is answered in time, by 50300 or truly; what was
// answered holds, and neither goroutines nor connections stay behind.
func TestDatabaseFaults(t *testing.T) {
	t.Parallel()
	needMySQL(t)
	d := newDeployment(t, repository.MySQL)
	network, dsn := d.startProxy(t)
	i := d.start(t, data, dsn)
	users, s, gone := i.patientPlayers(t, 8)
	before := i.usage(t)
	for round := range soak(1, 10) {
		for _, row := range []struct {
			name  string
			fault fault
			last  time.Duration
		}{
			{"cut for 0.2 s", cut, 200 * time.Millisecond},
			{"cut for 2 s", cut, 2 * time.Second},
			{"a long cut", cut, time.Duration(soak(4, 10)) * time.Second},
			{"resets", reset, 2 * time.Second},
			{"silence", hole, 2 * time.Second},
			{"half open", halfOpen, 2 * time.Second},
			{"slow", slow, 4 * time.Second},
		} {
			load := i.play(t, users)
			load.await(t, 50)
			watch := i.watch(t, s, gone)
			network.fail(t, row.fault)
			time.Sleep(row.last) // the duration of the fault is its nature
			network.heal(t)
			load.endRound(t, watch, fmt.Sprintf("round %d, %s", round, row.name))
		}
	}
	i.wantState(t, gone, "logged_out")
	i.wantState(t, s, "active")
	eventually(t, callTime, "what the faults took is given back: "+before.String(), func() bool {
		after := i.usage(t)
		return after.goroutines <= before.goroutines+10 && after.connections <= before.connections
	})
	t.Logf("before: %s; after: %s", before, i.usage(t))
}

// patientPlayers are players to whom 50300 is no fault, with two sessions to watch beside
// them: one that lives and one that was logged out.
func (i *instance) patientPlayers(t *testing.T, n int) (users []*player, live, gone *session) {
	t.Helper()
	users, _ = i.d.players(t, n)
	for _, p := range users {
		p.patient = true
	}
	live, gone = i.login(t, "", "device-live"), i.login(t, "", "device-gone")
	i.call(gone.logoutRequest()).wantSuccess(t)
	return users, live, gone
}

// usage is what a leak makes grow.
type usage struct{ goroutines, connections int }

func (u usage) String() string {
	return fmt.Sprintf("%d goroutines, %d connections of the database", u.goroutines, u.connections)
}

// usage fills the pool of the database and measures then.
func (i *instance) usage(t *testing.T) (u usage) {
	t.Helper()
	mobiles := make([]string, 64)
	for n := range mobiles {
		mobiles[n] = i.d.number()
	}
	runAtOnce(len(mobiles), func(n int) { i.call(codeRequest(mobiles[n])) })
	i.d.client.CloseIdleConnections()
	db := i.d.sql(t)
	defer func() { _ = db.Close() }()
	u.connections = len(processes(t, db, "SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()"))
	a := i.callAdmin(request{path: "/metrics"})
	for line := range strings.Lines(string(a.raw)) {
		if _, err := fmt.Sscanf(line, "go_goroutines %d", &u.goroutines); err == nil {
			return u
		}
	}
	t.Fatalf("no go_goroutines: %s", a)
	return u
}

// load is users that act until they are refused, or stopped.
type load struct {
	instance         *instance
	users            []*player
	answered, acting atomic.Int64
	over             chan struct{}
	all              sync.WaitGroup
	stop             func()
}

// await waits until the users have that number of answers. Users that were all refused
// find out what came of it and go on, as on a busy machine.
func (l *load) await(t *testing.T, answers int64) {
	t.Helper()
	eventually(t, callTime, fmt.Sprintf("the load has %d answers", answers), func() bool {
		if l.answered.Load() < answers && l.acting.Load() == 0 {
			l.verify(t)
			l.run(t)
		}
		return l.answered.Load() >= answers
	})
}

func (l *load) verify(t *testing.T) {
	t.Helper()
	for _, p := range l.users {
		p.verify(t, l.instance, 10)
	}
}

func (l *load) run(t *testing.T) {
	l.acting.Store(int64(len(l.users)))
	for _, p := range l.users {
		l.all.Go(func() {
			defer l.acting.Add(-1)
			for p.act(t, l.instance) {
				l.answered.Add(1)
				select {
				case <-l.over:
					return
				default:
				}
			}
		})
	}
}

func (i *instance) play(t *testing.T, users []*player) *load {
	t.Helper()
	l := &load{instance: i, users: users, over: make(chan struct{})}
	l.stop = sync.OnceFunc(func() { close(l.over); l.all.Wait() })
	t.Cleanup(l.stop)
	l.run(t)
	return l
}

// endRound waits until the instance is well after a fault, stops the users and compares
// everything with what was answered.
func (l *load) endRound(t *testing.T, watch *watch, fault string) (well time.Duration) {
	t.Helper()
	i := l.instance
	well = eventually(t, backTime, "all is well after "+fault, func() bool {
		return i.call(codeRequest(i.d.number())).code == 0 && i.call(request{path: "/readyz"}).status == http.StatusOK
	})
	watch.stop()
	l.stop()
	i.d.awaitIdle(t)
	l.verify(t)
	i.d.wantInvariants(t)
	t.Logf("%s: well again after %s; %d answers, %d of them 50300; answers took %s",
		fault, well.Round(time.Millisecond), len(watch.took), watch.refused, watch.took)
	return well
}

// watch is what clients see that are asking all the time.
type watch struct {
	mu      sync.Mutex
	took    delays
	refused int
	stop    func()
}

// watch checks and refreshes an active session and one that has ended, at all times:
// an answer is either true or 50300.
func (i *instance) watch(t *testing.T, s, gone *session) *watch {
	t.Helper()
	w, over := &watch{}, make(chan struct{})
	var all sync.WaitGroup
	for name, row := range map[string]struct {
		request request
		state   string
		code    int32
	}{
		"check":           {s.checkRequest(""), "active", 0},
		"check, ended":    {gone.checkRequest(""), "logged_out", 0},
		"user":            {request{path: "/app/auth/user", token: s.access}, "", 0},
		"user, ended":     {request{path: "/app/auth/user", token: gone.access}, "", 40103},
		"refresh":         {s.refreshRequest(), "", 0},
		"refresh, ended":  {gone.refreshRequest(), "", 40103},
		"code, new users": {request{}, "", 0},
	} {
		all.Go(func() {
			for {
				select {
				case <-over:
					return
				case <-time.After(5 * time.Millisecond):
				}
				if name == "code, new users" {
					row.request = codeRequest(i.d.number())
				}
				a := i.call(row.request)
				w.mu.Lock()
				w.took = append(w.took, a.took)
				switch {
				case a.code == 50300:
					w.refused++
				case a.code != row.code || a.state() != row.state:
					t.Errorf("%s: %s", name, a)
				}
				if a.took > awayAnswer {
					t.Errorf("%s is slow: %s", name, a)
				}
				w.mu.Unlock()
			}
		})
	}
	w.stop = sync.OnceFunc(func() { close(over); all.Wait() })
	t.Cleanup(w.stop)
	return w
}

// awaitIdle waits until no transaction is open that a client has given up.
func (d *deployment) awaitIdle(t *testing.T) {
	t.Helper()
	db := d.sql(t)
	defer func() { _ = db.Close() }()
	eventually(t, callTime, "the database is idle", func() bool {
		query := `SELECT p.id FROM information_schema.innodb_trx x JOIN information_schema.processlist p ON p.id = x.trx_mysql_thread_id WHERE p.db = DATABASE()`
		return len(processes(t, db, query)) == 0
	})
}
