// Package groupcommit commits the transactions of several writers on SQLite
// together. SQLite has one writing connection, and a durable commit is a wait for
// the disk.
//
// The queue runs one writer after another, in their order, and commits once the
// queue is empty. Writers that arrive during a commit form the next group, so no
// writer waits for another one to arrive.
//
// Each writer acts in its own goroutine and its own savepoint: an error undoes its
// part alone. It gets its result after the commit, an error too, because the error
// may follow from what another writer of the group wrote. If the transaction fails
// as a whole, each writer acts once more in a transaction of its own.
package groupcommit

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"gorm.io/gorm"

	"menshen/repository/stmtcache"
)

// Queue runs and commits writers. It is safe for concurrent use.
type Queue struct {
	db       *gorm.DB
	requests chan *request // whose callers may have left
	closed   chan struct{}
	stop     context.CancelFunc
	running  sync.WaitGroup
	conn     *writerConn // kept from group to group; used by serve alone
	ran      atomic.Uint64
	maxGroup atomic.Int32 // most writers of a group
	maxOpen  atomic.Int64 // time after which a group takes no further writer, in ns
}

// queueSize is how many writers wait in their order; further ones wait to enter
// the queue, in no order.
const queueSize = 1024

// The defaults bound a group, because its first writer waits for its last. On a slow
// machine the writers of a larger group would all miss their deadlines.
const (
	defaultMaxGroup = 64
	defaultMaxOpen  = 100 * time.Millisecond
)

// The queue keeps the connection, and with it the compiled statements, from one group to the
// next. It lends it to other users of the pool when none has come for keepTime, and now and
// then between groups.
const (
	keepTime       = 5 * time.Millisecond
	maxConsecutive = 32
)

// New starts a queue over the pool of db, which has one connection. Close ends it.
func New(ctx context.Context, db *gorm.DB) *Queue {
	q := &Queue{db: db, requests: make(chan *request, queueSize), closed: make(chan struct{})}
	q.maxGroup.Store(defaultMaxGroup)
	q.maxOpen.Store(int64(defaultMaxOpen))
	ctx, q.stop = context.WithCancel(context.WithoutCancel(ctx))
	q.running.Go(func() { q.serve(ctx) })
	return q
}

// Close waits for the current group. Writers that wait and later ones get an error.
func (q *Queue) Close() {
	q.stop()
	q.running.Wait()
}

// Len returns the number of writers that wait.
func (q *Queue) Len() int { return len(q.requests) }

// Statements returns how many statements with parameters have run.
func (q *Queue) Statements() uint64 { return q.ran.Load() }

// SetMaxGroup sets how many writers share a commit at most, 64 by default.
func (q *Queue) SetMaxGroup(n int) { q.maxGroup.Store(int32(n)) } //nolint:gosec // small

// Do runs act, which must have no effects outside of tx, and returns its error after
// the commit. It runs act again if the group failed. If ctx ends before act began,
// act does not run; if it ends before act returned, act is undone; if it ends during
// the commit, the outcome is unknown.
func (q *Queue) Do(ctx context.Context, act func(tx *gorm.DB) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	r := &request{ctx: ctx, turn: make(chan *gorm.DB), acted: make(chan error), outcome: make(chan error, 1)}
	select {
	case q.requests <- r:
	case <-ctx.Done():
		return ctx.Err()
	case <-q.closed:
		return sql.ErrConnDone
	}
	for {
		select {
		case tx := <-r.turn:
			r.act(tx, act)
		case err := <-r.outcome:
			return err
		case <-ctx.Done():
			return r.abandon(ctx.Err())
		case <-q.closed:
			return r.abandon(sql.ErrConnDone)
		}
	}
}

func (q *Queue) serve(ctx context.Context) {
	defer close(q.closed)
	defer q.release()
	idle := time.NewTimer(keepTime)
	defer idle.Stop()
	for groups := 1; ctx.Err() == nil; groups++ {
		select {
		case first := <-q.requests:
			q.commitGroup(ctx, first, int(q.maxGroup.Load()))
			if groups%maxConsecutive == 0 {
				q.release()
			}
			idle.Reset(keepTime)
		case <-idle.C:
			q.release()
		case <-ctx.Done():
		}
	}
}

// release gives the connection back to the pool.
func (q *Queue) release() {
	if q.conn != nil {
		q.conn.release()
		q.conn = nil
	}
}

// commitGroup runs one transaction for first and up to limit-1 more queued
// writers. If BEGIN fails, only first gets the error.
func (q *Queue) commitGroup(ctx context.Context, first *request, limit int) {
	if first.ctx.Err() != nil {
		return
	}
	tx, err := q.begin(ctx)
	if err != nil {
		if ctx.Err() != nil {
			err = sql.ErrConnDone // the queue is closing
		}
		first.outcome <- err
		return
	}
	var group []*request
	dirty := false // a writer succeeded
	closeAt := time.NewTimer(time.Duration(q.maxOpen.Load()))
	defer closeAt.Stop()
	for r := first; r != nil; r = q.next(len(group) < limit, closeAt.C) {
		group = append(group, r)
		if err = tx.runWriter(r); err != nil {
			break
		}
		dirty = dirty || r.err == nil
	}
	err = tx.end(err, dirty)
	for _, r := range group {
		switch {
		case err == nil || errors.Is(r.err, errPanicked):
			r.outcome <- r.err
		case len(group) == 1 || errors.Is(err, errUnknown):
			r.outcome <- err
		default:
			q.commitGroup(ctx, r, 1)
		}
	}
}

// next returns the next queued writer. It returns nil if there is none, the group
// has no room, or it is no longer open.
func (q *Queue) next(room bool, closed <-chan time.Time) *request {
	select {
	case <-closed:
		return nil
	default:
	}
	if !room {
		return nil
	}
	select {
	case r := <-q.requests:
		return r
	default:
		return nil
	}
}

// begin begins the transaction of a group, on the connection of the last group if
// there is one.
func (q *Queue) begin(ctx context.Context) (*groupTx, error) {
	if q.conn == nil || q.conn.discarded {
		q.release()
		pool, err := q.db.DB()
		if err != nil {
			return nil, err
		}
		conn, err := pool.Conn(ctx)
		if err != nil {
			return nil, err
		}
		q.conn = &writerConn{Conn: conn, statements: stmtcache.New(conn)}
	}
	ctx = context.WithoutCancel(ctx)
	if _, err := q.conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return nil, err
	}
	tx := &groupTx{writerConn: q.conn, ctx: ctx, ran: &q.ran}
	tx.handle = q.db.Session(&gorm.Session{NewDB: true, Context: ctx})
	tx.handle.Statement.ConnPool = tx
	return tx, nil
}
