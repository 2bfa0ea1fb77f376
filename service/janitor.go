package service

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"menshen/internal/loop"
	"menshen/model"
	"menshen/service/vault"
)

// Janitor records the end of sessions that expire without a further request, removes
// what is older than its retention, and re-encrypts numbers that older secrets sealed.
// Several instances may sweep at once. An instance that finds rows removed by another
// leaves the rest to it until its next sweep.
type Janitor struct {
	Store   JanitorStore
	Feed    *Feed
	Endings *Endings
	Seals   *vault.Reencrypter
	Now     func() time.Time
	// OnError may be nil. It receives the first of consecutive errors.
	OnError func(err error)
	// OnSweep may be nil. It receives the outcome of each sweep, and must not block.
	OnSweep func(err error)

	retention atomic.Pointer[Retention]
	next      string // where the next sweep over the sessions begins
}

// Retention is how long rows are kept that only operators and reports need (ASVS 14.2.7).
type Retention struct {
	Sessions time.Duration // after a session's end
	Events   time.Duration
	Messages time.Duration
}

// SetRetention sets how long rows are kept, from the next sweep on. Before the first
// call no ended session and no event is removed. It is safe for concurrent use.
func (j *Janitor) SetRetention(keep Retention) { j.retention.Store(&keep) }

const (
	// keepCodes is more than a day after a code's end, because failed attempts at a code
	// count for a day after it has expired.
	keepCodes = 26 * time.Hour

	// keepReceipts is more than a vendor takes to answer a message, so that a receipt that
	// finds no message by then belongs to none.
	keepReceipts = 10 * time.Minute

	// keepPuzzles is more than the clocks of instances may differ.
	keepPuzzles = 10 * time.Minute

	// SweepInterval is the time between the beginnings of two sweeps.
	SweepInterval = 5 * time.Second
	sweepTime     = 3 * time.Second // of one batch
	sweepBatch    = 200
	eventBatch    = 500 // a login writes several, and they are cheap to remove

	// batchPeriod is the least time between the beginnings of two batches, and restShare
	// of a batch's time the least pause after it.
	batchPeriod = 40 * time.Millisecond
	restShare   = 4

	// sweepStretch is how many sessions are read to find overdue ones. If overdueShare of
	// them or more are overdue, the next stretch is read at once: fewer are not worth
	// reading the table more often. One transaction ends at most endedAtOnce.
	sweepStretch = 2000
	overdueShare = 50
	endedAtOnce  = 50
)

// Run sweeps until ctx ends.
func (j *Janitor) Run(ctx context.Context, interval time.Duration) {
	loop.Every(ctx, interval, func(ctx context.Context) error {
		err := j.Sweep(ctx)
		if j.OnSweep != nil && ctx.Err() == nil {
			j.OnSweep(err)
		}
		return err
	}, j.OnError)
}

// batch handles the next rows of one kind, and reports whether it found as many as it
// may handle at once.
type batch func(ctx context.Context) (full bool, err error)

// Sweep handles one batch of each kind. It goes on with those whose batch was full, until
// none is or SweepInterval has passed. On a busy database a batch waits for its turn as
// every other writer does, on an idle one batches are batchPeriod apart. Sweep is not
// safe for concurrent use.
func (j *Janitor) Sweep(ctx context.Context) error {
	began := j.Now()
	batches := j.batches(model.TimeOf(began))
	var failed []error
	for len(batches) > 0 {
		var left []batch
		for _, do := range batches {
			before := j.Now()
			full, err := withinTime(ctx, do)
			failed = append(failed, err)
			if err != nil || !full {
				continue
			}
			left = append(left, do)
			if took := j.Now().Sub(before); !pause(ctx, max(batchPeriod-took, took/restShare)) {
				return errors.Join(failed...)
			}
		}
		if batches = left; j.Now().Sub(began) >= SweepInterval {
			break
		}
	}
	return errors.Join(failed...)
}

func withinTime(ctx context.Context, do batch) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, sweepTime)
	defer cancel()
	return do(ctx)
}

// pause waits, and reports whether ctx goes on.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(min(d, sweepTime))
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// batches are those of a sweep at now.
func (j *Janitor) batches(now model.Time) []batch {
	remove := func(old func(context.Context, model.Time, int) (int, error), keep time.Duration, limit int) batch {
		return func(ctx context.Context) (bool, error) {
			n, err := old(ctx, now.Add(-keep), limit)
			return n == limit, err
		}
	}
	all := []batch{
		func(ctx context.Context) (bool, error) { return j.expire(ctx, now) },
		j.Feed.Sweep,
		func(ctx context.Context) (bool, error) { return false, j.Seals.Sweep(ctx) },
		remove(j.Store.Codes, keepCodes, sweepBatch),
		remove(j.Store.Gates, keepCodes, sweepBatch),
		remove(j.Store.Receipts, keepReceipts, sweepBatch),
		remove(j.Store.Puzzles, keepPuzzles, sweepBatch),
	}
	if keep := j.retention.Load(); keep != nil {
		all = append(all, remove(j.Store.Sessions, keep.Sessions, sweepBatch), remove(j.Store.Events, keep.Events, eventBatch),
			remove(j.Store.Messages, keep.Messages, sweepBatch))
	}
	return all
}

// expire ends the overdue sessions of the next stretch of the table.
func (j *Janitor) expire(ctx context.Context, now model.Time) (full bool, err error) {
	overdue, next, err := j.Store.Overdue(ctx, j.next, now, sweepStretch, sweepBatch)
	if err != nil {
		return false, err
	}
	for sessions := range slices.Chunk(overdue, endedAtOnce) {
		if err := j.Endings.expire(ctx, now, sessions...); err != nil {
			return false, err
		}
	}
	j.next = next
	return next != "" && len(overdue)*overdueShare >= sweepStretch, nil
}
