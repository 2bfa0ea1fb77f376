package groupcommit

import (
	"context"
	"database/sql"
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

	"gorm.io/gorm"
)

// TestGroup: writers that wait are committed together, in their order, at most 64
// at a time, and get their results after the commit.
func TestGroup(t *testing.T) {
	for _, limit := range []int{64, 8, 1} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			f := newFixture(t)
			if limit != 64 {
				f.SetMaxGroup(limit)
			}
			var order []int
			var calls []func() error
			for i := range 70 {
				calls = append(calls, f.do(new(atomic.Int32), func(tx *gorm.DB) error {
					order = append(order, i)
					if got, want := f.count("shared"), int64(max((i+1)/limit*limit-1, 0)); got != want {
						t.Errorf("act %d sees %d committed, want %d", i, got, want)
					}
					return increment("shared")(tx)
				}))
			}
			wantErrors(t, f.oneGroup(calls...), nil)
			if !slices.IsSorted(order) || len(order) != len(calls) {
				t.Errorf("the order is %v", order)
			}
			f.wantCounts(map[string]int64{"shared": 70})
			f.wantIdle()
		})
	}
}

// TestGroupMembers: an error, a panic or the end of a context changes nothing for
// the other writers of a group.
func TestGroupMembers(t *testing.T) {
	f := newFixture(t)
	var runs, never atomic.Int32
	ended, end := context.WithCancel(t.Context())
	ending, endNow := context.WithCancel(t.Context())
	twice := func(name string) func(tx *gorm.DB) error { return inTurn(increment(name), increment(name)) }
	var stack string
	errs := f.oneGroup(
		f.do(&runs, twice("first")),
		f.do(&runs, inTurn(twice("refused"), refuse)),
		recovered(func() error {
			defer func() { stack = string(debug.Stack()) }()
			return f.do(&runs, inTurn(increment("boom"), boom))()
		}),
		func() error { // as t.Fatal in an act does
			done := make(chan struct{})
			go func() {
				defer close(done)
				_ = f.do(&runs, func(tx *gorm.DB) error {
					defer runtime.Goexit()
					return increment("exited")(tx)
				})()
			}()
			<-done
			return nil
		},
		f.do(&runs, func(tx *gorm.DB) error {
			must(t, tx.Transaction(increment("nested")))
			if err := tx.Transaction(inTurn(increment("undone"), refuse)); !errors.Is(err, errTest) {
				t.Errorf("the inner error came back as %v", err)
			}
			end() // the context of the next writer
			return nil
		}),
		f.doWith(ended, &never, increment("never")),
		f.doWith(ending, &runs, func(tx *gorm.DB) error {
			must(t, increment("between")(tx))
			endNow()
			if increment("between")(tx) == nil {
				t.Error("a statement runs although the context has ended")
			}
			return nil
		}),
		f.do(&runs, twice("last")))
	wantErrors(t, errs, map[int]error{1: errTest, 2: errAny, 5: context.Canceled, 6: context.Canceled})
	if p := (panicError{}); !errors.As(errs[2], &p) || p.value != "boom" || !strings.Contains(stack, ".boom(") {
		t.Errorf("%v, with the stack\n%s", p.value, stack)
	}
	f.wantCounts(map[string]int64{
		"first": 2, "refused": 0, "boom": 0, "exited": 0, "nested": 1, "undone": 0, "never": 0, "between": 0, "last": 2,
	})
	if runs.Load() != 7 || never.Load() != 0 {
		t.Errorf("%d runs, want 7, and %d of a writer that had left", runs.Load(), never.Load())
	}
	f.wantIdle()
}

// TestGroupIsAllOrNothing races writers of two statements, some of which return an
// error, panic or hang up between the two.
func TestGroupIsAllOrNothing(t *testing.T) {
	f := newFixture(t)
	const rounds, writers = 4, 64
	for round := range rounds {
		errs := make([]error, writers)
		var all sync.WaitGroup
		for i := range writers {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			between := []func(*gorm.DB) error{1: refuse, 2: boom, 3: func(*gorm.DB) error { cancel(); return nil }}
			name := increment(fmt.Sprint(round, "/", i))
			acts := []func(*gorm.DB) error{name, name}
			if k := i % 8; k > 0 && k < len(between) {
				acts = slices.Insert(acts, 1, between[k])
			}
			all.Go(func() { errs[i] = recovered(f.doWith(ctx, new(atomic.Int32), inTurn(acts...)))() })
		}
		all.Wait()
		for i, err := range errs {
			want := int64(2)
			if i%8 > 0 && i%8 < 4 {
				want = 0
			}
			if got := f.count(fmt.Sprint(round, "/", i)); got != want || (err == nil) != (want == 2) {
				t.Errorf("round %d, writer %d: %d counted, error %v", round, i, got, err)
			}
		}
	}
	f.wantIdle()
}

