package repository_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"menshen/model"
	"menshen/repository"
	"menshen/repository/dbtest"
)

// openAt opens and migrates a database and closes it after the test.
func openAt(t *testing.T, driver, dsn string) *repository.DB {
	t.Helper()
	db, err := repository.Open(t.Context(), repository.Options{Driver: driver, DSN: dsn})
	must(t, err)
	t.Cleanup(func() { must(t, db.Close()) })
	_, err = db.Migrate(t.Context())
	must(t, err)
	return db
}

// queryText returns the single value of a query.
func queryText(t *testing.T, pool *sql.DB, query string) (value string) {
	t.Helper()
	if err := pool.QueryRowContext(t.Context(), query).Scan(&value); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return value
}

func wantText(t *testing.T, pool *sql.DB, query, want string) {
	t.Helper()
	if got := queryText(t, pool, query); got != want {
		t.Errorf("%s is %s, want %s", query, got, want)
	}
}

func TestOpenFailures(t *testing.T) {
	const secret = "hunter2"
	tests := []struct{ name, driver, dsn string }{
		{"unknown driver", "postgres", "x"},
		{"no such folder", repository.SQLite, filepath.Join(t.TempDir(), "none", "menshen.db")},
		{"a folder", repository.SQLite, t.TempDir()},
		{"no server", repository.MySQL, "menshen:" + secret + "@tcp(127.0.0.1:1)/menshen"},
		{"no DSN", repository.MySQL, "mysql://menshen:" + secret + "@127.0.0.1/menshen"},
		{"a password with a slash", repository.MySQL, "menshen:" + secret + "/x@tcp(127.0.0.1:1"},
		{"an unknown network", repository.MySQL, "menshen:" + secret + "@tpc(127.0.0.1:1)/menshen"},
		{"a wrong parameter", repository.MySQL, "menshen:" + secret + "@tcp(127.0.0.1:1)/menshen?timeout=" + secret},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			db, err := repository.Open(t.Context(), repository.Options{Driver: tt.driver, DSN: tt.dsn})
			if err == nil {
				_ = db.Close()
				t.Fatal("opened")
			}
			if strings.Contains(err.Error(), secret) {
				t.Errorf("the error shows the password: %v", err)
			}
		})
	}
}

// TestOpenPaths: a path may contain any character.
func TestOpenPaths(t *testing.T) {
	for _, file := range []string{"menshen.db", "a b.db", "a%20b.db", "100%.db", "a#b.db", "a+b.db", "a;b.db", "a&b=c.db", "门神.db", "a:b.db", "file:a.db"} {
		t.Run(file, func(t *testing.T) {
			folder := t.TempDir()
			db := openAt(t, repository.SQLite, filepath.Join(folder, file))
			must(t, holdGate(db, "there")(t.Context()))
			if _, err := os.Stat(filepath.Join(folder, file)); err != nil {
				t.Errorf("%v; there is %v", err, listed(t, folder))
			}
			wantText(t, pool(db), "PRAGMA journal_mode", "wal")
		})
	}
}

