package groupcommit

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libtnb/sqlite"
	"gorm.io/gorm"
	gormlogger "gorm.io/gorm/logger"
	gosqlite "modernc.org/sqlite"
)

// waitLimit bounds the wait for what must happen.
const waitLimit = 20 * time.Second

var errTest = errors.New("refused by the test")

// fixture is a queue over a database file with a table of counters.
type fixture struct {
	*Queue
	t    *testing.T
	path string
	pool *sql.DB // with the one connection that writes
	read *sql.DB
}

// newFixture opens a database in WAL mode; pragmas are added to its DSN.
func newFixture(t *testing.T, pragmas ...string) *fixture {
	t.Helper()
	if len(pragmas) == 0 {
		pragmas = []string{"journal_mode(WAL)", "busy_timeout(250)"}
	}
	path := filepath.Join(t.TempDir(), "queue.db")
	f := &fixture{t: t, path: path, pool: openFile(t, path, pragmas...), read: openFile(t, path, pragmas...)}
	f.pool.SetMaxOpenConns(1)
	f.exec("CREATE TABLE counters (name TEXT PRIMARY KEY, n INTEGER NOT NULL, note TEXT NOT NULL DEFAULT '') WITHOUT ROWID")
	f.Queue = newQueue(t, f.pool)
	return f
}

func openFile(t *testing.T, path string, pragmas ...string) *sql.DB {
	t.Helper()
	dsn := "file:" + path + "?_pragma=synchronous(OFF)"
	for _, pragma := range pragmas {
		dsn += "&_pragma=" + pragma
	}
	pool, err := sql.Open(sqlite.DriverName, dsn)
	must(t, err)
	t.Cleanup(func() { must(t, pool.Close()) })
	return pool
}

func newQueue(t *testing.T, pool *sql.DB) *Queue {
	t.Helper()
	db, err := gorm.Open(&sqlite.Dialector{Conn: pool}, &gorm.Config{SkipDefaultTransaction: true, Logger: gormlogger.Discard})
	must(t, err)
	q := New(t.Context(), db)
	t.Cleanup(q.Close)
	return q
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantErrors checks the result of each call: nil, or an error that is want. Any
// error will do for errAny.
func wantErrors(t *testing.T, got []error, want map[int]error) {
	t.Helper()
	for i, err := range got {
		if w := want[i]; (err == nil) != (w == nil) || w != nil && !errors.Is(w, errAny) && !errors.Is(err, w) {
			t.Errorf("call %d returns %v, want %v", i, err, w)
		}
	}
}

var errAny = errors.New("any error")

func (f *fixture) exec(statement string) {
	f.t.Helper()
	_, err := f.pool.ExecContext(f.t.Context(), statement)
	must(f.t, err)
}

// wantCounts compares committed counters.
func (f *fixture) wantCounts(want map[string]int64) {
	f.t.Helper()
	for name, n := range want {
		if got := f.count(name); got != n {
			f.t.Errorf("counter %q is %d, want %d", name, got, n)
		}
	}
}

// count returns the committed value of a counter.
func (f *fixture) count(name string) (n int64) {
	f.t.Helper()
	must(f.t, f.read.QueryRowContext(f.t.Context(), "SELECT COALESCE(SUM(n), 0) FROM counters WHERE name = ?", name).Scan(&n))
	return n
}

// wantIdle waits until the queue has given its connection back.
func (f *fixture) wantIdle() {
	f.t.Helper()
	f.until("the connection is idle", func() bool { return f.pool.Stats().InUse == 0 })
}

// until waits for a state that other goroutines bring about.
func (f *fixture) until(what string, reached func() bool) {
	f.t.Helper()
	for end := time.Now().Add(waitLimit); !reached(); runtime.Gosched() {
		if time.Now().After(end) {
			f.t.Fatal("waited in vain until " + what)
		}
	}
}

// oneGroup makes one group of the calls, in their order, and returns their results.
// They enter the queue one by one while a first writer holds the turn.
func (f *fixture) oneGroup(calls ...func() error) []error {
	f.t.Helper()
	f.maxOpen.Store(int64(waitLimit))
	held, release := make(chan struct{}), make(chan struct{})
	errs := make([]error, len(calls))
	var all sync.WaitGroup
	all.Go(func() {
		first := f.do(new(atomic.Int32), func(*gorm.DB) error {
			if held != nil {
				close(held)
				<-release
				held = nil // when it acts again, it does not wait
			}
			return nil
		})
		if err := retry(first)(); err != nil {
			f.t.Errorf("the first writer: %v", err)
		}
	})
	<-held
	for i, call := range calls {
		all.Go(func() { errs[i] = call() })
		f.until("all wait", func() bool { return f.Len() == i+1 })
	}
	close(release)
	all.Wait()
	return errs
}

// retry calls Do again while SQLite is busy, as the repository does.
func retry(call func() error) func() error {
	return func() error {
		for {
			err := call()
			if lite, ok := errors.AsType[*gosqlite.Error](err); !ok || lite.Code()&0xff != 5 {
				return err
			}
		}
	}
}

// do returns a call of Do that counts the runs of act.
func (f *fixture) do(runs *atomic.Int32, act func(tx *gorm.DB) error) func() error {
	return f.doWith(f.t.Context(), runs, act)
}

func (f *fixture) doWith(ctx context.Context, runs *atomic.Int32, act func(tx *gorm.DB) error) func() error {
	return func() error {
		return f.Do(ctx, func(tx *gorm.DB) error {
			runs.Add(1)
			return act(tx.WithContext(ctx))
		})
	}
}

// recovered is a call whose panic comes back as an error.
func recovered(call func() error) func() error {
	return func() (err error) {
		defer func() {
			if p := recover(); p != nil {
				err = panicError{p}
			}
		}()
		return call()
	}
}

type panicError struct{ value any }

func (panicError) Error() string { return "panic" }

// increment returns an act that adds 1 to a counter.
func increment(name string) func(tx *gorm.DB) error {
	return func(tx *gorm.DB) error {
		return tx.Exec("INSERT INTO counters (name, n) VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET n = n + 1", name).Error
	}
}

// inTurn returns an act that runs acts up to the first error.
func inTurn(acts ...func(tx *gorm.DB) error) func(tx *gorm.DB) error {
	return func(tx *gorm.DB) error {
		for _, act := range acts {
			if err := act(tx); err != nil {
				return err
			}
		}
		return nil
	}
}

// refuse is an act that returns an error.
func refuse(*gorm.DB) error { return errTest }

// boom is an act that panics.
func boom(*gorm.DB) error { panic("boom") }
