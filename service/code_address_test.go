package service_test

import (
	"context"
	"testing"
	"time"

	"menshen/model"
	"menshen/service"
)

func TestLargeLimits(t *testing.T) {
	play(t,
		scene{"a large limit counts exactly near its end", func(t *testing.T, w *world) {
			w.codes.Rules.PerIPDay = 1001
			w.fillLedger(1000)
			w.granted(alice)
			w.refused(bob, model.ErrTooMany, 24*3600)
		}},
		scene{"far from a limit it is not counted again", func(t *testing.T, w *world) {
			store := &counting{CodeStore: w.codes.Store}
			w.codes.Store, w.codes.Rules.PerIPDay, w.codes.Rules.DailyBudget = store, 1_000_000, 3000
			w.granted(numbered(0))
			w.granted(numbered(1)) // 2000 are missing to a thousand below the budget: 100 ms
			w.clock.advance(99 * ms)
			w.granted(numbered(2))
			store.want(t, 1, 1)
			w.clock.advance(ms)
			w.granted(numbered(3))
			store.want(t, 2, 1)
			w.clock.advance(9899 * ms)
			w.granted(numbered(4))
			store.want(t, 3, 1)
			w.clock.advance(ms)
			w.granted(numbered(5), fromIP("192.0.2.2"))
			store.want(t, 3, 2) // each address has its own count
			w.granted(numbered(6))
			store.want(t, 3, 3)
			w.clock.advance(-time.Hour) // a clock set back believes nothing
			w.granted(numbered(7))
			store.want(t, 4, 4)
		}},
		scene{"what was believed of a large limit ends before it", func(t *testing.T, w *world) {
			w.codes.Rules.PerIPDay = 3000
			w.fillLedger(2998)
			w.clock.advance(100 * ms)
			w.granted(alice)
			w.granted(bob)
			w.refused(numbered(1), model.ErrTooMany, 24*3600)
		}},
	)
}

// counting counts what is counted, of the deployment and of addresses.
type counting struct {
	service.CodeStore
	all, addresses int
}

func (c *counting) CountSince(ctx context.Context, ipKey string, since model.Time) (int, error) {
	if ipKey == "" {
		c.all++
	} else {
		c.addresses++
	}
	return c.CodeStore.CountSince(ctx, ipKey, since)
}

func (c *counting) want(t *testing.T, all, addresses int) {
	t.Helper()
	if c.all != all || c.addresses != addresses {
		t.Errorf("counted %d times in all and %d times for addresses, want %d and %d", c.all, c.addresses, all, addresses)
	}
}

// fillLedger puts n codes of other numbers, sent now, into the ledger.
func (w *world) fillLedger(n int) {
	w.t.Helper()
	w.granted(numbered(50))
	w.sql(`INSERT INTO codes (id, company_type, purpose, number_key, seq, code_mac, ip_key, sent_at, expires_at)
SELECT n.i, c.company_type, c.purpose, c.number_key, n.i, c.code_mac, c.ip_key, c.sent_at, c.expires_at
FROM codes c, `+tenThousand+` n WHERE n.i < ?`, n)
}

// tenThousand is a table of the numbers from 1, in SQL of both databases: MariaDB
// counts no further than 1000 by itself.
const tenThousand = `(WITH RECURSIVE s(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM s WHERE i < 99) SELECT a.i * 100 + b.i + 1 AS i FROM s a, s b)`
