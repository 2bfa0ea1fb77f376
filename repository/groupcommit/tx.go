package groupcommit

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync/atomic"

	"gorm.io/gorm"
	"modernc.org/sqlite"

	"menshen/repository/stmtcache"
)

// errUnknown marks a failed COMMIT that may have taken effect: its error does not come
// from SQLite. The writers are not run again, because they could act twice.
var errUnknown = errors.New("outcome of commit unknown")

// writerConn is SQLite's writing connection with its prepared statements.
type writerConn struct {
	*sql.Conn
	statements *stmtcache.Cache
	discarded  bool
}

// discard closes the connection for good, because its state is unknown.
func (c *writerConn) discard() {
	c.statements.Clear()
	c.discarded = true
	_ = c.Raw(func(any) error { return driver.ErrBadConn })
}

// release gives the connection back to the pool.
func (c *writerConn) release() {
	c.statements.Clear()
	_ = c.Close()
}

// groupTx is the transaction of a group. Its statements run without the context of
// their writer, because SQLite rolls back the whole transaction if a statement is
// interrupted. After an error that may have ended the transaction, groupTx runs no
// further statement: outside the transaction it would be committed at once.
type groupTx struct {
	*writerConn
	ctx    context.Context
	handle *gorm.DB
	ran    *atomic.Uint64
	ended  error
}

// runWriter runs the act of one writer in a savepoint. It returns an error if the
// transaction has ended.
func (g *groupTx) runWriter(r *request) error {
	if _, err := g.ExecContext(g.ctx, "SAVEPOINT writer"); err != nil {
		r.err = err
		return err
	}
	if r.err = r.run(g.handle); r.err != nil {
		if _, err := g.ExecContext(g.ctx, "ROLLBACK TO writer"); err != nil {
			return err
		}
	}
	_, err := g.ExecContext(g.ctx, "RELEASE writer") // fails if SQLite has ended the transaction
	return err
}

// end commits if err is nil and the transaction is dirty, otherwise rolls back. A
// COMMIT that failed may have left the transaction open.
func (g *groupTx) end(err error, dirty bool) error {
	if err == nil && dirty {
		_, err = g.ExecContext(g.ctx, "COMMIT")
		if _, certain := errors.AsType[*sqlite.Error](err); err != nil && !certain {
			err = errors.Join(errUnknown, err)
		}
	}
	if err != nil {
		err = fmt.Errorf("commit: %w", err)
	}
	if err != nil || !dirty {
		if _, failed := g.Conn.ExecContext(g.ctx, "ROLLBACK"); failed != nil {
			g.discard()
		}
	}
	return err
}

// ExecContext runs a statement, unless ctx or the transaction has ended.
func (g *groupTx) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if err := errors.Join(g.ended, ctx.Err()); err != nil {
		return nil, err
	}
	stmtcache.Count(g.ran, query)
	result, err := g.statements.ExecContext(context.WithoutCancel(ctx), query, args...)
	return result, g.record(err)
}

// QueryContext runs a query, unless ctx or the transaction has ended.
func (g *groupTx) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if err := errors.Join(g.ended, ctx.Err()); err != nil {
		return nil, err
	}
	stmtcache.Count(g.ran, query)
	rows, err := g.statements.QueryContext(context.WithoutCancel(ctx), query, args...)
	return rows, g.record(err)
}

// Commit makes GORM treat groupTx as a transaction. Only the queue commits.
func (g *groupTx) Commit() error { return gorm.ErrInvalidTransaction }

// Rollback is like Commit.
func (g *groupTx) Rollback() error { return gorm.ErrInvalidTransaction }

// record remembers an error after which SQLite may have rolled back by itself
// (sqlite.org/lang_transaction.html, "Response To Errors Within A Transaction").
func (g *groupTx) record(err error) error {
	if lite, ok := errors.AsType[*sqlite.Error](err); ok {
		switch lite.Code() & 0xff {
		case 5, 7, 9, 10, 13: // busy, out of memory, interrupted, I/O error, full
			g.ended = err
		}
	}
	return err
}
