package service

import (
	"context"
	"time"

	"menshen/internal/loop"
	"menshen/model"
)

// Follower reads from the event log which sessions other instances ended, and reports
// their ends to the cache and the listeners of this process. [Endings.Within] reports the
// ends of this process.
//
// A lower id may be committed after a higher one, so the follower does not rely on ids: it
// reads a window of the database's own time at each poll, and skips what it has seen. It
// would miss a write that takes longer than longWindow: deadlines keep every write shorter.
type Follower struct {
	Log    EndLog
	Cache  *SessionCache
	Hub    *Hub
	Now    func() time.Time // the database's
	OwnNow func() time.Time // this process's
	// OnError may be nil. It receives the first error of a row of failed reads.
	OnError func(err error)

	seen map[int64]model.Time
	last model.Time // when longWindow was read last
}

// shortWindow covers a write on a healthy database, longWindow the slowest permitted one:
// deadlines keep every write shorter. Once every longEvery, a read covers longWindow, and
// after a gap in reading also the gap. A gap beyond longestGap is too much to read: the
// cache is cleared instead.
const (
	FollowInterval = 200 * time.Millisecond
	shortWindow    = 3 * time.Second
	longWindow     = 20 * time.Second
	longEvery      = 800 * time.Millisecond
	longestGap     = 5 * time.Minute
	followTime     = time.Second // bound of one read
)

// Run polls until ctx ends. A read that fails is repeated after the interval.
func (f *Follower) Run(ctx context.Context, interval time.Duration) {
	loop.Every(ctx, interval, f.Poll, f.OnError)
}

// Poll reads the log once and passes on every end that it has not seen. It is not safe
// for concurrent use.
func (f *Follower) Poll(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, followTime)
	defer cancel()
	began, now := f.OwnNow(), model.TimeOf(f.Now())
	gap := now.Sub(f.last).Abs() // a clock that was set back leaves a gap too
	window := shortWindow
	switch {
	case gap > longestGap:
		window = longWindow
	case gap >= longEvery:
		window = longWindow + gap
	}
	events, err := f.Log.Ends(ctx, now.Add(-window))
	if err != nil {
		return err
	}
	if gap > longestGap {
		f.Cache.removeAll()
		f.Hub.NotifyAll()
	}
	if window > shortWindow {
		f.last = now
	}
	if f.seen == nil {
		f.seen = map[int64]model.Time{}
	}
	for _, e := range events {
		if _, seen := f.seen[e.ID]; seen {
			continue
		}
		f.seen[e.ID] = e.At
		f.Cache.markEnded(e.SessionID)
		f.Hub.Notify(e.SessionID)
	}
	for id, at := range f.seen {
		if now.Sub(at) > 2*longWindow {
			delete(f.seen, id)
		}
	}
	f.Cache.Followed(began)
	return nil
}
