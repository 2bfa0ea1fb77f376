package repository

import (
	"cmp"
	"context"
	"strings"

	"gorm.io/gorm"

	"menshen/model"
)

// Janitor finds and removes expired rows. Every act is small and may be repeated, or
// run by several instances at once.
type Janitor struct{ DB *DB }

// Overdue reads the next stretch sessions after the given id and lists those whose
// idle or absolute end has come but was not recorded, at most limit. It returns the id
// to go on from, "" at the end of the table. It reads the table in the order of its key:
// an index on the ends would have to be written by every refresh.
func (j Janitor) Overdue(ctx context.Context, after string, now model.Time, stretch, limit int) (overdue []model.Session, next string, err error) {
	next, err = scalar[string](ctx, j.DB, "SELECT id FROM sessions WHERE id > ? ORDER BY id LIMIT 1 OFFSET ?", after, stretch-1)
	if err != nil {
		return nil, "", unavailable("find overdue sessions", err)
	}
	overdue, err = sessionTable.list(ctx, j.DB, overdueIn, after, cmp.Or(next, lastID), now, now, limit)
	if len(overdue) == limit {
		next = overdue[limit-1].ID
	}
	return overdue, next, unavailable("find overdue sessions", err)
}

const (
	// overdueIn adds 0 to ended_at because SQLite would rather read all active sessions by
	// the index on it than the stretch by its key.
	overdueIn = `WHERE id > ? AND id <= ? AND ended_at + 0 = 0 AND (idle_until <= ? OR ends_at <= ?) ORDER BY id LIMIT ?`
	lastID    = "~" // follows the ids of all sessions
)

// Codes removes up to limit codes sent before the given time. Their messages keep when they
// were redeemed.
func (j Janitor) Codes(ctx context.Context, before model.Time, limit int) (removed int, err error) {
	var old []struct {
		ID     int64
		UsedAt model.Time
	}
	err = j.DB.readDB(ctx).Table("codes").Select("id", "used_at").Where("sent_at < ?", before).Limit(limit).Find(&old).Error
	if err != nil || len(old) == 0 {
		return 0, unavailable("find old codes", err)
	}
	var ids, used []any
	for _, code := range old {
		ids = append(ids, code.ID)
		if code.UsedAt != 0 {
			used = append(used, code.ID)
		}
	}
	err = j.DB.Within(ctx, func(ctx context.Context) error {
		if len(used) > 0 {
			err := j.DB.exec(ctx, "keep redemptions", `UPDATE messages SET redeemed_at = COALESCE((SELECT used_at FROM codes WHERE codes.id = messages.code_id), 0)
WHERE code_id IN (?`+strings.Repeat(", ?", len(used)-1)+") AND redeemed_at = 0", used...)
			if err != nil {
				return err
			}
		}
		removed, err = j.DB.remove(ctx, "codes", "id IN ?", ids)
		return err
	})
	return removed, err
}

// Messages removes up to limit messages from before the given time.
func (j Janitor) Messages(ctx context.Context, before model.Time, limit int) (int, error) {
	return j.DB.purge(ctx, oldRows{"messages", "id", "at < ?"}, before, limit)
}

// Receipts removes up to limit receipts that came before the given time and have found no
// message.
func (j Janitor) Receipts(ctx context.Context, before model.Time, limit int) (int, error) {
	return j.DB.purge(ctx, oldRows{"receipts", "message_id", "at < ?"}, before, limit)
}

// Sessions removes up to limit sessions that ended before the given time.
func (j Janitor) Sessions(ctx context.Context, before model.Time, limit int) (int, error) {
	return j.DB.purge(ctx, oldRows{"sessions", "id", "ended_at > 0 AND ended_at < ?"}, before, limit)
}

// Events removes up to limit events from before the given time, with the counts of
// their repeats.
func (j Janitor) Events(ctx context.Context, before model.Time, limit int) (removed int, err error) {
	var old []struct {
		ID   int64
		Fold []byte
	}
	err = j.DB.readDB(ctx).Table("events").Select("id", "fold").Where("at < ?", before).Limit(limit).Find(&old).Error
	if err != nil || len(old) == 0 {
		return 0, unavailable("find old events", err)
	}
	var ids, folds []any
	for _, event := range old {
		ids = append(ids, event.ID)
		if event.Fold != nil {
			folds = append(folds, event.Fold)
		}
	}
	err = j.DB.Within(ctx, func(ctx context.Context) error {
		if len(folds) > 0 {
			if _, err := j.DB.remove(ctx, "folds", "name IN ?", folds); err != nil {
				return err
			}
		}
		removed, err = j.DB.remove(ctx, "events", "id IN ?", ids)
		return err
	})
	return removed, err
}

// Gates removes up to limit gates that were last held before the given time.
func (j Janitor) Gates(ctx context.Context, before model.Time, limit int) (int, error) {
	return j.DB.purge(ctx, oldRows{"gates", "name", "touched_at < ?"}, before, limit)
}

// Puzzles removes up to limit spent puzzles that expired before the given time.
func (j Janitor) Puzzles(ctx context.Context, before model.Time, limit int) (int, error) {
	return j.DB.purge(ctx, oldRows{"puzzles", "id", "expires_at < ?"}, before, limit)
}

// oldRows selects rows of a table by a condition on a time.
type oldRows struct{ table, key, where string }

// purge removes up to limit of the old rows. It reads the keys first and deletes by
// key, because a DELETE over a range locks more rows than it removes.
func (db *DB) purge(ctx context.Context, old oldRows, before model.Time, limit int) (int, error) {
	var keys []any
	err := db.readDB(ctx).Table(old.table).Where(old.where, before).Limit(limit).Pluck(old.key, &keys).Error
	if err != nil || len(keys) == 0 {
		return 0, unavailable("find old "+old.table, err)
	}
	return db.remove(ctx, old.table, old.where+" AND "+old.key+" IN ?", before, keys)
}

// remove deletes rows and returns their number.
func (db *DB) remove(ctx context.Context, table, where string, args ...any) (int, error) {
	n, err := db.write(ctx, "remove old "+table, func(on *gorm.DB) (int64, error) {
		result := on.WithContext(ctx).Table(table).Where(where, args...).Delete(nil)
		return result.RowsAffected, result.Error
	})
	return int(n), err
}
