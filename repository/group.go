package repository

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"gorm.io/gorm"
	"modernc.org/sqlite"
)

// turns gives SQLite's one writing connection to one writer after the other, in
// the order in which they came, and commits together what they did: a group is
// whoever comes until nobody waits, and so above all who came while the group
// before committed. Nobody is waited for.
//
// Each member acts in its own goroutine and its own savepoint: what it refuses
// undoes its own part alone. It is answered, refusals too, when the group is
// committed, for it may have read what another member wrote. When the
// transaction fails as a whole, each member acts once more, by itself.
type turns struct {
	pool   *gorm.DB
	line   chan *member // who waits, and may have left
	closed chan struct{}
	stop   context.CancelFunc
	owned  sync.WaitGroup
	conn   *writerConn  // while one group follows the other; serve's alone
	most   atomic.Int32 // members of a group
	open   atomic.Int64 // how long a group admits others, as a time.Duration
}

// longestLine is how many wait in order; whoever comes then waits before it.
const longestLine = 1024

// mostTogether and longestOpen bound a group, and with it how long its first
// member waits for its last: on a slow machine all of a large group would miss
// their deadlines together, and nobody would get through.
const (
	mostTogether = 64
	longestOpen  = 100 * time.Millisecond
)

// mostInARow is after how many groups whoever else waits for the connection gets it.
const mostInARow = 32

// errPanicked marks a member whose act did not return; errUnknown a COMMIT that
// was not answered by SQLite, whose own answers are certain: nobody acts again.
var (
	errPanicked = errors.New("act panicked")
	errUnknown  = errors.New("outcome of commit unknown")
)

func newTurns(ctx context.Context, pool *gorm.DB) *turns {
	t := &turns{pool: pool, line: make(chan *member, longestLine), closed: make(chan struct{})}
	t.most.Store(mostTogether)
	t.open.Store(int64(longestOpen))
	ctx, t.stop = context.WithCancel(context.WithoutCancel(ctx))
	t.owned.Go(func() { t.serve(ctx) })
	return t
}

// close lets the group under way end and refuses all others.
func (t *turns) close() {
	t.stop()
	t.owned.Wait()
}

func (t *turns) serve(ctx context.Context) {
	defer close(t.closed)
	defer t.rest()
	for ctx.Err() == nil {
		for range mostInARow {
			if len(t.line) == 0 || ctx.Err() != nil {
				break
			}
			t.together(ctx, <-t.line, int(t.most.Load()))
		}
		t.rest()
		select {
		case first := <-t.line:
			t.together(ctx, first, int(t.most.Load()))
		case <-ctx.Done():
		}
	}
}

// rest gives the connection back, for whoever else uses the pool.
func (t *turns) rest() {
	if t.conn != nil {
		t.conn.rest()
		t.conn = nil
	}
}

// take runs act when its turn comes, again if the group failed for another's
// fault, and returns what became of it. A context that ends before the turn
// keeps act from running, one that ends before act has returned undoes it, and
// one that ends while the group commits leaves the outcome unknown.
func (t *turns) take(ctx context.Context, act func(tx *gorm.DB) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m := &member{ctx: ctx, turn: make(chan *gorm.DB), acted: make(chan error), outcome: make(chan error, 1)}
	select {
	case t.line <- m:
	case <-ctx.Done():
		return ctx.Err()
	case <-t.closed:
		return sql.ErrConnDone
	}
	for {
		select {
		case tx := <-m.turn:
			m.act(tx, act)
		case err := <-m.outcome:
			return err
		case <-ctx.Done():
			return m.leave(ctx.Err())
		case <-t.closed:
			return m.leave(sql.ErrConnDone)
		}
	}
}

// together runs one transaction for first and at most so many in all. Whoever
// cannot even begin is told so and may come again; the others wait meanwhile.
func (t *turns) together(ctx context.Context, first *member, most int) {
	if first.ctx.Err() != nil {
		return
	}
	tx, err := t.begin(ctx)
	if err != nil {
		first.outcome <- err
		return
	}
	var group []*member
	worth := false // to be committed
	patience := time.NewTimer(time.Duration(t.open.Load()))
	defer patience.Stop()
	for m := first; m != nil; m = t.next(len(group) < most, patience.C) {
		group = append(group, m)
		if err = tx.admit(m); err != nil {
			break
		}
		worth = worth || m.err == nil
	}
	err = tx.end(err, worth)
	for _, m := range group {
		switch {
		case err == nil || errors.Is(m.err, errPanicked):
			m.outcome <- m.err
		case len(group) == 1 || errors.Is(err, errUnknown):
			m.outcome <- err
		default:
			t.together(ctx, m, 1)
		}
	}
}

// next is who waits, nil for nobody and once there is no room or patience left.
func (t *turns) next(room bool, over <-chan time.Time) *member {
	select {
	case <-over:
		return nil
	default:
	}
	if !room {
		return nil
	}
	select {
	case m := <-t.line:
		return m
	default:
		return nil
	}
}

