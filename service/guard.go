package service

import (
	"context"
	"time"

	"menshen/model"
)

// GuardAction is what an alarm means for the sending of codes in its group.
type GuardAction string

// The actions. Whatever the action, the alarm is logged.
const (
	GuardRecord    GuardAction = "record"    // nothing
	GuardDeny      GuardAction = "deny"      // no code is sent until the alarm ends
	GuardChallenge GuardAction = "challenge" // a challenge must be passed for each code
)

// GuardRules say when a group of codes looks like SMS pumping, where somebody
// earns by every message and nobody reads them.
type GuardRules struct {
	Action  GuardAction
	Window  time.Duration // rolling; also how long an alarm stands
	Least   int           // codes before a group is judged
	Percent int           // redeemed of sent, below which there is an alarm; 0 is off
}

// Guard compares, for the numbers that begin alike and for the addresses that
// neighbour, the codes that were redeemed with those that were sent in the
// rolling window. Only codes whose end has come are counted, so that one on its
// way to an honest user is not held against anybody; what a provider refused and
// what went to test numbers was not sent. The nil Guard never alarms.
//
// A group is judged when a code is asked for in it, one of many codes every
// guardEvery at most on each instance. An alarm stands for one
// window, by which time all codes that raised it have left; then the group is
// judged anew by what was sent meanwhile.
type Guard struct {
	Alarms *Alarms
	Rules  GuardRules

	well believed[string] // groups of many codes, by the names of their alarms
}

// guardEvery is how long it is believed of many codes that they are redeemed.
const guardEvery = 5 * time.Second

// guardSample bounds what one judgement reads: the newest codes of a group tell
// its ratio as well as all.
const guardSample = 2000

// group is codes that are judged together.
type group struct {
	what, key string
	name      string // of its alarm
	yield     func(ctx context.Context, key string, span model.YieldSpan) (model.Yield, error)
	told      string // the group for people
}

// watch judges the groups of a code that is asked for, before any transaction,
// and returns for how long an alarm of one of them stands; 0 is none. prefix is
// that of the number, in clear.
func (g *Guard) watch(ctx context.Context, code model.Code, prefix, requestID string) (time.Duration, error) {
	if g == nil || g.Rules.Percent == 0 {
		return 0, nil
	}
	store := g.Alarms.Store
	groups := []group{
		{AlarmPrefix, code.PrefixKey, alarmName(AlarmPrefix, code.PrefixKey), store.PrefixYield, prefix},
		{AlarmBlock, code.BlockKey, alarmName(AlarmBlock, code.BlockKey), store.BlockYield, code.BlockKey},
	}
	raised, err := store.Raised(ctx, []string{groups[0].name, groups[1].name}, code.SentAt.Add(-g.Rules.Window))
	if err != nil {
		return 0, err
	}
	var stands time.Duration
	for _, group := range groups {
		at, up := raised[group.name]
		if !up {
			if up, err = g.judge(ctx, group, code, requestID); err != nil {
				return 0, err
			}
			at = code.SentAt
		}
		if up {
			stands = max(stands, at.Add(g.Rules.Window).Sub(code.SentAt))
		}
	}
	return stands, nil
}

// judge reports whether the group is redeemed too seldom, and raises its alarm.
func (g *Guard) judge(ctx context.Context, group group, code model.Code, requestID string) (bool, error) {
	now := code.SentAt
	if g.well.holds(group.name, now) {
		return false, nil
	}
	life := code.ExpiresAt.Sub(now) // what was sent later lives, unless lives were made shorter meanwhile
	yield, err := group.yield(ctx, group.key, model.YieldSpan{
		Since: now.Add(-g.Rules.Window), Until: now.Add(-life), Ended: now, Most: guardSample,
	})
	if err != nil {
		return false, err
	}
	if !g.Rules.suspect(yield) {
		if yield.Sent == guardSample {
			g.well.keep(group.name, now, guardEvery)
		}
		return false, nil
	}
	return true, g.Alarms.raise(ctx, group.name, Alarm{
		What: group.what, Key: group.told, Sent: yield.Sent, Redeemed: yield.Redeemed, Action: g.Rules.Action, Window: g.Rules.Window,
	}, now, requestID)
}

// suspect reports whether so many codes were sent that the share of redeemed
// ones says something, and it is below the least.
func (r GuardRules) suspect(y model.Yield) bool {
	return y.Sent >= r.Least && y.Redeemed*100 < r.Percent*y.Sent
}

// guarded judges, before the limits do and outside of any transaction, what
// speaks against sending the code: model.ErrTooMany where an alarm denies it.
// It reports whether a challenge must be passed: an alarm demands it, or so much
// of a limit of the address or of the deployment is used up that a program
// rather than people may be at work.
func (c *Codes) guarded(ctx context.Context, code model.Code, r SendRequest, mobile model.Mobile) (bool, error) {
	if code.PrefixKey == "" {
		return false, nil // nothing is sent, so nothing is earned
	}
	stands, err := c.Guard.watch(ctx, code, c.Numbers.Prefix(mobile), r.Caller.RequestID)
	switch {
	case err != nil:
		return false, err
	case stands > 0 && c.Guard.Rules.Action == GuardDeny:
		return false, c.tooMany(ctx, code, stands)
	case c.Challenge == nil:
		return false, nil
	case stands > 0 && c.Guard.Rules.Action == GuardChallenge:
		return true, nil
	}
	return c.nearLimit(ctx, code)
}

// nearLimit reports whether four fifths of a limit of the address or of the
// deployment are used up.
func (c *Codes) nearLimit(ctx context.Context, code model.Code) (bool, error) {
	for _, t := range c.tallies(code) {
		for _, l := range t.limits {
			if l.most == 0 {
				continue
			}
			few, err := c.fewer(ctx, countedFor{t.ipKey, l.window, fourFifths(l.most)}, code.SentAt)
			if err != nil {
				return false, err
			}
			if few {
				continue
			}
			sent, err := c.Store.NthSent(ctx, t.ipKey, code.SentAt.Add(-l.window), fourFifths(l.most))
			if err != nil || sent != 0 {
				return err == nil, err
			}
		}
	}
	return false, nil
}

// fourFifths of a limit, rounded up.
func fourFifths(most int) int { return (4*most + 4) / 5 }
