package service

import (
	"context"
	"math"
	"strconv"
	"time"

	"menshen/model"
)

const (
	// followSettled is how old a line is when it is shown to who follows the log: the
	// longest transaction has ended by then, so that no line with a lower id is missed.
	followSettled = 3 * time.Second
	followEvery   = 250 * time.Millisecond // between two reads for a held request
)

// Follow lists the lines after the cursor, oldest first, at most a page. An empty cursor is
// the present. If there are none, it waits up to wait for the next one. It returns the
// cursor to go on from, and records the look at the user of the filter, if there is one.
//
// Errors: those of List.
func (a *Audit) Follow(ctx context.Context, by Operator, filter model.EventFilter, cursor string, wait time.Duration) ([]model.Event, string, error) {
	if err := checkFilter(filter); err != nil {
		return nil, "", err
	}
	filter.Follow = true
	look, err := a.served(ctx, by, &filter)
	if err == nil {
		filter.After, err = a.parseAfter(ctx, cursor)
	}
	if err == nil {
		err = look()
	}
	if err != nil {
		return nil, "", err
	}
	patience, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	ticker := time.NewTicker(followEvery)
	defer ticker.Stop()
	for {
		last := patience.Err() != nil
		events, err := a.settled(ctx, filter, auditPage)
		if err != nil {
			return nil, "", err
		}
		if err := explain(ctx, a.Sent, events); err != nil {
			return nil, "", err
		}
		if len(events) > 0 {
			return events, strconv.FormatInt(events[len(events)-1].ID, 10), nil
		}
		if last || !a.await(patience, ticker.C) {
			return events, strconv.FormatInt(filter.After, 10), nil
		}
	}
}

// settled is List of lines that are old enough to be followed.
func (a *Audit) settled(ctx context.Context, filter model.EventFilter, limit int) ([]model.Event, error) {
	ctx, cancel := context.WithTimeout(ctx, model.StorageTime)
	defer cancel()
	until := model.TimeOf(a.Now()).Add(-followSettled)
	if filter.To == 0 || filter.To > until {
		filter.To = until
	}
	return a.Store.List(ctx, filter, limit)
}

// await waits for the next tick, and reports whether to read again: not if the client has
// left or this process stops. When patience ends, the log is read once more.
func (a *Audit) await(patience context.Context, tick <-chan time.Time) bool {
	select {
	case <-tick:
		return true
	case <-patience.Done():
		return patience.Err() == context.DeadlineExceeded //nolint:errorlint // a context's own error
	case <-a.Hub.ending():
		return false
	}
}

// parseAfter returns the id that a cursor names. An empty one is the newest settled line.
func (a *Audit) parseAfter(ctx context.Context, cursor string) (int64, error) {
	if cursor == "" {
		newest, err := a.settled(ctx, model.EventFilter{}, 1)
		if err != nil || len(newest) == 0 {
			return 0, err
		}
		return newest[0].ID, nil
	}
	id, err := strconv.ParseInt(cursor, 10, 64)
	if err != nil || id < 0 || id == math.MaxInt64 || strconv.FormatInt(id, 10) != cursor {
		return 0, model.MalformedField("after", model.ReasonFormat)
	}
	newest, err := a.Store.List(ctx, model.EventFilter{}, 1)
	if err == nil && id > 0 && (len(newest) == 0 || newest[0].ID < id) {
		err = model.MalformedField("after", model.ReasonUnknown)
	}
	return id, err
}
