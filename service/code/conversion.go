package code

import (
	"context"
	"encoding/json"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"menshen/internal/loop"
	"menshen/model"
)

// AlarmConversion is the subject of alarms of Conversions: a provider and a region.
const AlarmConversion = "conversion"

const (
	// ConversionEvery is the time between two looks whether a count is due.
	ConversionEvery = 250 * time.Millisecond
	// countedMost is the longest time between two counts. Shorter windows are counted four
	// times each.
	countedMost    = 15 * time.Second
	conversionTime = 5 * time.Second // of a count
)

// ConversionRules say when a provider's messages no longer arrive.
type ConversionRules struct {
	Window time.Duration
	Margin int // percentage points below the day before
	Least  int // counted messages
}

// LowConversion is an alarm: far fewer messages of a provider to a region are redeemed than
// on the day before.
type LowConversion struct {
	Provider, Region string
	Ratio, Before    float64
}

// Conversions measures how many of the accepted messages are redeemed, by provider and region,
// and raises an alarm where they are far fewer than on the day before. Only numbers that were
// known count, so that strangers move nothing.
type Conversions struct {
	Alarms *Alarms
	Store  MessageStore
	Now    func() time.Time
	// OnCount receives each count, and OnLow each alarm whose event this instance wrote. They
	// may be nil and must not block.
	OnCount func([]model.Conversion)
	OnLow   func(LowConversion)
	// OnError receives the first of consecutive errors. It may be nil and must not block.
	OnError func(err error)

	rules atomic.Pointer[ConversionRules]

	mu   sync.Mutex
	next time.Time
}

// SetRules changes the rules. Before the first call nothing is counted.
func (c *Conversions) SetRules(rules ConversionRules) { c.rules.Store(&rules) }

// Run counts until ctx ends.
func (c *Conversions) Run(ctx context.Context, interval time.Duration) {
	loop.Every(ctx, interval, func(ctx context.Context) error {
		if !c.due() {
			return nil
		}
		return c.Judge(ctx)
	}, c.OnError)
}

// due reports whether the time for the next count has come, and sets that of the one after.
func (c *Conversions) due() bool {
	rules := c.rules.Load()
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.Now()
	if rules == nil || now.Before(c.next) && c.next.Sub(now) <= countedMost {
		return false
	}
	c.next = now.Add(min(rules.Window/4, countedMost))
	return true
}

// Judge counts once.
func (c *Conversions) Judge(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, conversionTime)
	defer cancel()
	rules, now := c.rules.Load(), model.TimeOf(c.Now())
	if rules == nil {
		return nil
	}
	began := now.Add(-rules.Window)
	counts, err := c.Store.Conversion(ctx, began, now)
	if err != nil {
		return err
	}
	if c.OnCount != nil {
		c.OnCount(counts)
	}
	var suspicious []model.Conversion
	for _, count := range counts {
		// A ratio that is the margin below 100 % at the most needs no comparison.
		if count.Counted >= rules.Least && rules.isBelow(count.Ratio(), 1) {
			suspicious = append(suspicious, count)
		}
	}
	if len(suspicious) == 0 {
		return nil
	}
	day, err := c.Store.Conversion(ctx, began.Add(-day), began)
	if err != nil {
		return err
	}
	for _, count := range suspicious {
		for _, before := range day {
			if before.Provider == count.Provider && before.Region == count.Region && rules.isBelow(count.Ratio(), before.Ratio()) {
				low := LowConversion{Provider: count.Provider, Region: count.Region, Ratio: count.Ratio(), Before: before.Ratio()}
				if err := c.raise(ctx, low, rules.Window, now); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// isBelow reports whether the ratio is at least the margin below the one before.
func (r ConversionRules) isBelow(ratio, before float64) bool {
	const rounding = 1e-9
	return (before-ratio)*100 >= float64(r.Margin)-rounding
}

// raise writes the alarm's event, once per provider, region and window over all instances.
func (c *Conversions) raise(ctx context.Context, low LowConversion, window time.Duration, now model.Time) error {
	raised := false
	err := c.Alarms.Tx.Within(ctx, func(ctx context.Context) (err error) {
		raised, err = c.Alarms.Store.Raise(ctx, alarmName(AlarmConversion, low.Provider+"|"+low.Region), now.Add(-window), now)
		if err != nil || !raised {
			return err
		}
		return c.Alarms.Events.Append(ctx, model.Event{
			At: now, Kind: model.EventConversionLow, Actor: model.ActorSystem,
			Detail: low.detail(),
		})
	})
	if err == nil && raised && c.OnLow != nil {
		c.OnLow(low)
	}
	return err
}

// detail is that of the event: the ratios are numbers with two decimals.
func (l LowConversion) detail() string {
	share := func(ratio float64) float64 { return math.Round(100*ratio) / 100 }
	text, _ := json.Marshal(map[string]any{"provider": l.Provider, "region": l.Region, "ratio": share(l.Ratio), "before": share(l.Before)})
	return string(text) // strings and finite numbers always marshal
}
