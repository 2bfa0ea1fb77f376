package repository

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"strings"

	"github.com/libtnb/sqlite"
	"gorm.io/gorm"
	sqlite3 "modernc.org/sqlite/lib"

	"menshen/internal/private"
	"menshen/repository/groupcommit"
)

var sqliteDialect = dialect{
	useIndex: ` INDEXED BY ?`,
	upsertUser: `INSERT INTO users (id, company_type, mobile_key, mobile, user_name, nick_name, real_name, avatar_url, first_source, last_source, created_at)
VALUES (?, ?, ?, ?, ?, ?, '', '', ?, ?, ?)
ON CONFLICT (company_type, mobile_key) DO UPDATE SET last_source = ?, logins = logins + 1`,
	upsertLoginSequence: `INSERT INTO slots (user_id, product_group, epoch, login_at, session_id) VALUES (?, ?, 1, ?, ?)
ON CONFLICT (user_id, product_group) DO UPDATE SET epoch = epoch + 1, login_at = MAX(login_at, ?), session_id = ?`,
	upsertGate: `INSERT INTO gates (passes, touched_at, name) VALUES (1, ?, ?)
ON CONFLICT (name) DO UPDATE SET passes = passes + 1, touched_at = ?`,
	lockAlarm:   `INSERT INTO gates (passes, touched_at, name) VALUES (1, 0, ?) ON CONFLICT (name) DO UPDATE SET passes = passes + 1`,
	upsertFold:  `INSERT INTO folds (name, count) VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET count = count + 1`,
	insertVault: `INSERT INTO vault (name, value) VALUES (?, ?) ON CONFLICT (name) DO NOTHING`,
	spendPuzzle: `INSERT INTO puzzles (id, expires_at) VALUES (?, ?) ON CONFLICT (id) DO NOTHING`,
	clock:       `SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER)`,
	version:     `SELECT sqlite_version()`,
}

// SQLite 3.50.0 is the oldest whose WAL is known to be sound for our use: with an older
// one this does not compile.
const _ = uint(sqlite3.SQLITE_VERSION_NUMBER - 3_050_000)

// sqliteReaders is the number of connections that read, beside the one that writes.
const sqliteReaders = 4

// sqliteWriters is the number of writers in the queue: two groups, so that one waits while
// the other is committed.
const sqliteWriters = 128

// sqliteWriter holds further parameters of the writing connection. Its cache has room for
// all pages of a group commit, which would otherwise be written twice. Checkpoints are
// 16 MiB of WAL apart, so that a page that changes often is seldom copied to the file.
var sqliteWriter = []string{"_txlock=immediate", "_pragma=cache_size(-16384)", "_pragma=wal_autocheckpoint(4096)"}

// sqliteOpenTries bounds the tries to open the file. Processes that start at once on
// an empty file race to switch it to WAL, for which SQLite's busy timeout does not
// wait.
const sqliteOpenTries = 30

func (db *DB) openSQLite(ctx context.Context) error {
	db.dialect = sqliteDialect
	if journalConfigured != sqlite3.SQLITE_OK {
		return fmt.Errorf("open database: SQLite was in use before it could be set up: %d", journalConfigured)
	}
	if err := db.makeSQLiteFile(); err != nil {
		return err
	}
	var err error
	for try := range sqliteOpenTries {
		if try > 0 && !pause(ctx, try) {
			break
		}
		if db.writePool, err = sqlitePool(db.options.DSN, 1, sqliteWriter...); !isConflict(err) {
			break
		}
	}
	if err != nil {
		return err
	}
	if db.readPool, err = sqlitePool(db.options.DSN, sqliteReaders, "_pragma=query_only(1)"); err != nil {
		return err
	}
	if db.reportPool, err = sqlitePool(db.options.DSN, reportConns, "_pragma=query_only(1)"); err != nil {
		return err
	}
	poolOf(db.readPool).turns = newTurns(sqliteReaders)
	db.queue, db.turns = groupcommit.New(ctx, db.writePool), newTurns(sqliteWriters)
	return nil
}

// makeSQLiteFile makes a missing file with mode 0600, since SQLite would make it by the
// umask. SQLite gives -wal, -shm and -journal the mode of the file, by fchmod too
// (findCreateFileMode and robust_open in os_unix.c).
func (db *DB) makeSQLiteFile() error {
	path := SQLiteFile(db.options.DSN)
	if inMemory(db.options.DSN) {
		return nil
	}
	if err := private.MakeFile(path); err != nil {
		return fmt.Errorf("open database: %w", err)
	}
	return nil
}

// inMemory reports whether the DSN names no file.
func inMemory(dsn string) bool {
	path := SQLiteFile(dsn)
	return path == "" || path == ":memory:" || strings.Contains(dsn, "mode=memory")
}

// SQLiteFile returns the path of the file that an SQLite DSN names
// (sqlite.org/uri.html).
func SQLiteFile(dsn string) string {
	path, _, _ := strings.Cut(dsn, "?")
	uri, ok := strings.CutPrefix(path, "file:")
	if !ok {
		return path
	}
	uri, _, _ = strings.Cut(uri, "#")
	if rest, ok := strings.CutPrefix(uri, "//"); ok {
		_, rest, _ = strings.Cut(rest, "/") // what is before is empty or localhost
		uri = "/" + rest
	}
	if file, err := url.PathUnescape(uri); err == nil {
		return file
	}
	return uri
}

// sqlitePool opens the file with a pool of n connections. The busy timeout is short
// because it knows no deadline; Within retries after it. With synchronous=FULL,
// committed transactions survive a loss of power too.
func sqlitePool(dsn string, n int, extra ...string) (*gorm.DB, error) {
	name, query, _ := strings.Cut(dsn, "?")
	if !strings.HasPrefix(name, "file:") {
		name = "file:" + (&url.URL{Path: name}).EscapedPath()
	}
	var params []string
	for _, need := range append([]string{"_pragma=busy_timeout(250)", "_pragma=journal_mode(WAL)", "_pragma=synchronous(FULL)"}, extra...) {
		word, _, _ := strings.Cut(need, "(")
		if !strings.Contains(query, word) {
			params = append(params, need)
		}
	}
	if query != "" {
		params = append(params, query)
	}
	pool, err := sql.Open(sqlite.DriverName, name+"?"+strings.Join(params, "&"))
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	pool.SetMaxOpenConns(n)
	pool.SetMaxIdleConns(n)
	g, err := gorm.Open(&sqlite.Dialector{Conn: newPool(pool)}, gormConfig())
	if err != nil {
		_ = pool.Close()
		return nil, fmt.Errorf("open database: %w", err)
	}
	return g, nil
}
