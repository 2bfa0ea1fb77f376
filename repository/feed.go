package repository

import (
	"context"

	"gorm.io/gorm"

	"menshen/model"
)

// Feed keeps the revocations in the order in which they are told. Sessions end
// in transactions that commit in any order, so that neither their times nor the
// ids of events can serve as a cursor: a session enters the feed after its end
// was committed, under a gate, with the next number.
type Feed struct{ DB *DB }

// Untold lists ended sessions after since that are not in the feed yet and
// whose tokens are still of interest, oldest first.
func (f Feed) Untold(ctx context.Context, since, now model.Time, limit int) ([]model.Session, error) {
	var sessions []model.Session
	err := f.DB.reader(ctx).Table("sessions").Select("sessions.id", "sessions.user_id", "sessions.end_reason", "sessions.ended_at", "sessions.max_exp").
		Joins("LEFT JOIN feed ON feed.session_id = sessions.id").
		Where("sessions.ended_at > ? AND sessions.max_exp > ? AND feed.seq IS NULL", since, now).
		Order("sessions.ended_at").Limit(limit).Find(&sessions).Error
	return sessions, fault("list untold ends", err)
}

// Newest is the newest revocation; none is model.ErrNotFound.
func (f Feed) Newest(ctx context.Context) (model.Revocation, error) {
	var newest model.Revocation
	err := take(f.DB.reader(ctx).Order("seq DESC"), "read feed", &newest)
	return newest, err
}

// Tell adds revocations; the caller has passed the feed's gate.
func (f Feed) Tell(ctx context.Context, revocations []model.Revocation) error {
	_, err := f.DB.change(ctx, "tell ends", func(on *gorm.DB) (int64, error) {
		result := on.WithContext(ctx).Create(&revocations)
		return result.RowsAffected, result.Error
	})
	return err
}

// After lists revocations beyond the number seq that are still of interest.
func (f Feed) After(ctx context.Context, seq int64, now model.Time, limit int) ([]model.Revocation, error) {
	var revocations []model.Revocation
	err := f.DB.reader(ctx).Where("seq > ? AND exp > ?", seq, now).Order("seq").Limit(limit).Find(&revocations).Error
	return revocations, fault("read feed", err)
}

// Purge removes up to limit revocations that are of no interest any more, but
// never the newest: its number must not be given again.
func (f Feed) Purge(ctx context.Context, now model.Time, limit int) (int, error) {
	return purge(ctx, f.DB, "feed", "seq", func(query *gorm.DB) *gorm.DB {
		return query.Where("exp <= ? AND seq < (SELECT MAX(seq) FROM feed)", now)
	}, limit)
}
