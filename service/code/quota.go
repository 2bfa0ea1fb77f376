package code

import (
	"context"
	"errors"
	"slices"
	"time"

	"menshen/model"
)

// Limits are the limits of codes. A limit of 0 is off. Those of a number hold for each
// pool of sending.
type Limits struct {
	MaxAttempts       int           // comparisons per code and pool of attempts
	Cooldown          time.Duration // between two codes for one number
	PerMobileHour     int
	PerMobileDay      int
	PerIPHour         int // address, IPv6 by /64
	PerIPDay          int
	PerBlockHour      int // neighbouring addresses, IPv4 by /24 and IPv6 by /48
	PerBlockDay       int
	DailyBudget       int // messages of the whole deployment
	HourlyShare       int // percentage of DailyBudget that one hour may use
	Reserve           int // percentage of the budget and of the hour's share for the known pool alone
	FailsPerMobileDay int // wrong comparisons with a live code and without a ticket, over all codes
}

// Quotas holds the limits of numbers, addresses and the deployment.
type Quotas struct {
	Store  Store
	Limits Limits
	Now    func() time.Time

	headroom ttlSet[threshold] // thresholds that are known not to be reached
	suspects ttlSet[string]    // gates behind which a request was refused a moment ago
	full     fullLimits        // limits that were reached a moment ago
}

// gateMargin is how far below a limit requests need no gate. It is more messages than
// all instances have in flight at once, so that the possible overshoot is negligible.
const gateMargin = 1000

// Bounds of how long a count of messages is cached: all instances together send
// at most maxSendRate messages a second.
const (
	maxSendRate  = 20_000
	maxCacheTime = 10 * time.Second
)

// reserve stores the code within the transaction unless a limit refuses it. near are the
// scopes whose gates enterScopes has passed, sent the counts of their windows, as far as
// they were read. It returns after how many seconds the next code would be granted.
func (q *Quotas) reserve(ctx context.Context, code model.Code, near []scope, sent map[model.SendSpan]int) (int64, error) {
	wait, err := q.scopesWait(ctx, near, sent, code.SentAt)
	if err == nil && wait > 0 {
		q.suspect(code, near)
		err = q.tooMany(ctx, code, wait)
	}
	if err != nil {
		return 0, err
	}
	if err := q.Store.Gate(ctx, numberGate(code), code.SentAt); err != nil {
		return 0, err
	}
	codes, err := q.recent(ctx, code.NumberKey, code.SentAt)
	if err != nil {
		return 0, err
	}
	if err := q.refuse(ctx, codes, code); err != nil {
		q.suspect(code, nil)
		return 0, err
	}
	code.Seq = nextSeq(codes, code)
	if err := q.Store.Insert(ctx, code); err != nil {
		return 0, err
	}
	for span := range sent {
		sent[span]++ // this code
	}
	if wait, err = q.scopesWait(ctx, near, sent, code.SentAt); err != nil {
		return 0, err
	}
	var resendAfter int64
	if wait > 0 {
		resendAfter = model.ErrTooMany.After(wait).RetryAfter()
	}
	if next := q.numberRefusal(append([]model.Code{code}, codes...), code.SendPool, code.SentAt); next != nil {
		resendAfter = max(resendAfter, next.RetryAfter())
	}
	return resendAfter, nil
}

// tooMany returns model.ErrTooMany. The client may retry after wait, or later if another
// limit refuses for longer.
func (q *Quotas) tooMany(ctx context.Context, code model.Code, wait time.Duration) error {
	others, err := q.wait(ctx, code)
	if err != nil {
		return err
	}
	return model.ErrTooMany.After(max(wait, others))
}

// wait returns how long until no limit of the deployment, the address or the number
// refuses such a code any more.
func (q *Quotas) wait(ctx context.Context, code model.Code) (time.Duration, error) {
	wait, err := q.scopesWait(ctx, q.scopes(code), nil, code.SentAt)
	if err != nil {
		return 0, err
	}
	codes, err := q.recent(ctx, code.NumberKey, code.SentAt)
	if err != nil {
		return 0, err
	}
	err = q.refuse(ctx, codes, code)
	if refusal, is := errors.AsType[*refusal](err); is {
		return max(wait, refusal.wait), nil
	}
	return wait, err
}

