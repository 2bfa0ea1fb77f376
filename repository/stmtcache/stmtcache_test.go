package stmtcache

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"

	_ "modernc.org/sqlite" // the driver
)

// TestCache: queries with 1 to 40 parameters are kept, at most 128 of them; every
// query runs.
func TestCache(t *testing.T) {
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	cache := New(db)
	run := func(query string, args ...any) {
		t.Helper()
		if _, err := cache.ExecContext(t.Context(), query, args...); err != nil {
			t.Errorf("%.40s: %v", query, err)
		}
	}
	long := "SELECT ?" + strings.Repeat(", ?", maxParameters)
	run("SELECT 1")
	run(long, make([]any, maxParameters+1)...)
	cache.Defer("SELECT 0, ?")
	cache.Defer(long)
	cache.PrepareDeferred(t.Context())
	for i := range maxStatements + 1 {
		run(fmt.Sprintf("SELECT %d, ?", i), i)
	}
	for query, want := range map[string]bool{
		"SELECT 1": false, long: false, "SELECT 0, ?": true, "SELECT 127, ?": true, "SELECT 128, ?": false,
	} {
		if got := cache.Lookup(query) != nil; got != want {
			t.Errorf("%.40s: prepared %v, want %v", query, got, want)
		}
	}
	cache.Clear()
	if run("SELECT 0, ?", 1); len(cache.prepared) != 1 {
		t.Errorf("%d statements after Clear and a query, want 1", len(cache.prepared))
	}
}