func listed(t *testing.T, folder string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	must(t, err)
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

func TestOpenRelativePath(t *testing.T) {
	t.Chdir(t.TempDir())
	openAt(t, repository.SQLite, "menshen.db")
	must(t, os.Mkdir("data", 0o700))
	openAt(t, repository.SQLite, "data/menshen.db")
	for _, path := range []string{"menshen.db", "data/menshen.db"} {
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
}

// TestOpenURI: in a file: URI every character can be escaped, the question mark too. The
// database and the migrations' lock beside it are at the path that SQLiteFile returns.
func TestOpenURI(t *testing.T) {
	for _, form := range []string{"file:%s", "file://%s", "file://localhost%s", "file:%s?_pragma=cache_size(-123)", "file:%s#part"} {
		path := filepath.Join(t.TempDir(), "what? 100% #1&2 门神.db")
		dsn := fmt.Sprintf(form, (&url.URL{Path: path}).EscapedPath())
		openAt(t, repository.SQLite, dsn)
		if file := repository.SQLiteFile(dsn); file != path {
			t.Errorf("%s: the file is %s", dsn, file)
		}
		want := []string{filepath.Base(path), filepath.Base(path) + "-shm", filepath.Base(path) + "-wal", filepath.Base(path) + ".migrate"}
		if names := listed(t, filepath.Dir(path)); !slices.Equal(names, want) {
			t.Errorf("%s: there is %q, want %q", dsn, names, want)
		}
	}
}

func TestSQLiteConnections(t *testing.T) {
	db := dbtest.Open(t, repository.SQLite)
	for which, p := range db.Pools() {
		wantText(t, p, "PRAGMA journal_mode", "wal")
		wantText(t, p, "PRAGMA synchronous", "2") // FULL
		wantText(t, p, "PRAGMA busy_timeout", "250")
		cache, checkpoint := "-2000", "1000" // SQLite's own
		if which == "write" {
			cache, checkpoint = "-16384", "4096"
		}
		wantText(t, p, "PRAGMA cache_size", cache)
		wantText(t, p, "PRAGMA wal_autocheckpoint", checkpoint)
		_, err := p.ExecContext(t.Context(), "DELETE FROM gates")
		if (err == nil) != (which == "write") {
			t.Errorf("the %s pool answers a write with %v", which, err)
		}
	}
	if len(db.Pools()) != 3 {
		t.Errorf("%d pools, want one that writes, one that reads and one for reports", len(db.Pools()))
	}
}

func TestSQLiteKeepsGivenParameters(t *testing.T) {
	dsn := dbtest.DSN(t, repository.SQLite) + "?_pragma=synchronous(NORMAL)&_pragma=busy_timeout(77)&_pragma=cache_size(-123)"
	for _, p := range openAt(t, repository.SQLite, dsn).Pools() {
		wantText(t, p, "PRAGMA synchronous", "1")
		wantText(t, p, "PRAGMA busy_timeout", "77")
		wantText(t, p, "PRAGMA cache_size", "-123")
		wantText(t, p, "PRAGMA journal_mode", "wal") // what was not given is added
	}
}

// mysqlOnly skips the test if there is no MySQL server.
func mysqlOnly(t *testing.T) {
	t.Helper()
	if !slices.Contains(dbtest.Drivers(t), repository.MySQL) {
		t.Skip("SQLite alone with -short")
	}
}

func TestMySQLConnections(t *testing.T) {
	mysqlOnly(t)
	db := dbtest.Open(t, repository.MySQL)
	p := pool(db)
	isolation := "tx_isolation"
	if !isMariaDB(t, p) {
		isolation = "transaction_isolation"
	}
	for range 3 { // the same connection, in and out of transactions, and another one
		wantText(t, p, "SELECT @@"+isolation, "READ-COMMITTED")
	}
	if mode := queryText(t, p, "SELECT @@sql_mode"); !strings.Contains(mode, "STRICT_ALL_TABLES") {
		t.Errorf("sql_mode is %s: what does not fit would be cut", mode)
	}
	wantText(t, p, "SELECT @@character_set_client", "utf8mb4")
	wantText(t, p, "SELECT @@character_set_connection", "utf8mb4")
	wantText(t, p, "SELECT @@autocommit", "1")
	wantText(t, p, "SELECT @@wait_timeout", "30")
	if isMariaDB(t, p) {
		wantText(t, p, "SELECT @@idle_transaction_timeout", "15")
	}
	limit, report, _ := statementLimit(t, p)
	wantText(t, p, "SELECT @@"+limit, "0")
	wantText(t, db.Pools()["report"], "SELECT @@"+limit, report)
	if len(db.Pools()) != 2 {
		t.Errorf("%d pools, want one, and one for reports", len(db.Pools()))
	}
	if n := p.Stats().MaxOpenConnections + db.Pools()["report"].Stats().MaxOpenConnections; n != 32 {
		t.Errorf("at most %d connections together, want 32", n)
	}
}

// isMariaDB reports which of the two servers the tests use.
func isMariaDB(t *testing.T, p *sql.DB) bool {
	t.Helper()
	return strings.Contains(queryText(t, p, "SELECT VERSION()"), "MariaDB")
}

// statementLimit returns the server's variable that ends statements, its value for
// reports, and another one.
func statementLimit(t *testing.T, p *sql.DB) (name, report, other string) {
	t.Helper()
	if isMariaDB(t, p) {
		return "max_statement_time", "10", "7"
	}
	return "max_execution_time", "10000", "7000"
}

func TestMySQLKeepsGivenParameters(t *testing.T) {
	mysqlOnly(t)
	limit, _, given := statementLimit(t, pool(dbtest.Open(t, repository.MySQL)))
	db := openAt(t, repository.MySQL, dbtest.DSN(t, repository.MySQL)+
		"?readTimeout=300ms&time_zone=%27%2B08%3A00%27&wait_timeout=77&"+limit+"="+given+"&parseTime=false&clientFoundRows=false")
	wantText(t, pool(db), "SELECT @@time_zone", "+08:00")
	wantText(t, pool(db), "SELECT @@wait_timeout", "77")
	for which, p := range db.Pools() {
		if got := queryText(t, p, "SELECT @@"+limit); got != given {
			t.Errorf("the %s pool ends statements after %s", which, got)
		}
	}
	if err := pool(db).QueryRowContext(t.Context(), "SELECT SLEEP(30)").Scan(new(int)); err == nil {
		t.Error("the given readTimeout has no effect")
	}
	// What menshen cannot do without is set whatever was given: rows that match count.
	insertSessions(t, db, aSession(1, 7, 0))
	result, err := pool(db).ExecContext(t.Context(), "UPDATE sessions SET gen = gen")
	must(t, err)
	if n, err := result.RowsAffected(); err != nil || n != 1 {
		t.Errorf("an update that changes nothing counts %d rows, error %v; want 1", n, err)
	}
}

// TestReportsTakeTheirTime: a report outlasts the time-out of other reads and ends
// with its own deadline. Any number of reports lets other requests through.
func TestReportsTakeTheirTime(t *testing.T) {
	mysqlOnly(t)
	dsn := dbtest.DSN(t, repository.MySQL)
	db := openAt(t, repository.MySQL, dsn+"?readTimeout=300ms")
	events := repository.Events{DB: db}
	must(t, events.Append(t.Context(), anEvent(model.EventLogin, 1, t0)))
	locker, err := pool(openAt(t, repository.MySQL, dsn)).Conn(t.Context())
	must(t, err)
	_, err = locker.ExecContext(t.Context(), "LOCK TABLES events WRITE")
	must(t, err)
	brief, cancel := context.WithTimeout(t.Context(), 600*time.Millisecond)
	defer cancel()
	var long, short error
	var found []model.Event
	var all sync.WaitGroup
	all.Go(func() { found, long = events.List(t.Context(), model.EventFilter{}, 10) })
	all.Go(func() { _, short = events.Count(brief, model.EventSpan{To: 1, Bucket: time.Millisecond}) })
	for range 8 {
		all.Go(func() { _, _ = events.Count(brief, model.EventSpan{To: 1, Bucket: time.Millisecond}) })
	}
	<-brief.Done() // twice the time-out
	if err := db.Ping(t.Context()); err != nil {
		t.Errorf("while reports wait, others are answered %v", err)
	}
	_, err = locker.ExecContext(t.Context(), "UNLOCK TABLES")
	must(t, err)
	must(t, locker.Close())
	all.Wait()
	if long != nil || len(found) != 1 {
		t.Errorf("the report has %d lines, error %v", len(found), long)
	}
	wantError(t, short, model.ErrUnavailable)
}

// TestReportsLeaveReaders: users are answered while more reports run than there are
// connections for them.
func TestReportsLeaveReaders(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		ctx, leave := context.WithCancel(t.Context())
		reports := db.Pools()["report"]
		for range reports.Stats().MaxOpenConnections {
			conn, err := reports.Conn(t.Context())
			must(t, err)
			defer func() { _ = conn.Close() }()
		}
		var all sync.WaitGroup
		all.Go(func() {
			_, err := repository.Events{DB: db}.List(ctx, model.EventFilter{}, 1)
			wantError(t, err, model.ErrUnavailable)
		})
		all.Go(func() {
			_, err := repository.Sessions{DB: db}.CountActive(ctx, nil, t0)
			wantError(t, err, model.ErrUnavailable)
		})
		must(t, db.Ping(t.Context()))
		_, err := repository.Events{DB: db}.Ends(t.Context(), t0)
		must(t, err)
		must(t, repository.Events{DB: db}.Append(t.Context(), anEvent(model.EventLogin, 1, t0)))
		leave()
		all.Wait()
	})
}

