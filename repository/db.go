// Package repository keeps the state of menshen in SQLite or in anything that
// speaks MySQL's protocol, through GORM. Every method is one atomic act of a
// rule; conditional updates and unique keys decide, not checks before writes.
//
// A fault of the storage is model.ErrUnavailable, whatever its cause: never a
// false "not found".
package repository

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"
	gormlogger "gorm.io/gorm/logger"

	"menshen/model"
)

// Drivers that Open knows.
const (
	SQLite = "sqlite"
	MySQL  = "mysql"
)

// DB is the storage: one writer and a few readers on SQLite, one pool on MySQL, and
// on both a small pool for reports. It is safe for concurrent use.
type DB struct {
	driver string
	dsn    string
	words  words
	write  *gorm.DB
	read   *gorm.DB
	report *gorm.DB
	turns  *turns // of those who write on SQLite
}

// Reports are reads that may take long, so they have few connections of their own:
// they keep no request of a user waiting. reportTime bounds one on MySQL for who
// sets no deadline.
const (
	reportConns = 2
	reportTime  = 10 * time.Second
)

// words are the few phrases in which the two dialects differ.
type words struct {
	forUpdate  string
	bySeal     string
	upsertUser string
	upsertSlot string
	upsertGate string
	touchAlarm string
	keepVault  string
	clock      string
}

// Open connects to the storage and verifies that it answers; it does not migrate.
// With SQLite, dsn is a path or a "file:" URI; with MySQL it is go-sql-driver's.
// What menshen needs is added to the DSN, what is given there is kept.
func Open(ctx context.Context, driver, dsn string) (*DB, error) {
	db := &DB{driver: driver, dsn: dsn}
	var err error
	switch driver {
	case SQLite:
		err = db.openSQLite(ctx)
	case MySQL:
		err = db.openMySQL(ctx)
	default:
		err = fmt.Errorf("unknown database driver %q", driver)
	}
	if err != nil {
		return nil, err
	}
	if err := db.Ping(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// gormConfig: no transaction around single statements, and no cache of
// statements of GORM's own, whose part the pool plays. GORM's logger stays
// silent: its lines hold parameters, and every error comes back anyway.
func gormConfig() *gorm.Config {
	return &gorm.Config{
		SkipDefaultTransaction: true,
		TranslateError:         true,
		Logger:                 gormlogger.Discard,
		DisableAutomaticPing:   true,
	}
}

// Driver is "sqlite" or "mysql".
func (db *DB) Driver() string { return db.driver }

// Ping verifies that the storage answers.
func (db *DB) Ping(ctx context.Context) error {
	var one int
	return fault("ping", db.read.WithContext(ctx).Raw("SELECT 1").Scan(&one).Error)
}

// Clock is the database's own time. SQLite lives in this process, so that its
// clock is the process's.
func (db *DB) Clock(ctx context.Context) (time.Time, error) {
	var ms int64
	err := db.read.WithContext(ctx).Raw(db.words.clock).Scan(&ms).Error
	return time.UnixMilli(ms), fault("read clock", err)
}

// Close ends all connections, after what is being written.
func (db *DB) Close() error {
	if db.turns != nil {
		db.turns.close()
	}
	err := errors.Join(closePool(db.write), closePool(db.report))
	if db.read != db.write {
		err = errors.Join(err, closePool(db.read))
	}
	return err
}

func closePool(g *gorm.DB) error {
	if p, ok := g.Statement.ConnPool.(*pool); ok {
		return p.Close()
	}
	return nil
}

// Pools are the pools of connections, for metrics.
func (db *DB) Pools() map[string]*sql.DB {
	pools := map[string]*sql.DB{}
	if pool, err := db.write.DB(); err == nil {
		pools["write"] = pool
	}
	if pool, err := db.read.DB(); err == nil && db.read != db.write {
		pools["read"] = pool
	}
	if pool, err := db.report.DB(); err == nil {
		pools["report"] = pool
	}
	return pools
}

// Waiting is how many wait for their turn to write.
func (db *DB) Waiting() int {
	if db.turns != nil {
		return len(db.turns.line)
	}
	if p, ok := db.write.Statement.ConnPool.(*pool); ok {
		return int(p.waiting.Load())
	}
	return 0
}

// WriteTogether bounds how many transactions share a commit on SQLite; with 1 each
// has its own. Benchmarks compare the two.
func (db *DB) WriteTogether(most int) {
	if db.turns != nil {
		db.turns.most.Store(int32(most)) //nolint:gosec // a handful
	}
}

// fault turns an error of the storage into model.ErrUnavailable with what was
// being done; nil stays nil, and a failure of the table stays what it is.
func fault(doing string, err error) error {
	if err == nil {
		return nil
	}
	var f *model.Failure
	if errors.As(err, &f) {
		return err
	}
	return model.ErrUnavailable.Wrap(fmt.Errorf("%s: %w", doing, err))
}
