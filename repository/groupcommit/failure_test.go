package groupcommit

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gorm.io/gorm"
	"modernc.org/sqlite"
)

// TestGroupCommitRefused: if COMMIT refuses a group, each writer acts again by
// itself, and only the one at fault fails. A writer that returned an error because
// of another one's work decides once more.
func TestGroupCommitRefused(t *testing.T) {
	f := newFixture(t, "journal_mode(WAL)", "foreign_keys(1)")
	// A deferred foreign key is checked by COMMIT, by no statement before.
	f.exec("CREATE TABLE promises (id INTEGER PRIMARY KEY, kept INTEGER REFERENCES promises (id) DEFERRABLE INITIALLY DEFERRED)")
	f.exec("CREATE TRIGGER owe AFTER INSERT ON counters WHEN NEW.name = 'owes' BEGIN INSERT INTO promises (kept) VALUES (4711); END")
	var innocent, guilty, left atomic.Int32
	ctx, cancel := context.WithCancel(t.Context())
	answered := make(chan error, 1)
	errs := f.oneGroup(
		f.do(&innocent, increment("before")),
		f.do(&guilty, inTurn(increment("owes"), increment("dirty"))),
		f.do(&innocent, func(tx *gorm.DB) error {
			var n int64
			if err := tx.Raw("SELECT COUNT(*) FROM counters WHERE name = ?", "dirty").Scan(&n).Error; err != nil {
				return err
			}
			if n > 0 {
				return errTest
			}
			return increment("looked")(tx)
		}),
		func() error {
			err := f.doWith(ctx, &left, increment("left"))()
			answered <- err
			return err
		},
		recovered(f.do(&left, inTurn(increment("boom"), boom))),
		f.do(&innocent, func(tx *gorm.DB) error {
			if cancel(); innocent.Load() <= 3 {
				wantErrors(t, []error{<-answered}, map[int]error{0: context.Canceled})
			}
			return increment("after")(tx)
		}))
	wantErrors(t, errs, map[int]error{1: errAny, 3: context.Canceled, 4: panicError{"boom"}})
	if innocent.Load() != 6 || guilty.Load() != 2 || left.Load() != 2 {
		t.Errorf("%d runs of three, want 6; %d of the one at fault, want 2; %d of those that had left, want 2",
			innocent.Load(), guilty.Load(), left.Load())
	}
	f.wantCounts(map[string]int64{"before": 1, "owes": 0, "dirty": 0, "looked": 1, "left": 0, "boom": 0, "after": 1})
	must(t, f.Do(t.Context(), increment("next"))) // no transaction was left open
	f.wantIdle()
}

// TestGroupCommitBusy: COMMIT finds the file in use (a rollback journal, and a
// reader). Nothing is lost, nothing is done twice.
func TestGroupCommitBusy(t *testing.T) {
	f := newFixture(t, "journal_mode(DELETE)", "busy_timeout(1)")
	reader, err := f.read.Conn(t.Context())
	must(t, err)
	defer func() { _ = reader.Close() }()
	read := func(statement string) {
		t.Helper()
		_, err := reader.ExecContext(t.Context(), statement)
		must(t, err)
	}
	read("BEGIN")
	read("SELECT COUNT(*) FROM counters")
	var runs atomic.Int32
	call := retry(f.do(&runs, func(tx *gorm.DB) error {
		if runs.Load() == 5 { // the group has failed, and one writer alone
			read("COMMIT")
		}
		return inTurn(increment("busy"), increment("busy"))(tx)
	}))
	wantErrors(t, f.oneGroup(call, call, call), nil)
	f.wantCounts(map[string]int64{"busy": 6})
	if runs.Load() < 6 {
		t.Errorf("%d runs, want 6 or more", runs.Load())
	}
	f.wantIdle()
}

// TestGroupDiskFull: the disk is full in the middle of a group. Writers that need
// no room succeed, and nothing is committed of a writer that ignores the error.
func TestGroupDiskFull(t *testing.T) {
	f := newFixture(t, "journal_mode(WAL)", "max_page_count(80)")
	fill := func(tx *gorm.DB) error {
		return tx.Exec("UPDATE counters SET note = ?", strings.Repeat("x", 1<<20)).Error
	}
	must(t, f.Do(t.Context(), increment("filled")))
	var runs atomic.Int32
	errs := f.oneGroup(
		f.do(&runs, increment("before")),
		f.do(new(atomic.Int32), inTurn(increment("half"), fill)),
		f.do(new(atomic.Int32), func(tx *gorm.DB) error {
			if fill(tx) == nil {
				t.Error("there is room")
			}
			_ = increment("deaf")(tx)
			return nil
		}),
		f.do(&runs, increment("after")))
	wantErrors(t, errs, map[int]error{1: errAny, 2: errAny})
	if runs.Load() < 2 {
		t.Errorf("%d runs, want 2 or more", runs.Load())
	}
	f.wantCounts(map[string]int64{"before": 1, "half": 0, "deaf": 0, "after": 1})
	f.wantIdle()
}

