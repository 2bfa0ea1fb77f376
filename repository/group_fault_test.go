package repository_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"menshen/model"
	"menshen/repository"
	"menshen/repository/dbtest"
)

// debtor makes a row that COMMIT refuses and no statement does: a promise that
// is not kept.
func debtor(t *testing.T, db *repository.DB) {
	t.Helper()
	execSQL(t, db, "CREATE TABLE promises (id INTEGER PRIMARY KEY, kept INTEGER REFERENCES promises (id) DEFERRABLE INITIALLY DEFERRED)")
	execSQL(t, db, `CREATE TRIGGER owe AFTER INSERT ON gates WHEN NEW.name = CAST('owes' AS BLOB)
BEGIN INSERT INTO promises (kept) VALUES (4711); END`)
}

// openWith opens a database whose connections have a pragma more.
func openWith(t *testing.T, pragma string) *repository.DB {
	t.Helper()
	return openAt(t, repository.SQLite, dbtest.DSN(t, repository.SQLite)+"?_pragma="+pragma)
}

// TestGroupCommitRefused: when COMMIT refuses a group, everybody acts again by
// themselves, and the one who is to blame fails alone. Who had refused because of
// what it saw of another's work thinks again.
func TestGroupCommitRefused(t *testing.T) {
	db := openWith(t, "foreign_keys(1)")
	debtor(t, db)
	var innocent, guilty, gone atomic.Int32
	ctx, cancel := context.WithCancel(t.Context())
	answered := make(chan error, 1)
	errs := crowd(t, db,
		within(t, db, &innocent, pass(db, "before")),
		within(t, db, &guilty, func(ctx context.Context) error {
			return errors.Join(pass(db, "owes")(ctx), repository.Codes{DB: db}.Insert(ctx, aCode(1, 'a', 1, t0)))
		}),
		within(t, db, &innocent, func(ctx context.Context) error {
			codes, err := repository.Codes{DB: db}.Recent(ctx, key('a'), 0, 10)
			if err == nil && len(codes) > 0 {
				err = model.ErrTooMany
			}
			return errors.Join(err, pass(db, "looked")(ctx))
		}),
		func() error {
			return repository.Events{DB: db}.Append(t.Context(), anEvent(model.EventLogin, 1, t0), anEvent(model.EventLogin, 2, t0))
		},
		func() error {
			err := db.Within(ctx, func(ctx context.Context) error { gone.Add(1); return pass(db, "gone")(ctx) })
			answered <- err
			return err
		},
		func() (err error) {
			defer func() { err = fmt.Errorf("panic: %v", recover()) }()
			return within(t, db, &gone, boom(db))()
		},
		within(t, db, &innocent, func(ctx context.Context) error {
			if cancel(); innocent.Load() <= 3 {
				wantError(t, <-answered, model.ErrUnavailable)
			}
			return pass(db, "after")(ctx)
		}))
	must(t, errors.Join(errs[0], errs[2], errs[3], errs[6]))
	wantError(t, errs[1], model.ErrUnavailable)
	if innocent.Load() != 6 || guilty.Load() != 2 || gone.Load() != 2 {
		t.Errorf("%d runs of three, want 6; %d of the guilty, want 2; %d of who had gone, want 2",
			innocent.Load(), guilty.Load(), gone.Load())
	}
	for gate, want := range map[string]int64{"before": 1, "owes": 0, "looked": 1, "gone": 0, "boom": 0, "after": 1} {
		if got := passed(t, db, gate); got != want {
			t.Errorf("%s: %d, want %d", gate, got, want)
		}
	}
	if n := count(t, db, "SELECT COUNT(*) FROM events"); n != 2 {
		t.Errorf("%d events, want 2", n)
	}
	must(t, db.Within(t.Context(), pass(db, "next"))) // no transaction was left open
	wantIdle(t, db)
}

// TestGroupCommitBusy: COMMIT finds the file in use (a journal that is not WAL,
// and a reader). Nothing is lost, nothing is done twice.
func TestGroupCommitBusy(t *testing.T) {
	dsn := dbtest.DSN(t, repository.SQLite)
	db := openAt(t, repository.SQLite, dsn+"?_pragma=journal_mode(DELETE)&_pragma=busy_timeout(1)")
	other := openAt(t, repository.SQLite, dsn+"?_pragma=journal_mode(DELETE)")
	reader, err := other.Pools()["read"].Conn(t.Context())
	must(t, err)
	defer func() { _ = reader.Close() }()
	read := func(statement string) {
		t.Helper()
		_, err := reader.ExecContext(t.Context(), statement)
		must(t, err)
	}
	read("BEGIN")
	read("SELECT COUNT(*) FROM gates")
	var runs atomic.Int32
	act := func(ctx context.Context) error {
		if runs.Load() == 5 { // the group has failed, and one alone
			read("COMMIT")
		}
		return errors.Join(pass(db, "busy")(ctx), pass(db, "busy")(ctx))
	}
	must(t, errors.Join(crowd(t, db, within(t, db, &runs, act), within(t, db, &runs, act), within(t, db, &runs, act))...))
	if n := passed(t, db, "busy"); n != 6 || runs.Load() < 6 {
		t.Errorf("%d passes in %d runs, want 6", n, runs.Load())
	}
	wantIdle(t, db)
}

