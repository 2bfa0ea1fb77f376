package repository_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"menshen/repository"
	"menshen/repository/dbtest"
)

// versions returns the migrations on disk and checks that both dialects have each
// number once.
func versions(t *testing.T) (all []int64) {
	t.Helper()
	sqlite, mysql := listed(t, "migrations/sqlite"), listed(t, "migrations/mysql")
	if diff := cmp.Diff(sqlite, mysql); diff != "" {
		t.Fatalf("the dialects have different migrations:\n%s", diff)
	}
	for _, file := range sqlite {
		number, err := strconv.ParseInt(file[:5], 10, 64)
		if err != nil || file[5] != '_' || len(all) > 0 && number <= all[len(all)-1] {
			t.Fatalf("%s is out of order", file)
		}
		all = append(all, number)
	}
	return all
}

// TestMySQLMigrationsAreSingleStatements: DDL commits by itself there, so a file
// with two statements could be applied half.
func TestMySQLMigrationsAreSingleStatements(t *testing.T) {
	for _, file := range listed(t, "migrations/mysql") {
		content, err := os.ReadFile("migrations/mysql/" + file)
		must(t, err)
		up, _, _ := strings.Cut(string(content), "-- +goose Down")
		if n := strings.Count(up, ";"); n != 1 {
			t.Errorf("%s has %d statements", file, n)
		}
	}
}

func TestMigrate(t *testing.T) {
	for _, driver := range dbtest.Drivers(t) {
		t.Run(driver, func(t *testing.T) {
			db, err := repository.Open(t.Context(), repository.Options{Driver: driver, DSN: dbtest.DSN(t, driver)})
			must(t, err)
			t.Cleanup(func() { must(t, db.Close()) })
			wantMigrated(t, db, false)
			applied, err := db.Migrate(t.Context())
			must(t, err)
			if want := versions(t); !slices.Equal(applied, want) {
				t.Errorf("applied %v, want %v", applied, want)
			}
			wantMigrated(t, db, true)
			for range 2 {
				if applied, err := db.Migrate(t.Context()); err != nil || len(applied) != 0 {
					t.Errorf("once more applied %v, error %v", applied, err)
				}
			}
			newest := undoNewest(t, db) // as an older program left it
			wantMigrated(t, db, false)
			if applied, err := db.Migrate(t.Context()); err != nil || !slices.Equal(applied, []int64{newest}) {
				t.Errorf("applied %v, error %v; want the newest alone", applied, err)
			}
			wantMigrated(t, db, true)
			wantIdle(t, db)
		})
	}
}

// TestMigrateGoesOn: a process that was killed between a statement, which MySQL
// commits by itself, and the row that records it blocks no later start.
func TestMigrateGoesOn(t *testing.T) {
	for _, driver := range dbtest.Drivers(t) {
		if driver == repository.SQLite {
			continue // there both are one transaction
		}
		for version, left := range map[int64][]string{
			0: {"CREATE TABLE goose_db_version (id SERIAL PRIMARY KEY, version_id BIGINT NOT NULL, is_applied BOOLEAN NOT NULL, tstamp TIMESTAMP NULL DEFAULT NOW())"},
			5: {"DELETE FROM goose_db_version WHERE version_id >= 5", "DROP TABLE gates", "DROP TABLE events", "DROP TABLE feed"},
		} {
			t.Run(fmt.Sprint(driver, " ", version), func(t *testing.T) {
				db, err := repository.Open(t.Context(), repository.Options{Driver: driver, DSN: dbtest.DSN(t, driver)})
				must(t, err)
				t.Cleanup(func() { must(t, db.Close()) })
				if version > 0 {
					_, err := db.Migrate(t.Context())
					must(t, err)
				}
				for _, statement := range left {
					execSQL(t, db, statement)
				}
				if _, err := db.Migrate(t.Context()); err != nil {
					t.Fatal(err)
				}
				wantMigrated(t, db, true)
				wantIdle(t, db)
			})
		}
	}
}

// undoNewest reverts the newest version and returns its number.
func undoNewest(t *testing.T, db *repository.DB) int64 {
	t.Helper()
	files := listed(t, "migrations/"+db.Driver())
	content, err := os.ReadFile("migrations/" + db.Driver() + "/" + files[len(files)-1])
	must(t, err)
	_, down, _ := strings.Cut(string(content), "-- +goose Down")
	for statement := range strings.SplitSeq(strings.TrimSpace(down), ";") {
		if statement != "" {
			execSQL(t, db, statement)
		}
	}
	newest := versions(t)[len(files)-1]
	execSQL(t, db, "DELETE FROM goose_db_version WHERE version_id = ?", newest)
	return newest
}

func wantMigrated(t *testing.T, db *repository.DB, want bool) {
	t.Helper()
	if got, err := db.Migrated(t.Context()); err != nil || got != want {
		t.Errorf("migrated is %v, error %v; want %v", got, err, want)
	}
}

// TestMigrateAtOnce: of instances that start at once on an empty database each
// succeeds, and each version is applied by one.
func TestMigrateAtOnce(t *testing.T) {
	for _, driver := range dbtest.Drivers(t) {
		t.Run(driver, func(t *testing.T) {
			const starters = 4
			dsn := dbtest.DSN(t, driver)
			applied := make([][]int64, starters)
			for _, err := range raceErrors(starters, func(i int) error {
				db, err := repository.Open(t.Context(), repository.Options{Driver: driver, DSN: dsn})
				if err != nil {
					return err
				}
				defer db.Close()
				if applied[i], err = db.Migrate(t.Context()); err != nil {
					return err
				}
				return holdGate(db, "started")(t.Context())
			}) {
				if err != nil {
					t.Errorf("a starter failed: %v", err)
				}
			}
			all := slices.Concat(applied...)
			slices.Sort(all)
			if want := versions(t); !slices.Equal(all, want) {
				t.Errorf("applied were %v, want each version once", applied)
			}
		})
	}
}

