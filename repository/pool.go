package repository

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"sync"
	"sync/atomic"

	mysqldriver "github.com/go-sql-driver/mysql"
	"gorm.io/gorm"

	"menshen/model"
	"menshen/repository/stmtcache"
)

// pool is a pool of connections that prepares every statement once for each
// connection and keeps it, inside transactions too. GORM's own cache ties a
// statement that it first meets inside a transaction to that transaction, and
// prepares it again in every later one.
type pool struct {
	*sql.DB
	statements *stmtcache.Cache
	ran        atomic.Uint64 // statements with parameters

	// isGalera makes transactions query by text. On a node of a Galera cluster
	// a prepared SELECT returns no error although the transaction has just been
	// rolled back in favour of one on another node (MariaDB 10.11: about one in
	// 1,000 such roll-backs). Statements after it would commit by themselves and
	// leave half a transaction. A SELECT sent as text returns the error, and so does
	// every write.
	isGalera *atomic.Bool

	// turns has one place for each connection. database/sql would give a free connection
	// to any of its waiters, of which one client could be all but one.
	turns *turns
}

func newPool(db *sql.DB) *pool {
	return &pool{DB: db, statements: stmtcache.New(db), isGalera: &atomic.Bool{}}
}

// GetDBConn returns the bare pool to GORM.
func (p *pool) GetDBConn() (*sql.DB, error) { return p.DB, nil }

// ExecContext runs a prepared statement.
func (p *pool) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	stmtcache.Count(&p.ran, query)
	if err := p.turns.acquire(ctx); err != nil {
		return nil, err
	}
	defer p.turns.release()
	var result sql.Result
	err := retryRefused(ctx, func() (err error) {
		result, err = p.statements.ExecContext(ctx, query, args...)
		return err
	})
	return result, err
}

// QueryContext runs a prepared query. It gives its place back once the database has
// answered, a moment before the caller has read the rows.
func (p *pool) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	stmtcache.Count(&p.ran, query)
	if err := p.turns.acquire(ctx); err != nil {
		return nil, err
	}
	defer p.turns.release()
	var rows *sql.Rows
	err := retryRefused(ctx, func() (err error) {
		rows, err = p.statements.QueryContext(ctx, query, args...) //nolint:sqlclosecheck // the caller closes them
		return err
	})
	return rows, err
}

// BeginTx begins a transaction that uses the pool's statements.
func (p *pool) BeginTx(ctx context.Context, options *sql.TxOptions) (gorm.ConnPool, error) {
	if err := p.turns.acquire(ctx); err != nil {
		return nil, err
	}
	var tx *sql.Tx
	err := retryRefused(ctx, func() (err error) {
		tx, err = p.DB.BeginTx(ctx, options)
		return err
	})
	if err != nil {
		p.turns.release()
		return nil, err
	}
	return &poolTx{Tx: tx, pool: p, ctx: ctx, release: sync.OnceFunc(p.turns.release)}, nil
}

// retryRefused repeats try while the server refuses a further connection: nothing was sent
// then, and a later try may get a connection of the pool that has become free. It gives up
// when ctx ends, or after model.StorageTime.
func retryRefused(ctx context.Context, try func() error) error {
	err := try()
	if !isRefused(err) {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, model.StorageTime)
	defer cancel()
	for n := 1; isRefused(err) && pause(ctx, min(n, longestPause)); n++ {
		err = try()
	}
	return err
}

// longestPause is the try after which pauses stop growing.
const longestPause = 5

// isRefused reports whether the server refused a connection because it, or the account,
// has reached its limit of connections.
func isRefused(err error) bool {
	my, ok := errors.AsType[*mysqldriver.MySQLError](err)
	return ok && slices.Contains([]uint16{1040, 1203, 1226}, my.Number)
}

// Close closes the statements and the connections.
func (p *pool) Close() error {
	p.statements.Clear()
	return p.DB.Close()
}

// poolTx is a transaction of the pool.
type poolTx struct {
	*sql.Tx
	pool    *pool
	ctx     context.Context
	release func()
}

// ExecContext runs a statement, prepared if the pool has prepared it.
func (t *poolTx) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	stmtcache.Count(&t.pool.ran, query)
	if stmt := t.statement(ctx, query); stmt != nil {
		return stmt.ExecContext(ctx, args...)
	}
	return t.Tx.ExecContext(ctx, query, args...)
}

// QueryContext runs a query, prepared if the pool has prepared it.
func (t *poolTx) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	stmtcache.Count(&t.pool.ran, query)
	if !t.pool.isGalera.Load() {
		if stmt := t.statement(ctx, query); stmt != nil {
			return stmt.QueryContext(ctx, args...)
		}
	}
	return t.Tx.QueryContext(ctx, query, args...)
}

// Commit commits, then prepares the statements that the pool did not know yet.
func (t *poolTx) Commit() error {
	err := t.Tx.Commit()
	t.release()
	if err == nil {
		t.pool.statements.PrepareDeferred(t.ctx)
	}
	return err
}

// Rollback undoes the transaction.
func (t *poolTx) Rollback() error {
	defer t.release()
	return t.Tx.Rollback()
}

// statement returns the pool's statement bound to the transaction, nil if the pool
// has not prepared it.
func (t *poolTx) statement(ctx context.Context, query string) *sql.Stmt {
	stmt := t.pool.statements.Lookup(query)
	if stmt == nil {
		t.pool.statements.Defer(query)
		return nil
	}
	return t.Tx.StmtContext(ctx, stmt)
}
