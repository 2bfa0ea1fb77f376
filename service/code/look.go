package code

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"menshen/model"
)

// suspectTime is for how long a refusal makes the next requests look before the gates.
const suspectTime = 10 * time.Second

// suspect notes the gates of a refused code: the scopes', or without any the number's.
func (q *Quotas) suspect(code model.Code, scopes []scope) {
	for _, s := range scopes {
		q.suspects.Add(string(s.gate(code.SendPool)), code.SentAt, suspectTime)
	}
	if len(scopes) == 0 {
		q.suspects.Add(string(numberGate(code)), code.SentAt, suspectTime)
	}
}

// isSuspect reports whether a code was refused behind one of this code's gates a moment
// ago, so that this one may be refused too.
func (q *Quotas) isSuspect(code model.Code) bool {
	return q.suspects.Has(string(numberGate(code)), code.SentAt) || slices.ContainsFunc(q.scopes(code), func(s scope) bool {
		return q.suspects.Has(string(s.gate(code.SendPool)), code.SentAt)
	})
}

// look returns the refusal of a code that a limit refuses already. It locks nothing: who
// repeats refused requests must not make others wait at the gates, each with a connection
// that all need.
func (q *Quotas) look(ctx context.Context, code model.Code) error {
	wait, err := q.countScopes(ctx, q.scopes(code), code.SentAt)
	if err != nil {
		return err
	}
	codes, err := q.recent(ctx, code.NumberKey, code.SentAt)
	if err != nil {
		return err
	}
	err = q.refuse(ctx, codes, code)
	if refusal, is := errors.AsType[*refusal](err); wait > 0 && (is || err == nil) {
		if is {
			wait = max(wait, refusal.wait)
		}
		return model.ErrTooMany.After(wait)
	}
	return err
}

// countScopes is scopesWait that counts a limit only now and then if the scopes are far from
// it, or have reached it: near the budget a count reads thousands of codes.
func (q *Quotas) countScopes(ctx context.Context, scopes []scope, now model.Time) (longest time.Duration, err error) {
	for _, s := range scopes {
		for _, l := range s.limits {
			if wait := q.full.wait(threshold{s.of, l.window, l.most}, now); wait > 0 {
				longest = max(longest, wait)
				continue
			}
			below, err := q.below(ctx, threshold{s.of, l.window, l.most}, now)
			if err != nil {
				return 0, err
			}
			if below {
				continue
			}
			wait, err := q.scopesWait(ctx, []scope{{s.of, []limit{l}}}, nil, now)
			if err != nil {
				return 0, err
			}
			longest = max(longest, wait)
		}
	}
	return longest, nil
}

// fullTime is for how long a limit that was reached is believed to be. Meanwhile a code that
// another instance redeems, or a provider refuses, may open it again.
const fullTime = time.Second

// fullLimits are limits of scopes that were reached a moment ago, with the times at which
// they open again: to count the codes of many refused requests costs more than these are
// worth. The zero value is ready for use and safe for concurrent use.
type fullLimits struct {
	mu    sync.Mutex
	opens map[threshold]span // from when it was found full until it opens
}

func (f *fullLimits) add(t threshold, now, opens model.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.opens == nil || len(f.opens) >= maxEntries {
		f.opens = make(map[threshold]span)
	}
	f.opens[t] = span{now, opens}
}

// wait returns how long until the limit opens if it is known to be full, otherwise 0.
func (f *fullLimits) wait(t threshold, now model.Time) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	if found, ok := f.opens[t]; ok && found.from <= now && now < found.from.Add(fullTime) {
		return found.until.Sub(now)
	}
	return 0
}

// forget forgets what is full: a code was redeemed or refused.
func (f *fullLimits) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.opens = nil
}
