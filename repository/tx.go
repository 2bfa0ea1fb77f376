package repository

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	mysqldriver "github.com/go-sql-driver/mysql"
	"gorm.io/gorm"
	"modernc.org/sqlite"

	"menshen/model"
)

type txKey struct{}

// maxTries bounds the runs of a transaction that conflicts with others. It is enough
// for 16 requests for one row on each node of a cluster, where every commit aborts
// the others. The deadline of a request bounds them too.
const maxTries = 16

// Within runs act in one transaction, which the context of act carries. Inside
// another transaction it runs act in a savepoint. An error of act undoes everything
// and is returned as it is.
//
// After a deadlock, a lock time-out or SQLITE_BUSY, also from COMMIT (where a cluster
// certifies), the whole transaction runs again, at most maxTries times and with
// jitter: act must have no effects outside the database. A COMMIT whose outcome is
// unknown is not repeated: it returns model.ErrUnavailable. On SQLite transactions
// are committed in groups, see groupcommit.
func (db *DB) Within(ctx context.Context, act func(ctx context.Context) error) error {
	if outer, ok := ctx.Value(txKey{}).(*gorm.DB); ok {
		return outer.Transaction(func(tx *gorm.DB) error {
			return act(context.WithValue(ctx, txKey{}, tx))
		})
	}
	inside := func(tx *gorm.DB) error { return act(context.WithValue(ctx, txKey{}, tx)) }
	return unavailable("transaction", retry(ctx, func() error {
		if db.queue != nil {
			return db.enqueue(ctx, inside)
		}
		return db.writePool.WithContext(ctx).Transaction(inside)
	}))
}

// enqueue runs act in the queue of writers.
func (db *DB) enqueue(ctx context.Context, act func(tx *gorm.DB) error) error {
	if err := db.turns.acquire(ctx); err != nil {
		return err
	}
	defer db.turns.release()
	return db.queue.Do(ctx, act)
}

// retry runs try again while it fails with a conflict, up to maxTries times.
func retry(ctx context.Context, try func() error) (err error) {
	for n := range maxTries {
		if n > 0 && !pause(ctx, n) {
			break
		}
		if err = try(); !isConflict(err) {
			break
		}
	}
	return err
}

// pause waits before the next try, with jitter and longer after each try. It returns
// false if the context ends first.
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

// txOr returns the transaction of the context, or pool if there is none.
func txOr(ctx context.Context, pool *gorm.DB) *gorm.DB {
	if tx, ok := ctx.Value(txKey{}).(*gorm.DB); ok {
		return tx
	}
	return pool
}

// readDB returns the transaction of the context, or the pool that reads.
func (db *DB) readDB(ctx context.Context) *gorm.DB {
	return txOr(ctx, db.readPool).WithContext(ctx)
}

// reportDB is readDB for reports, which may take long.
func (db *DB) reportDB(ctx context.Context) *gorm.DB {
	return txOr(ctx, db.reportPool).WithContext(ctx)
}

// write runs one statement that writes and returns the number of rows that it
// matched. Outside a transaction it is retried after a conflict, and on SQLite is
// queued with the transactions.
func (db *DB) write(ctx context.Context, doing string, statement func(on *gorm.DB) (int64, error)) (int64, error) {
	if tx, ok := ctx.Value(txKey{}).(*gorm.DB); ok {
		rows, err := statement(tx)
		return rows, unavailable(doing, err)
	}
	var rows int64
	run := func(on *gorm.DB) (err error) {
		rows, err = statement(on)
		return err
	}
	err := retry(ctx, func() error {
		if db.queue != nil {
			return db.enqueue(ctx, run)
		}
		return run(db.writePool)
	})
	if err != nil {
		return 0, unavailable(doing, err)
	}
	return rows, nil
}

// exec runs one statement of plain SQL.
func (db *DB) exec(ctx context.Context, doing, statement string, args ...any) error {
	_, err := db.execCount(ctx, doing, statement, args...)
	return err
}

// execCAS is exec for a compare-and-set of one row: it reports whether the row matched.
func (db *DB) execCAS(ctx context.Context, doing, statement string, args ...any) (bool, error) {
	n, err := db.execCount(ctx, doing, statement, args...)
	return n == 1, err
}

// execCount is write for plain SQL.
func (db *DB) execCount(ctx context.Context, doing, statement string, args ...any) (int64, error) {
	return db.write(ctx, doing, func(on *gorm.DB) (int64, error) {
		result, err := on.Statement.ConnPool.ExecContext(ctx, statement, args...)
		if err != nil {
			return 0, db.translate(err)
		}
		return result.RowsAffected()
	})
}

// execOne is execCAS that returns lost if the row did not match.
func (db *DB) execOne(ctx context.Context, doing string, lost error, statement string, args ...any) error {
	matched, err := db.execCAS(ctx, doing, statement, args...)
	if err == nil && !matched {
		return lost
	}
	return err
}

// takeOne reads one row into row. It returns model.ErrNotFound if there is none.
func takeOne(query *gorm.DB, doing string, row any) error {
	err := query.Take(row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return model.ErrNotFound.Wrap(fmt.Errorf("%s: no row", doing))
	}
	return unavailable(doing, err)
}

// isConflict reports whether the error says for certain that nothing of the
// transaction was kept, because it conflicted with another one.
func isConflict(err error) bool {
	if my, ok := errors.AsType[*mysqldriver.MySQLError](err); ok {
		switch my.Number {
		case 1213, 1205, 1020, 3101: // deadlock, lock wait, record changed, refused by the group
			return true
		case 1180: // COMMIT failed, because the group refused it: HA_ERR_LOCK_DEADLOCK
			return strings.Contains(my.Message, "error 149 ")
		}
		return false
	}
	if lite, ok := errors.AsType[*sqlite.Error](err); ok {
		return lite.Code()&0xff == 5 // SQLITE_BUSY and its extended codes
	}
	return false
}
