package service_test

import (
	"context"
	"testing"
	"time"

	"menshen/model"
	"menshen/service/code"
)

func TestLargeLimits(t *testing.T) {
	runScenes(t,
		scene{"a large limit counts exactly near its end", func(t *testing.T, in *instance) {
			in.quotas.Limits.PerIPDay = 1001
			in.insertCodes(1000)
			in.wantSent(alice)
			in.wantRefused(bob, model.ErrTooMany, 24*3600)
		}},
		scene{"far from a limit it is not counted again", func(t *testing.T, in *instance) {
			store := &counting{Store: in.quotas.Store}
			in.quotas.Store, in.quotas.Limits.PerIPDay, in.quotas.Limits.DailyBudget = store, 1_000_000, 3000
			in.wantSent(numbered(0))
			in.wantSent(numbered(1)) // 2000 are missing to a thousand below the budget: 100 ms
			in.clock.Advance(99 * ms)
			in.wantSent(numbered(2))
			store.want(t, 1, 1)
			in.clock.Advance(ms)
			in.wantSent(numbered(3))
			store.want(t, 2, 1)
			in.clock.Advance(9899 * ms)
			in.wantSent(numbered(4))
			store.want(t, 3, 1)
			in.clock.Advance(ms)
			in.wantSent(numbered(5), fromIP("192.0.2.2"))
			store.want(t, 3, 2) // each address has its own count
			in.wantSent(numbered(6))
			store.want(t, 3, 3)
			in.clock.Advance(-time.Hour) // a clock set back believes nothing
			in.wantSent(numbered(7))
			store.want(t, 4, 4)
		}},
		scene{"what was believed of a large limit ends before it", func(t *testing.T, in *instance) {
			in.quotas.Limits.PerIPDay = 3000
			in.insertCodes(2998)
			in.clock.Advance(100 * ms)
			in.wantSent(alice)
			in.wantSent(bob)
			in.wantRefused(numbered(1), model.ErrTooMany, 24*3600)
		}},
	)
}

// TestScopeGates: requests near a limit of their address or block wait for each other,
// those of a block that all pass its gate wait nowhere else.
func TestScopeGates(t *testing.T) {
	for _, tt := range []struct {
		name           string
		address, block int // limits of the day
		want           []string
	}{
		{"no limit", 0, 0, []string{"number|"}},
		{"far from the limits", 2000, 2000, []string{"number|"}},
		{"near the address's", 1000, 2000, []string{"address|", "number|"}},
		{"always near the block's", 1000, 1000, []string{"block|", "number|"}},
		{"near the block's by now", 1000, 1001, []string{"address|", "block|", "number|"}},
	} {
		runScenes(t, scene{tt.name, func(t *testing.T, in *instance) {
			in.wantSent(numbered(1))
			passed := &gates{Store: in.quotas.Store}
			in.quotas.Store = passed
			in.quotas.Limits.PerIPDay, in.quotas.Limits.PerBlockDay = tt.address, tt.block
			in.wantSent(numbered(2))
			passed.want(t, tt.want...)
		}})
	}
}

// counting counts what is counted, of the deployment and of addresses.
type counting struct {
	code.Store
	all, addresses int
}

func (c *counting) CountSince(ctx context.Context, scope model.SendScope, since model.Time) (int, error) {
	if scope == (model.SendScope{}) {
		c.all++
	} else {
		c.addresses++
	}
	return c.Store.CountSince(ctx, scope, since)
}

func (c *counting) want(t *testing.T, all, addresses int) {
	t.Helper()
	if c.all != all || c.addresses != addresses {
		t.Errorf("counted %d times in all and %d times for addresses, want %d and %d", c.all, c.addresses, all, addresses)
	}
}

// insertCodes inserts n codes of other numbers, sent now.
func (in *instance) insertCodes(n int) {
	in.t.Helper()
	in.wantSent(numbered(50))
	in.sql(`INSERT INTO codes (id, company_type, purpose, number_key, seq, code_mac, ip_key, sent_at, expires_at)
SELECT n.i, c.company_type, c.purpose, c.number_key, n.i, c.code_mac, c.ip_key, c.sent_at, c.expires_at
FROM codes c, `+tenThousand+` n WHERE n.i < ?`, n)
}

// tenThousand is a table of the numbers from 1, in SQL of both databases: MariaDB
// counts no further than 1000 by itself.
const tenThousand = `(WITH RECURSIVE s(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM s WHERE i < 99) SELECT a.i * 100 + b.i + 1 AS i FROM s a, s b)`