// TestGroupLocked: another process holds the file. A writer with a deadline gets its
// result in time without having acted; one without acts later.
func TestGroupLocked(t *testing.T) {
	f := newFixture(t)
	other, err := openFile(t, f.path).Conn(t.Context())
	must(t, err)
	defer func() { _ = other.Close() }()
	_, err = other.ExecContext(t.Context(), "BEGIN IMMEDIATE")
	must(t, err)
	patient := make(chan error, 8)
	for range cap(patient) {
		go func() { patient <- retry(f.do(new(atomic.Int32), increment("patient")))() }()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 400*time.Millisecond)
	defer cancel()
	begin, hasty := time.Now(), make(chan error, 8)
	for range cap(hasty) {
		go func() {
			hasty <- retry(func() error { return f.Do(ctx, func(*gorm.DB) error { return errors.New("it acts") }) })()
		}()
	}
	for range cap(hasty) {
		wantErrors(t, []error{<-hasty}, map[int]error{0: context.DeadlineExceeded})
	}
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("answered after %s", took)
	}
	_, err = other.ExecContext(t.Context(), "ROLLBACK")
	must(t, err)
	for range cap(patient) {
		must(t, <-patient)
	}
	f.wantCounts(map[string]int64{"patient": 8})
}

// TestGroupRolledBack: SQLite ends the transaction by an error that one writer
// ignores. Nothing of any writer is lost or done twice.
func TestGroupRolledBack(t *testing.T) {
	f := newFixture(t)
	f.exec("CREATE TRIGGER roll BEFORE INSERT ON counters WHEN NEW.name = 'rolls back' BEGIN SELECT RAISE(ROLLBACK, 'as if'); END")
	errs := f.oneGroup(
		f.do(new(atomic.Int32), increment("before")),
		f.do(new(atomic.Int32), func(tx *gorm.DB) error {
			if increment("rolls back")(tx) == nil {
				t.Error("no error")
			}
			return nil
		}),
		f.do(new(atomic.Int32), increment("after")),
		f.do(new(atomic.Int32), increment("after")))
	wantErrors(t, errs, map[int]error{1: errAny})
	f.wantCounts(map[string]int64{"before": 1, "rolls back": 0, "after": 2})
	f.wantIdle()
}

// lossy commits and loses the answer.
type lossy struct{ file string }

func (l lossy) Driver() driver.Driver { return &sqlite.Driver{} }

func (l lossy) Connect(context.Context) (driver.Conn, error) {
	conn, err := l.Driver().Open(l.file)
	return lossyConn{conn}, err
}

type lossyConn struct{ driver.Conn }

func (c lossyConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	result, err := c.Conn.(driver.ExecerContext).ExecContext(ctx, query, args)
	if query == "COMMIT" && err == nil {
		return nil, io.ErrUnexpectedEOF
	}
	return result, err
}

// TestGroupCommitUnknown: if it is unknown whether the group was committed, all
// writers get the error and none acts again.
func TestGroupCommitUnknown(t *testing.T) {
	pool := sql.OpenDB(lossy{t.TempDir() + "/lossy.db"})
	defer func() { _ = pool.Close() }()
	f := &fixture{t: t, pool: pool, read: pool}
	f.exec("CREATE TABLE counters (name TEXT PRIMARY KEY, n INTEGER NOT NULL)")
	f.Queue = newQueue(t, pool)
	defer f.Close()
	var runs atomic.Int32
	results := make(chan error, 2)
	results <- f.do(&runs, func(tx *gorm.DB) error {
		if runs.Load() == 1 { // the second writer joins the group
			go func() { results <- f.do(&runs, increment("lost"))() }()
			f.until("the second waits", func() bool { return f.Len() > 0 })
		}
		return increment("lost")(tx)
	})()
	wantErrors(t, []error{<-results, <-results}, map[int]error{0: errUnknown, 1: errUnknown})
	f.wantCounts(map[string]int64{"lost": 2})
	if runs.Load() != 2 {
		t.Errorf("%d runs, want 2", runs.Load())
	}
}
