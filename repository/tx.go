package repository

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	mysqldriver "github.com/go-sql-driver/mysql"
	"gorm.io/gorm"
	"modernc.org/sqlite"

	"menshen/model"
)

type txKey struct{}

// maxTries bounds how often a transaction that lost to another is run: enough for
// 16 requests for one row on each node of a cluster, whose every commit aborts
// the others; the deadline of a request bounds it too.
const maxTries = 16

// Within runs act in one transaction, carried by the context that act is
// given; a transaction inside another joins it by a savepoint. An error of act
// undoes everything and comes back as it is.
//
// Deadlocks, lock time-outs and SQLITE_BUSY, also when COMMIT answers them (a
// cluster certifies there), run the whole transaction again, at most maxTries
// times and with jitter: act must be free of effects outside the database. A COMMIT
// whose outcome is unknown is not run again: model.ErrUnavailable. On SQLite
// transactions are committed in groups, see turns.
func (db *DB) Within(ctx context.Context, act func(ctx context.Context) error) error {
	if outer, ok := ctx.Value(txKey{}).(*gorm.DB); ok {
		return outer.Transaction(func(tx *gorm.DB) error {
			return act(context.WithValue(ctx, txKey{}, tx))
		})
	}
	inside := func(tx *gorm.DB) error { return act(context.WithValue(ctx, txKey{}, tx)) }
	return fault("transaction", again(ctx, func() error {
		if db.turns != nil {
			return db.turns.take(ctx, inside)
		}
		return db.write.WithContext(ctx).Transaction(inside)
	}))
}

// again tries until something else than a lost race comes of it, at most
// maxTries times.
func again(ctx context.Context, try func() error) (err error) {
	for n := range maxTries {
		if n > 0 && !pause(ctx, n) {
			break
		}
		if err = try(); !lostRace(err) {
			break
		}
	}
	return err
}

// pause waits a jittered moment before another try, longer from try to try, and
// reports false when the context ends first.
func pause(ctx context.Context, try int) bool {
	timer := time.NewTimer(time.Duration(rand.Int64N(int64(min(2*time.Millisecond<<try, 100*time.Millisecond))))) //nolint:gosec // jitter
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// reader is the transaction of the context, else the pool that reads.
func (db *DB) reader(ctx context.Context) *gorm.DB {
	if tx, ok := ctx.Value(txKey{}).(*gorm.DB); ok {
		return tx.WithContext(ctx)
	}
	return db.read.WithContext(ctx)
}

// reporter is reader for what may take long.
func (db *DB) reporter(ctx context.Context) *gorm.DB {
	if tx, ok := ctx.Value(txKey{}).(*gorm.DB); ok {
		return tx.WithContext(ctx)
	}
	return db.report.WithContext(ctx)
}

// change runs one statement that writes and returns the number of rows that it
// matched. Outside a transaction it is run again when it lost a race, and on
// SQLite takes its turn among the transactions.
func (db *DB) change(ctx context.Context, doing string, statement func(on *gorm.DB) (int64, error)) (int64, error) {
	if tx, ok := ctx.Value(txKey{}).(*gorm.DB); ok {
		rows, err := statement(tx)
		return rows, fault(doing, err)
	}
	var rows int64
	run := func(on *gorm.DB) (err error) {
		rows, err = statement(on)
		return err
	}
	err := again(ctx, func() error {
		if db.turns != nil {
			return db.turns.take(ctx, run)
		}
		return run(db.write)
	})
	if err != nil {
		return 0, fault(doing, err)
	}
	return rows, nil
}

// exec is change by plain SQL.
func (db *DB) exec(ctx context.Context, doing, statement string, args ...any) (int64, error) {
	return db.change(ctx, doing, func(on *gorm.DB) (int64, error) {
		result, err := on.Statement.ConnPool.ExecContext(ctx, statement, args...)
		if err != nil {
			return 0, db.translated(err)
		}
		return result.RowsAffected()
	})
}

// one is for a CAS: it returns lost when no row matched.
func (db *DB) one(ctx context.Context, doing string, lost error, statement string, args ...any) error {
	n, err := db.exec(ctx, doing, statement, args...)
	if err == nil && n == 0 {
		return lost
	}
	return err
}

// take reads one row into row; none is model.ErrNotFound.
func take(query *gorm.DB, doing string, row any) error {
	err := query.Take(row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return model.ErrNotFound.Wrap(fmt.Errorf("%s: no row", doing))
	}
	return fault(doing, err)
}

// lostRace reports whether the database says, for certain, that nothing of the
// transaction was kept because another one was faster.
func lostRace(err error) bool {
	if my, ok := errors.AsType[*mysqldriver.MySQLError](err); ok {
		switch my.Number {
		case 1213, 1205, 1020, 8002, 8022, 9007: // deadlock, lock wait, record changed; TiDB: write conflicts
			return true
		}
		return false
	}
	if lite, ok := errors.AsType[*sqlite.Error](err); ok {
		return lite.Code()&0xff == 5 // SQLITE_BUSY and its extended codes
	}
	return false
}
