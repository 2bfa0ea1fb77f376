package dbtest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"menshen/repository"
)

// Prepared makes an empty database with the newest schema and returns its DSN.
// Migrations run once in a process; then their result is copied, so that other tests
// need not wait for them.
func Prepared(t testing.TB, driver string) string {
	t.Helper()
	dsn := DSN(t, driver)
	var err error
	if driver == repository.MySQL {
		err = copySchema(t.Context(), dsn)
	} else if content, failed := sqliteTemplate(); failed != nil {
		err = failed
	} else {
		err = os.WriteFile(dsn, content, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dsn
}

// sqliteTemplate returns the content of a migrated, empty file.
var sqliteTemplate = sync.OnceValues(func() (content []byte, err error) {
	folder, err := os.MkdirTemp("", "menshen-template.")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	dsn := filepath.Join(folder, "menshen.db")
	if err := migrate(repository.SQLite, dsn); err != nil {
		return nil, err
	}
	return os.ReadFile(dsn) //nolint:gosec // which we made
})

func copySchema(ctx context.Context, dsn string) error {
	statements, err := mysqlTemplate()
	if err != nil {
		return err
	}
	db, err := sql.Open("mysql", dsn+"?multiStatements=true")
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, strings.Join(statements, ";\n"))
	return errors.Join(err, db.Close())
}

// mysqlTemplate returns the statements that create the tables of a migrated, empty
// database, with the rows that migrations insert.
var mysqlTemplate = sync.OnceValues(func() (statements []string, err error) {
	ctx := context.Background()
	base := os.Getenv(ServerVariable)
	db, err := sql.Open("mysql", base)
	if err != nil {
		return nil, err
	}
	name := newName()
	if _, err := db.ExecContext(ctx, "CREATE DATABASE "+name); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	defer func() {
		_, dropped := db.ExecContext(ctx, "DROP DATABASE "+name)
		err = errors.Join(err, dropped, db.Close())
	}()
	if err := migrate(repository.MySQL, base+name); err != nil {
		return nil, err
	}
	tables, err := texts(ctx, db, "SELECT table_name FROM information_schema.tables WHERE table_schema = ? ORDER BY 1", name)
	if err != nil {
		return nil, err
	}
	for _, table := range tables {
		made, err := dump(ctx, db, name+"."+table)
		if err != nil {
			return nil, err
		}
		statements = append(statements, made...)
	}
	return statements, nil
})

// dump returns the statements that create a table with its rows.
func dump(ctx context.Context, db *sql.DB, table string) (statements []string, err error) {
	var name, create string
	//nolint:gosec // a name of our own
	if err := db.QueryRowContext(ctx, "SHOW CREATE TABLE "+table).Scan(&name, &create); err != nil {
		return nil, err
	}
	statements = []string{create}
	schema, _, _ := strings.Cut(table, ".")
	columns, err := texts(ctx, db, "SELECT column_name FROM information_schema.columns WHERE table_schema = ? AND table_name = ? ORDER BY ordinal_position", schema, name)
	if err != nil {
		return nil, err
	}
	values := make([]string, len(columns))
	for i, column := range columns {
		values[i] = "QUOTE(" + column + ")"
	}
	rows, err := texts(ctx, db, "SELECT CONCAT_WS(', ', "+strings.Join(values, ", ")+") FROM "+table)
	for _, row := range rows {
		statements = append(statements, fmt.Sprintf("INSERT INTO %s (%s) VALUES (%s)", name, strings.Join(columns, ", "), row))
	}
	return statements, err
}

// texts returns the values of a query of one column.
func texts(ctx context.Context, db *sql.DB, query string, args ...any) (all []string, err error) {
	rows, err := db.QueryContext(ctx, query, args...) //nolint:gosec // names of our own
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		all = append(all, text)
	}
	return all, rows.Err()
}

func migrate(driver, dsn string) error {
	ctx := context.Background()
	db, err := repository.Open(ctx, repository.Options{Driver: driver, DSN: dsn})
	if err != nil {
		return err
	}
	_, err = db.Migrate(ctx)
	return errors.Join(err, db.Close())
}
