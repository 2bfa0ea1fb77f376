// Package stmtcache prepares the statements of a connection, or of a pool of
// them, once and keeps them: to compile a statement costs about as much as to run
// it.
package stmtcache

import (
	"context"
	"database/sql"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// maxStatements bounds a cache: the rules need about fifty statements.
// maxParameters leaves out lists of varying length, whose texts are used once.
const (
	maxStatements = 128
	maxParameters = 40
)

// prepareTime bounds PrepareDeferred.
const prepareTime = time.Second

// Conn is what a cache prepares on: a *sql.DB or a *sql.Conn.
type Conn interface {
	PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// Cache runs statements on a Conn, prepared where it can. It is safe for
// concurrent use if the Conn is.
type Cache struct {
	conn     Conn
	mu       sync.RWMutex
	prepared map[string]*sql.Stmt
	deferred map[string]struct{}
}

// New makes an empty cache over conn.
func New(conn Conn) *Cache {
	return &Cache{conn: conn, prepared: map[string]*sql.Stmt{}, deferred: map[string]struct{}{}}
}

// Count counts one run of the query, if it has parameters: BEGIN, COMMIT and savepoints
// have none.
func Count(n *atomic.Uint64, query string) {
	if strings.Contains(query, "?") {
		n.Add(1)
	}
}

// ExecContext runs a statement.
func (c *Cache) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if stmt := c.prepare(ctx, query); stmt != nil {
		return stmt.ExecContext(ctx, args...)
	}
	return c.conn.ExecContext(ctx, query, args...)
}

// QueryContext runs a query.
func (c *Cache) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if stmt := c.prepare(ctx, query); stmt != nil {
		return stmt.QueryContext(ctx, args...)
	}
	return c.conn.QueryContext(ctx, query, args...)
}

// Lookup returns the prepared statement of query, nil if there is none.
func (c *Cache) Lookup(query string) *sql.Stmt {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.prepared[query]
}

// Defer records a query for PrepareDeferred. A transaction that holds one of the
// pool's connections calls it instead of preparing: preparing needs another
// connection, for which it could wait while all are held by transactions like it.
func (c *Cache) Defer(query string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.prepared)+len(c.deferred) < maxStatements && cacheable(query) {
		c.deferred[query] = struct{}{}
	}
}

// PrepareDeferred prepares the queries that Defer recorded.
func (c *Cache) PrepareDeferred(ctx context.Context) {
	c.mu.Lock()
	deferred := slices.Collect(maps.Keys(c.deferred))
	clear(c.deferred)
	c.mu.Unlock()
	if len(deferred) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), prepareTime)
	defer cancel()
	for _, query := range deferred {
		c.prepare(ctx, query) // if it fails, the next transaction defers the query again
	}
}

// Clear closes the statements. They must not outlive the connection.
func (c *Cache) Clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, stmt := range c.prepared {
		_ = stmt.Close()
	}
	clear(c.prepared)
}

// prepare returns the statement of query. It returns nil if the query has to run
// as text: it is not cacheable, the cache is full, or preparing failed.
func (c *Cache) prepare(ctx context.Context, query string) *sql.Stmt {
	if stmt := c.Lookup(query); stmt != nil || !cacheable(query) {
		return stmt
	}
	stmt, err := c.conn.PrepareContext(ctx, query)
	if err != nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if other := c.prepared[query]; other != nil {
		_ = stmt.Close()
		return other
	}
	if len(c.prepared) >= maxStatements {
		_ = stmt.Close()
		return nil
	}
	c.prepared[query] = stmt
	return stmt
}

// cacheable reports whether a query is worth keeping. One without parameters, such
// as BEGIN or COMMIT, is compiled in no time.
func cacheable(query string) bool {
	n := strings.Count(query, "?")
	return n > 0 && n <= maxParameters
}
