package service

import (
	"context"
	"errors"
	"strconv"
	"time"

	"menshen/model"
)

// Feed tells back ends of ended sessions. It costs nothing while nobody asks.
type Feed struct {
	Tx    Tx
	Store FeedStore
	Gates Gates
	Hub   *Hub
	Now   func() time.Time
}

const (
	feedBatch = 500
	feedEvery = 200 * time.Millisecond // how often a held request looks again
	// feedWindow outlasts every transaction that ends a session: its end is
	// found even when others that ended later were told before.
	feedWindow = longWindow
)

// Page is a stretch of the feed and the cursor to go on from.
type Page struct {
	Items []model.Revocation
	Next  string
}

// Read lists the revocations after the cursor; an empty one is the beginning.
// Without any it waits up to wait for the next. Nothing is told twice to who
// goes on from Next, and nothing is missed, whatever the order of commits.
//
// Errors: model.ErrMalformed for a cursor that was never given.
func (f *Feed) Read(ctx context.Context, cursor string, wait time.Duration) (Page, error) {
	seq, err := f.parse(ctx, cursor)
	if err != nil {
		return Page{}, err
	}
	deadline := time.NewTimer(wait)
	defer deadline.Stop()
	again := time.NewTicker(feedEvery)
	defer again.Stop()
	for {
		items, err := f.look(ctx, seq)
		if err != nil {
			return Page{}, err
		}
		if len(items) > 0 {
			return Page{Items: items, Next: strconv.FormatInt(items[len(items)-1].Seq, 10)}, nil
		}
		select {
		case <-again.C:
			continue
		case <-deadline.C:
		case <-f.Hub.stopped:
		case <-ctx.Done():
		}
		return Page{Next: strconv.FormatInt(seq, 10)}, nil
	}
}

func (f *Feed) parse(ctx context.Context, cursor string) (int64, error) {
	if cursor == "" {
		return 0, nil
	}
	seq, err := strconv.ParseInt(cursor, 10, 64)
	if err != nil || seq < 0 || strconv.FormatInt(seq, 10) != cursor {
		return 0, model.Malformed1("since", model.ReasonFormat)
	}
	newest, err := f.Store.Newest(ctx)
	if err != nil && !errors.Is(err, model.ErrNotFound) {
		return 0, err
	}
	if seq > newest.Seq {
		return 0, model.Malformed1("since", model.ReasonUnknown)
	}
	return seq, nil
}

// look brings the feed up to date and reads it.
func (f *Feed) look(ctx context.Context, seq int64) ([]model.Revocation, error) {
	ctx, cancel := context.WithTimeout(ctx, storageTime)
	defer cancel()
	now := model.TimeOf(f.Now())
	untold, _, err := f.untold(ctx, now)
	if err == nil && len(untold) > 0 {
		err = f.Tx.Within(ctx, func(ctx context.Context) error { return f.tell(ctx, now) })
	}
	if err != nil {
		return nil, err
	}
	return f.Store.After(ctx, seq, now, feedBatch)
}

// tell gives the next numbers to sessions that ended, under the gate.
func (f *Feed) tell(ctx context.Context, now model.Time) error {
	if err := f.Gates.Gate(ctx, []byte("feed"), now); err != nil {
		return err
	}
	untold, newest, err := f.untold(ctx, now)
	if err != nil || len(untold) == 0 {
		return err
	}
	revocations := make([]model.Revocation, 0, len(untold))
	for i, s := range untold {
		revocations = append(revocations, model.Revocation{
			Seq: newest.Seq + int64(i) + 1, SessionID: s.ID, UserID: s.UserID, Reason: s.EndReason, EndedAt: s.EndedAt, Exp: s.MaxExp,
		})
	}
	return f.Store.Tell(ctx, revocations)
}

func (f *Feed) untold(ctx context.Context, now model.Time) ([]model.Session, model.Revocation, error) {
	newest, err := f.Store.Newest(ctx)
	if errors.Is(err, model.ErrNotFound) {
		err = nil
	}
	if err != nil {
		return nil, newest, err
	}
	untold, err := f.Store.Untold(ctx, max(0, newest.EndedAt.Add(-feedWindow)), now, feedBatch)
	return untold, newest, err
}