func TestMigrateCancelled(t *testing.T) {
	for _, driver := range dbtest.Drivers(t) {
		t.Run(driver, func(t *testing.T) {
			db, err := repository.Open(t.Context(), repository.Options{Driver: driver, DSN: dbtest.DSN(t, driver)})
			must(t, err)
			t.Cleanup(func() { must(t, db.Close()) })
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if _, err := db.Migrate(ctx); err == nil {
				t.Error("migrated with a cancelled context")
			}
			_, err = db.Migrate(t.Context()) // no lock was left behind
			must(t, err)
		})
	}
}

// column is what must be the same in both dialects.
type column struct {
	Name string
	Null bool
	Kind string
}

// TestSchemasAgree: both dialects have the same tables, columns in the same
// order, and the same keys.
func TestSchemasAgree(t *testing.T) {
	mysqlOnly(t)
	sqlite, mysql := dbtest.Open(t, repository.SQLite), dbtest.Open(t, repository.MySQL)
	tables := []string{"codes", "events", "feed", "folds", "followups", "gates", "instances", "messages", "puzzles", "receipts", "sessions", "slots", "users", "vault"}
	for db, query := range map[*repository.DB]string{
		sqlite: "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%' AND name NOT LIKE 'goose%' ORDER BY name",
		mysql: "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name NOT LIKE 'goose%'" +
			" ORDER BY table_name",
	} {
		if diff := cmp.Diff(tables, texts(t, db, query)); diff != "" {
			t.Errorf("%s has other tables:\n%s", db.Driver(), diff)
		}
	}
	for _, table := range tables {
		if diff := cmp.Diff(sqliteColumns(t, sqlite, table), mysqlColumns(t, mysql, table)); diff != "" {
			t.Errorf("columns of %s differ (SQLite -, MySQL +):\n%s", table, diff)
		}
		if diff := cmp.Diff(sqliteKeys(t, sqlite, table), mysqlKeys(t, mysql, table)); diff != "" {
			t.Errorf("unique keys of %s differ (SQLite -, MySQL +):\n%s", table, diff)
		}
	}
}

func texts(t *testing.T, db *repository.DB, query string, args ...any) (all []string) {
	t.Helper()
	rows, err := pool(db).QueryContext(t.Context(), query, args...)
	must(t, err)
	defer rows.Close()
	for rows.Next() {
		var one string
		must(t, rows.Scan(&one))
		all = append(all, one)
	}
	must(t, rows.Err())
	return all
}

// kinds maps MySQL's types to SQLite's. Text that is compared exactly is VARBINARY.
var kinds = map[string]string{
	"bigint": "INTEGER", "int": "INTEGER", "tinyint": "INTEGER", "binary": "BLOB", "varbinary": "BYTES", "varchar": "TEXT",
}

func sqliteColumns(t *testing.T, db *repository.DB, table string) (columns []column) {
	t.Helper()
	for _, line := range texts(t, db, "SELECT name || '|' || \"notnull\" || '|' || type FROM pragma_table_xinfo(?) ORDER BY cid", table) {
		part := strings.Split(strings.TrimSuffix(line, " GENERATED ALWAYS"), "|")
		columns = append(columns, column{part[0], part[1] == "0", part[2]})
	}
	return columns
}

func mysqlColumns(t *testing.T, db *repository.DB, table string) (columns []column) {
	t.Helper()
	sqlite := sqliteColumns(t, dbtest.Open(t, repository.SQLite), table)
	for i, line := range texts(t, db, `SELECT CONCAT(column_name, '|', is_nullable, '|', data_type) FROM information_schema.columns
WHERE table_schema = DATABASE() AND table_name = ? ORDER BY ordinal_position`, table) {
		part := strings.Split(line, "|")
		kind := kinds[part[2]]
		if kind == "BYTES" && i < len(sqlite) && sqlite[i].Kind != "INTEGER" {
			kind = sqlite[i].Kind
		}
		columns = append(columns, column{part[0], part[1] == "YES", kind})
	}
	return columns
}

func sqliteKeys(t *testing.T, db *repository.DB, table string) []string {
	t.Helper()
	keys := texts(t, db, `SELECT group_concat(column_name) FROM (SELECT l.name AS index_name, i.name AS column_name
FROM pragma_index_list(?) l, pragma_index_info(l.name) i WHERE l."unique" = 1 ORDER BY l.name, i.seqno) GROUP BY index_name`, table)
	if id := texts(t, db, "SELECT name FROM pragma_table_info(?) WHERE pk = 1 AND name IN ('id', 'seq') AND type = 'INTEGER'", table); id != nil {
		keys = append(keys, id...) // a rowid has no index
	}
	slices.Sort(keys)
	return keys
}

func mysqlKeys(t *testing.T, db *repository.DB, table string) []string {
	t.Helper()
	keys := texts(t, db, `SELECT GROUP_CONCAT(column_name ORDER BY seq_in_index) FROM information_schema.statistics
WHERE table_schema = DATABASE() AND table_name = ? AND non_unique = 0 GROUP BY index_name`, table)
	slices.Sort(keys)
	return keys
}
