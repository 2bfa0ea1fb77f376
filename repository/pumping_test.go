package repository_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"menshen/model"
	"menshen/repository"
	"menshen/repository/dbtest"
)

// grouped returns aCode with a prefix, a block and a time.
func grouped(id int64, prefix, block string, sent model.Time) model.Code {
	code := aCode(id, byte(id), 1, sent)
	code.PrefixKey, code.BlockKey = prefix, block
	return code
}

func TestCodesYield(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		store := repository.Codes{DB: db}
		used, refused, unknown, live := grouped(2, "p", "b", t0+1000), grouped(3, "p", "b", t0+2000), grouped(4, "p", "b", t0+3000), grouped(5, "p", "b", t0+4000)
		used.UsedAt, refused.Delivery, unknown.Delivery = t0+1500, model.DeliveryRefused, model.DeliveryUnknown
		live.UsedAt, live.ExpiresAt = t0+4001, t0+5001
		insertCodes(t, db, grouped(1, "p", "b", t0), used, refused, unknown, live,
			grouped(6, "q", "b", t0+1000), grouped(7, "p", "c", t0+1000), grouped(8, "", "", t0+1000), grouped(9, "P", "B", t0+1000))
		end := t0.Add(5*time.Minute) + 3000 // of the last one that lives five minutes
		tests := []struct {
			name   string
			span   model.YieldSpan
			prefix model.Yield
			block  model.Yield
		}{
			{"all", model.YieldSpan{Until: end, Ended: end, Most: 100}, model.Yield{Sent: 5, Redeemed: 2}, model.Yield{Sent: 5, Redeemed: 2}},
			{"since leaves its own moment out", model.YieldSpan{Since: t0, Until: end, Ended: end, Most: 100}, model.Yield{Sent: 4, Redeemed: 2}, model.Yield{Sent: 4, Redeemed: 2}},
			{"a millisecond before an end", model.YieldSpan{Until: end, Ended: end - 1, Most: 100}, model.Yield{Sent: 4, Redeemed: 2}, model.Yield{Sent: 4, Redeemed: 2}},
			{"before all ends but one", model.YieldSpan{Until: end, Ended: t0 + 5001, Most: 100}, model.Yield{Sent: 1, Redeemed: 1}, model.Yield{Sent: 1, Redeemed: 1}},
			{"before all ends", model.YieldSpan{Until: end, Ended: t0 + 5000, Most: 100}, model.Yield{}, model.Yield{}},
			{"the newest alone", model.YieldSpan{Until: end, Ended: end, Most: 2}, model.Yield{Sent: 2, Redeemed: 1}, model.Yield{Sent: 2, Redeemed: 1}},
			{"until leaves its own moment in", model.YieldSpan{Until: t0 + 1000, Ended: end, Most: 100}, model.Yield{Sent: 3, Redeemed: 1}, model.Yield{Sent: 3, Redeemed: 1}},
			{"until leaves later ones out", model.YieldSpan{Until: t0 + 999, Ended: end, Most: 100}, model.Yield{Sent: 1}, model.Yield{Sent: 1}},
		}
		for _, tt := range tests {
			prefix, err := store.Yield(t.Context(), model.GroupPrefix, "p", tt.span)
			must(t, err)
			block, err := store.Yield(t.Context(), model.GroupBlock, "b", tt.span)
			must(t, err)
			if prefix != tt.prefix || block != tt.block {
				t.Errorf("%s: prefix %+v, block %+v; want %+v and %+v", tt.name, prefix, block, tt.prefix, tt.block)
			}
		}
		if n, err := store.CountSent(t.Context(), t0); err != nil || n != 7 {
			t.Errorf("%d messages, error %v; want 7: one was refused, one is not after since", n, err)
		}
	})
}

