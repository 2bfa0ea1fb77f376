package repository

import (
	"context"

	"gorm.io/gorm"

	"menshen/model"
)

// Feed stores the revocations in the order in which they are published. Sessions
// end in transactions that commit in any order, so neither their times nor the ids
// of events can serve as a cursor. Instead, a session is added to the feed after its
// end was committed, under a gate, with the next number.
type Feed struct{ DB *DB }

// Unpublished lists ended sessions that are not in the feed and have valid tokens.
func (f Feed) Unpublished(ctx context.Context, since, now model.Time, limit int) ([]model.Session, error) {
	var sessions []model.Session
	err := f.DB.readDB(ctx).Table("sessions").Select("sessions.id", "sessions.user_id", "sessions.end_reason", "sessions.ended_at", "sessions.max_exp").
		Joins("LEFT JOIN feed ON feed.session_id = sessions.id").
		Where("sessions.ended_at > ? AND sessions.max_exp > ? AND feed.seq IS NULL", since, now).
		Order("sessions.ended_at").Limit(limit).Find(&sessions).Error
	return sessions, unavailable("list unpublished ends", err)
}

// Newest returns the newest revocation.
func (f Feed) Newest(ctx context.Context) (model.Revocation, error) {
	var newest model.Revocation
	err := takeOne(f.DB.readDB(ctx).Order("seq DESC"), "read feed", &newest)
	return newest, err
}

// Publish adds revocations.
func (f Feed) Publish(ctx context.Context, revocations []model.Revocation) error {
	_, err := f.DB.write(ctx, "publish ends", func(on *gorm.DB) (int64, error) {
		return 0, on.WithContext(ctx).Create(&revocations).Error
	})
	return err
}

// After lists revocations beyond seq whose tokens expire after now.
func (f Feed) After(ctx context.Context, seq int64, now model.Time, limit int) ([]model.Revocation, error) {
	var revocations []model.Revocation
	err := f.DB.readDB(ctx).Where("seq > ? AND exp > ?", seq, now).Order("seq").Limit(limit).Find(&revocations).Error
	return revocations, unavailable("read feed", err)
}

// Purge removes expired revocations except the newest: its number must not be used again.
func (f Feed) Purge(ctx context.Context, now model.Time, limit int) (int, error) {
	// MySQL lets no statement read the table that it changes, but for a derived table.
	const old = "exp <= ? AND seq < (SELECT seq FROM (SELECT MAX(seq) AS seq FROM feed) AS newest)"
	return f.DB.purge(ctx, oldRows{"feed", "seq", old}, now, limit)
}
