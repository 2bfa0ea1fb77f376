package repository_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"menshen/repository"
)

// TestSQLiteFilesArePrivate: the file is private whatever the umask is, and -wal, -shm and
// -journal have its mode, as SQLite promises; none is made for a database in memory.
func TestSQLiteFilesArePrivate(t *testing.T) {
	for _, mode := range []string{"WAL", "DELETE"} {
		t.Run(mode, func(t *testing.T) {
			folder := t.TempDir()
			before := syscall.Umask(0)
			defer syscall.Umask(before)
			db := openAt(t, repository.SQLite, filepath.Join(folder, "menshen.db")+"?_pragma=journal_mode("+mode+")")
			conn, err := db.Pools()["write"].Conn(t.Context())
			must(t, err)
			defer func() { must(t, conn.Close()) }()
			for _, statement := range []string{"BEGIN IMMEDIATE", "CREATE TABLE x (y)"} {
				_, err := conn.ExecContext(t.Context(), statement)
				must(t, err)
			}
			defer func() {
				_, err := conn.ExecContext(t.Context(), "ROLLBACK")
				must(t, err)
			}()
			want := map[string][]string{"WAL": {"", "-wal", "-shm", ".migrate"}, "DELETE": {"", "-journal", ".migrate"}}[mode]
			for _, suffix := range want {
				info, err := os.Stat(filepath.Join(folder, "menshen.db"+suffix))
				if err != nil || info.Mode() != 0o600 {
					t.Errorf("%q: %v, error %v", suffix, info, err)
				}
			}
			entries, err := os.ReadDir(folder)
			must(t, err)
			if len(entries) != len(want) {
				t.Errorf("the files are %v", entries)
			}
		})
	}
	t.Chdir(t.TempDir())
	for _, dsn := range []string{":memory:", "file::memory:", "file:name?mode=memory"} {
		openAt(t, repository.SQLite, dsn)
	}
	if entries, err := fs.Glob(os.DirFS("."), "*"); err != nil || len(entries) > 0 {
		t.Errorf("files %q, error %v", entries, err)
	}
}
