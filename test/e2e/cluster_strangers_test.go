//go:build cluster

package e2e

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
)

// TestClusterStrangers: 300 owners ask for a code and log in with their ticket on one node,
// while strangers try the same numbers through the two others: no login fails, whatever
// rows the strangers write. Half of the numbers are near the limit of failures, where
// attempts without a ticket pass a gate. There are at least ten wrong attempts for each
// login; the rate is logged.
func TestClusterStrangers(t *testing.T) {
	const logins, workers, pressure = 300, 4, 10
	c := newCluster(t, "SERVER_TRUSTED_PROXIES=127.0.0.1")
	c.d.shipLimits()
	c.start(t, freely...)
	owners := c.instances[0].newOwners(t, logins)
	mobiles := make([]string, logins)
	runAtOnce(12, func(w int) {
		for n := w; n < logins; n += 12 {
			mobiles[n] = owners[n].mobile
			if n%2 == 0 {
				c.instances[0].call(codeRequest(mobiles[n])).wantSuccess(t)
			}
		}
	})
	c.d.exec(t, "UPDATE codes SET attempts = 15 WHERE used_at = 0") // five more failures lock the number
	thief := c.instances[0].newOwners(t, 1)[0]
	for _, i := range c.instances {
		i.stop(t)
	}
	c.d.forgetMinutes(t)
	c.start(t)
	var addresses []string
	for n := range 500 { // at 120 logins a minute of each
		addresses = append(addresses, fmt.Sprintf("10.%d.%d.1", n/250, n%250))
	}
	strangers := newCrowd(thief, 24, addresses...)
	strangers.acts = strangersActs[:1]
	var next atomic.Int64                // owner
	strangers.aim = func(n int) victim { // at a number whose owner logs in now, and at any other one, in turn
		if n/2%2 == 0 {
			return victim{mobile: mobiles[n%logins]}
		}
		return victim{mobile: mobiles[min(int(next.Load())+n%workers, logins-1)]}
	}
	strangers.start(t, c.instances[1:]...)
	took := make([]delays, workers)
	c.countConflicts(t, func() {
		runAtOnce(workers, func(w int) {
			for n := w; n < logins; n += workers {
				o := owners[n]
				o.on = c.instances[0]
				next.Store(int64(n - w))
				least := strangers.sent.Load() + pressure
				eventually(t, callTime, "strangers try the number", func() bool { return strangers.sent.Load() >= least })
				o.logInAgain(t)
				took[w] = append(took[w], o.took...)
			}
		})
	})
	strangers.stop()
	all := slices.Concat(took...)
	slices.Sort(all)
	t.Logf("%d requests of owners took %s; strangers: %s", len(all), all, strangers)
	if len(all) != 2*logins {
		t.Errorf("%d requests of owners were answered", len(all))
	}
	c.d.wantInvariants(t)
}
