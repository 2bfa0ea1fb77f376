package service

import (
	"context"
	"time"

	"menshen/model"
)

// SessionCounter counts the active sessions of the deployment at intervals, for metrics,
// so that reading metrics often does not load the database.
type SessionCounter struct {
	Store  ActiveStore
	Now    func() time.Time
	OwnNow func() time.Time // this process's clock, to measure how long a count takes
	// OnCount may be nil. It receives the sessions by product, nil when a count failed,
	// and must not block.
	OnCount func(byProduct map[int32]int64)
}

const (
	// CountInterval is the time between two counts.
	CountInterval = 30 * time.Second
	// countShare limits counting to 1/50 of the time: a count scans the whole table.
	countShare = 50
	// firstCount leaves the first seconds of a process to requests.
	firstCount = 2 * time.Second
	// countTime bounds a count. A report may occupy the connection for nearly as long.
	countTime = 8 * time.Second
)

// Run counts soon and then at each interval, until ctx ends; less often where a
// count takes long. A count that fails is repeated after the interval.
func (c *SessionCounter) Run(ctx context.Context, interval time.Duration) {
	timer := time.NewTimer(min(interval, firstCount))
	defer timer.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		began, next := c.OwnNow(), interval
		if c.count(ctx) {
			next = max(interval, countShare*c.OwnNow().Sub(began))
		}
		timer.Reset(next)
	}
}

func (c *SessionCounter) count(ctx context.Context) (counted bool) {
	ctx, cancel := context.WithTimeout(ctx, countTime)
	defer cancel()
	active, err := c.Store.CountActive(ctx, nil, model.TimeOf(c.Now()))
	if err != nil {
		active = nil
	}
	if c.OnCount != nil {
		c.OnCount(active)
	}
	return err == nil
}