func TestClock(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		before := time.Now().Truncate(time.Millisecond)
		got, err := db.Clock(t.Context())
		after := time.Now().Add(time.Millisecond) // MariaDB rounds
		if err != nil || got.Before(before) || got.After(after) {
			t.Errorf("the clock says %v, error %v; want between %v and %v", got, err, before, after)
		}
	})
}

// TestClockIsUTC: a session in another time zone has the same time.
func TestClockIsUTC(t *testing.T) {
	mysqlOnly(t)
	db := openAt(t, repository.MySQL, dbtest.DSN(t, repository.MySQL)+"?time_zone=%27-09%3A30%27&loc=Asia%2FShanghai")
	got, err := db.Clock(t.Context())
	if off := time.Since(got).Abs(); err != nil || off > time.Minute {
		t.Errorf("the clock is off by %v, error %v", off, err)
	}
}

func TestDriverPingClose(t *testing.T) {
	for _, driver := range dbtest.Drivers(t) {
		t.Run(driver, func(t *testing.T) {
			db, err := repository.Open(t.Context(), repository.Options{Driver: driver, DSN: dbtest.DSN(t, driver)})
			must(t, err)
			if db.Driver() != driver {
				t.Errorf("driver is %s", db.Driver())
			}
			must(t, db.Ping(t.Context()))
			must(t, db.Close())
			if err := db.Ping(t.Context()); !errors.Is(err, model.ErrUnavailable) {
				t.Errorf("after Close a ping says %v", err)
			}
		})
	}
}
