package repository_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"menshen/model"
	"menshen/repository"
	"menshen/repository/dbtest"
)

// holdGate returns an act that leaves a trace in the database: a gate of the name.
func holdGate(db *repository.DB, gate string) func(ctx context.Context) error {
	return func(ctx context.Context) error { return repository.Codes{DB: db}.Gate(ctx, []byte(gate), t0) }
}

func gatePasses(t *testing.T, db *repository.DB, gate string) int64 {
	t.Helper()
	return queryCount(t, db, "SELECT COALESCE(SUM(passes), 0) FROM gates WHERE name = ?", []byte(gate))
}

func TestWithin(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		must(t, db.Within(t.Context(), func(ctx context.Context) error {
			return errors.Join(holdGate(db, "a")(ctx), holdGate(db, "b")(ctx))
		}))
		if gatePasses(t, db, "a") != 1 || gatePasses(t, db, "b") != 1 {
			t.Error("what was committed is not there")
		}
		for _, refusal := range []error{errTest, model.ErrCode.Wrap(errTest)} {
			err := db.Within(t.Context(), func(ctx context.Context) error {
				return errors.Join(holdGate(db, "a")(ctx), holdGate(db, "c")(ctx), refusal)
			})
			if !errors.Is(err, errTest) || errors.Is(refusal, model.ErrCode) != errors.Is(err, model.ErrCode) {
				t.Errorf("%v came back as %v", refusal, err)
			}
		}
		if gatePasses(t, db, "a") != 1 || gatePasses(t, db, "c") != 0 {
			t.Error("what was refused is there")
		}
		wantIdle(t, db)
	})
}

func TestWithinSeesItsOwnWrites(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		must(t, db.Within(t.Context(), func(ctx context.Context) error {
			if err := (repository.Codes{DB: db}).Insert(ctx, aCode(1, 'a', 1, t0)); err != nil {
				return err
			}
			inside, err := repository.Codes{DB: db}.Recent(ctx, key('a'), 0, 1000)
			if len(inside) != 1 {
				t.Errorf("%d codes seen inside, want 1", len(inside))
			}
			outside, errOutside := repository.Codes{DB: db}.Recent(t.Context(), key('a'), 0, 1000)
			if len(outside) != 0 {
				t.Errorf("%d codes seen outside before the commit", len(outside))
			}
			return errors.Join(err, errOutside)
		}))
	})
}

func TestWithinNested(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		must(t, db.Within(t.Context(), func(ctx context.Context) error {
			if err := holdGate(db, "outer")(ctx); err != nil {
				return err
			}
			if err := db.Within(ctx, holdGate(db, "kept")); err != nil {
				return err
			}
			if err := db.Within(ctx, thenFail(holdGate(db, "undone"))); !errors.Is(err, errTest) {
				t.Errorf("the inner refusal came back as %v", err)
			}
			deep := func(ctx context.Context) error { return db.Within(ctx, holdGate(db, "deep")) }
			if err := db.Within(ctx, thenFail(deep)); !errors.Is(err, errTest) {
				t.Errorf("the refusal around a third level came back as %v", err)
			}
			return holdGate(db, "after")(ctx)
		}))
		for gate, want := range map[string]int64{"outer": 1, "kept": 1, "undone": 0, "deep": 0, "after": 1} {
			if got := gatePasses(t, db, gate); got != want {
				t.Errorf("%s: %d, want %d", gate, got, want)
			}
		}
		joined := func(ctx context.Context) error { return db.Within(ctx, holdGate(db, "joined")) }
		if err := db.Within(t.Context(), thenFail(joined)); !errors.Is(err, errTest) {
			t.Error(err)
		}
		if gatePasses(t, db, "joined") != 0 {
			t.Error("an inner transaction outlived the refusal of the outer one")
		}
		wantIdle(t, db)
	})
}

func TestWithinPanic(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		func() {
			defer func() {
				if recover() != "boom" {
					t.Error("the panic did not come through")
				}
			}()
			_ = db.Within(t.Context(), func(ctx context.Context) error {
				must(t, holdGate(db, "panic")(ctx))
				panic("boom")
			})
		}()
		wantIdle(t, db)
		if gatePasses(t, db, "panic") != 0 {
			t.Error("what was done before the panic is there")
		}
		must(t, db.Within(t.Context(), holdGate(db, "next")))
	})
}

