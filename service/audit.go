package service

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strconv"
	"time"

	"menshen/model"
)

// Audit reads the log of events for operators.
type Audit struct {
	Store  AuditStore
	Sent   MessageLog
	Log    EventLog
	Users  UserStore
	Active ActiveStore
	Hub    *Hub // ends what is held when the process stops; may be nil
	Now    func() time.Time
}

const auditPage = 50

// List returns a page of the log, newest first, and the cursor of the next page, "" if
// this is the last. It records the look at the user of the filter, if there is one. An
// operator of some companies sees their events alone.
//
// Errors: model.ErrMalformed for an unknown kind, an unknown cursor, or From after To.
func (a *Audit) List(ctx context.Context, by Operator, filter model.EventFilter, cursor string) ([]model.Event, string, error) {
	look, err := a.served(ctx, by, &filter)
	if err != nil {
		return nil, "", err
	}
	events, next, err := a.page(ctx, filter, cursor)
	if err != nil {
		return nil, "", err
	}
	return events, next, look()
}

// served restricts a filter to what the operator may see. look records the look at the user
// of the filter, if there is such a user.
func (a *Audit) served(ctx context.Context, by Operator, filter *model.EventFilter) (look func() error, err error) {
	if filter.UserID == 0 {
		filter.Companies = by.Companies
		return func() error { return nil }, nil
	}
	user, err := served(by)(a.Users.ByID(ctx, filter.UserID))
	if errors.Is(err, model.ErrNotFound) {
		filter.Companies = by.Companies
		return func() error { return nil }, nil
	}
	return func() error { return a.recordLook(ctx, by, user) }, err
}

func (a *Audit) recordLook(ctx context.Context, by Operator, user model.User) error {
	return a.Log.Append(ctx, by.viewed(user, model.TimeOf(a.Now())))
}

// RecordDenied writes the event of an operator's request that the role of the key does not
// allow. route is its method and path, without the person.
func (a *Audit) RecordDenied(ctx context.Context, by Operator, route string, needs model.Role) error {
	line := by.event(model.EventDenied, model.User{}, model.TimeOf(a.Now()), "")
	line.Detail = model.EventDetail("route", route, "role", string(by.Role), "needs", string(needs))
	return a.Log.Append(ctx, line)
}

// page is List without a record of the look.
func (a *Audit) page(ctx context.Context, filter model.EventFilter, cursor string) ([]model.Event, string, error) {
	if err := checkFilter(filter); err != nil {
		return nil, "", err
	}
	if cursor != "" {
		var err error
		if filter.Before, err = a.parseCursor(ctx, filter.Companies, cursor); err != nil {
			return nil, "", err
		}
	}
	events, err := a.Store.List(ctx, filter, auditPage+1)
	if err != nil {
		return nil, "", err
	}
	next := ""
	if len(events) > auditPage {
		events = events[:auditPage]
		next = strconv.FormatInt(events[auditPage-1].ID, 10)
	}
	return events, next, explain(ctx, a.Sent, events)
}

// explain puts what became of the messages into the events of codes that were sent. These
// events are written before the sending and never change.
func explain(ctx context.Context, log MessageLog, events []model.Event) error {
	var codes []int64
	for _, e := range events {
		if code := e.SentCode(); code != 0 {
			codes = append(codes, code)
		}
	}
	sent, err := log.OfCodes(ctx, codes...)
	if err != nil {
		return err
	}
	for i, e := range events {
		if code := e.SentCode(); code != 0 {
			events[i] = e.Explained(sent[code])
		}
	}
	return nil
}

func checkFilter(filter model.EventFilter) error {
	if filter.Kind != "" && !slices.Contains(model.Kinds(), filter.Kind) {
		return model.MalformedField("kind", model.ReasonUnknown)
	}
	if filter.To != 0 && filter.From > filter.To {
		return model.MalformedField("from", model.ReasonRange)
	}
	return nil
}

// parseCursor returns the id that a cursor names: that of the last line of a page. A
// line that retention has removed is no cursor any more.
func (a *Audit) parseCursor(ctx context.Context, companies model.Companies, cursor string) (int64, error) {
	id, err := strconv.ParseInt(cursor, 10, 64)
	if err != nil || id <= 0 || id == math.MaxInt64 || strconv.FormatInt(id, 10) != cursor {
		return 0, model.MalformedField("cursor", model.ReasonFormat)
	}
	found, err := a.Store.List(ctx, model.EventFilter{Before: id + 1, Companies: companies}, 1)
	if err == nil && (len(found) == 0 || found[0].ID != id) {
		err = model.MalformedField("cursor", model.ReasonUnknown)
	}
	return id, err
}

// Timeline lists the events of a user, newest first, and records the look.
//
// Errors: model.ErrNotFound for an unknown user, ErrMalformed for a bad cursor.
func (a *Audit) Timeline(ctx context.Context, by Operator, id int64, cursor string) ([]model.Event, string, error) {
	user, err := served(by)(a.Users.ByID(ctx, id))
	if err != nil {
		return nil, "", err
	}
	events, next, err := a.page(ctx, model.EventFilter{UserID: id}, cursor)
	if err != nil {
		return nil, "", err
	}
	return events, next, a.recordLook(ctx, by, user)
}

// maxDetail is the greatest length of a line's detail, in characters.
const maxDetail = 2000

// RecordConfigChange writes an event of a change of configuration while running. The
// event names the changed keys and none of their values. Without keys nothing is
// written.
func (a *Audit) RecordConfigChange(ctx context.Context, keys []string) error {
	if len(keys) == 0 {
		return nil
	}
	var detail struct {
		Keys []string `json:"keys"`
		More int      `json:"more,omitempty"` // number of keys left out, beyond maxDetail
	}
	detail.Keys = keys
	text, err := json.Marshal(detail)
	for ; err == nil && len(text) > maxDetail; text, err = json.Marshal(detail) {
		detail.Keys, detail.More = detail.Keys[:len(detail.Keys)-1], detail.More+1
	}
	if err != nil {
		return err
	}
	return a.Log.Append(ctx, model.Event{
		At: model.TimeOf(a.Now()), Kind: model.EventConfigChanged, Actor: model.ActorSystem, Detail: string(text),
	})
}
