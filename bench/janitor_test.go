package bench

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"menshen/model"
	"menshen/repository"
	"menshen/service"
	"menshen/service/vault"
)

const (
	phaseTime  = 5 * time.Second
	backlogOf  = 40_000 // logins whose rows are a backlog
	backlogAge = 200 * 24 * time.Hour
)

// BenchmarkJanitor compares logins of new users, each with its code, with and without a
// backlog that a janitor removes, in interleaved rounds (-benchtime 5x): as fast as 64
// clients can, and at half that rate, where latency is measured from the moment at which
// a login was due. Its table has medians over the rounds.
func BenchmarkJanitor(b *testing.B) {
	eachDatabase(b, func(b *testing.B, h *harness) {
		j := &benchJanitor{harness: h}
		var phases [4][]phase
		for range b.N {
			for i, rate := range []float64{0, 0, 0.5, 0.5} {
				if rate > 0 {
					rate *= phases[0][len(phases[0])-1].logins
				}
				phases[i] = append(phases[i], j.phase(b, i%2 == 1, rate))
			}
		}
		var table strings.Builder
		fmt.Fprintf(&table, "\n| %s, rounds: %d | logins/s | rows written/s | rows removed/s | p50 ms | p99 ms |\n|---|---|---|---|---|---|\n", b.Name(), b.N)
		for i, name := range []string{"64 clients, no backlog", "64 clients, a backlog", "half the rate, no backlog", "half the rate, a backlog"} {
			of := func(value func(phase) float64) float64 {
				var values []float64
				for _, p := range phases[i] {
					values = append(values, value(p))
				}
				return median(values)
			}
			fmt.Fprintf(&table, "| %s | %.0f | %.0f | %.0f | %.1f | %.1f |\n", name,
				of(func(p phase) float64 { return p.logins }), of(func(p phase) float64 { return p.written }), of(func(p phase) float64 { return p.removed }),
				of(func(p phase) float64 { return p.p50 }), of(func(p phase) float64 { return p.p99 }))
		}
		_, _ = os.Stdout.WriteString(table.String())
	})
}

// phase is what was measured in one phase: rates in a second, latencies in milliseconds.
type phase struct{ logins, written, removed, p50, p99 float64 }

// benchJanitor is a janitor that counts what it removes.
type benchJanitor struct {
	*harness
	repository.Janitor
	removed atomic.Int64
	gates   atomic.Int64
}

func (j *benchJanitor) count(n int, err error) (int, error) {
	j.removed.Add(int64(n))
	return n, err
}

func (j *benchJanitor) Codes(ctx context.Context, before model.Time, limit int) (int, error) {
	return j.count(j.Janitor.Codes(ctx, before, limit))
}

func (j *benchJanitor) Sessions(ctx context.Context, before model.Time, limit int) (int, error) {
	return j.count(j.Janitor.Sessions(ctx, before, limit))
}

func (j *benchJanitor) Events(ctx context.Context, before model.Time, limit int) (int, error) {
	return j.count(j.Janitor.Events(ctx, before, limit))
}

func (j *benchJanitor) Gates(ctx context.Context, before model.Time, limit int) (int, error) {
	return j.count(j.Janitor.Gates(ctx, before, limit))
}

// sweeper returns the janitor of an instance.
func (j *benchJanitor) sweeper() *service.Janitor {
	j.Janitor = repository.Janitor{DB: j.db}
	s := &service.Janitor{
		Store: j, Endings: j.sessions.Endings, Now: time.Now, Seals: &vault.Reencrypter{Vault: j.login.Vault},
		Feed: &service.Feed{Tx: j.db, Store: repository.Feed{DB: j.db}, Gates: repository.Codes{DB: j.db}, Now: time.Now},
	}
	s.SetRetention(service.Retention{Sessions: 90 * 24 * time.Hour, Events: 180 * 24 * time.Hour, Messages: 30 * 24 * time.Hour})
	return s
}

// phase runs logins for phaseTime: rate in a second, 0 as many as the clients can.
func (j *benchJanitor) phase(b *testing.B, backlog bool, rate float64) phase {
	b.Helper()
	if backlog {
		j.insertBacklog(b)
	}
	rows, removed := j.rows(b), j.removed.Load()
	ctx, stop := context.WithCancel(b.Context())
	defer stop()
	var running sync.WaitGroup
	running.Go(func() {
		for s := j.sweeper(); ctx.Err() == nil; {
			if err := s.Sweep(ctx); err != nil && ctx.Err() == nil {
				b.Error(err)
			}
			select {
			case <-ctx.Done():
			case <-time.After(service.SweepInterval / 5): // sweeps without a backlog too
			}
		}
	})
	began := time.Now()
	took := j.logins(b, began, rate)
	seconds, gone := time.Since(began).Seconds(), float64(j.removed.Load()-removed)
	stop()
	running.Wait()
	written := float64(j.rows(b)-rows) + float64(j.removed.Load()-removed)
	if backlog {
		j.drain(b)
	}
	return phase{float64(len(took)) / seconds, written / seconds, gone / seconds, ms(took.median()), ms(took.at(0.99))}
}

