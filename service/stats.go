package service

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"menshen/model"
)

// Stats counts what happened in one hour or day (UTC).
type Stats struct {
	From      model.Time
	Events    map[model.Kind]int64 // lines of the log; a ban has one of its own and one for each session
	Redeemed  int64                // codes, by logins, deletions and changes of number
	Kicked    int64                // sessions ended by kicks; a kick that ended none counts as one
	Cost      int64                // of messages whose rows are kept, in millionths of the unit of sms.prices
	Logins    []Breakdown
	Registers []Breakdown
}

// Breakdown is a count by product and source.
type Breakdown struct {
	ProductType int32
	Source      string
	Count       int64
}

// Bounds of the span that Stats counts.
const (
	day         = 24 * time.Hour
	maxStats    = 92 * day
	hourlyStats = 3 * day // longer spans are counted by day, not by hour
)

// Stats counts the log by hour, or beyond three days by day (UTC), and the sessions that
// are active now by product. It leaves out hours and days in which nothing happened. The first
// and the last are cut off at from (inclusive) and to (exclusive). Without bounds Stats
// counts the last 24 hours. It counts what the operator's companies did.
//
// Errors: model.ErrMalformed when from is not before to or they are too far apart.
func (a *Audit) Stats(ctx context.Context, by Operator, from, to model.Time) ([]Stats, map[int32]int64, error) {
	now := model.TimeOf(a.Now())
	if to == 0 {
		to = now + 1 // what happened this millisecond too
	}
	if from == 0 {
		from = to.Add(-day)
	}
	if from >= to || to.Sub(from) > maxStats {
		return nil, nil, model.MalformedField("from", model.ReasonRange)
	}
	bucket := time.Hour
	if to.Sub(from) > hourlyStats {
		bucket = day
	}
	span := model.EventSpan{From: from, To: to, Bucket: bucket, Companies: by.Companies}
	counts, err := a.Store.Count(ctx, span)
	if err != nil {
		return nil, nil, err
	}
	costs, err := a.Sent.Costs(ctx, span)
	if err != nil {
		return nil, nil, err
	}
	active, err := a.Active.CountActive(ctx, by.Companies, now)
	stats := statsOf(counts)
	for i := range stats {
		stats[i].Cost = costs[stats[i].From]
	}
	return stats, active, err
}

// statsOf returns one Stats for each bucket of counts, which must be in order.
func statsOf(counts []model.EventCount) []Stats {
	var all []Stats
	for _, c := range counts {
		if len(all) == 0 || all[len(all)-1].From != c.Bucket {
			all = append(all, Stats{From: c.Bucket, Events: map[model.Kind]int64{}})
		}
		stats := &all[len(all)-1]
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
	for i := range all {
		all[i].Logins, all[i].Registers = merge(all[i].Logins, compareParts), merge(all[i].Registers, compareParts)
	}
	return all
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
