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

// TestSavepointsStayInMemory: a transaction that changes more than 4 MiB of pages
// within the savepoint of its group succeeds and writes no temporary file.
func TestSavepointsStayInMemory(t *testing.T) {
	const sessions = 25000
	db := dbtest.OpenFast(t, repository.SQLite)
	must(t, db.Within(t.Context(), func(ctx context.Context) (err error) {
		for n := 0; n < sessions && err == nil; n++ {
			err = repository.Sessions{DB: db}.Insert(ctx, aSession(n+1, int64(n), 0))
		}
		return err
	}))
	if pages := queryCount(t, db, "PRAGMA page_count"); pages < 1500 {
		t.Fatalf("%d pages are too few", pages)
	}
	must(t, db.Within(t.Context(), func(ctx context.Context) error {
		for n := range sessions { // all pages of the table and of its indices
			if _, err := (repository.Sessions{DB: db}).End(ctx, testID(n+1), "logout", strings.Repeat("x", 60), t0); err != nil {
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
