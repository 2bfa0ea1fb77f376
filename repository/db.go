// Package repository stores the state of menshen in SQLite or in a database that
// speaks MySQL's protocol. Every method is one atomic act of a rule, as the ports of
// the package service describe it. Conditional updates and unique keys decide races,
// not checks before writes.
//
// It uses GORM for reports, lists and pages, and table[T] with plain SQL for the hot
// rows, where GORM's reflection costs more than the database.
//
// An error of the storage is model.ErrUnavailable, whatever its cause: never a
// false "not found".
package repository

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"
	gormlogger "gorm.io/gorm/logger"

	"menshen/model"
	"menshen/repository/groupcommit"
)

// Drivers that Open accepts.
const (
	SQLite = "sqlite"
	MySQL  = "mysql"
)

// DB is the storage: one writing connection and a few that read on SQLite, one pool
// on MySQL, and on both a small pool for reports. It is safe for concurrent use.
type DB struct {
	options    Options
	dialect    dialect
	writePool  *gorm.DB
	readPool   *gorm.DB
	reportPool *gorm.DB
	queue      *groupcommit.Queue // of writers on SQLite; nil on MySQL
	turns      *turns             // of writers before the queue
}

// Reports may read for long. They have a few connections of their own, so that no
// request of a user waits for them. reportTime bounds a report on MySQL if its
// caller sets no deadline. defaultConns bounds all connections to MySQL.
const (
	defaultConns = 32
	reportConns  = 2
	reportTime   = 10 * time.Second
)

// dialect holds the SQL that differs between SQLite and MySQL.
type dialect struct {
	forUpdate           string
	useIndex            string // behind the name of a table; ? stands for the index
	upsertUser          string
	upsertLoginSequence string
	upsertGate          string
	lockAlarm           string
	upsertFold          string
	insertVault         string
	spendPuzzle         string
	clock               string
	version             string
}

// Options name the storage to open.
type Options struct {
	Driver string // SQLite or MySQL
	// DSN is a path or a "file:" URI with SQLite, and go-sql-driver's with MySQL. Open
	// adds the parameters that menshen needs and keeps those that are given.
	DSN string
	// MaxConns bounds all connections to MySQL together, at least 4; 0 is 32. SQLite has
	// a fixed number.
	MaxConns int
}

// Open connects to the storage and verifies that it answers; it does not migrate.
func Open(ctx context.Context, options Options) (*DB, error) {
	options.MaxConns = cmp.Or(options.MaxConns, defaultConns)
	db := &DB{options: options}
	var err error
	switch options.Driver {
	case SQLite:
		err = db.openSQLite(ctx)
	case MySQL:
		err = db.openMySQL(ctx)
	default:
		err = fmt.Errorf("unknown database driver %q", options.Driver)
	}
	if err != nil {
		return nil, err
	}
	if err := db.Ping(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// gormConfig returns a configuration without transactions around single statements
// and without GORM's cache of statements, which pool replaces. GORM's logger is off:
// its lines contain parameters, and every error is returned anyway.
func gormConfig() *gorm.Config {
	return &gorm.Config{
		SkipDefaultTransaction: true,
		TranslateError:         true,
		Logger:                 gormlogger.Discard,
		DisableAutomaticPing:   true,
	}
}

// Driver returns SQLite or MySQL.
func (db *DB) Driver() string { return db.options.Driver }

// Ping verifies that the storage answers.
func (db *DB) Ping(ctx context.Context) error {
	var one int
	return unavailable("ping", db.readPool.WithContext(ctx).Raw("SELECT 1").Scan(&one).Error)
}

// State describes the database for operators.
func (db *DB) State(ctx context.Context) model.DatabaseState {
	state := model.DatabaseState{Driver: db.Driver()}
	err := db.readPool.WithContext(ctx).Raw(db.dialect.version).Scan(&state.Version).Error
	state.OK = err == nil
	return state
}

// Clock returns the time of the database. SQLite runs in this process and returns
// its time.
func (db *DB) Clock(ctx context.Context) (time.Time, error) {
	var ms int64
	err := db.readPool.WithContext(ctx).Raw(db.dialect.clock).Scan(&ms).Error
	return time.UnixMilli(ms), unavailable("read clock", err)
}

// Close waits for the current writes, then closes all connections.
func (db *DB) Close() error {
	if db.queue != nil {
		db.queue.Close()
	}
	err := errors.Join(poolOf(db.writePool).Close(), poolOf(db.reportPool).Close())
	if db.readPool != db.writePool {
		err = errors.Join(err, poolOf(db.readPool).Close())
	}
	return err
}

// poolOf returns the connections under a handle of DB.
func poolOf(handle *gorm.DB) *pool { return handle.Statement.ConnPool.(*pool) }

// Pools returns the pools of connections, for metrics.
func (db *DB) Pools() map[string]*sql.DB {
	pools := map[string]*sql.DB{"write": poolOf(db.writePool).DB, "report": poolOf(db.reportPool).DB}
	if db.readPool != db.writePool {
		pools["read"] = poolOf(db.readPool).DB
	}
	return pools
}

// Waiting returns how much work waits for a connection, on SQLite that of writers alone.
func (db *DB) Waiting() int {
	if db.queue != nil {
		return db.queue.Len() + db.turns.len()
	}
	return poolOf(db.writePool).turns.len()
}

// Statements returns how many statements with parameters were sent to the storage:
// neither BEGIN, COMMIT nor savepoints.
func (db *DB) Statements() uint64 {
	ran := poolOf(db.writePool).ran.Load() + poolOf(db.reportPool).ran.Load()
	if db.readPool != db.writePool {
		ran += poolOf(db.readPool).ran.Load()
	}
	if db.queue != nil {
		ran += db.queue.Statements()
	}
	return ran
}

// SetMaxGroup sets how many transactions share a commit on SQLite at most. Benchmarks
// compare groups with 1.
func (db *DB) SetMaxGroup(n int) {
	if db.queue != nil {
		db.queue.SetMaxGroup(n)
	}
}

// unavailable wraps an error of the storage in model.ErrUnavailable, with what was
// being done. It returns nil and rows of the table of failures as they are.
func unavailable(doing string, err error) error {
	if _, known := errors.AsType[*model.Failure](err); known || err == nil {
		return err
	}
	return model.ErrUnavailable.Wrap(fmt.Errorf("%s: %w", doing, err))
}
