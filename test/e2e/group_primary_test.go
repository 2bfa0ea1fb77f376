//go:build cluster

package e2e

import (
	mathrand "math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"menshen/repository"
)

// TestGroupPrimaryLoss: a group with one primary behind a forwarder. The primary is
// killed under load and the forwarder then leads to the new one: nothing that was
// answered is lost or done twice, and the instances are well again without a restart.
// The name of this file makes it the last test: it leaves a group of two nodes.
func TestGroupPrimaryLoss(t *testing.T) {
	c := newCluster(t)
	if c.kind != group {
		t.Fatal("Galera has no primary: run `make test-group`")
	}
	if _, err := c.nodes[0].text("SELECT group_replication_switch_to_single_primary_mode(@@server_uuid)"); err != nil {
		t.Fatal(err)
	}
	d := c.d
	d.driver, d.dsn = repository.MySQL, c.dsn(0)
	forwarder, dsn := d.startProxy(t)
	settings := []string{"DATABASE_DRIVER=" + repository.MySQL, dsn}
	c.instances = []*instance{d.spawn(t, "a", settings...), d.spawn(t, "b", settings...)}
	for _, i := range c.instances {
		i.awaitServing(t)
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	var players []*player
	for n := range 8 {
		players = append(players, &player{
			name: n, mobile: d.number(), chance: mathrand.New(mathrand.NewPCG(seed, uint64(n))), patient: true,
		})
	}
	raceUntilLost(t, c, players)
	next := c.awaitPrimary(t, c.nodes[1:])
	turned := time.Now()
	config, err := mysql.ParseDSN(next.dsn)
	if err != nil {
		t.Fatal(err)
	}
	forwarder.turn(t, config.Addr)
	for _, i := range c.instances {
		eventually(t, backTime, "the instance is well", func() bool {
			return i.call(codeRequest(d.number())).code == 0 && i.call(request{path: "/readyz"}).status == 200
		})
	}
	t.Logf("well again %s after the forwarder turned", time.Since(turned).Round(10*time.Millisecond))
	d.database = next.dsn + c.name + "?" + c.kind.wait
	for n, p := range players {
		p.verify(t, c.instances[n%2], len(p.history))
		p.patient = false
		for range 20 {
			p.act(t, c.instances[n%2])
		}
	}
	for range 5 {
		raceCode(t, 24, c.instances...)
		raceRefresh(t, 15, c.instances...)
	}
	d.wantInvariants(t)
}

// raceUntilLost lets the players act until each has lost the primary, which is killed
// meanwhile.
func raceUntilLost(t *testing.T, c *cluster, players []*player) {
	t.Helper()
	var answered atomic.Int64
	var all sync.WaitGroup
	reached := make(chan struct{})
	for n, p := range players {
		all.Go(func() {
			for p.act(t, c.instances[n%2]) {
				if answered.Add(1) == 200 {
					close(reached)
				}
			}
		})
	}
	<-reached
	c.nodes[0].kill(t)
	all.Wait()
	t.Logf("%d acts were answered before the loss", answered.Load())
}

// awaitPrimary waits until one of the nodes is the primary and takes writes.
func (c *cluster) awaitPrimary(t *testing.T, nodes []node) (primary node) {
	t.Helper()
	const query = "SELECT COUNT(*) FROM performance_schema.replication_group_members WHERE member_id = @@server_uuid AND member_role = 'PRIMARY' AND @@super_read_only = 0"
	took := eventually(t, reformTime, "there is a new primary", func() bool {
		for _, n := range nodes {
			if one, err := n.text(query); err == nil && one == "1" {
				primary = n
				return true
			}
		}
		return false
	})
	t.Logf("a new primary after %s", took.Round(10*time.Millisecond))
	return primary
}

// turn leads new connections elsewhere and ends the old ones.
func (n network) turn(t *testing.T, address string) {
	t.Helper()
	n.proxy.Stop()
	n.proxy.Upstream = address
	if err := n.proxy.Start(); err != nil {
		t.Fatal(err)
	}
}
