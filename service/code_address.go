package service

import (
	"context"
	"time"

	"menshen/model"
)

// farFrom is how many messages below a limit need no gate: more than all
// instances have in flight at once, so that what they overshoot is nothing.
const farFrom = 1000

// tally is something that messages are counted for, with its limits.
type tally struct {
	ipKey  string // an address; "" is the whole deployment
	limits []limit
}

func (c *Codes) tallies(code model.Code) []tally {
	return []tally{
		{"", []limit{{day, c.Rules.DailyBudget}}},
		{code.IPKey, []limit{{time.Hour, c.Rules.PerIPHour}, {day, c.Rules.PerIPDay}}},
	}
}

// tooMany is model.ErrTooMany with the time after which nothing refuses any
// more: what is judged after the address, or the alarm, may refuse for longer.
func (c *Codes) tooMany(ctx context.Context, code model.Code, wait time.Duration) error {
	others, err := c.addressWait(ctx, code, c.tallies(code))
	if err != nil {
		return err
	}
	codes, err := c.Store.Recent(ctx, code.NumberKey, code.SentAt.Add(-day), c.history())
	if err != nil {
		return err
	}
	wait = max(wait, others)
	if number := c.numberRefusal(codes, code.SentAt); number != nil {
		wait = max(wait, time.Duration(number.RetryAfter())*time.Second)
	}
	return model.ErrTooMany.After(wait)
}

// grantAddress takes the limits that are not the number's: of the deployment
// and of the address. Near a limit the gate is passed, so that parallel requests
// count each other; far from it they need not wait. It returns those that are
// near.
func (c *Codes) grantAddress(ctx context.Context, code model.Code) (near []tally, err error) {
	for _, t := range c.tallies(code) {
		wait, err := c.longestWait(ctx, t, code.SentAt, farFrom)
		if err != nil {
			return nil, err
		}
		if wait == 0 {
			continue
		}
		if err := c.Store.Gate(ctx, []byte("address|"+t.ipKey), code.SentAt); err != nil {
			return nil, err
		}
		near = append(near, t)
	}
	wait, err := c.addressWait(ctx, code, near)
	if err == nil && wait > 0 {
		err = c.tooMany(ctx, code, wait)
	}
	return near, err
}

// addressWait is how long until all limits of the tallies hold again.
func (c *Codes) addressWait(ctx context.Context, code model.Code, tallies []tally) (time.Duration, error) {
	var longest time.Duration
	for _, t := range tallies {
		wait, err := c.longestWait(ctx, t, code.SentAt, 0)
		if err != nil {
			return 0, err
		}
		longest = max(longest, wait)
	}
	return longest, nil
}

// limit is at most so many messages in a rolling window; 0 is off.
type limit struct {
	window time.Duration
	most   int
}

// longestWait is how long until all limits of the tally, each lowered by margin,
// hold again.
func (c *Codes) longestWait(ctx context.Context, t tally, now model.Time, margin int) (time.Duration, error) {
	var wait time.Duration
	for _, l := range t.limits {
		if l.most == 0 {
			continue
		}
		if l.most <= margin {
			return l.window, nil
		}
		sent, err := c.Store.NthSent(ctx, t.ipKey, now.Add(-l.window), l.most-margin)
		if err != nil {
			return 0, err
		}
		if sent != 0 {
			wait = max(wait, sent.Add(l.window).Sub(now))
		}
	}
	return wait, nil
}
