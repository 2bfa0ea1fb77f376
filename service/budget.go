package service

import (
	"context"
	"sync/atomic"
	"time"

	"menshen/model"
)

// BudgetEvery is the time between two counts of messages.
const BudgetEvery = 15 * time.Second

// Budget counts the messages of the last 24 hours, for a metric, and raises an
// alarm when four fifths of the daily budget are used: at most once in 24 hours,
// over all instances. It changes nothing of what is sent; the limit is Codes'.
type Budget struct {
	Alarms *Alarms
	Now    func() time.Time
	Report func(err error)

	most atomic.Int64
	sent atomic.Int64
}

// SetMost changes the budget; 0 is none.
func (b *Budget) SetMost(most int) { b.most.Store(int64(most)) }

// Most is the budget.
func (b *Budget) Most() int64 { return b.most.Load() }

// Sent is the number of messages when they were counted last.
func (b *Budget) Sent() int64 { return b.sent.Load() }

// Run counts until ctx ends.
func (b *Budget) Run(ctx context.Context, every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	failing := false // told once, until it is well again
	for {
		err := b.Count(ctx)
		if err != nil && !failing && ctx.Err() == nil {
			b.Report(err)
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// Count counts once.
func (b *Budget) Count(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, sweepTime)
	defer cancel()
	now, most := model.TimeOf(b.Now()), int(b.Most())
	sent, err := b.Alarms.Store.CountSent(ctx, now.Add(-day))
	if err != nil {
		return err
	}
	b.sent.Store(int64(sent))
	if most == 0 || sent < fourFifths(most) {
		return nil
	}
	name := alarmName(AlarmBudget, "")
	if raised, err := b.Alarms.Store.Raised(ctx, []string{name}, now.Add(-day)); err != nil || len(raised) > 0 {
		return err
	}
	return b.Alarms.raise(ctx, name, Alarm{What: AlarmBudget, Sent: sent, Budget: most, Window: day}, now, "")
}
