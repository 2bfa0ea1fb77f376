// Package dbtest gives tests real databases: SQLite in a temporary folder, and
// a database of its own on the server that scripts/with-mariadb or scripts/with-mysql
// started. Only tests import it.
package dbtest

import (
	"context"
	"crypto/rand"
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"

	_ "github.com/go-sql-driver/mysql" // to create databases

	"menshen/repository"
)

// ServerVariable names the environment variable with the DSN, without a
// database, of the server for tests.
const ServerVariable = "MENSHEN_TEST_MYSQL"

// driverVariable names the environment variable with the only kind of database to
// test: a second server need not be tested beside SQLite again.
const driverVariable = "MENSHEN_TEST_DRIVER"

// Each runs a test against an empty, migrated database of every kind.
func Each(t *testing.T, test func(t *testing.T, db *repository.DB)) {
	t.Helper()
	for _, driver := range Drivers(t) {
		t.Run(driver, func(t *testing.T) { test(t, Open(t, driver)) })
	}
}

// Drivers returns the kinds of databases to test, with -short SQLite alone. Without
// -short it fails the test if there is no MySQL server.
func Drivers(t testing.TB) []string {
	t.Helper()
	if testing.Short() {
		return []string{repository.SQLite}
	}
	if os.Getenv(ServerVariable) == "" {
		t.Fatalf("%s is not set: run `make test`, or `go test -short` for SQLite alone", ServerVariable)
	}
	if only := os.Getenv(driverVariable); only != "" {
		return []string{only}
	}
	return []string{repository.SQLite, repository.MySQL}
}

// Need skips a test of a kind of database that is not to be tested: what SQLite alone
// shows is left to "make test".
func Need(t testing.TB, driver string) {
	t.Helper()
	if only := os.Getenv(driverVariable); only != "" && only != driver {
		t.Skipf("a test of %s, and only %s is tested", driver, only)
	}
}

// Open makes an empty, migrated database and closes it after the test.
func Open(t testing.TB, driver string) *repository.DB {
	t.Helper()
	return open(t, driver, Prepared(t, driver))
}

// OpenFast is Open with an SQLite that does not wait for the disk, for tests without
// a loss of power.
func OpenFast(t testing.TB, driver string) *repository.DB {
	t.Helper()
	dsn := Prepared(t, driver)
	if driver == repository.SQLite {
		dsn += "?_pragma=synchronous(OFF)"
	}
	return open(t, driver, dsn)
}

func open(t testing.TB, driver, dsn string) *repository.DB {
	t.Helper()
	db, err := repository.Open(t.Context(), repository.Options{Driver: driver, DSN: dsn})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// DSN makes an empty database and returns its DSN.
func DSN(t testing.TB, driver string) string {
	t.Helper()
	if driver == repository.SQLite {
		return filepath.Join(t.TempDir(), "menshen.db")
	}
	base := os.Getenv(ServerVariable)
	server, err := sql.Open("mysql", base)
	if err != nil {
		t.Fatal(err)
	}
	name := newName()
	if _, err := server.ExecContext(t.Context(), "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, err := server.ExecContext(context.Background(), "DROP DATABASE "+name)
		if err != nil {
			t.Error(err)
		}
		_ = server.Close()
	})
	return base + name
}

// newName returns a name for a database that no other test uses.
func newName() string { return "t_" + strings.ToLower(rand.Text()) }