func TestWithinCancelled(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		pool(db).SetMaxOpenConns(1) // a connection that is not given back is missed at once
		tests := []struct {
			name string
			act  func(ctx context.Context, cancel func()) error
		}{
			{"before it begins", nil},
			{"between two statements", func(ctx context.Context, cancel func()) error {
				must(t, holdGate(db, "cancelled")(ctx))
				cancel()
				return holdGate(db, "cancelled")(ctx)
			}},
			{"before the commit", func(ctx context.Context, cancel func()) error {
				must(t, holdGate(db, "cancelled")(ctx))
				cancel()
				return nil
			}},
		}
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				called := false
				if tt.act == nil {
					cancel()
				}
				err := db.Within(ctx, func(ctx context.Context) error {
					called = true
					return tt.act(ctx, cancel)
				})
				if !errors.Is(err, model.ErrUnavailable) || called != (tt.act != nil) {
					t.Errorf("called %v, error %v; want ErrUnavailable", called, err)
				}
				must(t, db.Within(t.Context(), holdGate(db, "next")))
				if gatePasses(t, db, "cancelled") != 0 {
					t.Error("what was done before is there")
				}
			})
		}
	})
}

// TestWithinRetriesDeadlocks provokes a real one: two transactions lock two
// rows crosswise. Both must succeed in the end.
func TestWithinRetriesDeadlocks(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		if db.Driver() == repository.SQLite {
			t.Skip("a single writer cannot deadlock")
		}
		mustRegister(t, db, aUser(1, 'a'))
		mustRegister(t, db, aUser(2, 'b'))
		first := [2]chan struct{}{make(chan struct{}), make(chan struct{})}
		var tries [2]atomic.Int32
		errs := raceErrors(2, func(i int) error {
			return db.Within(t.Context(), func(ctx context.Context) error {
				if _, err := (repository.Users{DB: db}).Lock(ctx, int64(i+1)); err != nil {
					return err
				}
				if tries[i].Add(1) == 1 { // both hold their first row before either asks for its second
					close(first[i])
					<-first[1-i]
				}
				if _, err := (repository.Users{DB: db}).Lock(ctx, int64(2-i)); err != nil {
					return err
				}
				return holdGate(db, "crossed")(ctx)
			})
		})
		must(t, errors.Join(errs...))
		if n := tries[0].Load() + tries[1].Load(); n < 3 {
			t.Errorf("%d tries: there was no deadlock", n)
		}
		if n := gatePasses(t, db, "crossed"); n != 2 {
			t.Errorf("%d passes, want 2", n)
		}
		wantIdle(t, db)
	})
}

// TestWithinRetriesLockWaits: a row is held until the other one tries again.
func TestWithinRetriesLockWaits(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		if db.Driver() == repository.SQLite {
			t.Skip("the writer's queue is the pool")
		}
		mustRegister(t, db, aUser(1, 'a'))
		held, again := make(chan struct{}), make(chan struct{})
		tries := 0
		errs := raceErrors(2, func(i int) error {
			return db.Within(t.Context(), func(ctx context.Context) error {
				if i == 1 {
					<-held
					if tries++; tries == 2 {
						close(again)
					}
				}
				_, err := repository.Users{DB: db}.Lock(ctx, 1)
				if i == 0 {
					close(held)
					<-again
				}
				return err
			})
		})
		must(t, errors.Join(errs...))
	})
}

// TestWithinRetriesWhatWasLostForCertain: which errors make a transaction run
// again, at most 16 times.
func TestWithinRetriesWhatWasLostForCertain(t *testing.T) {
	db := dbtest.Open(t, repository.SQLite)
	lost := []*mysql.MySQLError{
		{Number: 1213, Message: "Deadlock found when trying to get lock"},
		{Number: 1205, Message: "Lock wait timeout exceeded"},
		{Number: 1020, Message: "Record has changed since last read"},
		{Number: 3101, Message: "Plugin instructed the server to rollback the current transaction."},
		{Number: 1180, Message: "Got error 149 - 'Lock deadlock; Retry transaction' during COMMIT"},
	}
	kept := []*mysql.MySQLError{
		{Number: 1062, Message: "Duplicate entry"},
		{Number: 1045, Message: "Access denied"},
		{Number: 2013, Message: "Lost connection"},
		{Number: 1317, Message: "Query execution was interrupted"},
		{Number: 1180, Message: "Got error 28 - 'No space left on device' during COMMIT"},
	}
	for i, failure := range append(lost, kept...) {
		want := 1
		if i < len(lost) {
			want = 16
		}
		tries := 0
		err := db.Within(t.Context(), func(ctx context.Context) error {
			tries++
			return errors.Join(holdGate(db, "lost")(ctx), failure)
		})
		if tries != want || !errors.Is(err, model.ErrUnavailable) {
			t.Errorf("error %d: %d tries, want %d; %v", failure.Number, tries, want, err)
		}
	}
	if gatePasses(t, db, "lost") != 0 {
		t.Error("a lost transaction left something")
	}
}

