package repository

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/glebarez/sqlite"
	"gorm.io/gorm"
	gosqlite "modernc.org/sqlite"
)

// lossy commits and loses the answer.
type lossy struct{ file string }

func (l lossy) Driver() driver.Driver { return &gosqlite.Driver{} }

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

// TestGroupCommitUnknown: when nobody knows whether the group was committed,
// everybody is told so and nobody acts again.
func TestGroupCommitUnknown(t *testing.T) {
	pool := sql.OpenDB(lossy{t.TempDir() + "/lossy.db"})
	defer func() { _ = pool.Close() }()
	if _, err := pool.ExecContext(t.Context(), "CREATE TABLE acts (n INTEGER)"); err != nil {
		t.Fatal(err)
	}
	g, err := gorm.Open(&sqlite.Dialector{Conn: newPool(pool)}, gormConfig())
	if err != nil {
		t.Fatal(err)
	}
	turns := newTurns(t.Context(), g)
	defer turns.close()
	var runs atomic.Int32
	answers := make(chan error, 2)
	act := func(tx *gorm.DB) error {
		if runs.Add(1) == 1 { // the second joins the group
			go func() {
				answers <- turns.take(t.Context(), func(tx *gorm.DB) error {
					runs.Add(1)
					return tx.Exec("INSERT INTO acts VALUES (2)").Error
				})
			}()
			for len(turns.line) == 0 {
				runtime.Gosched()
			}
		}
		return tx.Exec("INSERT INTO acts VALUES (1)").Error
	}
	answers <- turns.take(t.Context(), act)
	for range cap(answers) {
		if err := <-answers; err == nil {
			t.Error("told of a commit that nobody knows of")
		}
	}
	var n int
	if err := pool.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM acts").Scan(&n); err != nil || n != 2 || runs.Load() != 2 {
		t.Errorf("%d rows of %d runs, want 2 of 2; %v", n, runs.Load(), err)
	}
}

// TestGroupPatience: a group that has been open for long admits nobody more, so
// that who came first is answered although others still wait.
func TestGroupPatience(t *testing.T) {
	db, err := Open(t.Context(), SQLite, t.TempDir()+"/patience.db")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	db.KeepOpen(time.Nanosecond)
	answered, later := make(chan struct{}), make(chan error, 1)
	err = db.turns.take(t.Context(), func(*gorm.DB) error {
		go func() {
			later <- db.turns.take(t.Context(), func(*gorm.DB) error { <-answered; return nil })
		}()
		for len(db.turns.line) == 0 {
			runtime.Gosched()
		}
		return nil
	})
	close(answered)
	if err := errors.Join(err, <-later); err != nil {
		t.Error(err)
	}
}

// TestGroupsGiveWay: writers who never leave the line empty keep nobody else from
// SQLite's writing connection, such as who asks whether the schema is the newest.
func TestGroupsGiveWay(t *testing.T) {
	db, err := Open(t.Context(), SQLite, t.TempDir()+"/way.db")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	db.turns.most.Store(1)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	asked, written := make(chan error, 1), make(chan struct{})
	var write func(*gorm.DB) error
	write = func(*gorm.DB) error {
		select {
		case <-ctx.Done():
			close(written)
			return nil
		default:
		}
		if len(asked) > 0 {
			close(written)
			return nil
		}
		go func() { _ = db.turns.take(t.Context(), write) }()
		for len(db.turns.line) == 0 {
			runtime.Gosched()
		}
		return nil
	}
	first := func(tx *gorm.DB) error {
		go func() {
			_, err := db.Migrated(ctx)
			asked <- err
		}()
		return write(tx)
	}
	if err := db.turns.take(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	<-written
	if err := <-asked; err != nil {
		t.Error(err)
	}
}
