package service

import (
	"context"
	"encoding/json"
	"strconv"
	"time"

	"menshen/model"
)

// Stats is how much of everything happened in one hour or day (UTC).
type Stats struct {
	From      model.Time
	Events    map[model.Kind]int64 // lines of the log; a ban has one of its own and one for each session
	Redeemed  int64                // codes
	Kicked    int64                // sessions; a kick that ended none is a line all the same
	Logins    []Breakdown
	Registers []Breakdown
}

// Breakdown is a count by product and source.
type Breakdown struct {
	ProductType int32
	Source      string
	Count       int64
}

// Bounds of a look at the numbers.
const (
	maxStats    = 92 * day
	hourlyStats = 3 * day // up to this long by the hour, beyond by the day
)

// Stats counts the log by hour, or beyond three days by day (UTC), and the
// sessions that live now by product. Hours and days in which nothing happened are
// left out; the first and the last are cut off at from (inclusive) and to
// (exclusive). Without bounds it is the last day.
//
// Errors: model.ErrMalformed when from is not before to or they are too far apart.
func (a *Audit) Stats(ctx context.Context, from, to model.Time) ([]Stats, map[int32]int64, error) {
	now := model.TimeOf(a.Now())
	if to == 0 {
		to = now + 1 // what happened this millisecond too
	}
	if from == 0 {
		from = to.Add(-day)
	}
	if from >= to || to.Sub(from) > maxStats {
		return nil, nil, model.Malformed1("from", model.ReasonRange)
	}
	bucket := time.Hour
	if to.Sub(from) > hourlyStats {
		bucket = day
	}
	counts, err := a.Store.Count(ctx, from, to, bucket.Milliseconds())
	if err != nil {
		return nil, nil, err
	}
	active, err := a.Active.CountActive(ctx, now)
	return gather(counts), active, err
}

// redeems is how many codes were used up by what a line tells.
func redeems(kind model.Kind) int64 {
	switch kind {
	case model.EventLogin, model.EventUserDeleted:
		return 1
	case model.EventNumberChanged:
		return 2 // one for each number
	default:
		return 0
	}
}

// gather makes one Stats of the counts of each bucket; counts are in order.
func gather(counts []model.EventCount) []Stats {
	var all []Stats
	for _, c := range counts {
		if len(all) == 0 || all[len(all)-1].From != c.Bucket {
			all = append(all, Stats{From: c.Bucket, Events: map[model.Kind]int64{}})
		}
		stats := &all[len(all)-1]
		stats.Events[c.Kind] += c.Count
		stats.Redeemed += redeems(c.Kind) * c.Count
		switch c.Kind { //nolint:exhaustive // the others have no parts
		case model.EventLogin:
			stats.Logins = withPart(stats.Logins, c)
		case model.EventRegister:
			stats.Registers = withPart(stats.Registers, c)
		case model.EventKick:
			stats.Kicked += c.Sessions
		}
	}
	return all
}

// withPart adds a count to its product and source; a line of another form counts,
// but tells no more.
func withPart(parts []Breakdown, c model.EventCount) []Breakdown {
	var told struct{ ProductType, Source string }
	if json.Unmarshal([]byte(c.Detail), &told) != nil {
		return parts
	}
	product, err := strconv.ParseInt(told.ProductType, 10, 32)
	if err != nil {
		return parts
	}
	for i := range parts {
		if parts[i].ProductType == int32(product) && parts[i].Source == told.Source {
			parts[i].Count += c.Count
			return parts
		}
	}
	return append(parts, Breakdown{ProductType: int32(product), Source: told.Source, Count: c.Count})
}
