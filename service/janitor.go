package service

import (
	"context"
	"errors"
	"time"

	"menshen/model"
)

// Janitor notes the end of sessions that nobody asks about, removes what is older
// than its retention, and seals anew what older secrets sealed. Several instances
// may sweep at once.
type Janitor struct {
	Store    JanitorStore
	Feed     *Feed
	Sessions *Sessions
	Seals    *Resealer
	Now      func() time.Time
	Report   func(err error)
	Swept    func(err error) // optional: told of each sweep, with nil when it did all; is not to wait

	next string // where the sweep over the sessions goes on
}

// Retention (ASVS 14.2.7). Codes outlive a day by more than their own life,
// because their failures count until a day after it.
const (
	keepCodes    = 26 * time.Hour
	keepSessions = 90 * day
	keepEvents   = 180 * day

	// JanitorEvery is the time between two sweeps.
	JanitorEvery = 5 * time.Second
	sweepBatch   = 500
	sweepTime    = 3 * time.Second
)

// Run sweeps until ctx ends.
func (j *Janitor) Run(ctx context.Context, every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	failing := false // told once, until it is well again
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		err := j.Sweep(ctx)
		if j.Swept != nil && ctx.Err() == nil {
			j.Swept(err)
		}
		if err != nil && !failing && ctx.Err() == nil {
			j.Report(err)
		}
		failing = err != nil
	}
}

// Sweep does a batch of everything. It is not for concurrent use.
func (j *Janitor) Sweep(ctx context.Context) error {
	now := model.TimeOf(j.Now())
	return errors.Join(
		j.within(ctx, func(ctx context.Context) error { return j.expire(ctx, now) }),
		j.within(ctx, func(ctx context.Context) error {
			_, err := j.Store.Codes(ctx, now.Add(-keepCodes), sweepBatch)
			return err
		}),
		j.within(ctx, func(ctx context.Context) error {
			_, err := j.Store.Sessions(ctx, now.Add(-keepSessions), sweepBatch)
			return err
		}),
		j.within(ctx, func(ctx context.Context) error {
			_, err := j.Store.Events(ctx, now.Add(-keepEvents), sweepBatch)
			return err
		}),
		j.within(ctx, func(ctx context.Context) error {
			_, err := j.Store.Gates(ctx, now.Add(-keepCodes), sweepBatch)
			return err
		}),
		j.within(ctx, j.Feed.Sweep),
		j.within(ctx, j.Seals.Sweep),
	)
}

func (j *Janitor) within(ctx context.Context, act func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, sweepTime)
	defer cancel()
	return act(ctx)
}

// expire ends the overdue sessions of the next stretch of the table.
func (j *Janitor) expire(ctx context.Context, now model.Time) error {
	overdue, next, err := j.Store.Overdue(ctx, j.next, now, sweepBatch)
	if err != nil {
		return err
	}
	for _, session := range overdue {
		if err := j.Sessions.expire(ctx, session, now); err != nil {
			return err
		}
	}
	j.next = next
	return nil
}
