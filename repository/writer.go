package repository

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"strings"
)

// writerConn is SQLite's writing connection with the statements that it has
// prepared: to compile one costs as much as to run it.
type writerConn struct {
	*sql.Conn
	ready map[string]*sql.Stmt
	lost  bool // nobody knows its state
}

// ExecContext runs a statement, prepared.
func (c *writerConn) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	stmt, err := c.prepare(ctx, query)
	if err != nil || stmt == nil {
		return c.Conn.ExecContext(ctx, query, args...)
	}
	return stmt.ExecContext(ctx, args...)
}

// QueryContext runs a query, prepared.
func (c *writerConn) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	stmt, err := c.prepare(ctx, query)
	if err != nil || stmt == nil {
		return c.Conn.QueryContext(ctx, query, args...)
	}
	return stmt.QueryContext(ctx, args...)
}

// prepare is the query's statement; nil when there are enough, and for what has no
// parameters: the bounds of transactions are compiled in no time.
func (c *writerConn) prepare(ctx context.Context, query string) (*sql.Stmt, error) {
	if stmt := c.ready[query]; stmt != nil {
		return stmt, nil
	}
	if n := strings.Count(query, "?"); n == 0 || n > maxParameters || len(c.ready) >= maxStatements {
		return nil, nil
	}
	stmt, err := c.Conn.PrepareContext(ctx, query)
	if err == nil {
		c.ready[query] = stmt
	}
	return stmt, err
}

// lose has the connection closed, for its state is unknown.
func (c *writerConn) lose() {
	c.forget()
	c.lost = true
	_ = c.Raw(func(any) error { return driver.ErrBadConn })
}

// rest gives the connection back.
func (c *writerConn) rest() {
	c.forget()
	_ = c.Conn.Close()
}

// forget closes the statements, which must not outlive the connection.
func (c *writerConn) forget() {
	for _, stmt := range c.ready {
		_ = stmt.Close()
	}
	clear(c.ready)
}