func TestWithinRetryEndsWithTheContext(t *testing.T) {
	db := dbtest.Open(t, repository.SQLite)
	ctx, cancel := context.WithCancel(t.Context())
	tries := 0
	err := db.Within(ctx, func(context.Context) error {
		if tries++; tries == 2 {
			cancel()
		}
		return &mysql.MySQLError{Number: 1213}
	})
	if tries != 2 || !errors.Is(err, model.ErrUnavailable) {
		t.Errorf("%d tries, error %v", tries, err)
	}
}

// TestTwoInstancesOnOneFile: processes that share an SQLite file wait for each
// other; none sees SQLITE_BUSY.
func TestTwoInstancesOnOneFile(t *testing.T) {
	dsn := dbtest.DSN(t, repository.SQLite)
	var instances []*repository.DB
	for range 2 {
		db, err := repository.Open(t.Context(), repository.Options{Driver: repository.SQLite, DSN: dsn})
		must(t, err)
		t.Cleanup(func() { _ = db.Close() })
		_, err = db.Migrate(t.Context())
		must(t, err)
		instances = append(instances, db)
	}
	for _, err := range raceErrors(32, func(i int) error {
		db := instances[i%2]
		if i%4 < 2 {
			return holdGate(db, "shared")(t.Context())
		}
		return db.Within(t.Context(), func(ctx context.Context) error {
			if _, err := (repository.Codes{DB: db}).Recent(ctx, key('a'), 0, 1000); err != nil { // reads before it writes
				return err
			}
			return holdGate(db, "shared")(ctx)
		})
	}) {
		must(t, err)
	}
	if n := gatePasses(t, instances[0], "shared"); n != 32 {
		t.Errorf("%d passes, want 32", n)
	}
}

// TestStatementsInAndOutOfTransactions: to prepare a statement outside of a
// transaction needs a connection. A transaction that holds the last one and uses the
// same statement must not wait for that.
func TestStatementsInAndOutOfTransactions(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		pool(db).SetMaxOpenConns(1)
		waited := func() int64 { return pool(db).Stats().WaitCount + int64(db.Waiting()) } // for the connection, or for the turn
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)                    // only to fail rather than hang
		defer cancel()
		outside := make(chan error, 1)
		must(t, db.Within(ctx, func(inside context.Context) error {
			waiting := waited()
			go func() { outside <- holdGate(db, "both")(ctx) }()
			for waited() == waiting && ctx.Err() == nil {
				runtime.Gosched()
			}
			return holdGate(db, "both")(inside)
		}))
		must(t, <-outside)
		if n := gatePasses(t, db, "both"); n != 2 {
			t.Errorf("%d passes, want 2", n)
		}
	})
}

// TestWritersWaitInLine: if there are more writers than connections they wait in their
// order, and not in database/sql, which would give the next connection to any of
// them. No writer waits longer than its request.
func TestWritersWaitInLine(t *testing.T) {
	mysqlOnly(t)
	db := dbtest.Open(t, repository.MySQL)
	act := func(i int) error {
		gate := fmt.Sprint("in line ", i)
		return errors.Join(holdGate(db, gate)(t.Context()), db.Within(t.Context(), holdGate(db, gate)))
	}
	must(t, act(0)) // prepares
	must(t, errors.Join(raceErrors(96, act)...))
	if n := pool(db).Stats().WaitCount; n != 0 {
		t.Errorf("%d waited for a connection", n)
	}
	full, release := make(chan struct{}, pool(db).Stats().MaxOpenConnections), make(chan struct{})
	var holders sync.WaitGroup
	for range cap(full) {
		holders.Go(func() {
			if err := db.Within(t.Context(), func(context.Context) error {
				full <- struct{}{}
				<-release
				return errTest
			}); !errors.Is(err, errTest) {
				t.Errorf("a holder: %v", err)
			}
		})
	}
	for range cap(full) {
		<-full
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	wantError(t, holdGate(db, "late")(ctx), model.ErrUnavailable)
	wantError(t, db.Within(ctx, holdGate(db, "late")), model.ErrUnavailable)
	close(release)
	holders.Wait()
	must(t, act(0))
	wantIdle(t, db)
}
