package repository

import (
	"context"

	"gorm.io/gorm"

	"menshen/model"
)

// Janitor finds what has outlived its use. Every act is small and may be
// repeated, or run by several instances at once.
type Janitor struct{ DB *DB }

// Overdue lists up to limit sessions after the id that were not ended although
// their idle or absolute end has come, and the id to go on from; "" is the end
// of the table. It looks at a stretch of the table, not at an index: refreshes
// need not pay for one.
func (j Janitor) Overdue(ctx context.Context, after string, now model.Time, stretch int) (overdue []model.Session, next string, err error) {
	var sessions []model.Session
	err = j.DB.reader(ctx).Where("id > ?", after).Order("id").Limit(stretch).Find(&sessions).Error
	for _, s := range sessions {
		if s.EndedAt == 0 && s.Expired(now) {
			overdue = append(overdue, s)
		}
	}
	if len(sessions) == stretch {
		next = sessions[stretch-1].ID
	}
	return overdue, next, fault("find overdue sessions", err)
}

// Codes removes up to limit codes sent before the time.
func (j Janitor) Codes(ctx context.Context, before model.Time, limit int) (int, error) {
	return purge(ctx, j.DB, "codes", "id", func(query *gorm.DB) *gorm.DB { return query.Where("sent_at < ?", before) }, limit)
}

// Sessions removes up to limit sessions that ended before the time.
func (j Janitor) Sessions(ctx context.Context, before model.Time, limit int) (int, error) {
	return purge(ctx, j.DB, "sessions", "id", func(query *gorm.DB) *gorm.DB {
		return query.Where("ended_at > 0 AND ended_at < ?", before)
	}, limit)
}

// Events removes up to limit lines of the log from before the time.
func (j Janitor) Events(ctx context.Context, before model.Time, limit int) (int, error) {
	return purge(ctx, j.DB, "events", "id", func(query *gorm.DB) *gorm.DB { return query.Where("at < ?", before) }, limit)
}

// Gates removes up to limit gates that nobody passed since the time.
func (j Janitor) Gates(ctx context.Context, before model.Time, limit int) (int, error) {
	return purge(ctx, j.DB, "gates", "name", func(query *gorm.DB) *gorm.DB { return query.Where("touched_at < ?", before) }, limit)
}

// purge removes up to limit rows: it reads the keys first and deletes by key,
// because a DELETE over a range locks more than it removes.
func purge(ctx context.Context, db *DB, table, key string, which func(*gorm.DB) *gorm.DB, limit int) (int, error) {
	var keys []any
	rows, err := which(db.reader(ctx).Table(table).Select(key)).Limit(limit).Rows()
	if err != nil {
		return 0, fault("find old "+table, err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var value any
		if err := rows.Scan(&value); err != nil {
			return 0, fault("find old "+table, err)
		}
		keys = append(keys, value)
	}
	if err := rows.Err(); err != nil || len(keys) == 0 {
		return 0, fault("find old "+table, err)
	}
	n, err := db.change(ctx, "remove old "+table, func(on *gorm.DB) (int64, error) {
		result := which(on.WithContext(ctx).Table(table).Where(key+" IN ?", keys)).Delete(nil)
		return result.RowsAffected, result.Error
	})
	return int(n), err
}
