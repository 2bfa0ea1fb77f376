package repository

import (
	"context"
	"database/sql"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gorm.io/gorm"
)

// pool is a pool of connections that prepares every statement once for each
// connection and keeps it, inside transactions too. GORM's own cache ties a
// statement that it first meets inside a transaction to that transaction, and
// prepares it anew in every later one.
type pool struct {
	*sql.DB

	// textQueries makes transactions query by text. On a node of a Galera cluster
	// a prepared SELECT is answered without an error when the transaction has just
	// been rolled back in favour of a neighbour's (MariaDB 10.11: about one in
	// 1,000 such roll-backs); whatever follows it is then committed by itself, and
	// half a transaction is left. As text it is told, and so is every write.
	textQueries bool

	// line has room for as many writers as there are connections; the others wait
	// in it in the order in which they came, for database/sql gives a connection to
	// any of its waiters. nil: they don't.
	line    chan struct{}
	waiting atomic.Int64 // who is in line

	mu     sync.RWMutex
	ready  map[string]*sql.Stmt
	wanted map[string]struct{} // met inside transactions, to be prepared outside
}

// maxStatements bounds the cache: the rules need about fifty. maxParameters
// leaves lists of varying length out, whose texts are used once.
const (
	maxStatements = 128
	maxParameters = 40
)

func newPool(db *sql.DB) *pool {
	return &pool{DB: db, ready: map[string]*sql.Stmt{}, wanted: map[string]struct{}{}}
}

// GetDBConn is the bare pool, for GORM.
func (p *pool) GetDBConn() (*sql.DB, error) { return p.DB, nil }

// ExecContext runs a prepared statement.
func (p *pool) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if err := p.enter(ctx); err != nil {
		return nil, err
	}
	defer p.leave()
	stmt, err := p.prepare(ctx, query)
	if err != nil || stmt == nil {
		return p.DB.ExecContext(ctx, query, args...)
	}
	return stmt.ExecContext(ctx, args...)
}

// QueryContext runs a prepared query.
func (p *pool) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	stmt, err := p.prepare(ctx, query)
	if err != nil || stmt == nil {
		return p.DB.QueryContext(ctx, query, args...)
	}
	return stmt.QueryContext(ctx, args...)
}

// QueryRowContext runs a prepared query for one row.
func (p *pool) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	stmt, err := p.prepare(ctx, query)
	if err != nil || stmt == nil {
		return p.DB.QueryRowContext(ctx, query, args...)
	}
	return stmt.QueryRowContext(ctx, args...)
}

// BeginTx begins a transaction that uses the pool's statements.
func (p *pool) BeginTx(ctx context.Context, options *sql.TxOptions) (gorm.ConnPool, error) {
	if err := p.enter(ctx); err != nil {
		return nil, err
	}
	tx, err := p.DB.BeginTx(ctx, options)
	if err != nil {
		p.leave()
		return nil, err
	}
	return &poolTx{Tx: tx, pool: p, ctx: ctx, leave: sync.OnceFunc(p.leave)}, nil
}

// enter waits until there is room for one writer more.
func (p *pool) enter(ctx context.Context) error {
	if p.line == nil {
		return nil
	}
	select {
	case p.line <- struct{}{}:
		return nil
	default:
	}
	p.waiting.Add(1)
	defer p.waiting.Add(-1)
	select {
	case p.line <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *pool) leave() {
	if p.line != nil {
		<-p.line
	}
}

// Close ends the statements with the connections.
func (p *pool) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, stmt := range p.ready {
		_ = stmt.Close()
	}
	clear(p.ready)
	return p.DB.Close()
}

// prepare is the query's statement; nil when the cache is full.
func (p *pool) prepare(ctx context.Context, query string) (*sql.Stmt, error) {
	if stmt := p.find(query); stmt != nil || strings.Count(query, "?") > maxParameters {
		return stmt, nil
	}
	stmt, err := p.DB.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if other := p.ready[query]; other != nil {
		_ = stmt.Close()
		return other, nil
	}
	if len(p.ready) >= maxStatements {
		_ = stmt.Close()
		return nil, nil
	}
	p.ready[query] = stmt
	return stmt, nil
}

func (p *pool) find(query string) *sql.Stmt {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.ready[query]
}

// want notes a query that a transaction ran unprepared: while a transaction
// holds a connection, to wait for another one would be to wait for oneself.
func (p *pool) want(query string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.ready)+len(p.wanted) < maxStatements && strings.Count(query, "?") <= maxParameters {
		p.wanted[query] = struct{}{}
	}
}

// prepareWanted prepares what transactions have wanted.
func (p *pool) prepareWanted(ctx context.Context) {
	wanted := p.takeWanted()
	if len(wanted) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	for query := range wanted {
		_, _ = p.prepare(ctx, query) // what can't be prepared now is wanted again
	}
}

func (p *pool) takeWanted() map[string]struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.wanted) == 0 {
		return nil
	}
	wanted := p.wanted
	p.wanted = map[string]struct{}{}
	return wanted
}

// poolTx is a transaction of the pool.
type poolTx struct {
	*sql.Tx
	pool  *pool
	ctx   context.Context
	leave func()
}

// ExecContext runs a statement, prepared if the pool knows it.
func (t *poolTx) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if stmt := t.statement(ctx, query); stmt != nil {
		return stmt.ExecContext(ctx, args...)
	}
	return t.Tx.ExecContext(ctx, query, args...)
}

// QueryContext runs a query, prepared if the pool knows it.
func (t *poolTx) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if stmt := t.query(ctx, query); stmt != nil {
		return stmt.QueryContext(ctx, args...)
	}
	return t.Tx.QueryContext(ctx, query, args...)
}

// QueryRowContext runs a query for one row, prepared if the pool knows it.
func (t *poolTx) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	if stmt := t.query(ctx, query); stmt != nil {
		return stmt.QueryRowContext(ctx, args...)
	}
	return t.Tx.QueryRowContext(ctx, query, args...)
}

// Commit commits, and has the statements prepared that were new.
func (t *poolTx) Commit() error {
	err := t.Tx.Commit()
	t.leave()
	if err == nil {
		t.pool.prepareWanted(t.ctx)
	}
	return err
}

// Rollback undoes the transaction.
func (t *poolTx) Rollback() error {
	defer t.leave()
	return t.Tx.Rollback()
}

// query is statement for what reads.
func (t *poolTx) query(ctx context.Context, query string) *sql.Stmt {
	if t.pool.textQueries {
		return nil
	}
	return t.statement(ctx, query)
}

func (t *poolTx) statement(ctx context.Context, query string) *sql.Stmt {
	stmt := t.pool.find(query)
	if stmt == nil {
		t.pool.want(query)
		return nil
	}
	return t.Tx.StmtContext(ctx, stmt)
}
