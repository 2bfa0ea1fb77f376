package repository_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"menshen/model"
	"menshen/repository"
	"menshen/repository/dbtest"
)

// patience bounds the wait for what must happen.
const patience = 20 * time.Second

// until waits for a state of the queue that other goroutines bring about.
func until(t *testing.T, what string, reached func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !reached(); runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatal("waited in vain until " + what)
		}
	}
}

// crowd makes one group of the calls, in their order, and returns what each
// answered: they come one by one while a first member holds the turn.
func crowd(t *testing.T, db *repository.DB, calls ...func() error) []error {
	t.Helper()
	db.KeepOpen(patience)
	held, release := make(chan struct{}), make(chan struct{})
	errs := make([]error, len(calls))
	var all sync.WaitGroup
	all.Go(func() {
		if err := db.Within(t.Context(), func(context.Context) error {
			if held != nil {
				close(held)
				<-release
				held = nil // when it acts again, nobody is waited for
			}
			return nil
		}); err != nil {
			t.Errorf("the holder: %v", err)
		}
	})
	<-held
	for i, call := range calls {
		all.Go(func() { errs[i] = call() })
		until(t, "all wait", func() bool { return db.Waiting() == i+1 })
	}
	close(release)
	all.Wait()
	return errs
}

// within is a call of Within that counts its runs.
func within(t *testing.T, db *repository.DB, runs *atomic.Int32, act func(ctx context.Context) error) func() error {
	return func() error {
		return db.Within(t.Context(), func(ctx context.Context) error {
			runs.Add(1)
			return act(ctx)
		})
	}
}

// seen counts the passes that are committed.
func seen(t *testing.T, db *repository.DB, gate string) (n int64) {
	t.Helper()
	err := db.Pools()["read"].QueryRowContext(t.Context(), "SELECT COALESCE(SUM(passes), 0) FROM gates WHERE name = ?", []byte(gate)).Scan(&n)
	must(t, err)
	return n
}

// TestGroup: who waits is committed together, in the order of coming, at most 64
// at a time, and answered after the commit.
func TestGroup(t *testing.T) {
	for _, most := range []int{64, 8, 1} {
		t.Run(fmt.Sprint(most), func(t *testing.T) {
			db := dbtest.Open(t, repository.SQLite)
			if most != 64 {
				db.WriteTogether(most)
			}
			var order []int
			var calls []func() error
			for i := range 70 {
				calls = append(calls, within(t, db, new(atomic.Int32), func(ctx context.Context) error {
					order = append(order, i)
					if got, want := seen(t, db, "shared"), int64(max((i+1)/most*most-1, 0)); got != want {
						t.Errorf("act %d sees %d committed, want %d", i, got, want)
					}
					return pass(db, "shared")(ctx)
				}))
			}
			must(t, errors.Join(crowd(t, db, calls...)...))
			if !slices.IsSorted(order) || len(order) != len(calls) {
				t.Errorf("the order is %v", order)
			}
			if n := seen(t, db, "shared"); n != 70 {
				t.Errorf("%d passes, want 70", n)
			}
			wantIdle(t, db)
		})
	}
}

// TestGroupMembers: what one member does to itself is nobody else's matter.
func TestGroupMembers(t *testing.T) {
	db := dbtest.Open(t, repository.SQLite)
	var runs, never atomic.Int32
	ended, end := context.WithCancel(t.Context())
	turning, turn := context.WithCancel(t.Context())
	twice := func(gate string) func(ctx context.Context) error {
		return func(ctx context.Context) error { return errors.Join(pass(db, gate)(ctx), pass(db, gate)(ctx)) }
	}
	var stack string
	calls := []func() error{
		within(t, db, &runs, twice("first")),
		within(t, db, &runs, refuse(twice("refused"))),
		func() (err error) {
			defer func() {
				stack = string(debug.Stack())
				err = fmt.Errorf("panic: %v", recover())
			}()
			return within(t, db, &runs, boom(db))()
		},
		func() error { // as t.Fatal in an act does
			done := make(chan struct{})
			go func() {
				defer close(done)
				_ = within(t, db, &runs, func(ctx context.Context) error {
					defer runtime.Goexit()
					return pass(db, "left")(ctx)
				})()
			}()
			<-done
			return nil
		},
		within(t, db, &runs, func(ctx context.Context) error {
			must(t, db.Within(ctx, pass(db, "nested")))
			if err := db.Within(ctx, refuse(pass(db, "undone"))); !errors.Is(err, errTest) {
				t.Errorf("the inner refusal came back as %v", err)
			}
			end() // of one that waits
			return nil
		}),
		func() error {
			return db.Within(ended, func(context.Context) error { never.Add(1); return nil })
		},
		func() error {
			return db.Within(turning, func(ctx context.Context) error {
				runs.Add(1)
				must(t, pass(db, "between")(ctx))
				turn()
				err := pass(db, "between")(ctx)
				if err == nil {
					t.Error("a statement runs although the request has ended")
				}
				return nil
			})
		},
		func() error { return pass(db, "single")(t.Context()) },
		within(t, db, &runs, twice("last")),
	}
	errs := crowd(t, db, calls...)
	for i, want := range map[int]error{1: errTest, 5: model.ErrUnavailable, 6: model.ErrUnavailable} {
		if !errors.Is(errs[i], want) {
			t.Errorf("call %d answers %v, want %v", i, errs[i], want)
		}
	}
	for _, i := range []int{0, 3, 4, 7, 8} {
		must(t, errs[i])
	}
	if errs[2] == nil || errs[2].Error() != "panic: boom" || !strings.Contains(stack, ".boom.") {
		t.Errorf("%v, with the stack\n%s", errs[2], stack)
	}
	for gate, want := range map[string]int64{
		"first": 2, "refused": 0, "boom": 0, "left": 0, "nested": 1, "undone": 0, "between": 0, "single": 1, "last": 2,
	} {
		if got := passed(t, db, gate); got != want {
			t.Errorf("%s: %d, want %d", gate, got, want)
		}
	}
	if runs.Load() != 7 || never.Load() != 0 {
		t.Errorf("%d runs, want 7, and %d of one that had left", runs.Load(), never.Load())
	}
	wantIdle(t, db)
}