func TestCodesBusy(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		store := repository.Codes{DB: db}
		used, refused := grouped(2, "p", "b", t0+1000), grouped(3, "p", "b", t0+2000)
		used.UsedAt, refused.Delivery = t0+1500, model.DeliveryRefused
		insertCodes(t, db, grouped(1, "p", "b", t0), used, refused, grouped(4, "p", "c", t0+3000),
			grouped(5, "q", "c", t0+3000), grouped(6, "", "", t0+1000), grouped(7, "", "", t0+1000), grouped(8, "P", "B", t0+1000))
		tests := []struct {
			name         string
			by           model.Grouping
			since, until model.Time
			least        int
			want         map[string]model.Yield
		}{
			{"prefixes, live codes too", model.GroupPrefix, 0, t0 + 3000, 1, map[string]model.Yield{"p": {Sent: 3, Redeemed: 1}, "q": {Sent: 1}, "P": {Sent: 1}}},
			{"blocks", model.GroupBlock, 0, t0 + 3000, 1, map[string]model.Yield{"b": {Sent: 2, Redeemed: 1}, "c": {Sent: 2}, "B": {Sent: 1}}},
			{"the least", model.GroupPrefix, 0, t0 + 3000, 3, map[string]model.Yield{"p": {Sent: 3, Redeemed: 1}}},
			{"more than any has", model.GroupPrefix, 0, t0 + 3000, 4, map[string]model.Yield{}},
			{"since leaves its own moment out", model.GroupBlock, t0, t0 + 3000, 1, map[string]model.Yield{"b": {Sent: 1, Redeemed: 1}, "c": {Sent: 2}, "B": {Sent: 1}}},
			{"until leaves its own moment in", model.GroupBlock, 0, t0 + 1000, 1, map[string]model.Yield{"b": {Sent: 2, Redeemed: 1}, "B": {Sent: 1}}},
			{"until leaves later ones out", model.GroupBlock, 0, t0 + 999, 1, map[string]model.Yield{"b": {Sent: 1}}},
		}
		for _, tt := range tests {
			got, err := store.Busy(t.Context(), tt.by, tt.since, tt.until, tt.least)
			must(t, err)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("%s:\n%s", tt.name, diff)
			}
		}
		for _, tt := range []struct {
			by           model.Grouping
			key          string
			since, until model.Time
			want         int
		}{
			{model.GroupPrefix, "p", 0, t0 + 3000, 4}, {model.GroupBlock, "b", 0, t0 + 3000, 3}, {model.GroupBlock, "b", t0, t0 + 3000, 2},
			{model.GroupBlock, "b", 0, t0 + 1000, 2}, {model.GroupBlock, "b", 0, t0 + 999, 1}, {model.GroupPrefix, "b", 0, t0 + 3000, 0},
		} {
			if n, err := store.CountGroup(t.Context(), tt.by, tt.key, tt.since, tt.until); err != nil || n != tt.want {
				t.Errorf("%+v: counted %d, error %v", tt, n, err)
			}
		}
	})
}

// TestCodesBusyByTime: the look for bursts reads the codes of its minute and not those of
// a day, though an index of the groups would give them in the order of their groups.
func TestCodesBusyByTime(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		manyCodes(t, db)
		for _, column := range []string{"prefix_key", "block_key"} {
			plan := explain(t, db, "SELECT name, COUNT(*) AS sent FROM (SELECT "+column+" AS name, used_at FROM codes WHERE sent_at > ? AND sent_at <= ? "+
				"AND delivery <> 2 ORDER BY sent_at DESC LIMIT 100000) AS newest WHERE name <> '' GROUP BY name HAVING COUNT(*) >= 50", t0+800, t0+850)
			if !strings.Contains(plan, map[string]string{repository.SQLite: "INDEX codes_sent", repository.MySQL: `": "codes_sent"`}[db.Driver()]) {
				t.Errorf("the plan is %s", plan)
			}
		}
	})
}

// manyCodes inserts codes of 90 groups, one in each millisecond.
func manyCodes(t *testing.T, db *repository.DB) {
	t.Helper()
	execSQL(t, db, `INSERT INTO codes (id, company_type, purpose, number_key, seq, code_mac, ip_key, sent_at, expires_at, prefix_key, block_key)
WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < 900)
SELECT i, 0, 'login', ?, i, ?, 'a', ? + i, ? + i, CONCAT('p', i % 90), CONCAT('b', i % 90) FROM s`, key('n'), key('m'), t0, t0)
	if db.Driver() == repository.MySQL {
		execSQL(t, db, "ANALYZE TABLE codes")
	}
}

