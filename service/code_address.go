package service

import (
	"context"
	"time"

	"menshen/model"
)

// farFrom is how many messages below a limit need no gate: more than all
// instances have in flight at once, so that what they overshoot is nothing.
const farFrom = 1000

// Bounds of how long a count of messages is believed: as many as are missing to
// a limit are sent by all instances together no faster than mostASecond.
const (
	mostASecond  = 20_000
	longBelieved = 10 * time.Second
)

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
	others, err := c.waitOfAll(ctx, code)
	if err != nil {
		return err
	}
	return model.ErrTooMany.After(max(wait, others))
}

// waitOfAll is how long until no limit refuses such a code any more: of the
// deployment, the address, or the number.
func (c *Codes) waitOfAll(ctx context.Context, code model.Code) (time.Duration, error) {
	wait, err := c.addressWait(ctx, code, c.tallies(code))
	if err != nil {
		return 0, err
	}
	codes, err := c.Store.Recent(ctx, code.NumberKey, code.SentAt.Add(-day), c.history())
	if err != nil {
		return 0, err
	}
	if number := c.numberRefusal(codes, code.SentAt); number != nil {
		wait = max(wait, seconds(number))
	}
	return wait, nil
}

// seconds is the time that a refusal tells the client.
func seconds(refusal *model.Failure) time.Duration {
	return time.Duration(refusal.RetryAfter()) * time.Second
}

// countedFor is a count of messages below which something is far from a limit.
type countedFor struct {
	ipKey  string
	window time.Duration
	below  int
}

// fewer reports whether surely fewer than n messages were sent in the rolling
// window that ends now. A deployment may send millions a day: they are counted
// again only when they could have become n since.
func (c *Codes) fewer(ctx context.Context, what countedFor, now model.Time) (bool, error) {
	if what.below <= 0 {
		return false, nil
	}
	at := model.TimeOf(c.Now()) // now is when the request came, and it may have waited
	if c.far.holds(what, at) {
		return true, nil
	}
	n, err := c.Store.CountSince(ctx, what.ipKey, now.Add(-what.window))
	if err != nil || n >= what.below {
		return false, err
	}
	c.far.keep(what, at, min(longBelieved, time.Duration(what.below-n)*time.Second/mostASecond))
	return true, nil
}

// nearby reports whether one of the tally's limits is no further than farFrom.
func (c *Codes) nearby(ctx context.Context, t tally, now model.Time) (bool, error) {
	for _, l := range t.limits {
		if l.most == 0 {
			continue
		}
		if far, err := c.fewer(ctx, countedFor{t.ipKey, l.window, l.most - farFrom}, now); err != nil || !far {
			return true, err
		}
	}
	return false, nil
}

// grantAddress takes the limits that are not the number's: of the deployment
// and of the address. Near a limit the gate is passed, so that parallel requests
// count each other; far from it they need not wait. It returns those that are
// near.
func (c *Codes) grantAddress(ctx context.Context, code model.Code) (near []tally, err error) {
	for _, t := range c.tallies(code) {
		nearby, err := c.nearby(ctx, t, code.SentAt)
		if err != nil {
			return nil, err
		}
		if !nearby {
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
		wait, err := c.longestWait(ctx, t, code.SentAt)
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

// longestWait is how long until all limits of the tally hold again.
func (c *Codes) longestWait(ctx context.Context, t tally, now model.Time) (time.Duration, error) {
	var wait time.Duration
	for _, l := range t.limits {
		if l.most == 0 {
			continue
		}
		sent, err := c.Store.NthSent(ctx, t.ipKey, now.Add(-l.window), l.most)
		if err != nil {
			return 0, err
		}
		if sent != 0 {
			wait = max(wait, sent.Add(l.window).Sub(now))
		}
	}
	return wait, nil
}
