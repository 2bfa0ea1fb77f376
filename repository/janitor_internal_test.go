package repository

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestOverdueReadsStretch: SQLite reads a stretch of the sessions, not all active ones.
func TestOverdueReadsStretch(t *testing.T) {
	db, err := Open(t.Context(), Options{Driver: SQLite, DSN: filepath.Join(t.TempDir(), "menshen.db")})
	if err == nil {
		_, err = db.Migrate(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	var id, parent, unused int
	var plan string
	row := db.Pools()["report"].QueryRowContext(t.Context(), "EXPLAIN QUERY PLAN SELECT id FROM sessions "+overdueIn, "", lastID, 1, 1, 1)
	if err := row.Scan(&id, &parent, &unused, &plan); err != nil || !strings.Contains(plan, "(id>? AND id<?)") {
		t.Errorf("%s, error %v", plan, err)
	}
}