// explain returns the plan of a query.
func explain(t *testing.T, db *repository.DB, query string, args ...any) string {
	t.Helper()
	prefix := map[string]string{repository.SQLite: "EXPLAIN QUERY PLAN ", repository.MySQL: "EXPLAIN FORMAT=JSON "}[db.Driver()]
	return strings.Join(lastColumn(t, db, prefix+query, args...), "\n")
}

// TestCodesYieldByIndex: the counts made for every message read only their own
// group's range of an index.
func TestCodesYieldByIndex(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		manyCodes(t, db)
		for column, index := range map[string]string{"prefix_key": "codes_prefix", "block_key": "codes_block"} {
			plan := explain(t, db, "SELECT used_at FROM codes WHERE "+column+
				" = 'p1' AND sent_at > 1 AND sent_at <= 9999999999999 AND expires_at <= 9999999999999 AND delivery <> 2 ORDER BY sent_at DESC LIMIT 2000")
			if !strings.Contains(plan, index) || strings.Contains(strings.ToLower(plan), "temp") || strings.Contains(plan, "filesort") {
				t.Errorf("the plan is %s", plan)
			}
		}
	})
}

// lastColumn returns the last column of each row of a query.
func lastColumn(t *testing.T, db *repository.DB, query string, args ...any) (all []string) {
	t.Helper()
	rows, err := pool(db).QueryContext(t.Context(), query, args...)
	must(t, err)
	defer rows.Close()
	columns, err := rows.Columns()
	must(t, err)
	for rows.Next() {
		values := make([]any, len(columns))
		for i := range values {
			values[i] = new(string)
		}
		must(t, rows.Scan(values...))
		all = append(all, *values[len(values)-1].(*string))
	}
	must(t, rows.Err())
	return all
}

func TestAlarms(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		store := repository.Codes{DB: db}
		raise := func(name string, since, now model.Time, want bool) {
			t.Helper()
			if raised, err := store.Raise(t.Context(), name, since, now); err != nil || raised != want {
				t.Errorf("raised is %v, error %v; want %v", raised, err, want)
			}
		}
		wantRaised := func(since model.Time, want map[string]model.Time) {
			t.Helper()
			got, err := store.Raised(t.Context(), []string{"one", "two", "three"}, since)
			must(t, err)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("raised after %d:\n%s", since, diff)
			}
		}
		wantRaised(0, map[string]model.Time{})
		raise("one", t0-1000, t0, true)
		raise("one", t0-500, t0+500, false)
		raise("two", t0-500, t0+500, true)
		wantRaised(t0-1, map[string]model.Time{"one": t0, "two": t0 + 500})
		wantRaised(t0, map[string]model.Time{"two": t0 + 500})
		raise("one", t0-1, t0+999, false)
		raise("one", t0, t0+1000, true)
		raise("One", t0, t0+1000, true) // names are bytes
		wantRaised(t0, map[string]model.Time{"one": t0 + 1000, "two": t0 + 500})
		must(t, store.Gate(t.Context(), []byte("one"), t0+2000)) // alarms live among the gates
		wantRaised(t0+1000, map[string]model.Time{"one": t0 + 2000})
	})
}

// TestAlarmIsRaisedOnce: of concurrent transactions that raise an alarm one does. If
// it is rolled back, another one can.
func TestAlarmIsRaisedOnce(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		store := repository.Codes{DB: db}
		act := func(ctx context.Context) error {
			raised, err := store.Raise(ctx, "alarm", t0-1000, t0)
			if err == nil && !raised {
				err = model.ErrCooldown
			}
			return err
		}
		if err := db.Within(t.Context(), thenFail(act)); err == nil {
			t.Error("the act was not undone")
		}
		wantOne(t, raceErrors(32, func(int) error { return db.Within(t.Context(), act) }), model.ErrCooldown)
	})
}
