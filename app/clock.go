package app

import (
	"context"
	"sync/atomic"
	"time"

	"menshen/internal/loop"
	"menshen/model"
	"menshen/repository"
)

// Clock is the database's time, so that instances whose own clocks differ agree
// about grace, codes and bans. Between two measurements it goes by a clock that is never
// set: a step of this machine's own clock does not matter. On SQLite it is this machine's
// clock, and a step of it is a step of the deployment's time.
type Clock struct {
	db     *repository.DB
	own    func() time.Time // this machine's, which may be set
	steady func() time.Time // of this process, which is never set and may be wrong
	offset atomic.Int64     // nanoseconds by which the database's clock is ahead of steady
	ahead  atomic.Int64     // the same of own
	latest atomic.Int64     // model.Time: the newest that the deployment has seen
}

// NewClock returns a clock that follows own until the first measurement.
func NewClock(db *repository.DB, own, steady func() time.Time) *Clock {
	c := &Clock{db: db, own: own, steady: steady}
	c.offset.Store(int64(own().Sub(steady())))
	return c
}

// clockInterval is the time between two measurements. A difference of at most
// clockNoise and the round trip is noise.
const (
	clockInterval = time.Second
	clockNoise    = 25 * time.Millisecond
)

// Now is the time that all rules use.
func (c *Clock) Now() time.Time {
	if c.isOwn() {
		return c.own()
	}
	return c.steady().Add(time.Duration(c.offset.Load()))
}

// Latest is the newest time that the deployment may have seen: it stays when a clock is set
// back. What was made before that is not from the future. It asks this machine's clock as
// well, because the other one stands still while a machine sleeps.
func (c *Clock) Latest() time.Time {
	own := c.own().Add(time.Duration(c.ahead.Load()))
	return max(model.TimeOf(c.Now()), model.TimeOf(own), model.Time(c.latest.Load())).Std()
}

// Saw notes a time that the deployment has seen.
func (c *Clock) Saw(at model.Time) {
	for seen := c.latest.Load(); int64(at) > seen && !c.latest.CompareAndSwap(seen, int64(at)); {
		seen = c.latest.Load()
	}
}

func (c *Clock) isOwn() bool { return c.db.Driver() == repository.SQLite }

func (c *Clock) measure(ctx context.Context) error {
	if !c.isOwn() {
		ctx, cancel := context.WithTimeout(ctx, 3*clockInterval)
		defer cancel()
		before := c.steady()
		theirs, err := c.db.Clock(ctx)
		if err != nil {
			return err
		}
		roundTrip := c.steady().Sub(before)
		offset := theirs.Sub(before.Add(roundTrip / 2))
		if (offset - time.Duration(c.offset.Load())).Abs() > clockNoise+roundTrip {
			c.offset.Store(int64(offset))
		}
		c.ahead.Store(int64(c.Now().Round(0).Sub(c.own().Round(0))))
	}
	c.Saw(model.TimeOf(c.Now()))
	return nil
}

func (c *Clock) run(ctx context.Context) { loop.Every(ctx, clockInterval, c.measure, nil) }