// seconds returns the wait that a refusal states to the client.
func seconds(refusal *model.Failure) time.Duration {
	return time.Duration(refusal.RetryAfter()) * time.Second
}

// scope is what messages are counted for, with its limits.
type scope struct {
	of     model.SendScope
	limits []limit
}

// gate is the name of the scope's gate for requests of a pool. The known pool has one of its
// own for the deployment, so that a known device does not wait for strangers. The two gates
// let no more than one message pass beyond the budget.
func (s scope) gate(pool model.SendPool) []byte {
	switch {
	case s.of.BlockKey != "":
		return []byte("block|" + s.of.BlockKey)
	case pool == model.SendKnown:
		return []byte("budget|known")
	}
	return []byte("address|" + s.of.IPKey) // the deployment's is without a key
}

// limit allows most messages in a rolling window.
type limit struct {
	window time.Duration
	most   int // unlimited: off
}

// unlimited is the most of a limit that is off. A limit of 0 refuses every message.
const unlimited = -1

// configured returns the most of a limit from the configuration, where 0 is off.
func configured(n int) int {
	if n == 0 {
		return unlimited
	}
	return n
}

// scopes returns what the code is counted for, with the limits that are on. The order is
// that of the gates. A code of the known pool has no address.
func (q *Quotas) scopes(code model.Code) []scope {
	l := q.Limits
	all := []scope{
		{limits: l.budget(code.SendPool)},
		{model.SendScope{BlockKey: code.BlockKey}, []limit{{time.Hour, configured(l.PerBlockHour)}, {day, configured(l.PerBlockDay)}}},
		{model.SendScope{IPKey: code.IPKey}, []limit{{time.Hour, configured(l.PerIPHour)}, {day, configured(l.PerIPDay)}}},
	}
	on := all[:0]
	for i, s := range all {
		if i > 0 && s.of == (model.SendScope{}) {
			continue
		}
		s.limits = slices.DeleteFunc(s.limits, func(l limit) bool { return l.most == unlimited })
		on = append(on, s)
	}
	return on
}

// budget returns the limits of the deployment for a pool. The reserve is for the known
// pool alone.
func (l Limits) budget(pool model.SendPool) []limit {
	if l.DailyBudget == 0 {
		return nil
	}
	limits := []limit{{day, l.DailyBudget}}
	if l.HourlyShare < 100 {
		limits = append(limits, limit{time.Hour, max(1, l.DailyBudget*l.HourlyShare/100)})
	}
	if pool == model.SendKnown {
		return limits
	}
	for i := range limits {
		limits[i].most -= (limits[i].most*l.Reserve + 99) / 100
	}
	return limits
}

// enterScopes passes the gates of the scopes that are near a limit, so that parallel
// requests count each other, and returns these scopes. Far from a limit requests need not
// wait for each other. An address needs no gate of its own if all requests of its block
// pass the block's.
func (q *Quotas) enterScopes(ctx context.Context, code model.Code) (near []scope, err error) {
	blockIsGated := false
	for _, s := range q.scopes(code) {
		isNear, err := q.isNear(ctx, s, code.SentAt)
		if err != nil {
			return nil, err
		}
		if !isNear {
			continue
		}
		near = append(near, s)
		if s.of.IPKey != "" && blockIsGated {
			continue
		}
		if err := q.Store.Gate(ctx, s.gate(code.SendPool), code.SentAt); err != nil {
			return nil, err
		}
		blockIsGated = s.of.BlockKey != "" && s.isAlwaysNear()
	}
	return near, nil
}

// isAlwaysNear reports whether any count is within gateMargin of one of the limits.
func (s scope) isAlwaysNear() bool {
	return slices.ContainsFunc(s.limits, func(l limit) bool { return l.most <= gateMargin })
}

// passesGates reports whether all requests of the code's block or address wait for each
// other at a gate.
func (q *Quotas) passesGates(code model.Code) bool {
	return slices.ContainsFunc(q.scopes(code), func(s scope) bool { return s.of != (model.SendScope{}) && s.isAlwaysNear() })
}

