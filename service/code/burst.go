package code

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"menshen/internal/loop"
	"menshen/model"
)

// BurstEvery is the time between two looks for bursts.
const BurstEvery = 3 * time.Second

const (
	burstTime = time.Minute
	// typingTime is the age from which a code is judged: younger ones may still be on their
	// way to the phone, or from there to the server. With BurstEvery it stays below the 30 s
	// after which a burst must be an alarm.
	typingTime = 25 * time.Second
	maxGroups  = 100_000 // that an instance keeps in memory, at about 200 bytes each
)

// Bursts looks for groups that send several times as many codes as usual, hardly any of
// them redeemed, long before these codes expire and Pumping judges them. It judges the
// groups in which this instance sent a code, by the codes of all instances, also if no
// further request comes. A group has no more than one alarm at a time, whether Bursts or
// Pumping raised it. A nil Bursts finds none.
type Bursts struct {
	Alarms *Alarms
	Now    func() time.Time
	// OnError receives the first of consecutive errors. It may be nil and must not block.
	OnError func(err error)

	rules atomic.Pointer[PumpingRules]

	mu     sync.Mutex
	groups map[string]lively // by the names of their alarms
}

// lively is a group with the time of its newest code that is known.
type lively struct {
	group
	at model.Time
}

// SetRules changes the rules. Without rules no burst is found.
func (b *Bursts) SetRules(rules PumpingRules) { b.rules.Store(&rules) }

// Run looks for bursts at each interval until ctx ends.
func (b *Bursts) Run(ctx context.Context, interval time.Duration) {
	loop.Every(ctx, interval, b.Judge, b.OnError)
}

// note keeps the groups of a stored code for Judge.
func (b *Bursts) note(c candidate) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.groups == nil {
		b.groups = make(map[string]lively)
	}
	for _, group := range c.groups() {
		name := group.alarm()
		if _, kept := b.groups[name]; kept || len(b.groups) < maxGroups {
			b.groups[name] = lively{group, c.code.SentAt}
		}
	}
}

// Judge looks for bursts once.
func (b *Bursts) Judge(ctx context.Context) error {
	now, kept := b.keep()
	rules := b.rules.Load()
	if kept == 0 || rules == nil || rules.Percent == 0 || rules.Burst == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, countTime)
	defer cancel()
	until := now.Add(-typingTime)
	for _, by := range []model.Grouping{model.GroupPrefix, model.GroupBlock} {
		busy, err := b.Alarms.Store.Busy(ctx, by, until.Add(-burstTime), until, rules.Least)
		if err != nil {
			return err
		}
		for key, yield := range busy {
			group, known := b.known(group{by: by, key: key})
			if !known || !rules.isSuspicious(yield) {
				continue
			}
			if err := b.compare(ctx, group, yield, now); err != nil {
				return err
			}
		}
	}
	return nil
}

// keep forgets the groups whose codes can be part of no burst any more. It returns the
// time, and how many groups are left.
func (b *Bursts) keep() (now model.Time, kept int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now = model.TimeOf(b.Now()) // after that of each group
	oldest := now.Add(-typingTime - burstTime)
	for name, group := range b.groups {
		if group.at <= oldest || group.at > now { // of the future: the clock was set back
			delete(b.groups, name)
		}
	}
	return now, len(b.groups)
}

// known returns the group with its label, if this instance sent one of its codes. The
// others are left to the instances that did: only these can name them.
func (b *Bursts) known(g group) (group, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	known, is := b.groups[g.alarm()]
	return known.group, is
}

// compare raises the alarm of a group that sent many codes and redeemed few of them, if it
// usually sends far fewer.
func (b *Bursts) compare(ctx context.Context, group group, yield model.Yield, now model.Time) error {
	rules, store, name := b.rules.Load(), b.Alarms.Store, group.alarm()
	if raised, err := store.Raised(ctx, []string{name}, now.Add(-rules.Window)); err != nil || len(raised) > 0 {
		return err
	}
	began := now.Add(-typingTime - burstTime)
	before, err := store.CountGroup(ctx, group.by, group.key, began.Add(-day), began)
	if err != nil || !rules.isBurst(yield.Sent, before) {
		return err
	}
	return b.Alarms.raise(ctx, Alarm{
		What: string(group.by), Key: group.label, Sent: yield.Sent, Redeemed: yield.Redeemed, Action: rules.Action, Window: rules.Window,
		Burst: burstTime, Usual: float64(before) * float64(burstTime) / float64(day),
	}, cause{name: name, at: now})
}

// isBurst reports whether the codes sent in burstTime are several times as many as the
// average of the day before.
func (r PumpingRules) isBurst(sent, before int) bool {
	return sent*int(day/burstTime) >= r.Burst*before
}
