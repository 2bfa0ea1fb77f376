package repository

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"menshen/model"
)

// inLine is callers of turns whose single place is taken.
type inLine struct {
	*turns
	order []string // of those that had a turn
}

func newLine(t *testing.T) *inLine {
	l := &inLine{turns: newTurns(1)}
	if err := l.acquire(t.Context()); err != nil {
		t.Fatal(err)
	}
	return l
}

// join adds a caller from an address, who leaves when ctx ends.
func (l *inLine) join(ctx context.Context, address, name string) {
	go func() {
		if l.acquire(model.WithAddress(ctx, address)) == nil {
			l.order = append(l.order, name)
			l.release()
		}
	}()
	synctest.Wait()
}

// wantEmpty checks that no one waits and all places are free.
func (ts *turns) wantEmpty(t *testing.T, places int) {
	t.Helper()
	if ts.len() != 0 || ts.free != places || ts.blocks.waiting.Len() != 0 || len(ts.blocks.byKey) != 0 {
		t.Errorf("%d wait, %d places are free, %d lines are left", ts.len(), ts.free, len(ts.blocks.byKey))
	}
}

// TestTurns: blocks take turns, in them addresses, at each of them callers in their order.
func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLine(t)
		for _, c := range [][2]string{
			{"203.0.113.1", "a1"}, {"203.0.113.1", "a2"}, {"203.0.113.1", "a3"}, {"203.0.113.2", "b1"}, {"203.0.113.2", "b2"},
			{"198.51.100.1", "c1"}, {"::ffff:198.51.100.1", "c2"}, {"2001:db8:1:1::1", "d1"}, {"2001:db8:1:1::2", "d2"}, {"2001:db8:1:2::1", "e1"}, {"", "process"},
		} {
			l.join(t.Context(), c[0], c[1])
		}
		if n := l.len(); n != 11 {
			t.Errorf("%d wait", n)
		}
		l.release()
		synctest.Wait()
		if want := []string{"a1", "c1", "d1", "process", "b1", "c2", "e1", "a2", "d2", "b2", "a3"}; !slices.Equal(l.order, want) {
			t.Errorf("the turns are %q, want %q", l.order, want)
		}
		l.wantEmpty(t, 1)
	})
}

// TestTurnsOfOwner: an owner waits for one caller of each block, however many there are.
func TestTurnsOfOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLine(t)
		const blocks = 50
		for n := range 1000 {
			l.join(t.Context(), fmt.Sprintf("10.%d.%d.1", n%blocks, n%3), "stranger")
		}
		l.join(t.Context(), "198.51.100.1", "owner")
		l.release()
		synctest.Wait()
		if n := slices.Index(l.order, "owner"); n < 0 || n > 3*blocks || len(l.order) != 1001 {
			t.Errorf("the owner has turn %d of %d", n, len(l.order))
		}
	})
}

// TestTurnsLeave: who leaves has no turn, and takes no place along, even if it gets the
// place at the same moment.
func TestTurnsLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLine(t)
		ctx, cancel := context.WithCancel(t.Context())
		l.join(ctx, "203.0.113.1", "gone")
		l.join(t.Context(), "203.0.113.1", "stays")
		l.join(ctx, "203.0.113.2", "gone")
		l.join(ctx, "198.51.100.1", "gone")
		cancel()
		synctest.Wait()
		if n := l.len(); n != 1 {
			t.Errorf("%d wait", n)
		}
		l.release()
		synctest.Wait()
		if !slices.Equal(l.order, []string{"stays"}) {
			t.Errorf("the turns are %q", l.order)
		}
		l.wantEmpty(t, 1)
		for range 100 {
			if err := l.acquire(t.Context()); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			l.join(ctx, "203.0.113.1", "either")
			cancel()
			l.release() // before the caller has left the line
			synctest.Wait()
			l.wantEmpty(t, 1)
		}
	})
}

// TestReadsHaveTurns: more reads than SQLite has connections for them wait for their turn.
func TestReadsHaveTurns(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second) // only to fail rather than hang
	defer cancel()
	db, err := Open(ctx, Options{Driver: SQLite, DSN: filepath.Join(t.TempDir(), "menshen.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	readers := poolOf(db.readPool)
	var held []*sql.Conn
	for range sqliteReaders {
		conn, err := readers.Conn(ctx)
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, conn)
	}
	var all sync.WaitGroup
	for range sqliteReaders + 1 {
		all.Go(func() {
			if err := db.Ping(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	for readers.turns.len() != 1 && ctx.Err() == nil {
		runtime.Gosched()
	}
	for _, conn := range held {
		_ = conn.Close()
	}
	all.Wait()
	readers.turns.wantEmpty(t, sqliteReaders)
}

// TestTurnsRace: callers who come and leave at the same time hold no more places than there
// are, and leave all behind.
func TestTurnsRace(t *testing.T) {
	const places = 3
	l := newTurns(places)
	var held atomic.Int64
	var all sync.WaitGroup
	for n := range 64 {
		all.Go(func() {
			for k := range 500 {
				ctx, cancel := context.WithCancel(model.WithAddress(t.Context(), fmt.Sprintf("10.%d.0.%d", n%7, k%5)))
				if (n+k)%3 == 0 {
					go cancel()
				}
				if l.acquire(ctx) == nil {
					if now := held.Add(1); now > places {
						t.Errorf("%d hold a place", now)
					}
					held.Add(-1)
					l.release()
				}
				cancel()
			}
		})
	}
	all.Wait()
	l.wantEmpty(t, places)
	var none *turns
	if err := none.acquire(t.Context()); err != nil || none.len() != 0 {
		t.Errorf("without a limit: %v", err)
	}
	none.release()
}