// spans returns the windows of the scopes, as far as they are short enough to be counted
// whole: the deployment's are not.
func spans(scopes []scope, now model.Time) (all []model.SendSpan) {
	for _, s := range scopes {
		for _, l := range s.limits {
			if s.of != (model.SendScope{}) {
				all = append(all, s.span(l, now))
			}
		}
	}
	return all
}

func (s scope) span(l limit, now model.Time) model.SendSpan {
	return model.SendSpan{Of: s.of, Since: now.Add(-l.window)}
}

// scopesWait returns how long until no limit of the scopes refuses any more. sent are
// counts that are known to be not too small.
func (q *Quotas) scopesWait(ctx context.Context, scopes []scope, sent map[model.SendSpan]int, now model.Time) (time.Duration, error) {
	var longest time.Duration
	for _, s := range scopes {
		for _, l := range s.limits {
			if n, counted := sent[s.span(l, now)]; counted && n < l.most {
				continue
			}
			at, err := q.reached(ctx, s, l, now)
			if err != nil {
				return 0, err
			}
			if at != 0 {
				q.full.add(threshold{s.of, l.window, l.most}, now, at.Add(l.window))
				longest = max(longest, at.Add(l.window).Sub(now))
			}
		}
	}
	return longest, nil
}

// reached returns the time of the message with which the scope reached the limit, 0 if
// it has not. A limit of 0 is always reached.
func (q *Quotas) reached(ctx context.Context, s scope, l limit, now model.Time) (model.Time, error) {
	if l.most <= 0 {
		return now, nil
	}
	return q.Store.NthSent(ctx, s.of, now.Add(-l.window), l.most)
}

// isNear reports whether the count may be within gateMargin of one of the scope's
// limits.
func (q *Quotas) isNear(ctx context.Context, s scope, now model.Time) (bool, error) {
	for _, l := range s.limits {
		if below, err := q.below(ctx, threshold{s.of, l.window, l.most - gateMargin}, now); err != nil || !below {
			return true, err
		}
	}
	return false, nil
}

// mayBeNearLimit is nearLimit by counts that may be too large.
func (q *Quotas) mayBeNearLimit(ctx context.Context, code model.Code, sent map[model.SendSpan]int) (bool, error) {
	for _, s := range q.scopes(code) {
		for _, l := range s.limits {
			n, counted := sent[s.span(l, code.SentAt)]
			below := n < fourFifths(l.most)
			if !counted {
				var err error
				if below, err = q.below(ctx, threshold{s.of, l.window, fourFifths(l.most)}, code.SentAt); err != nil {
					return false, err
				}
			}
			if !below {
				return true, nil
			}
		}
	}
	return false, nil
}

// nearLimit reports whether at least four fifths of a limit of the address, of its block
// or of the deployment are used.
func (q *Quotas) nearLimit(ctx context.Context, code model.Code) (bool, error) {
	for _, s := range q.scopes(code) {
		for _, l := range s.limits {
			below, err := q.below(ctx, threshold{s.of, l.window, fourFifths(l.most)}, code.SentAt)
			if err != nil {
				return false, err
			}
			if below {
				continue
			}
			sent, err := q.reached(ctx, s, limit{l.window, fourFifths(l.most)}, code.SentAt)
			if err != nil || sent != 0 {
				return err == nil, err
			}
		}
	}
	return false, nil
}

// fourFifths returns four fifths of a limit, rounded up.
func fourFifths(limit int) int { return (4*limit + 4) / 5 }

// threshold is a count of messages in a rolling window.
type threshold struct {
	of     model.SendScope
	window time.Duration
	count  int
}

// below reports whether the scope certainly had fewer than t.count messages in the
// window that ends now. A deployment may send millions a day. So the result is cached
// for as long as the threshold cannot be reached at maxSendRate.
func (q *Quotas) below(ctx context.Context, t threshold, now model.Time) (bool, error) {
	if t.count <= 0 {
		return false, nil
	}
	at := model.TimeOf(q.Now()) // now is when the request arrived, and the request may have waited since
	if q.headroom.Has(t, at) {
		return true, nil
	}
	n, err := q.Store.CountSince(ctx, t.of, now.Add(-t.window))
	if err != nil || n >= t.count {
		return false, err
	}
	q.headroom.Add(t, at, min(maxCacheTime, time.Duration(t.count-n)*time.Second/maxSendRate))
	return true, nil
}
