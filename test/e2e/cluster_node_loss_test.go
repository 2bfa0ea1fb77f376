//go:build cluster

package e2e

import (
	"database/sql"
	mathrand "math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// testNodeLoss kills a busy node with SIGKILL: the other two continue, nothing
// that was answered is lost, the instance of the killed node answers 503 and
// recovers with its node.
func (c *cluster) testNodeLoss(t *testing.T) {
	d := c.d
	first, second, third := c.instances[0], c.instances[1], c.instances[2]
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	var users []*player
	for n := range 9 {
		users = append(users, &player{
			name: n, mobile: d.number(), chance: mathrand.New(mathrand.NewPCG(seed, uint64(n))), patient: true,
		})
	}
	s := third.login(t, "", "device")
	third.cacheSession(t, s)

	// Each player acts until the fault stops it. A group's other nodes go on without a
	// pause; their players stop when those of the lost node have.
	var answered atomic.Int64
	var stop atomic.Bool
	var lost, others sync.WaitGroup
	reached := make(chan struct{})
	for n, p := range users {
		all := &others
		if n%3 == 2 {
			all = &lost
		}
		all.Go(func() {
			for !stop.Load() && p.act(t, c.instances[n%3]) {
				if answered.Add(1) == 300 {
					close(reached)
				}
			}
		})
	}
	<-reached
	c.nodes[2].kill(t)
	killed := time.Now()
	if last := third.awaitRefusal(t, s); last > 0 {
		t.Logf("the last yes from memory on the lost node began %s after its end", last.Round(time.Millisecond))
	}
	lost.Wait()
	stop.Store(true)
	others.Wait()
	for _, i := range []*instance{first, second} {
		eventually(t, reformTime, "the other nodes go on", func() bool {
			return i.call(codeRequest(d.number())).code == 0
		})
	}
	t.Logf("the other two nodes go on %s after the end of the third", time.Since(killed).Round(10*time.Millisecond))
	c.awaitIdle(t, c.nodes[:2])
	for n, p := range users {
		p.verify(t, c.instances[n%2], len(p.history))
		p.patient = false // from now on every answer is a success
	}
	before := answered.Load()
	var all sync.WaitGroup
	for n, p := range users {
		all.Go(func() {
			for range 30 {
				if !p.act(t, c.instances[n%2]) {
					t.Errorf("player %d got no answer with two nodes", p.name)
					return
				}
				answered.Add(1)
			}
		})
	}
	all.Wait()
	if state, a := third.check(s); a.code != 50300 {
		t.Errorf("on the lost node the check is %q: %s", state, a)
	}
	if a := third.call(request{path: "/readyz"}); a.status != 503 {
		t.Errorf("readiness on the lost node: %s", a)
	}
	if a := third.call(request{path: "/healthz"}); a.status != 200 {
		t.Errorf("health on the lost node: %s", a)
	}
	t.Logf("%d acts were answered before the loss, %d with two nodes", before, answered.Load()-before)

	begin := time.Now()
	c.nodes[2].start(t)
	eventually(t, rejoinTime, "the node is back", func() bool {
		if state, a := third.check(s); state != "active" && a.code != 50300 {
			t.Fatalf("while the node joins: %s", a)
		}
		return c.online(c.nodes[2])
	})
	t.Logf("the node is back after %s", time.Since(begin).Round(10*time.Millisecond))
	took := eventually(t, backTime, "its instance is well", func() bool {
		state, a := third.check(s)
		if state != "active" && a.code != 50300 {
			t.Fatalf("once the node is back: %s", a)
		}
		return state == "active" && third.call(request{path: "/readyz"}).status == 200
	})
	t.Logf("its instance is well %s later", took.Round(time.Millisecond))
	for n, p := range users {
		p.verify(t, third, len(p.history))
		for range 10 {
			p.act(t, c.instances[n%3])
		}
	}
	for _, i := range c.instances {
		for _, p := range users {
			p.verify(t, i, len(p.history))
		}
	}
	d.wantInvariants(t)
}

// awaitIdle waits until no statement runs on the nodes: one that was abandoned may
// still be executed.
func (c *cluster) awaitIdle(t *testing.T, nodes []node) {
	t.Helper()
	for _, node := range nodes {
		db, err := sql.Open("mysql", node.dsn)
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, reformTime, "the node is quiet", func() bool {
			var busy int
			query := "SELECT COUNT(*) FROM information_schema.processlist WHERE db = ? AND command <> 'Sleep' AND time > 0"
			if err := db.QueryRowContext(t.Context(), query, c.name).Scan(&busy); err != nil {
				t.Fatal(err)
			}
			return busy == 0
		})
		_ = db.Close()
	}
}
