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

// Feed tells back ends of ended sessions. Sessions enter it when somebody reads
// and with every sweep of the janitor, so that there never is much to catch up
// on. Any number of readers of one Feed cost the database one look at what is new
// per end, and while no session ends, one at the end of each wait.
type Feed struct {
	Tx    Tx
	Store FeedStore
	Gates Gates
	Hub   *Hub
	Now   func() time.Time

	updates shared
}

const (
	feedBatch = 500
	feedEvery = 200 * time.Millisecond // the least time between two looks of a held request
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
// Without any it waits up to wait for the next, and looks once more when that is
// over: an end may have been committed that nobody has heard of yet. Nothing is told twice to who
// goes on from Next, and nothing is missed, whatever the order of commits. A
// cursor is good on every instance and after every restart.
//
// Errors: model.ErrMalformed for a cursor that was never given.
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
		ended := f.Hub.anyEnd() // before the look, so that none is slept through
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

// idle waits for the end of any session, and then for leave to look again, but no
// longer than patience lasts. It reports whether somebody still wants another
// look: not when the client has left or this process ends.
func (f *Feed) idle(patience context.Context, ended <-chan struct{}, again <-chan time.Time) bool {
	select {
	case <-ended:
	case <-f.Hub.stopped:
		return false
	case <-patience.Done():
		return errors.Is(patience.Err(), context.DeadlineExceeded)
	}
	select {
	case <-again:
		return true
	case <-f.Hub.stopped:
		return false
	case <-patience.Done():
		return errors.Is(patience.Err(), context.DeadlineExceeded)
	}
}

// Sweep lets what has ended enter the feed and removes what is of no interest
// any more.
func (f *Feed) Sweep(ctx context.Context) error {
	if err := f.update(ctx); err != nil {
		return err
	}
	_, err := f.Store.Purge(ctx, model.TimeOf(f.Now()), feedBatch)
	return err
}

func (f *Feed) parse(ctx context.Context, cursor string) (int64, error) {
	if cursor == "" {
		return 0, nil
	}
	seq, err := strconv.ParseInt(cursor, 10, 64)
	if err != nil || seq < 0 || strconv.FormatInt(seq, 10) != cursor {
		return 0, model.Malformed1("since", model.ReasonFormat)
	}
	ctx, cancel := context.WithTimeout(ctx, storageTime)
	defer cancel()
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
	if err := f.update(ctx); err != nil {
		return nil, err
	}
	return f.Store.After(ctx, seq, model.TimeOf(f.Now()), feedBatch)
}

// update lets what has ended until now enter the feed. Who comes while another
// looks shares the next look with all who wait.
func (f *Feed) update(ctx context.Context) error {
	return f.updates.do(ctx, func() error {
		now := model.TimeOf(f.Now())
		untold, _, err := f.untold(ctx, now)
		if err != nil || len(untold) == 0 {
			return err
		}
		return f.Tx.Within(ctx, func(ctx context.Context) error { return f.tell(ctx, now) })
	})
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
	since := min(newest.EndedAt, now) // a clock that was set back hides nothing
	untold, err := f.Store.Untold(ctx, max(0, since.Add(-feedWindow)), now, feedBatch)
	return untold, newest, err
}

// shared lets those who want the same work done share it. The zero value is ready.
type shared struct {
	once  sync.Once
	gate  chan struct{} // held by who works
	begun atomic.Int64  // turns that have begun
	done  int64         // the newest turn that succeeded; guarded by gate
}

// do returns once a turn has succeeded that began after the call: another's,
// or else act. A turn that fails is its caller's alone; the next one tries anew.
//
// Errors: those of act; model.ErrUnavailable when ctx ends before.
func (s *shared) do(ctx context.Context, act func() error) error {
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