// drain removes what is left of a backlog. It fails if that is nothing of a table: the
// janitor would have been idle.
func (j *benchJanitor) drain(b *testing.B) {
	b.Helper()
	before := model.TimeOf(time.Now().Add(-backlogAge / 2))
	for i, remove := range []func(context.Context, model.Time, int) (int, error){j.Codes, j.Gates, j.Sessions, j.Events} {
		left := 0
		for n := 1; n > 0; left += n {
			var err error
			if n, err = remove(b.Context(), before, 1000); err != nil {
				b.Fatal(err)
			}
		}
		if left == 0 {
			b.Errorf("nothing was left in %s", janitorTables[i])
		}
	}
}

// logins logs new users in until phaseTime after began.
func (j *benchJanitor) logins(b *testing.B, began time.Time, rate float64) (all figures) {
	b.Helper()
	var due atomic.Int64
	var mu sync.Mutex
	var clients sync.WaitGroup
	for range parallel {
		clients.Go(func() {
			var took figures
			for !b.Failed() {
				from := time.Now()
				if rate > 0 {
					from = began.Add(time.Duration(float64(due.Add(1)) / rate * float64(time.Second)))
					time.Sleep(time.Until(from))
				}
				if from.Sub(began) > phaseTime {
					break
				}
				if _, err := j.logInNewUser(b.Context(), "device"); err != nil {
					b.Error(err)
				}
				took = append(took, time.Since(from))
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, took...)
		})
	}
	clients.Wait()
	return all
}

var janitorTables = []string{"codes", "gates", "sessions", "events"}

// rows counts the rows of all tables that a janitor clears.
func (j *benchJanitor) rows(b *testing.B) (all int64) {
	b.Helper()
	for _, table := range janitorTables {
		var n int64
		if err := j.db.Pools()["report"].QueryRowContext(b.Context(), "SELECT COUNT(*) FROM "+table).Scan(&n); err != nil {
			b.Fatal(err)
		}
		all += n
	}
	return all
}

// insertBacklog adds rows to each table that are past their retention.
func (j *benchJanitor) insertBacklog(b *testing.B) {
	b.Helper()
	const batch = 200
	old := model.TimeOf(time.Now().Add(-backlogAge))
	each(b, backlogOf/batch, preparers, func(int) error {
		return j.db.Within(b.Context(), func(ctx context.Context) error {
			for range batch {
				if err := j.insertOld(ctx, old); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// insertOld adds the rows of a login with its code.
func (j *benchJanitor) insertOld(ctx context.Context, old model.Time) error {
	var key [32]byte
	_, _ = rand.Read(key[:])
	id := rand.Text()
	code := model.Code{
		ID: int64(key[0])<<40 | j.gates.Add(1), Purpose: model.PurposeLogin, NumberKey: key[:], CodeMAC: key[:], IPKey: "192.0.2.1",
		PrefixKey: id, BlockKey: "192.0.2.0", SentAt: old, ExpiresAt: old, Provider: "bench",
	}
	session := model.Session{
		ID: id, UserID: 1, ProductGroup: "app", DeviceName: "bench", IP: "192.0.2.1", LoginAt: old, EndedAt: old, EndReason: model.ReasonDisplaced,
		RefreshHash: key[:], CurJTI: id, MaxExp: old.Second(),
	}
	codes := repository.Codes{DB: j.db}
	if err := codes.Insert(ctx, code); err != nil {
		return err
	}
	for _, gate := range []string{"number", "other"} {
		if err := codes.Gate(ctx, append([]byte(gate), key[:]...), old); err != nil {
			return err
		}
	}
	if err := (repository.Sessions{DB: j.db}).Insert(ctx, session); err != nil {
		return err
	}
	line := model.Event{
		At: old, Kind: model.EventLogin, UserID: 1, SessionID: id, Actor: model.ActorUser, IP: "192.0.2.1", Device: "bench", RequestID: id,
		Detail: model.EventDetail("productType", "0", "source", "bench"),
	}
	return repository.Events{DB: j.db}.Append(ctx, line, line, line)
}
