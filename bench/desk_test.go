package bench

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"menshen/model"
	"menshen/repository"
	"menshen/service"
)

// deskRows is how many users and how many messages BenchmarkDesk makes: MENSHEN_BENCH_ROWS,
// in whole chunks.
func deskRows(b *testing.B) int {
	b.Helper()
	rows := deskChunk
	if text := os.Getenv("MENSHEN_BENCH_ROWS"); text != "" {
		var err error
		if rows, err = strconv.Atoi(text); err != nil || rows < deskChunk {
			b.Fatalf("MENSHEN_BENCH_ROWS is %q, want at least %d", text, deskChunk)
		}
	}
	return rows / deskChunk * deskChunk
}

const (
	deskChunk = 100_000
	deskStart = 1_600_000_000_000 // creation of the first user
	deskStep  = 9_000             // ms between two users: ten million in three years
	deskFound = "13800138000"     // the number that has messages
)

// fillDesk makes users and messages. Of a thousand users one is banned and one was; one of
// fifty is deleted; one of each chunk has the source rare.
func fillDesk(b *testing.B, h *harness, rows int) {
	b.Helper()
	random := "RANDOM_BYTES(32)"
	if h.db.Driver() == repository.SQLite {
		random = "RANDOMBLOB(32)"
	}
	digit := "(SELECT 0 AS n UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4 UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9)"
	numbers := fmt.Sprintf("(SELECT a.n + 10 * b.n + 100 * c.n + 1000 * d.n + 10000 * e.n AS n FROM %[1]s AS e, %[1]s AS d, %[1]s AS c, %[1]s AS b, %[1]s AS a) AS numbers", digit)
	pool := h.db.Pools()["write"]
	if h.db.Driver() == repository.MySQL { // without the time-outs of the service
		var err error
		if pool, err = sql.Open("mysql", h.dsn); err != nil {
			b.Fatal(err)
		}
		defer func() { _ = pool.Close() }()
	}
	for base := 0; base < rows; base += deskChunk {
		for _, statement := range []string{
			fmt.Sprintf(`INSERT INTO users (id, company_type, mobile_key, user_name, nick_name, real_name, avatar_url, first_source, last_source, banned_until, created_at, deleted_at)
SELECT %[1]d + n + 1, CASE WHEN n %% 10 = 0 THEN 1 ELSE 0 END, %[2]s, 'u', 'nick', '', '', CASE WHEN n = 7 THEN 'rare' WHEN n %% 5 < 3 THEN 'ios' ELSE 'android' END, '',
CASE n %% 1000 WHEN 1 THEN %[3]d WHEN 2 THEN 1 ELSE 0 END, %[4]d + (%[1]d + n) * %[5]d, CASE WHEN n %% 50 = 3 THEN 1 ELSE 0 END FROM %[6]s`,
				base, random, int64(model.Forever), deskStart, deskStep, numbers),
			fmt.Sprintf(`INSERT INTO messages (at, code_id, number_key, mobile_key, mobile, user_id, company_type, product_type, purpose, region, provider, message_id, state, reason)
SELECT %[1]d + (%[2]d + n) * %[3]d, %[2]d + n + 1, %[4]s, NULL, '138****0000', %[2]d + n + 1, 0, 0, 'login', 'CN', 'aliyun', %[2]d + n, CASE WHEN n %% 20 = 0 THEN 'undelivered' ELSE 'delivered' END, '' FROM %[5]s`,
				deskStart, base, deskStep, random, numbers),
		} {
			if _, err := pool.ExecContext(b.Context(), statement); err != nil {
				b.Fatal(err)
			}
		}
	}
	key := h.admin.Vault.NumberKey(model.NewMobile("+86" + deskFound))
	if _, err := pool.ExecContext(b.Context(), "UPDATE messages SET number_key = ? WHERE code_id % ? = 1", key, rows/100); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkDesk measures the pages of the support desk over many users and messages. It
// reports the slowest one too. At ten million rows it takes minutes and gigabytes.
func BenchmarkDesk(b *testing.B) {
	rows := deskRows(b)
	eachDatabase(b, func(b *testing.B, h *harness) {
		fillDesk(b, h, rows)
		at := func(part int) string { return strconv.Itoa(rows / 10 * part) } // of the creation
		ios, rare, old := "ios", "rare", model.Time(deskStart+deskStep*int64(rows)/3)
		for _, page := range []struct {
			name  string
			query service.UserQuery
		}{
			{"first", service.UserQuery{}}, {"middle", service.UserQuery{Cursor: at(5)}}, {"late", service.UserQuery{Cursor: at(1)}},
			{"company", service.UserQuery{CompanyType: new(int32(1)), Cursor: at(5)}},
			{"source", service.UserQuery{Source: ios, Cursor: at(5)}}, {"rare source", service.UserQuery{Source: rare}},
			{"company and rare source", service.UserQuery{CompanyType: new(int32(0)), Source: rare}},
			{"company without the source", service.UserQuery{CompanyType: new(int32(1)), Source: rare}},
			{"banned", service.UserQuery{Banned: new(true)}}, {"banned, late", service.UserQuery{Banned: new(true), Cursor: at(1)}},
			{"banned of a rare source", service.UserQuery{Banned: new(true), Source: rare}}, {"not banned", service.UserQuery{Banned: new(false), Cursor: at(5)}},
			{"time", service.UserQuery{From: old, To: old + 1000*deskStep}}, {"before a time", service.UserQuery{To: old, CompanyType: new(int32(1)), Limit: service.MaxUserPage}},
		} {
			b.Run("users/"+page.name, func(b *testing.B) {
				slowest(b, func(ctx context.Context) error {
					_, _, err := h.admin.List(ctx, service.Operator{Name: "bench"}, page.query)
					return err
				})
			})
		}
		b.Run("messages of a number", func(b *testing.B) {
			slowest(b, func(ctx context.Context) error {
				found, _, err := h.admin.Messages(ctx, service.Operator{Name: "bench"}, service.MessageQuery{Mobile: deskFound})
				if err == nil && len(found) != 50 {
					err = fmt.Errorf("%d messages", len(found))
				}
				return err
			})
		})
	})
}

// slowest repeats act and reports the longest time of one in ms.
func slowest(b *testing.B, act func(ctx context.Context) error) {
	b.Helper()
	var most time.Duration
	for b.Loop() {
		begin := time.Now()
		if err := act(b.Context()); err != nil {
			b.Fatal(err)
		}
		most = max(most, time.Since(begin))
	}
	b.ReportMetric(float64(most)/1e6, "ms-max")
}

// BenchmarkImport imports batches of new accounts.
func BenchmarkImport(b *testing.B) {
	eachDatabase(b, func(b *testing.B, h *harness) {
		run := h.admin.NewImport(service.Operator{Name: "bench"}, false)
		rows, line := make([]service.ImportRow, service.ImportBatch), 0
		for b.Loop() {
			for i := range rows {
				line++
				rows[i] = service.ImportRow{Line: line, CompanyType: "0", Mobile: h.number(), NickName: "nick", ExternalID: strconv.Itoa(line), Metadata: `{"level": 3}`}
			}
			if bad, err := run.Batch(b.Context(), rows); err != nil || len(bad) > 0 {
				b.Fatalf("bad lines %v, error %v", bad, err)
			}
		}
		b.ReportMetric(float64(line)/b.Elapsed().Seconds(), "lines/s")
	})
}
