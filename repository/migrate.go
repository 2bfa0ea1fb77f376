package repository

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	mysqldriver "github.com/go-sql-driver/mysql"
	"github.com/gofrs/flock"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"
	"github.com/pressly/goose/v3/lock"
)

// The schema, one statement a file for MySQL, whose DDL commits by itself.
//
//go:embed migrations
var migrations embed.FS

// Migrate brings the schema to the newest version. Of several instances that
// start at once one migrates and the others wait. It returns the versions that
// it applied.
func (db *DB) Migrate(ctx context.Context) (applied []int64, err error) {
	pool, unlock, options, err := db.migrationLock(ctx)
	if err != nil {
		return nil, fmt.Errorf("migrate: %w", err)
	}
	defer func() { err = errors.Join(err, unlock()) }()
	provider, err := db.migrations(pool, options...)
	if err != nil {
		return nil, fmt.Errorf("migrate: %w", err)
	}
	results, err := db.up(ctx, pool, provider)
	for _, r := range results {
		applied = append(applied, r.Source.Version)
	}
	if err != nil {
		return applied, fmt.Errorf("migrate: %w", err)
	}
	return applied, nil
}

// upTries bounds the wait for an instance that is making the table of versions.
const upTries = 40

// up migrates. Goose looks for work before it locks, and makes its table of
// versions in two steps, so that of instances that start at once on an empty
// database one may find the table without its first row, for a moment. On MySQL,
// whose DDL commits by itself, a process that was killed may have left that table,
// or a change of the schema, without its row for ever: then the row is made good.
func (db *DB) up(ctx context.Context, pool *sql.DB, provider *goose.Provider) (results []*goose.MigrationResult, err error) {
	for try := 1; ; try++ {
		done, err := provider.Up(ctx)
		results = append(results, done...)
		unfinished, found := halfDone(err)
		switch {
		case !found:
			return results, err
		case unfinished == 0 && try < upTries:
			if !pause(ctx, try) {
				return results, err
			}
			continue
		case unfinished == 0 && try > upTries:
			return results, err
		}
		store, err := database.NewStore(dialects[db.driver], goose.DefaultTablename)
		if err != nil {
			return results, err
		}
		if err := store.Insert(ctx, pool, database.InsertRequest{Version: unfinished}); err != nil {
			return results, err
		}
	}
}

// halfDone is the version whose statement has been executed although its row is
// missing, 0 for the table of versions itself.
func halfDone(err error) (version int64, found bool) {
	if err == nil {
		return 0, false
	}
	if strings.Contains(err.Error(), "missing zero version") {
		return 0, true
	}
	partial, ok := errors.AsType[*goose.PartialError](err)
	if my, is := errors.AsType[*mysqldriver.MySQLError](err); ok && is {
		switch my.Number {
		case 1050, 1060, 1061: // the table, the column, the key is there
			return partial.Failed.Source.Version, true
		}
	}
	return 0, false
}

// Migrated reports whether the schema is at the version that this program needs.
func (db *DB) Migrated(ctx context.Context) (bool, error) {
	pool, err := db.write.DB()
	if err != nil {
		return false, err
	}
	provider, err := db.migrations(pool)
	if err != nil {
		return false, err
	}
	pending, err := provider.HasPending(ctx)
	return !pending, fault("read schema version", err)
}

// dialects are goose's names of the drivers; it is never written to.
var dialects = map[string]database.Dialect{SQLite: database.DialectSQLite3, MySQL: database.DialectMySQL}

func (db *DB) migrations(pool *sql.DB, options ...goose.ProviderOption) (*goose.Provider, error) {
	folder, err := fs.Sub(migrations, "migrations/"+db.driver)
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(dialects[db.driver], pool, folder, append(options, goose.WithDisableGlobalRegistry(true))...)
}

// migrationLock gives the pool to migrate with, and what keeps others out of
// it. On MySQL a table locks, for GET_LOCK means nothing on clusters; a pool of
// its own lets a long DDL outlast the time-outs of requests. On SQLite a file
// beside the database locks.
func (db *DB) migrationLock(ctx context.Context) (*sql.DB, func() error, []goose.ProviderOption, error) {
	if db.driver == MySQL {
		config, err := mysqlConfig(db.dsn)
		if err != nil {
			return nil, nil, nil, err
		}
		config.ReadTimeout, config.WriteTimeout = 0, 0
		pool, err := mysqlPool(config)
		if err != nil {
			return nil, nil, nil, err
		}
		locker, err := lock.NewMySQLTableLocker(lock.WithTableLockTimeout(200*time.Millisecond, 1500))
		return pool, pool.Close, []goose.ProviderOption{goose.WithLocker(locker)}, err
	}
	pool, err := db.write.DB()
	if err != nil {
		return nil, nil, nil, err
	}
	path := strings.TrimPrefix(strings.Split(db.dsn, "?")[0], "file:")
	if path == "" || path == ":memory:" {
		return pool, func() error { return nil }, nil, nil
	}
	file := flock.New(path + ".migrate")
	if _, err := file.TryLockContext(ctx, 20*time.Millisecond); err != nil {
		return nil, nil, nil, err
	}
	return pool, file.Unlock, nil, nil
}
