package service

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"menshen/model"
)

// Feed lists ended sessions for back ends. Sessions enter it when a back end reads it and
// with every sweep of the janitor. Its readers share their queries.
type Feed struct {
	Tx    Tx
	Store FeedStore
	Gates Gates
	Hub   *Hub
	Now   func() time.Time

	updates coalescer
}

const (
	feedBatch = 500
	feedEvery = 200 * time.Millisecond // the least time between two reads for a held request
	// feedWindow outlasts every transaction that ends a session: its end is
	// found even if sessions that ended later were published before.
	feedWindow = longWindow
)

// Page is a part of the feed and the cursor to continue from.
type Page struct {
	Items []model.Revocation
	Next  string
}

// Read lists the revocations after the cursor; an empty cursor is the beginning. If
// there are none, it waits up to wait for the next one, and then reads once more: an end
// may have been committed without a notification to this process. A client that
// continues from Next sees each revocation exactly once, whatever the order of commits.
// A cursor is valid on every instance and after every restart.
//
// Errors: model.ErrMalformed for a cursor that was never returned.
func (f *Feed) Read(ctx context.Context, cursor string, wait time.Duration) (Page, error) {
	seq, err := f.parse(ctx, cursor)
	if err != nil {
		return Page{}, err
	}
	patience, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	again := time.NewTicker(feedEvery)
	defer again.Stop()
	for {
		ended := f.Hub.nextEnd() // before the read, so that no end is missed
		last := patience.Err() != nil
		items, err := f.look(ctx, seq)
		if err != nil {
			return Page{}, err
		}
		if len(items) > 0 {
			return Page{Items: items, Next: strconv.FormatInt(items[len(items)-1].Seq, 10)}, nil
		}
		if last || !f.idle(patience, ended, again.C) {
			return Page{Next: strconv.FormatInt(seq, 10)}, nil
		}
	}
}

// idle waits for the end of any session and then for the tick of again, but at most
// until patience ends. It reports whether to read again: not if the client has left or
// this process stops.
func (f *Feed) idle(patience context.Context, ended <-chan struct{}, again <-chan time.Time) bool {
	var tick <-chan time.Time // again, once a session has ended
	for {
		select {
		case <-ended:
			ended, tick = nil, again
		case <-tick:
			return true
		case <-f.Hub.stopped:
			return false
		case <-patience.Done():
			return errors.Is(patience.Err(), context.DeadlineExceeded)
		}
	}
}

// Sweep publishes sessions that have ended and removes revocations that have expired. It
// reports whether there may be more of either.
func (f *Feed) Sweep(ctx context.Context) (more bool, err error) {
	if more, err = f.update(ctx); err != nil {
		return false, err
	}
	removed, err := f.Store.Purge(ctx, model.TimeOf(f.Now()), feedBatch)
	return more || removed == feedBatch, err
}

func (f *Feed) parse(ctx context.Context, cursor string) (int64, error) {
	if cursor == "" {
		return 0, nil
	}
	seq, err := strconv.ParseInt(cursor, 10, 64)
	if err != nil || seq < 0 || strconv.FormatInt(seq, 10) != cursor {
		return 0, model.MalformedField("since", model.ReasonFormat)
	}
	ctx, cancel := context.WithTimeout(ctx, model.StorageTime)
	defer cancel()
	newest, err := f.Store.Newest(ctx)
	if err != nil && !errors.Is(err, model.ErrNotFound) {
		return 0, err
	}
	if seq > newest.Seq {
		return 0, model.MalformedField("since", model.ReasonUnknown)
	}
	return seq, nil
}

// look publishes the sessions that have ended, then reads the feed.
func (f *Feed) look(ctx context.Context, seq int64) ([]model.Revocation, error) {
	ctx, cancel := context.WithTimeout(ctx, model.StorageTime)
	defer cancel()
	if _, err := f.update(ctx); err != nil {
		return nil, err
	}
	return f.Store.After(ctx, seq, model.TimeOf(f.Now()), feedBatch)
}

// update publishes the sessions that have ended until now, at most feedBatch, and reports
// whether this call found that many. Callers that arrive during an update share the next
// one.
func (f *Feed) update(ctx context.Context) (full bool, err error) {
	err = f.updates.Do(ctx, func() error {
		now := model.TimeOf(f.Now())
		unpublished, _, err := f.unpublished(ctx, now)
		if err != nil || len(unpublished) == 0 {
			return err
		}
		full = len(unpublished) == feedBatch
		return f.Tx.Within(ctx, func(ctx context.Context) error { return f.publish(ctx, now) })
	})
	return full, err
}

// publish gives the next numbers to the sessions that ended, under the feed's gate.
func (f *Feed) publish(ctx context.Context, now model.Time) error {
	if err := f.Gates.Gate(ctx, []byte("feed"), now); err != nil {
		return err
	}
	unpublished, newest, err := f.unpublished(ctx, now)
	if err != nil || len(unpublished) == 0 {
		return err
	}
	revocations := make([]model.Revocation, 0, len(unpublished))
	for i, s := range unpublished {
		revocations = append(revocations, model.Revocation{
			Seq: newest.Seq + int64(i) + 1, SessionID: s.ID, UserID: s.UserID, Reason: s.EndReason, EndedAt: s.EndedAt, Exp: s.MaxExp,
		})
	}
	return f.Store.Publish(ctx, revocations)
}

func (f *Feed) unpublished(ctx context.Context, now model.Time) ([]model.Session, model.Revocation, error) {
	newest, err := f.Store.Newest(ctx)
	if err != nil && !errors.Is(err, model.ErrNotFound) {
		return nil, newest, err
	}
	since := min(newest.EndedAt, now) // a clock that was set back hides nothing
	unpublished, err := f.Store.Unpublished(ctx, max(0, since.Add(-feedWindow)), now, feedBatch)
	return unpublished, newest, err
}

// coalescer lets concurrent callers that want the same work done share it. The zero
// value is ready to use.
type coalescer struct {
	once  sync.Once
	gate  chan struct{} // held by the caller that works
	begun atomic.Int64  // turns that have begun
	done  int64         // the newest turn that succeeded; guarded by gate
}

// Do returns once a turn that began after the call has succeeded: that of another
// caller, or else act. The error of a turn is returned to its own caller alone; the next
// caller tries again.
//
// Errors: those of act; model.ErrUnavailable if ctx ends before.
func (s *coalescer) Do(ctx context.Context, act func() error) error {
	s.once.Do(func() { s.gate = make(chan struct{}, 1) })
	before := s.begun.Load()
	select {
	case s.gate <- struct{}{}:
	case <-ctx.Done():
		return model.ErrUnavailable.Wrap(ctx.Err())
	}
	defer func() { <-s.gate }()
	if s.done > before {
		return nil
	}
	turn := s.begun.Add(1)
	if err := act(); err != nil {
		return err
	}
	s.done = turn
	return nil
}
