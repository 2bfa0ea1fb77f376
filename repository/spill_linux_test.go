package repository_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"menshen/repository"
	"menshen/repository/dbtest"
)

// TestSavepointsStayInMemory: a transaction that changes many pages within the
// savepoint of its group writes no temporary file for it.
func TestSavepointsStayInMemory(t *testing.T) {
	db := dbtest.OpenFast(t, repository.SQLite)
	for n := range 1000 {
		must(t, repository.Sessions{DB: db}.Insert(t.Context(), aSession(n+1, int64(n), 0)))
	}
	must(t, db.Within(t.Context(), func(ctx context.Context) error {
		for n := range 1000 { // of many pages each, and of several indices
			if _, err := (repository.Sessions{DB: db}).End(ctx, name(n+1), "logout", strings.Repeat("x", 60), t0); err != nil {
				return err
			}
		}
		files, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			return err
		}
		for _, file := range files {
			if path, _ := os.Readlink(filepath.Join("/proc/self/fd", file.Name())); strings.Contains(path, "etilqs_") {
				t.Errorf("%s is open", path)
			}
		}
		return nil
	}))
}
