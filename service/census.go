package service

import (
	"context"
	"time"

	"menshen/model"
)

// Census counts the live sessions of the deployment now and then, for metrics:
// however often these are asked for, the database is asked by one.
type Census struct {
	Active  ActiveCounter
	Now     func() time.Time
	Process func() time.Time                // clock of this process: it only measures how long a count takes
	See     func(byProduct map[int32]int64) // nil when nobody could count; is not to wait
}

// CensusEvery is the time between two counts.
const CensusEvery = 30 * time.Second

const (
	// censusShare bounds the part of the time that counting takes, which reads the
	// whole table: one in so many.
	censusShare = 50
	// censusFirst leaves the first seconds of a process to its users.
	censusFirst = 2 * time.Second
)

// Run counts soon and then at each interval, until ctx ends; less often where a
// count takes long. A count that fails is tried again after the interval.
func (c *Census) Run(ctx context.Context, every time.Duration) {
	timer := time.NewTimer(min(every, censusFirst))
	defer timer.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		began, next := c.Process(), every
		if c.count(ctx) {
			next = max(every, censusShare*c.Process().Sub(began))
		}
		timer.Reset(next)
	}
}

// censusTime is longer than a report may keep the census from a connection.
const censusTime = 8 * time.Second

func (c *Census) count(ctx context.Context) (counted bool) {
	ctx, cancel := context.WithTimeout(ctx, censusTime)
	defer cancel()
	active, err := c.Active.CountActive(ctx, model.TimeOf(c.Now()))
	if err != nil {
		active = nil
	}
	c.See(active)
	return err == nil
}
