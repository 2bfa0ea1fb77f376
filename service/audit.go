package service

import (
	"context"
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"time"

	"menshen/model"
)

// Audit shows operators what happened.
type Audit struct {
	Store  AuditStore
	Log    EventLog
	Users  UserStore
	Active ActiveCounter
	Now    func() time.Time
}

const auditPage = 50

// List is a page of the log, newest first, and the cursor of the next one, ""
// when this is the last.
//
// Errors: model.ErrMalformed for an unknown kind, an unknown cursor, or From after To.
func (a *Audit) List(ctx context.Context, filter model.EventFilter, cursor string) ([]model.Event, string, error) {
	if filter.Kind != "" && !slices.Contains(model.Kinds(), filter.Kind) {
		return nil, "", model.Malformed1("kind", model.ReasonUnknown)
	}
	if filter.To != 0 && filter.From > filter.To {
		return nil, "", model.Malformed1("from", model.ReasonRange)
	}
	if cursor != "" {
		var err error
		if filter.Before, err = a.place(ctx, cursor); err != nil {
			return nil, "", err
		}
	}
	events, err := a.Store.List(ctx, filter, auditPage+1)
	if err != nil || len(events) <= auditPage {
		return events, "", err
	}
	events = events[:auditPage]
	return events, strconv.FormatInt(events[auditPage-1].ID, 10), nil
}

// place is the line that a cursor names: the last one of a page. A line that was
// removed by retention is nobody's cursor any more.
func (a *Audit) place(ctx context.Context, cursor string) (int64, error) {
	id, err := strconv.ParseInt(cursor, 10, 64)
	if err != nil || id <= 0 || id == math.MaxInt64 || strconv.FormatInt(id, 10) != cursor {
		return 0, model.Malformed1("cursor", model.ReasonFormat)
	}
	found, err := a.Store.List(ctx, model.EventFilter{Before: id + 1}, 1)
	if err == nil && (len(found) == 0 || found[0].ID != id) {
		err = model.Malformed1("cursor", model.ReasonUnknown)
	}
	return id, err
}

// Timeline is what happened to a user, newest first.
//
// Errors: model.ErrNotFound for an unknown user, ErrMalformed for a bad cursor.
func (a *Audit) Timeline(ctx context.Context, id int64, cursor string) ([]model.Event, string, error) {
	if _, err := a.Users.ByID(ctx, id); err != nil {
		return nil, "", err
	}
	return a.List(ctx, model.EventFilter{UserID: id}, cursor)
}

// maxDetail is the room for a line's detail, in characters.
const maxDetail = 2000

// NoteConfig writes into the log that the configuration was changed while
// running: which keys, by their names alone. Without any nothing was changed.
func (a *Audit) NoteConfig(ctx context.Context, keys []string) error {
	if len(keys) == 0 {
		return nil
	}
	var told struct {
		Keys []string `json:"keys"`
		More int      `json:"more,omitempty"` // keys that found no room
	}
	told.Keys = keys
	text, err := json.Marshal(told)
	for ; err == nil && len(text) > maxDetail; text, err = json.Marshal(told) {
		told.Keys, told.More = told.Keys[:len(told.Keys)-1], told.More+1
	}
	if err != nil {
		return err
	}
	return a.Log.Append(ctx, model.Event{
		At: model.TimeOf(a.Now()), Kind: model.EventConfigChanged, Actor: actorSystem, Detail: string(text),
	})
}