// TestGroupLetsNoRequestInterrupt: a context ends in the middle of its writer's slow
// statement, and the other writers of the group do not notice.
func TestGroupLetsNoRequestInterrupt(t *testing.T) {
	f := newFixture(t)
	f.exec(`CREATE VIEW slow AS WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 400000) SELECT COUNT(*) AS n FROM c`)
	f.exec(`CREATE TRIGGER slow_counter AFTER INSERT ON counters WHEN NEW.name = 'slow'
BEGIN UPDATE counters SET note = (SELECT n FROM slow) WHERE name = NEW.name; END`)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var runs atomic.Int32
	errs := f.oneGroup(
		f.do(&runs, increment("before")),
		f.doWith(ctx, new(atomic.Int32), func(tx *gorm.DB) error {
			time.AfterFunc(5*time.Millisecond, cancel)
			return increment("slow")(tx)
		}),
		f.do(&runs, increment("after")))
	wantErrors(t, errs, map[int]error{1: context.Canceled})
	f.wantCounts(map[string]int64{"before": 1, "slow": 0, "after": 1})
	if runs.Load() != 2 {
		t.Errorf("%d runs, want 2", runs.Load())
	}
}

// TestGroupAnswersInTime: a writer whose context ends gets its result although the
// group goes on, and what it did is committed with the others.
func TestGroupAnswersInTime(t *testing.T) {
	f := newFixture(t)
	ctx, cancel := context.WithCancel(t.Context())
	answered := make(chan error, 1)
	errs := f.oneGroup(
		func() error {
			err := f.doWith(ctx, new(atomic.Int32), increment("left"))()
			answered <- err
			return err
		},
		f.do(new(atomic.Int32), func(*gorm.DB) error {
			cancel()
			wantErrors(t, []error{<-answered}, map[int]error{0: context.Canceled})
			return nil
		}))
	wantErrors(t, errs, map[int]error{0: context.Canceled})
	f.wantCounts(map[string]int64{"left": 1})
}

// TestQueueClose: the current group ends, writers that wait get an error.
func TestQueueClose(t *testing.T) {
	f := newFixture(t)
	closed, refused := make(chan struct{}), make(chan error, 1)
	must(t, f.Do(t.Context(), func(tx *gorm.DB) error {
		go func() {
			f.Close()
			close(closed)
		}()
		go func() {
			var err error
			for err == nil {
				err = f.Do(t.Context(), func(*gorm.DB) error { return nil })
			}
			refused <- err
		}()
		return increment("under way")(tx)
	}))
	wantErrors(t, []error{<-refused}, map[int]error{0: sql.ErrConnDone})
	<-closed
	f.wantCounts(map[string]int64{"under way": 1})
}

// TestGroupClosesInTime: a group that has been open for long admits no further
// writers, so that its first one gets its result although others still wait.
func TestGroupClosesInTime(t *testing.T) {
	f := newFixture(t)
	f.maxOpen.Store(int64(time.Nanosecond))
	answered, later := make(chan struct{}), make(chan error, 1)
	err := f.Do(t.Context(), func(*gorm.DB) error {
		go func() { later <- f.Do(t.Context(), func(*gorm.DB) error { <-answered; return nil }) }()
		f.until("another waits", func() bool { return f.Len() > 0 })
		return nil
	})
	close(answered)
	must(t, errors.Join(err, <-later))
}

// TestQueueLendsItsConnection: writers that never leave the queue empty do not keep
// the writing connection from other users of the pool.
func TestQueueLendsItsConnection(t *testing.T) {
	f := newFixture(t)
	f.SetMaxGroup(1)
	ctx, cancel := context.WithTimeout(t.Context(), waitLimit)
	defer cancel()
	asked, written := make(chan error, 1), make(chan struct{})
	var write func(*gorm.DB) error
	write = func(*gorm.DB) error {
		if ctx.Err() != nil || len(asked) > 0 {
			close(written)
			return nil
		}
		go func() { _ = f.Do(t.Context(), write) }()
		f.until("another waits", func() bool { return f.Len() > 0 })
		return nil
	}
	must(t, f.Do(t.Context(), func(tx *gorm.DB) error {
		go func() { asked <- f.pool.PingContext(ctx) }()
		return write(tx)
	}))
	<-written
	must(t, <-asked)
}
