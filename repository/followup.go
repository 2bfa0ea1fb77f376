package repository

import (
	"context"
	"errors"
	"strconv"

	"gorm.io/gorm"

	"menshen/model"
)

// FollowUps stores how far the tasks at vendors have come.
type FollowUps struct{ DB *DB }

var followUpTable = table[model.FollowUp]{
	"followups", `name, at, message_id, due_at, failures`,
	func(f *model.FollowUp) []any { return []any{&f.Name, &f.At, &f.MessageID, &f.DueAt, &f.Failures} },
}

// Claim begins a turn of the task if one is due, and reports whether this call did. The turn
// is the caller's until the given time. Of concurrent calls one succeeds.
func (f FollowUps) Claim(ctx context.Context, name string, now, until model.Time) (model.FollowUp, bool, error) {
	turn, err := followUpTable.first(ctx, f.DB, "WHERE name = ?", name)
	if errors.Is(err, model.ErrNotFound) {
		turn = model.FollowUp{Name: name, DueAt: until}
		err = followUpTable.insert(ctx, f.DB, turn)
		if errors.Is(err, gorm.ErrDuplicatedKey) {
			return turn, false, nil
		}
		return turn, err == nil, err
	}
	if err != nil || turn.DueAt > now {
		return turn, false, err
	}
	ours, err := f.DB.execCAS(ctx, "claim a turn", "UPDATE followups SET due_at = ? WHERE name = ? AND due_at = ?", until, name, turn.DueAt)
	turn.DueAt = until
	return turn, ours, err
}

// Release ends a turn that was claimed: the next one is due at the given time. A turn whose
// time was over, so that another call has claimed it, changes nothing.
func (f FollowUps) Release(ctx context.Context, turn model.FollowUp, due model.Time) error {
	return f.DB.exec(ctx, "release a turn", "UPDATE followups SET at = ?, message_id = ?, failures = ?, due_at = ? WHERE name = ? AND due_at = ?",
		turn.At, turn.MessageID, turn.Failures, due, turn.Name, turn.DueAt)
}

// Sent lists the messages of a provider in the order of their times, at most limit: those
// after the turn's message and not later than until.
func (f FollowUps) Sent(ctx context.Context, turn model.FollowUp, provider string, until model.Time, limit int) ([]model.TracedMessage, error) {
	return Messages(f).read(ctx, "list sent messages", `WHERE messages.at >= ? AND messages.at <= ? AND (messages.at > ? OR messages.id > ?)
AND messages.provider = ? ORDER BY messages.at, messages.id LIMIT `+strconv.Itoa(limit), turn.At, until, turn.At, turn.MessageID, provider)
}
