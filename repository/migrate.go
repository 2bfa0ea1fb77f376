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

	"menshen/internal/private"
)

// migrations is the schema. Each file has one statement, because MySQL commits after
// each DDL statement.
//
//go:embed migrations
var migrations embed.FS

// Migrate brings the schema to the newest version and returns the versions that it
// applied. Of several instances that start at once one migrates and the others wait.
func (db *DB) Migrate(ctx context.Context) (applied []int64, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("migrate: %w", err)
		}
	}()
	if done, err := db.upToDate(ctx); done || err != nil {
		return nil, err
	}
	pool, unlock, err := db.migrationLock(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	provider, err := db.migrations(pool)
	if err != nil {
		return nil, err
	}
	results, err := db.up(ctx, pool, provider)
	for _, r := range results {
		applied = append(applied, r.Source.Version)
	}
	return applied, err
}

// upToDate reports whether there is nothing to do on MySQL, so that a start then takes
// no lock and writes nothing. Goose creates its table of versions whenever it looks for
// it, so upToDate looks itself.
func (db *DB) upToDate(ctx context.Context) (bool, error) {
	if db.options.Driver != MySQL {
		return false, nil
	}
	var tables int
	err := db.readPool.WithContext(ctx).
		Raw("SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = ?", goose.DefaultTablename).Scan(&tables).Error
	if err != nil || tables == 0 {
		return false, err
	}
	migrated, err := db.Migrated(ctx)
	if _, found := unrecordedVersion(err); found {
		return false, nil
	}
	return migrated, err
}

// up migrates. On MySQL, whose DDL commits by itself, a process that was killed may
// have left the table of versions, or a change of the schema, without its row. Then up
// inserts the row.
func (db *DB) up(ctx context.Context, pool *sql.DB, provider *goose.Provider) (results []*goose.MigrationResult, err error) {
	for {
		done, err := provider.Up(ctx)
		results = append(results, done...)
		unfinished, found := unrecordedVersion(err)
		if !found {
			return results, err
		}
		store, err := database.NewStore(gooseDialects[db.options.Driver], goose.DefaultTablename)
		if err != nil {
			return results, err
		}
		if err := store.Insert(ctx, pool, database.InsertRequest{Version: unfinished}); err != nil {
			return results, err
		}
	}
}

// unrecordedVersion returns the version whose statement has been executed although
// its row is missing, 0 for the table of versions itself.
func unrecordedVersion(err error) (version int64, found bool) {
	if err == nil {
		return 0, false
	}
	if strings.Contains(err.Error(), "missing zero version") {
		return 0, true
	}
	partial, ok := errors.AsType[*goose.PartialError](err)
	if my, is := errors.AsType[*mysqldriver.MySQLError](err); ok && is {
		switch my.Number {
		case 1050, 1060, 1061: // the table, the column, the key exists
			return partial.Failed.Source.Version, true
		}
	}
	return 0, false
}

// Migrated reports whether the schema is at the version that this program needs.
func (db *DB) Migrated(ctx context.Context) (bool, error) {
	provider, err := db.migrations(poolOf(db.writePool).DB)
	if err != nil {
		return false, err
	}
	var pending bool
	err = retryRefused(ctx, func() (err error) {
		pending, err = provider.HasPending(ctx)
		return err
	})
	return !pending, unavailable("read schema version", err)
}

// gooseDialects are goose's names of the drivers. It is read-only.
var gooseDialects = map[string]database.Dialect{SQLite: database.DialectSQLite3, MySQL: database.DialectMySQL}

func (db *DB) migrations(pool *sql.DB) (*goose.Provider, error) {
	folder, err := fs.Sub(migrations, "migrations/"+db.options.Driver)
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(gooseDialects[db.options.Driver], pool, folder, goose.WithDisableGlobalRegistry(true))
}

// createLock creates the table of goose's lock. Goose would create it too, but without
// IF NOT EXISTS: of instances that start at once on different nodes of a group each
// creates it, and a node that cannot apply a statement of another leaves the group.
const createLock = `CREATE TABLE IF NOT EXISTS ` + lock.DefaultLockTableName + ` (
  lock_id          BIGINT      NOT NULL PRIMARY KEY,
  locked           BOOLEAN     NOT NULL DEFAULT 0,
  locked_at        DATETIME(6) NULL,
  locked_by        TEXT        NULL,
  lease_expires_at DATETIME(6) NULL,
  updated_at       DATETIME(6) NULL
)`

// migrationLock locks, and returns the pool to migrate with and what releases the lock.
// On MySQL a table is the lock, because GET_LOCK has no effect across the nodes of a
// cluster; in a pool of its own a long DDL statement may outlast the time-outs of
// requests. On SQLite a file beside the database is the lock.
func (db *DB) migrationLock(ctx context.Context) (*sql.DB, func() error, error) {
	if db.options.Driver == MySQL {
		return db.mysqlMigrationLock(ctx)
	}
	pool := poolOf(db.writePool).DB
	if inMemory(db.options.DSN) {
		return pool, func() error { return nil }, nil
	}
	path := SQLiteFile(db.options.DSN) + ".migrate"
	if err := private.MakeFile(path); err != nil {
		return nil, nil, err
	}
	file := flock.New(path)
	if _, err := file.TryLockContext(ctx, 20*time.Millisecond); err != nil {
		return nil, nil, err
	}
	return pool, file.Unlock, nil
}

func (db *DB) mysqlMigrationLock(ctx context.Context) (*sql.DB, func() error, error) {
	config, err := mysqlConfig(db.options.DSN)
	if err != nil {
		return nil, nil, err
	}
	config.ReadTimeout, config.WriteTimeout = 0, 0
	connector, err := newConnector(config)
	if err != nil {
		return nil, nil, err
	}
	pool := sql.OpenDB(connector)
	pool.SetMaxOpenConns(reportConns) // in place of those for reports, which nothing reads yet
	locker, err := lock.NewMySQLTableLocker(lock.WithTableLockTimeout(200*time.Millisecond, 1500))
	if err == nil {
		err = retryRefused(ctx, func() error {
			_, err := pool.ExecContext(ctx, createLock)
			return err
		})
	}
	if err == nil {
		err = locker.Lock(ctx, pool)
	}
	if err != nil {
		return nil, nil, errors.Join(err, pool.Close())
	}
	return pool, func() error { return errors.Join(locker.Unlock(context.WithoutCancel(ctx), pool), pool.Close()) }, nil
}
