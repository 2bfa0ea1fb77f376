package code

import (
	"context"
	"slices"
	"time"

	"menshen/model"
)

// Action is the effect of an alarm on the sending of codes in its group.
type Action string

// The actions. Whatever the action, the alarm is logged.
const (
	ActionRecord    Action = "record"    // no effect
	ActionDeny      Action = "deny"      // no code is sent until the alarm ends
	ActionChallenge Action = "challenge" // a challenge must be passed for each code
)

// PumpingRules define when a group of codes looks like SMS pumping: fraud that earns
// money with every message. Its codes are not redeemed.
type PumpingRules struct {
	Action  Action
	Window  time.Duration // rolling; also the duration of an alarm
	Least   int           // least number of codes for a judgement
	Percent int           // share of redeemed codes below which an alarm is raised; 0 is off
	Burst   int           // multiple of the usual rate that is a burst; 0: Bursts is off
}

// Pumping compares how many codes were redeemed with how many were sent in the rolling
// window, for numbers with a common prefix and for neighbouring addresses. It counts
// expired codes alone, because others may still be redeemed, and none that a provider
// refused or that belong to test numbers. Bursts raises the alarms of codes that live,
// with the same effect. A nil Pumping never raises an alarm, and ignores those of Bursts.
//
// A group is judged at each request for a code in it, once enough of its codes have
// expired. A group that was found healthy, or whose alarm has no effect, is not judged again
// by the instance for judgedTime. An alarm lasts for one window: then all codes that raised
// it have left the window.
type Pumping struct {
	Alarms *Alarms
	Rules  PumpingRules

	judged ttlSet[string] // groups that need no judgement for now, by the names of their alarms
}

const (
	judgedTime = 5 * time.Second // for which a judgement is kept
	sampleSize = 2000            // codes of one judgement: the ratio of the newest is as good as that of all
)

// group is a set of codes that are judged together.
type group struct {
	by    model.Grouping
	key   string
	label string // the group for people
}

// groups returns the groups of a requested code: none if no message is sent, or if the
// request is one of the known pool.
func (c candidate) groups() []group {
	if c.code.PrefixKey == "" {
		return nil
	}
	return []group{{model.GroupPrefix, c.code.PrefixKey, c.prefix}, {model.GroupBlock, c.code.BlockKey, c.code.BlockKey}}
}

// alarm is the name of the group's alarm.
func (g group) alarm() string { return alarmName(string(g.by), g.key) }

// ask adds to the survey what suspects needs: alarms that have an effect, and whether as
// many codes of each group have expired as are judged.
func (p *Pumping) ask(survey *model.SendSurvey, c candidate) {
	if p == nil || p.Rules.Percent == 0 {
		return
	}
	now := c.code.SentAt
	for _, group := range c.groups() {
		if p.Rules.Action != ActionRecord {
			survey.Alarms = append(survey.Alarms, group.alarm())
		}
		if !p.judged.Has(group.alarm(), now) {
			survey.Groups = append(survey.Groups, model.GroupSpan{By: group.by, Key: group.key, YieldSpan: p.span(c, p.Rules.Least)})
		}
	}
	survey.AlarmsSince = now.Add(-p.Rules.Window)
}

// suspects reports whether check could find something.
func (*Pumping) suspects(found model.SendFindings) bool {
	return found.Alarms > 0 || slices.Contains(found.Groups, true)
}

// span selects the codes of a group that are judged at a request: the newest most that
// have expired.
func (p *Pumping) span(c candidate, most int) model.YieldSpan {
	now := c.code.SentAt
	life := c.code.ExpiresAt.Sub(now) // a code sent less than life ago has not expired, unless code.ttl was changed
	return model.YieldSpan{Since: now.Add(-p.Rules.Window), Until: now.Add(-life), Ended: now, Most: most}
}

// check judges the groups of a requested code, before any transaction. It returns the
// remaining duration of an alarm of one of them, 0 if there is none.
func (p *Pumping) check(ctx context.Context, c candidate) (time.Duration, error) {
	if p == nil || p.Rules.Percent == 0 {
		return 0, nil
	}
	groups, now := c.groups(), c.code.SentAt
	var names []string
	for _, group := range groups {
		names = append(names, group.alarm())
	}
	raised, err := p.Alarms.Store.Raised(ctx, names, now.Add(-p.Rules.Window))
	if err != nil {
		return 0, err
	}
	var remaining time.Duration
	for _, group := range groups {
		at, up := raised[group.alarm()]
		if !up {
			if up, err = p.evaluate(ctx, group, c); err != nil {
				return 0, err
			}
			at = now
		}
		if !up {
			continue
		}
		remaining = max(remaining, at.Add(p.Rules.Window).Sub(now))
		if p.Rules.Action == ActionRecord {
			p.judged.Add(group.alarm(), now, judgedTime)
		}
	}
	return remaining, nil
}

// evaluate reports whether the share of redeemed codes of the group is too low, and
// raises its alarm.
func (p *Pumping) evaluate(ctx context.Context, group group, c candidate) (bool, error) {
	now := c.code.SentAt
	if p.judged.Has(group.alarm(), now) {
		return false, nil
	}
	yield, err := p.Alarms.Store.Yield(ctx, group.by, group.key, p.span(c, sampleSize))
	if err != nil {
		return false, err
	}
	if !p.Rules.isSuspicious(yield) {
		p.judged.Add(group.alarm(), now, judgedTime)
		return false, nil
	}
	return true, p.Alarms.raise(ctx, Alarm{
		What: string(group.by), Key: group.label, Sent: yield.Sent, Redeemed: yield.Redeemed, Action: p.Rules.Action, Window: p.Rules.Window,
	}, cause{name: group.alarm(), at: now, requestID: c.caller.RequestID})
}

// isSuspicious reports whether enough codes were sent to judge their share of redeemed
// ones, and the share is below Percent.
func (r PumpingRules) isSuspicious(y model.Yield) bool {
	return y.Sent >= r.Least && y.Redeemed*100 < r.Percent*y.Sent
}
