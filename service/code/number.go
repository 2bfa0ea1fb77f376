package code

import (
	"context"
	"time"

	"menshen/model"
)

// numberGate is the gate of the code's number and pool. Each pool has its own, so that
// a known device does not wait for strangers.
func numberGate(code model.Code) []byte {
	prefix := map[model.SendPool]string{model.SendOpen: "number|", model.SendKnown: "known|", model.SendChallenged: "challenged|"}[code.SendPool]
	return append([]byte(prefix), code.NumberKey...)
}

// failuresGate is the gate of attempts that could reach the number's limit of failures.
func failuresGate(numberKey []byte) []byte { return append([]byte("failures|"), numberKey...) }

// seqPools is more than the number of pools. A code's pool is the remainder of its Seq by
// seqPools, so that codes of different pools, which pass different gates, never get the
// same Seq.
const seqPools = 4

// nextSeq returns the Seq of a new code: by time, and beyond the number's others.
func nextSeq(codes []model.Code, code model.Code) int64 {
	next := int64(code.SentAt) * seqPools
	if len(codes) > 0 {
		next = max(next, codes[0].Seq-codes[0].Seq%seqPools+seqPools)
	}
	return next + int64(code.SendPool)
}

// recent lists as many codes of a number as the limits need.
func (q *Quotas) recent(ctx context.Context, numberKey []byte, now model.Time) ([]model.Code, error) {
	limit := max(500, q.Limits.PerMobileHour, q.Limits.PerMobileDay, q.Limits.FailsPerMobileDay) + 1
	return q.Store.Recent(ctx, numberKey, now.Add(-day), limit)
}

// refusal is the refusal of a message by a limit of the number.
type refusal struct {
	*model.Failure
	wait      time.Duration
	exhausted bool // by the hour or the day: the challenged pool may have some left
}

// Unwrap returns the failure of the table.
func (r *refusal) Unwrap() error { return r.Failure }

// numberRefusal returns the refusal with the longest wait among the limits of the number
// in the pool, nil if none refuses. codes must be newest first.
func (q *Quotas) numberRefusal(codes []model.Code, pool model.SendPool, now model.Time) *refusal {
	hour, daily := configured(q.Limits.PerMobileHour), configured(q.Limits.PerMobileDay)
	if pool == model.SendChallenged && hour != unlimited {
		hour /= 2
	}
	if pool == model.SendChallenged && daily != unlimited {
		daily /= 2
	}
	var longest *refusal
	consider := func(l limit, f *model.Failure, exhausted bool) {
		wait := windowWait(codes, pool, now, l)
		if wait > 0 && (longest == nil || wait > longest.wait) {
			longest = &refusal{f.After(wait), wait, exhausted}
		}
	}
	consider(limit{q.Limits.Cooldown, 1}, model.ErrCooldown, false)
	ofHour := model.ErrCooldown
	if pool == model.SendChallenged { // no other pool is left
		ofHour = model.ErrDailyLimit
	}
	consider(limit{time.Hour, hour}, ofHour, true)
	consider(limit{day, daily}, model.ErrDailyLimit, true)
	return longest
}

// refusedMost is how many codes of a number and a pool may be refused by the providers in
// an hour. They are charged to no limit of the number, those of the known pool to none at
// all, and each is a row, an event and a request to every provider.
const refusedMost = 20

// refuse returns the refusal of a code by a limit of its number, nil if none refuses it.
// codes must be newest first.
func (q *Quotas) refuse(ctx context.Context, codes []model.Code, code model.Code) error {
	if refusal := q.numberRefusal(codes, code.SendPool, code.SentAt); refusal != nil {
		return refusal
	}
	if len(codes) == 0 || codes[0].Delivery != model.DeliveryRefused {
		return nil
	}
	sent, err := q.Store.NthRefused(ctx, code, code.SentAt.Add(-time.Hour), refusedMost)
	if err != nil || sent == 0 {
		return err
	}
	wait := sent.Add(time.Hour).Sub(code.SentAt)
	return &refusal{model.ErrCooldown.After(wait), wait, false}
}

// windowWait returns how long until fewer than l.most codes of the pool lie in the
// rolling window.
func windowWait(codes []model.Code, pool model.SendPool, now model.Time, l limit) time.Duration {
	if l.most == unlimited || l.window == 0 { // off, even for a code sent by a faster clock
		return 0
	}
	if l.most == 0 {
		return l.window
	}
	for _, code := range codes {
		if !charged(code, pool) {
			continue
		}
		if l.most--; l.most == 0 {
			return code.SentAt.Add(l.window).Sub(now)
		}
	}
	return 0
}

// charged reports whether the code counts in the pool. Refused codes were never sent and
// do not count, nor do those that an operator has forgiven.
func charged(code model.Code, pool model.SendPool) bool {
	return code.SendPool == pool && code.Delivery != model.DeliveryRefused && !code.Forgiven
}

// mayLock reports whether attempts on the number's live codes, and on one of each pool that
// is sent meanwhile, could reach the limit of failures. If they cannot, attempts need not
// count each other.
func (q *Quotas) mayLock(codes []model.Code, now model.Time) bool {
	reachable := int(model.SendChallenged+1) * q.Limits.MaxAttempts
	for _, code := range codes {
		if code.UsedAt == 0 && now < code.ExpiresAt {
			reachable += max(q.Limits.MaxAttempts, failures(code))
		} else {
			reachable += failures(code)
		}
	}
	return q.Limits.FailsPerMobileDay != 0 && reachable > q.Limits.FailsPerMobileDay
}

// failuresWait returns how long until the number has fewer failed comparisons than
// allowed. The failures of a code count until a day after the code expires. codes must
// be newest first.
func (q *Quotas) failuresWait(codes []model.Code, now model.Time) time.Duration {
	if q.Limits.FailsPerMobileDay == 0 {
		return 0
	}
	failed := 0
	for _, code := range codes {
		failed += failures(code)
		if failed >= q.Limits.FailsPerMobileDay { // without this code and the older ones, the sum is below the limit
			return code.ExpiresAt.Add(day).Sub(now)
		}
	}
	return 0
}

// failures counts the wrong comparisons of the code without its ticket. The redemption of
// a code takes its failures back.
func failures(code model.Code) int {
	if code.UsedAt != 0 {
		return 0
	}
	return int(code.Attempts - code.Spared)
}

// knownMisses is the number of unredeemed codes of the known pool after which a device
// credential has no effect until the number redeems a code.
const knownMisses = 3

// knownSpent reports whether knownMisses codes of the known pool have ended unredeemed
// since the number last redeemed a code. It counts the codes of the last day.
func knownSpent(codes []model.Code, now model.Time) bool {
	var redeemed model.Time
	for _, code := range codes {
		redeemed = max(redeemed, code.UsedAt)
	}
	misses := 0
	for _, code := range codes {
		if code.SendPool == model.SendKnown && code.UsedAt == 0 && code.DeadAt == 0 && code.ExpiresAt <= now && code.ExpiresAt > redeemed {
			misses++
		}
	}
	return misses >= knownMisses
}
