package service

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"time"

	"menshen/model"
)

// Audit shows operators what happened.
type Audit struct {
	Store  AuditStore
	Users  UserStore
	Active ActiveCounter
	Now    func() time.Time
}

const auditPage = 50

// List is a page of the log, newest first, and the cursor of the next one, ""
// when this is the last.
//
// Errors: model.ErrMalformed for an unknown kind, a bad cursor, or From after To.
func (a *Audit) List(ctx context.Context, filter model.EventFilter, cursor string) ([]model.Event, string, error) {
	if filter.Kind != "" && !slices.Contains(model.Kinds(), filter.Kind) {
		return nil, "", model.Malformed1("kind", model.ReasonUnknown)
	}
	if filter.To != 0 && filter.From > filter.To {
		return nil, "", model.Malformed1("from", model.ReasonRange)
	}
	if cursor != "" {
		before, err := strconv.ParseInt(cursor, 10, 64)
		if err != nil || before <= 0 {
			return nil, "", model.Malformed1("cursor", model.ReasonFormat)
		}
		filter.Before = before
	}
	events, err := a.Store.List(ctx, filter, auditPage+1)
	if err != nil || len(events) <= auditPage {
		return events, "", err
	}
	events = events[:auditPage]
	return events, strconv.FormatInt(events[auditPage-1].ID, 10), nil
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

// Stats is how much of everything happened in one stretch of time.
type Stats struct {
	From      model.Time
	Events    map[model.Kind]int64
	Logins    []Breakdown
	Registers []Breakdown
}

// Breakdown is a count by product and source.
type Breakdown struct {
	ProductType string `json:"productType"`
	Source      string `json:"source"`
	Count       int64  `json:"count"`
}

// Bounds of a look at the numbers.
const (
	maxStats    = 92 * day
	hourlyStats = 3 * day // up to this long by the hour, beyond by the day
)

// Stats counts the log by hour, or beyond three days by day (UTC), and the
// sessions that live now by product. Without bounds it is the last day.
//
// Errors: model.ErrMalformed when from is not before to or they are too far apart.
func (a *Audit) Stats(ctx context.Context, from, to model.Time) ([]Stats, map[int32]int64, error) {
	now := model.TimeOf(a.Now())
	if to == 0 {
		to = now
	}
	if from == 0 {
		from = to.Add(-day)
	}
	if from >= to || to.Sub(from) > maxStats {
		return nil, nil, model.Malformed1("from", model.ReasonRange)
	}
	bucket := time.Hour
	if to.Sub(from) > hourlyStats {
		bucket = day
	}
	counts, err := a.Store.Count(ctx, from, to, bucket.Milliseconds())
	if err != nil {
		return nil, nil, err
	}
	active, err := a.Active.CountActive(ctx, now)
	return gather(counts), active, err
}

// gather makes one Stats of the counts of each bucket; counts are in order.
func gather(counts []model.EventCount) []Stats {
	var all []Stats
	for _, c := range counts {
		if len(all) == 0 || all[len(all)-1].From != c.Bucket {
			all = append(all, Stats{From: c.Bucket, Events: map[model.Kind]int64{}})
		}
		stats := &all[len(all)-1]
		stats.Events[c.Kind] += c.Count
		if c.Detail == "" {
			continue
		}
		part := Breakdown{Count: c.Count}
		if json.Unmarshal([]byte(c.Detail), &part) != nil {
			continue // a line of another form counts, but tells no more
		}
		part.Count = c.Count
		if c.Kind == model.EventLogin {
			stats.Logins = append(stats.Logins, part)
		} else {
			stats.Registers = append(stats.Registers, part)
		}
	}
	return all
}