func (t *turns) begin(ctx context.Context) (*groupTx, error) {
	if t.conn == nil || t.conn.lost {
		t.rest()
		pool, err := t.pool.DB()
		if err != nil {
			return nil, err
		}
		conn, err := pool.Conn(ctx)
		if err != nil {
			return nil, err
		}
		t.conn = &writerConn{Conn: conn, ready: map[string]*sql.Stmt{}}
	}
	ctx = context.WithoutCancel(ctx)
	if _, err := t.conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return nil, err
	}
	tx := &groupTx{writerConn: t.conn, ctx: ctx}
	tx.handle = t.pool.Session(&gorm.Session{NewDB: true, Context: ctx})
	tx.handle.Statement.ConnPool = tx
	return tx, nil
}

// member is a writer who waits.
type member struct {
	ctx     context.Context
	turn    chan *gorm.DB // unbuffered: only who is still there takes it
	acted   chan error
	outcome chan error // nobody may be there any more
	err     error      // what its act returned
}

// act takes the turn. A panic goes on in this goroutine, whose stack tells where
// it began, once the group is committed.
func (m *member) act(tx *gorm.DB, act func(tx *gorm.DB) error) {
	err := errPanicked
	defer func() {
		m.acted <- err
		if errors.Is(err, errPanicked) {
			select {
			case <-m.outcome: //nolint:errcheck // nobody is left to be told
			case <-m.ctx.Done():
			}
		}
	}()
	err = act(tx)
}

// leave is the answer for who cannot wait any longer because of why.
func (m *member) leave(why error) error {
	select {
	case err := <-m.outcome:
		return err
	default:
		return why
	}
}

// run offers the turn and waits for the end of the act.
func (m *member) run(tx *gorm.DB) error {
	if err := m.ctx.Err(); err != nil {
		return err
	}
	select {
	case m.turn <- tx:
		if err := <-m.acted; err != nil {
			return err
		}
		return m.ctx.Err() // nobody waits for it any more
	case <-m.ctx.Done():
		return m.ctx.Err()
	}
}

// groupTx is the transaction of a group. No statement runs under the context of
// a request: SQLite answers the interruption of one with the end of the whole
// transaction. Once an error may have ended it, no statement runs any more, for
// it would be committed by itself.
type groupTx struct {
	*writerConn
	ctx    context.Context
	handle *gorm.DB
	ended  error
}

// admit gives a member its turn. An error is the transaction's end.
func (g *groupTx) admit(m *member) error {
	if _, err := g.ExecContext(g.ctx, "SAVEPOINT member"); err != nil {
		m.err = err
		return err
	}
	if m.err = m.run(g.handle); m.err != nil {
		if _, err := g.ExecContext(g.ctx, "ROLLBACK TO member"); err != nil {
			return err
		}
	}
	_, err := g.ExecContext(g.ctx, "RELEASE member") // fails when SQLite has ended the transaction
	return err
}

// end commits, unless an error says that there is nothing to commit. An error of COMMIT may leave the transaction open.
func (g *groupTx) end(err error, worth bool) error {
	if err == nil && worth {
		_, err = g.ExecContext(g.ctx, "COMMIT")
		if _, certain := errors.AsType[*sqlite.Error](err); err != nil && !certain {
			err = errors.Join(errUnknown, err)
		}
	}
	if err != nil {
		err = fmt.Errorf("commit: %w", err)
	}
	if err != nil || !worth {
		if _, undone := g.writerConn.ExecContext(g.ctx, "ROLLBACK"); undone != nil {
			g.lose()
		}
	}
	return err
}

// ExecContext runs a statement, unless ctx or the transaction has ended.
func (g *groupTx) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if err := errors.Join(g.ended, ctx.Err()); err != nil {
		return nil, err
	}
	result, err := g.writerConn.ExecContext(context.WithoutCancel(ctx), query, args...)
	return result, g.note(err)
}

// QueryContext runs a query, unless ctx or the transaction has ended.
func (g *groupTx) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if err := errors.Join(g.ended, ctx.Err()); err != nil {
		return nil, err
	}
	rows, err := g.writerConn.QueryContext(context.WithoutCancel(ctx), query, args...)
	return rows, g.note(err)
}

// Commit tells GORM that this is a transaction. Its owner alone commits.
func (g *groupTx) Commit() error { return gorm.ErrInvalidTransaction }

// Rollback is like Commit.
func (g *groupTx) Rollback() error { return gorm.ErrInvalidTransaction }

// note remembers an error after which SQLite may have rolled back by itself
// (sqlite.org/lang_transaction.html, "Response To Errors Within A Transaction").
func (g *groupTx) note(err error) error {
	if lite, ok := errors.AsType[*sqlite.Error](err); ok {
		switch lite.Code() & 0xff {
		case 5, 7, 9, 10, 13: // busy, out of memory, interrupted, I/O error, full
			g.ended = err
		}
	}
	return err
}