// TestGroupDiskFull: the disk is full in the middle of a group. Who needs no
// room goes on, and nothing is committed of who does not hear the error.
func TestGroupDiskFull(t *testing.T) {
	db := openWith(t, "max_page_count(80)")
	var runs atomic.Int32
	big := aUser(1, 'a')
	big.NickName = strings.Repeat("x", 1<<20)
	describe := func(ctx context.Context) error { return repository.Users{DB: db}.Describe(ctx, big) }
	mustRegister(t, db, aUser(1, 'a'))
	errs := crowd(t, db,
		within(t, db, &runs, pass(db, "before")),
		within(t, db, new(atomic.Int32), func(ctx context.Context) error {
			return errors.Join(pass(db, "half")(ctx), describe(ctx))
		}),
		within(t, db, new(atomic.Int32), func(ctx context.Context) error {
			if describe(ctx) == nil {
				t.Error("there is room")
			}
			return pass(db, "deaf")(ctx)
		}),
		func() error { return describe(t.Context()) },
		within(t, db, &runs, pass(db, "after")))
	must(t, errors.Join(errs[0], errs[4]))
	for _, i := range []int{1, 2, 3} {
		wantError(t, errs[i], model.ErrUnavailable)
	}
	if runs.Load() < 2 {
		t.Errorf("%d runs, want 2 or more", runs.Load())
	}
	for gate, want := range map[string]int64{"before": 1, "half": 0, "deaf": 0, "after": 1} {
		if got := passed(t, db, gate); got != want {
			t.Errorf("%s: %d, want %d", gate, got, want)
		}
	}
	wantIdle(t, db)
}

// TestGroupLocked: another process holds the file. Who has a deadline is
// answered in time without having acted, who has none gets its turn.
func TestGroupLocked(t *testing.T) {
	dsn := dbtest.DSN(t, repository.SQLite)
	db := openAt(t, repository.SQLite, dsn)
	other, err := sql.Open("sqlite", dsn)
	must(t, err)
	defer func() { _ = other.Close() }()
	other.SetMaxOpenConns(1)
	_, err = other.ExecContext(t.Context(), "BEGIN IMMEDIATE")
	must(t, err)
	patient := make(chan error, 8)
	for range cap(patient) {
		go func() { patient <- db.Within(t.Context(), pass(db, "patient")) }()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 400*time.Millisecond)
	defer cancel()
	begin := time.Now()
	for _, err := range raceErrors(8, func(int) error {
		return db.Within(ctx, func(context.Context) error { return errors.New("it acts") })
	}) {
		wantError(t, err, model.ErrUnavailable)
	}
	if took := time.Since(begin); took > 2*time.Second {
		t.Errorf("answered after %s", took)
	}
	_, err = other.ExecContext(t.Context(), "ROLLBACK")
	must(t, err)
	for range cap(patient) {
		must(t, <-patient)
	}
	if n := passed(t, db, "patient"); n != 8 {
		t.Errorf("%d passes, want 8", n)
	}
}

// TestGroupRolledBack: SQLite ends the transaction by an error that one member
// overhears. Nothing of anybody is lost or done twice.
func TestGroupRolledBack(t *testing.T) {
	db := dbtest.Open(t, repository.SQLite)
	execSQL(t, db, `CREATE TRIGGER roll BEFORE INSERT ON gates WHEN NEW.name = CAST('rolls back' AS BLOB)
BEGIN SELECT RAISE(ROLLBACK, 'as if'); END`)
	errs := crowd(t, db,
		func() error { return db.Within(t.Context(), pass(db, "before")) },
		func() error {
			return db.Within(t.Context(), func(ctx context.Context) error {
				if pass(db, "rolls back")(ctx) == nil {
					t.Error("no error")
				}
				return nil
			})
		},
		func() error { return db.Within(t.Context(), pass(db, "after")) },
		func() error { return pass(db, "after")(t.Context()) })
	must(t, errors.Join(errs[0], errs[2], errs[3]))
	wantError(t, errs[1], model.ErrUnavailable)
	for gate, want := range map[string]int64{"before": 1, "rolls back": 0, "after": 2} {
		if got := passed(t, db, gate); got != want {
			t.Errorf("%s: %d, want %d", gate, got, want)
		}
	}
	wantIdle(t, db)
}
