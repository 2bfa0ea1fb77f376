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
	return fault("append events", e.DB.writer(ctx).Create(&events).Error)
}

// ByUser lists the newest lines of a user, newest first.
func (e Events) ByUser(ctx context.Context, userID int64, limit int) ([]model.Event, error) {
	var events []model.Event
	err := e.DB.reader(ctx).Where("user_id = ?", userID).Order("id DESC").Limit(limit).Find(&events).Error
	return events, fault("list events", err)
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
