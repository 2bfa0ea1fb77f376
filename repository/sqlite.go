package repository

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"strings"

	"github.com/glebarez/sqlite"
	"gorm.io/gorm"
	sqlite3 "modernc.org/sqlite/lib"
)

var sqliteWords = words{
	bySeal: ` INDEXED BY users_seal`,
	upsertUser: `INSERT INTO users (id, company_type, mobile_key, mobile, user_name, nick_name, real_name, avatar_url, first_source, last_source, created_at)
VALUES (?, ?, ?, ?, ?, ?, '', '', ?, ?, ?)
ON CONFLICT (company_type, mobile_key) DO UPDATE SET last_source = excluded.last_source, logins = logins + 1`,
	upsertSlot: `INSERT INTO slots (user_id, product_group, epoch, login_at, session_id) VALUES (?, ?, 1, ?, ?)
ON CONFLICT (user_id, product_group) DO UPDATE SET epoch = epoch + 1, login_at = MAX(login_at, excluded.login_at), session_id = excluded.session_id`,
	upsertGate: `INSERT INTO gates (passes, touched_at, name) VALUES (1, ?, ?)
ON CONFLICT (name) DO UPDATE SET passes = passes + 1, touched_at = excluded.touched_at`,
	touchAlarm: `INSERT INTO gates (passes, touched_at, name) VALUES (1, 0, ?) ON CONFLICT (name) DO UPDATE SET passes = passes + 1`,
	keepVault:  `INSERT INTO vault (name, value) VALUES (?, ?) ON CONFLICT (name) DO NOTHING`,
	clock:      `SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER)`,
}

// minSQLite is the oldest SQLite whose WAL is known to be sound for us.
const minSQLite = "3.50.0"

// sqliteReaders is the number of connections that read beside the one writer.
const sqliteReaders = 4

// sqliteWriter is what the one connection that writes has beside. Its cache holds
// all pages of a group, else they are written twice; 16 MiB in the WAL before they
// go to where they belong save writing a page that changes again and again.
var sqliteWriter = []string{"_txlock=immediate", "_pragma=cache_size(-16384)", "_pragma=wal_autocheckpoint(4096)"}

// sqliteOpenTries bounds how often processes that start at once on an empty
// file race for its switch to WAL: SQLite's busy timeout does not wait there.
const sqliteOpenTries = 30

func (db *DB) openSQLite(ctx context.Context) error {
	db.words = sqliteWords
	if roomGiven != sqlite3.SQLITE_OK {
		return fmt.Errorf("open database: SQLite was in use before it could be set up: %d", roomGiven)
	}
	var err error
	for try := range sqliteOpenTries {
		if try > 0 && !pause(ctx, try) {
			break
		}
		if db.write, err = sqlitePool(db.dsn, 1, sqliteWriter...); !lostRace(err) {
			break
		}
	}
	if err != nil {
		return err
	}
	var version string
	if err := db.write.Raw("SELECT sqlite_version()").Scan(&version).Error; err != nil {
		return fmt.Errorf("open database: %w", err)
	}
	if !atLeast(version, minSQLite) {
		return fmt.Errorf("open database: SQLite %s is older than %s", version, minSQLite)
	}
	if db.read, err = sqlitePool(db.dsn, sqliteReaders, "_pragma=query_only(1)"); err != nil {
		return err
	}
	if db.report, err = sqlitePool(db.dsn, reportConns, "_pragma=query_only(1)"); err != nil {
		return err
	}
	db.turns = newTurns(ctx, db.write)
	return nil
}

// sqlitePool opens the file with a pool of n connections. The busy timeout is
// short because it hears no deadline; what it gives up is tried again by Within. synchronous=FULL:
// what was answered survives a loss of power, not just of the process.
func sqlitePool(dsn string, n int, more ...string) (*gorm.DB, error) {
	name, query, _ := strings.Cut(dsn, "?")
	if !strings.HasPrefix(name, "file:") {
		name = "file:" + (&url.URL{Path: name}).EscapedPath()
	}
	params := []string{}
	needs := []string{"_pragma=busy_timeout(250)", "_pragma=journal_mode(WAL)", "_pragma=synchronous(FULL)"}
	for _, need := range append(needs, more...) {
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

// atLeast compares dotted versions of small numbers.
func atLeast(version, least string) bool {
	var a, b [3]int
	_, _ = fmt.Sscanf(version, "%d.%d.%d", &a[0], &a[1], &a[2])
	_, _ = fmt.Sscanf(least, "%d.%d.%d", &b[0], &b[1], &b[2])
	for i := range a {
		if a[i] != b[i] {
			return a[i] > b[i]
		}
	}
	return true
}
