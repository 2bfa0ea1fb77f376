package repository

import (
	"context"

	"menshen/model"
)

// Events keeps the append-only log. Nothing here changes or removes a line.
type Events struct{ DB *DB }

// Append adds lines, in the transaction of what they tell.
func (e Events) Append(ctx context.Context, events ...model.Event) error {
	if len(events) == 0 {
		return nil
	}
	return newEventShape.insert(ctx, e.DB, events...)
}

// List lists the newest lines that pass the filter, newest first.
func (e Events) List(ctx context.Context, filter model.EventFilter, limit int) ([]model.Event, error) {
	query := e.DB.reporter(ctx)
	if filter.UserID != 0 {
		query = query.Where("user_id = ?", filter.UserID)
	}
	if filter.Kind != "" {
		query = query.Where("kind = ?", filter.Kind)
	}
	if filter.Actor != "" {
		query = query.Where("actor = ?", filter.Actor)
	}
	if filter.From != 0 {
		query = query.Where("at >= ?", filter.From)
	}
	if filter.To != 0 {
		query = query.Where("at < ?", filter.To)
	}
	if filter.Before != 0 {
		query = query.Where("id < ?", filter.Before)
	}
	var events []model.Event
	err := query.Order("id DESC").Limit(limit).Find(&events).Error
	return events, fault("list events", err)
}

// Count counts the lines of a stretch of time by bucket and kind; logins and
// registrations by their detail too, which names product and source.
func (e Events) Count(ctx context.Context, from, to model.Time, bucket int64) ([]model.EventCount, error) {
	var counts []model.EventCount
	err := e.DB.reporter(ctx).Raw(`SELECT bucket, kind, detail, COUNT(*) AS count, COUNT(session) AS sessions FROM (
  SELECT at - at % ? AS bucket, kind, CASE WHEN kind IN ? THEN detail ELSE '' END AS detail, CASE WHEN session_id <> '' THEN 1 END AS session
  FROM events WHERE at >= ? AND at < ?
) AS told GROUP BY bucket, kind, detail ORDER BY bucket, kind`,
		bucket, []model.Kind{model.EventLogin, model.EventRegister}, from, to).Scan(&counts).Error
	return counts, fault("count events", err)
}

// endKinds are the kinds of events that tell of a session's end.
var endKinds = []model.Kind{
	model.EventDisplaced, model.EventRelogin, model.EventLogout, model.EventKick, model.EventBan, model.EventReuse,
	model.EventExpired, model.EventUserDeleted,
}

// Ends lists the lines after since that tell of a session's end, with id,
// session and time alone.
func (e Events) Ends(ctx context.Context, since model.Time) ([]model.Event, error) {
	var events []model.Event
	err := e.DB.reader(ctx).Select("id", "session_id", "at").
		Where("at > ? AND session_id <> '' AND kind IN ?", since, endKinds).Find(&events).Error
	return events, fault("read ends", err)
}
