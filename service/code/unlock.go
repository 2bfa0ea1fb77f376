package code

import (
	"context"
	"errors"
	"time"

	"menshen/model"
)

// Locks are what the limits of a number hold against strangers and new devices.
type Locks struct {
	Failures      int        // wrong comparisons without a ticket
	FailuresUntil model.Time // until then attempts without a ticket are refused; 0: they are not
	CodesToday    int        // messages of the open pool within a day
	NextCodeAt    model.Time // when the open pool sends the next one; 0: at once
}

// Locks returns what the limits of the number hold.
func (q *Quotas) Locks(ctx context.Context, numberKey []byte) (Locks, error) {
	now := model.TimeOf(q.Now())
	codes, err := q.recent(ctx, numberKey, now)
	if err != nil {
		return Locks{}, err
	}
	var locks Locks
	for _, code := range codes {
		locks.Failures += failures(code)
		if charged(code, model.SendOpen) && code.SentAt.Add(day) > now {
			locks.CodesToday++
		}
	}
	if wait := q.failuresWait(codes, now); wait > 0 {
		locks.FailuresUntil = wholeSecond(now.Add(wait))
	}
	err = q.refuse(ctx, codes, model.Code{NumberKey: numberKey, SendPool: model.SendOpen, SentAt: now})
	if refusal, is := errors.AsType[*refusal](err); is {
		locks.NextCodeAt, err = wholeSecond(now.Add(refusal.wait)), nil
	}
	return locks, err
}

// wholeSecond rounds up, so that what was announced for then is so.
func wholeSecond(t model.Time) model.Time { return t.Add(time.Second - time.Millisecond).Second() }

// Unlock makes the limits of the number forget its failures and messages in all pools. It
// returns how many of these limits held something. A closed pool of a live code stays
// closed; shares of addresses and the budget stay. It must run in a transaction. It
// passes all gates of the number, so that no message that a parallel request sends is
// forgotten in part.
func (q *Quotas) Unlock(ctx context.Context, numberKey []byte) (cleared int, err error) {
	now := model.TimeOf(q.Now())
	gates := [][]byte{failuresGate(numberKey)}
	for pool := model.SendOpen; pool <= model.SendChallenged; pool++ {
		gates = append(gates, numberGate(model.Code{NumberKey: numberKey, SendPool: pool}))
	}
	for _, gate := range gates {
		if err := q.Store.Gate(ctx, gate, now); err != nil {
			return 0, err
		}
	}
	codes, err := q.recent(ctx, numberKey, now)
	if err != nil {
		return 0, err
	}
	return q.held(codes, now), q.Store.Forgive(ctx, numberKey)
}

// held counts the limits of the number that are on and hold something.
func (q *Quotas) held(codes []model.Code, now model.Time) (n int) {
	for _, code := range codes {
		if q.Limits.FailsPerMobileDay != 0 && failures(code) > 0 {
			n = 1
		}
	}
	windows := []time.Duration{q.Limits.Cooldown}
	if q.Limits.PerMobileHour != 0 {
		windows = append(windows, time.Hour)
	}
	if q.Limits.PerMobileDay != 0 {
		windows = append(windows, day)
	}
	for pool := model.SendOpen; pool <= model.SendChallenged; pool++ {
		for _, window := range windows {
			if windowWait(codes, pool, now, limit{window, 1}) > 0 {
				n++
			}
		}
	}
	return n
}
