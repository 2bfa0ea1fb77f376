package code

import (
	"context"
	"sync/atomic"
	"time"

	"menshen/internal/loop"
	"menshen/model"
)

// BudgetEvery is the time between two counts of messages.
const BudgetEvery = 15 * time.Second

const countTime = 3 * time.Second // bounds one count

// Budget counts the messages of the last 24 hours, for a metric. It raises an alarm if
// four fifths of what new devices may use of the daily budget are used: at most once in 24
// hours, over all instances. It does not limit sending; Quotas does.
type Budget struct {
	Alarms *Alarms
	Now    func() time.Time
	// OnError receives the first of consecutive errors. It may be nil and must not block.
	OnError func(err error)

	limit atomic.Int64
	open  atomic.Int64
	sent  atomic.Int64
}

// SetLimits changes the budget and its reserve.
func (b *Budget) SetLimits(limits Limits) {
	b.limit.Store(int64(limits.DailyBudget))
	open := 0
	for _, l := range limits.budget(model.SendOpen) {
		if l.window == day {
			open = l.most
		}
	}
	b.open.Store(int64(open))
}

// Limit returns the budget, 0 if there is none.
func (b *Budget) Limit() int64 { return b.limit.Load() }

// Open returns what is left of the budget beside its reserve, 0 if there is none.
func (b *Budget) Open() int64 { return b.open.Load() }

// Sent returns the number of messages at the last count.
func (b *Budget) Sent() int64 { return b.sent.Load() }

// Run counts at once and then at each interval until ctx ends.
func (b *Budget) Run(ctx context.Context, interval time.Duration) {
	loop.NowAndEvery(ctx, interval, b.Count, b.OnError)
}

// Count counts once.
func (b *Budget) Count(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, countTime)
	defer cancel()
	now, limit := model.TimeOf(b.Now()), int(b.Limit())
	sent, err := b.Alarms.Store.CountSent(ctx, now.Add(-day))
	if err != nil {
		return err
	}
	b.sent.Store(int64(sent))
	if limit == 0 || sent < fourFifths(int(b.Open())) {
		return nil
	}
	name := alarmName(AlarmBudget, "")
	if raised, err := b.Alarms.Store.Raised(ctx, []string{name}, now.Add(-day)); err != nil || len(raised) > 0 {
		return err
	}
	return b.Alarms.raise(ctx, Alarm{What: AlarmBudget, Sent: sent, Budget: limit, Window: day}, cause{name: name, at: now})
}
