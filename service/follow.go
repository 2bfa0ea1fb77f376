package service

import (
	"context"
	"time"

	"menshen/model"
)

// Follower reads the log of events for what other instances did, and tells this
// process of it. What this process does itself it has been told already.
//
// Ids are given before commits, and clusters give them out of order, so that a
// lower one may appear after a higher one at any time: the follower does not go
// by ids but reads a window of the database's own time again and again, and
// remembers what it has seen. A transaction that was held open longer than the
// window would be missed; no write may take that long.
type Follower struct {
	Log     EndLog
	Live    *Live
	Hub     *Hub
	Now     func() time.Time // the database's
	Process func() time.Time // this process's
	Report  func(err error)  // told of failed reads

	seen map[int64]model.Time
	last model.Time // when the long window was read last
}

// The reads: often a window that outlasts every healthy write, now and then one
// that outlasts every write that is not, and the first one after an absence
// reaches back to before it. After longestGap that would be too much to read:
// what is remembered from before is given up instead.
const (
	FollowEvery = 200 * time.Millisecond
	shortWindow = 3 * time.Second
	longWindow  = 20 * time.Second
	longEvery   = 800 * time.Millisecond
	longestGap  = 5 * time.Minute
	followTime  = time.Second // bound of one read
)

// Run polls until ctx ends. A read that fails is tried again at the next turn.
func (f *Follower) Run(ctx context.Context, every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	failing := false // told once, until it is well again
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		err := f.Poll(ctx)
		if err != nil && !failing && ctx.Err() == nil {
			f.Report(err)
		}
		failing = err != nil
	}
}

// Poll reads the log once and tells of every end that was not seen yet. It is
// not for concurrent use.
func (f *Follower) Poll(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, followTime)
	defer cancel()
	began, now := f.Process(), model.TimeOf(f.Now())
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
		f.Live.forget()
		f.Hub.tellAll()
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
		f.Live.end(e.SessionID)
		f.Hub.tell(e.SessionID)
	}
	for id, at := range f.seen {
		if now.Sub(at) > 2*longWindow {
			delete(f.seen, id)
		}
	}
	f.Live.Followed(began)
	return nil
}
