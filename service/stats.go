package service

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"menshen/model"
)

// Stats counts what happened in one minute, hour or day (UTC).
type Stats struct {
	From      model.Time
	Events    map[model.Kind]int64 // lines of the log; a ban has one of its own and one for each session
	Redeemed  int64                // codes, by logins, deletions and changes of number
	Kicked    int64                // sessions ended by kicks; a kick that ended none counts as one
	Cost      int64                // of messages whose rows are kept, in millionths of the unit of sms.prices
	Logins    []Breakdown
	Registers []Breakdown
	Returned  []Breakdown         // Registers whose account was used a day later or after that
	Vendors   []model.VendorCount // of messages whose rows are kept, by provider and region
}

// Breakdown is a count by product and source.
type Breakdown struct {
	ProductType int32
	Source      string
	Count       int64
}

// StatsQuery is a span of time and the length of its periods. Members may be missing.
type StatsQuery struct {
	From, To model.Time // inclusive, exclusive
	Step     string     // "minute", "hour" or "day"
}

const day = 24 * time.Hour

// statsSteps are the periods that Stats can count, and how long a span may be for each. Days have
// no bound (0) but the retention of events. Without a step the span chooses between hour and day.
var statsSteps = map[string]struct{ length, longest time.Duration }{
	"minute": {time.Minute, 3 * time.Hour}, "hour": {time.Hour, 3 * day}, "day": {length: day},
}

// span returns what a query asks for at now.
func (q StatsQuery) span(now model.Time) (model.EventSpan, error) {
	if q.To == 0 {
		q.To = now + 1 // what happened this millisecond too
	}
	if q.From == 0 {
		q.From = q.To.Add(-day)
	}
	length := int64(q.To - q.From) // ms: a Duration ends after 292 years
	chosen := q.Step
	if chosen == "" {
		chosen = "day"
		if length <= statsSteps["hour"].longest.Milliseconds() {
			chosen = "hour"
		}
	}
	step, known := statsSteps[chosen]
	switch {
	case !known:
		return model.EventSpan{}, model.MalformedField("step", model.ReasonUnknown)
	case length <= 0 || step.longest > 0 && length > step.longest.Milliseconds():
		return model.EventSpan{}, model.MalformedField("from", model.ReasonRange)
	}
	return model.EventSpan{From: q.From, To: q.To, Bucket: step.length}, nil
}

// Stats counts the log by minute, hour or day (UTC), and the sessions that are active now by
// product. It leaves out periods in which nothing happened. The first and the last are cut off
// at the bounds of the query. Without bounds Stats counts the last 24 hours, and without a step
// by hour, or beyond three days by day. It counts what the operator's companies did.
//
// Errors: model.ErrMalformed when from is not before to, they are too far apart for the step,
// or the step is unknown.
func (a *Audit) Stats(ctx context.Context, by Operator, q StatsQuery) ([]Stats, map[int32]int64, error) {
	now := model.TimeOf(a.Now())
	span, err := q.span(now)
	if err != nil {
		return nil, nil, err
	}
	span.Companies = by.Companies
	all := periods{}
	for _, count := range []func(context.Context, periods, model.EventSpan) error{a.countEvents, a.countReturned, a.countVendors} {
		if err := count(ctx, all, span); err != nil {
			return nil, nil, err
		}
	}
	active, err := a.Active.CountActive(ctx, by.Companies, now)
	return all.sorted(), active, err
}

// periods are the Stats of a span by the time at which they begin.
type periods map[model.Time]*Stats

// at returns the period that begins at from.
func (p periods) at(from model.Time) *Stats {
	if p[from] == nil {
		p[from] = &Stats{From: from, Events: map[model.Kind]int64{}}
	}
	return p[from]
}

// sorted returns the periods in their order.
func (p periods) sorted() []Stats {
	var all []Stats
	for _, from := range slices.Sorted(maps.Keys(p)) {
		stats := *p[from]
		for _, parts := range []*[]Breakdown{&stats.Logins, &stats.Registers, &stats.Returned} {
			*parts = merge(*parts, compareParts)
		}
		all = append(all, stats)
	}
	return all
}

func (a *Audit) countEvents(ctx context.Context, all periods, span model.EventSpan) error {
	counts, err := a.Store.Count(ctx, span)
	for _, c := range counts {
		stats := all.at(c.Bucket)
		stats.Events[c.Kind] += c.Count
		switch c.Kind { //nolint:exhaustive // the others have no parts
		case model.EventLogin:
			stats.Redeemed += c.Count
			stats.Logins = appendPart(stats.Logins, c)
		case model.EventRegister:
			stats.Registers = appendPart(stats.Registers, c)
		case model.EventUserDeleted:
			stats.Redeemed += c.Count
		case model.EventNumberChanged:
			stats.Redeemed += 2 * c.Count // one code for each number
		case model.EventKick:
			stats.Kicked += c.Sessions
		}
	}
	return err
}

func (a *Audit) countReturned(ctx context.Context, all periods, span model.EventSpan) error {
	counts, err := a.Store.Returned(ctx, span)
	for _, c := range counts {
		stats := all.at(c.Bucket)
		stats.Returned = appendPart(stats.Returned, c)
	}
	return err
}

func (a *Audit) countVendors(ctx context.Context, all periods, span model.EventSpan) error {
	counts, err := a.Sent.Vendors(ctx, span)
	for _, c := range counts {
		stats := all.at(c.Bucket)
		stats.Cost += c.Cost
		stats.Vendors = append(stats.Vendors, c)
	}
	return err
}

// appendPart adds a count with its product and source. A line of another form is left
// out.
func appendPart(parts []Breakdown, c model.EventCount) []Breakdown {
	var detail struct{ ProductType, Source string }
	if json.Unmarshal([]byte(c.Detail), &detail) != nil {
		return parts
	}
	product, err := strconv.ParseInt(detail.ProductType, 10, 32)
	if err != nil {
		return parts
	}
	return append(parts, Breakdown{ProductType: int32(product), Source: detail.Source, Count: c.Count})
}

func compareParts(a, b Breakdown) int {
	return cmp.Or(cmp.Compare(a.ProductType, b.ProductType), strings.Compare(a.Source, b.Source))
}

// merge sorts parts and adds up those that are equal. A client chooses its source, so
// there may be as many parts as logins.
func merge(parts []Breakdown, compare func(a, b Breakdown) int) []Breakdown {
	slices.SortFunc(parts, compare)
	merged := parts[:0]
	for _, part := range parts {
		if last := len(merged) - 1; last >= 0 && compare(merged[last], part) == 0 {
			merged[last].Count += part.Count
			continue
		}
		merged = append(merged, part)
	}
	return merged
}