func boom(db *repository.DB) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		_ = pass(db, "boom")(ctx)
		panic("boom")
	}
}

// TestGroupIsAllOrNothing races members of two statements, some of which refuse,
// panic or hang up between the two.
func TestGroupIsAllOrNothing(t *testing.T) {
	db := dbtest.Open(t, repository.SQLite)
	const rounds, members = 4, 64
	for round := range rounds {
		errs := raceErrors(members, func(i int) (err error) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			defer func() {
				if recover() != nil {
					err = errTest
				}
			}()
			gate := fmt.Sprint(round, "/", i)
			return db.Within(ctx, func(ctx context.Context) error {
				must(t, pass(db, gate)(ctx))
				switch i % 8 {
				case 1:
					return errTest
				case 2:
					panic("in the middle")
				case 3:
					cancel()
				}
				return pass(db, gate)(ctx)
			})
		})
		for i, err := range errs {
			want := int64(2)
			if i%8 > 0 && i%8 < 4 {
				want = 0
			}
			if got := passed(t, db, fmt.Sprint(round, "/", i)); got != want || (err == nil) != (want == 2) {
				t.Errorf("round %d, member %d: %d passes, answer %v", round, i, got, err)
			}
		}
	}
	wantIdle(t, db)
}

// TestGroupLetsNoRequestInterrupt: a request ends in the middle of its slow
// statement, and nobody else in its group notices.
func TestGroupLetsNoRequestInterrupt(t *testing.T) {
	db := dbtest.Open(t, repository.SQLite)
	execSQL(t, db, `CREATE VIEW slow AS WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 400000) SELECT COUNT(*) AS n FROM c`)
	execSQL(t, db, `CREATE TRIGGER slow_gate AFTER INSERT ON gates WHEN NEW.name = CAST('slow' AS BLOB)
BEGIN UPDATE gates SET touched_at = (SELECT n FROM slow) WHERE name = NEW.name; END`)
	var runs atomic.Int32
	calls := []func() error{
		within(t, db, &runs, pass(db, "before")),
		func() error {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			return db.Within(ctx, func(ctx context.Context) error {
				time.AfterFunc(5*time.Millisecond, cancel)
				return pass(db, "slow")(ctx)
			})
		},
		within(t, db, &runs, pass(db, "after")),
	}
	errs := crowd(t, db, calls...)
	must(t, errors.Join(errs[0], errs[2]))
	wantError(t, errs[1], model.ErrUnavailable)
	if runs.Load() != 2 || passed(t, db, "slow") != 0 {
		t.Errorf("%d runs, want 2; %d passes of who left", runs.Load(), passed(t, db, "slow"))
	}
}

// TestGroupAnswersInTime: a member whose time is over is answered although the
// group goes on, and what it did is committed with the others.
func TestGroupAnswersInTime(t *testing.T) {
	db := dbtest.Open(t, repository.SQLite)
	ctx, cancel := context.WithCancel(t.Context())
	answered := make(chan error, 1)
	errs := crowd(t, db,
		func() error {
			err := db.Within(ctx, pass(db, "left"))
			answered <- err
			return err
		},
		func() error {
			return db.Within(t.Context(), func(context.Context) error {
				cancel()
				wantError(t, <-answered, model.ErrUnavailable)
				return nil
			})
		})
	must(t, errs[1])
	if n := passed(t, db, "left"); n != 1 {
		t.Errorf("%d passes, want 1", n)
	}
}

// TestGroupClose: what is under way ends, who waits is refused.
func TestGroupClose(t *testing.T) {
	dsn := dbtest.DSN(t, repository.SQLite)
	openAt(t, repository.SQLite, dsn)
	db, err := repository.Open(t.Context(), repository.SQLite, dsn)
	must(t, err)
	closed, refused := make(chan error, 1), make(chan error, 1)
	must(t, db.Within(t.Context(), func(ctx context.Context) error {
		go func() { closed <- db.Close() }()
		go func() {
			var err error
			for err == nil {
				err = db.Within(t.Context(), func(context.Context) error { return nil })
			}
			refused <- err
		}()
		return pass(db, "under way")(ctx)
	}))
	wantError(t, <-refused, model.ErrUnavailable)
	must(t, <-closed)
	must(t, db.Close())
	if n := passed(t, openAt(t, repository.SQLite, dsn), "under way"); n != 1 {
		t.Errorf("%d passes, want 1", n)
	}
}
