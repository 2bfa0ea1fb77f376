package service

import (
	"context"
	"time"

	"menshen/model"
)

// CheckAndWait is Check that holds a positive result until it turns negative, the token
// expires, wait is over or the process stops. Beyond the limits of held checks, and once a
// newer token needs the place, the result is returned at once. caller is called only if an
// event needs it.
func (s *Sessions) CheckAndWait(ctx context.Context, claims model.Claims, deviceNumber string, wait time.Duration, caller func() model.Caller) (CheckResult, error) {
	var l *listener
	if wait > 0 && !claims.Expired(model.TimeOf(s.Now())) {
		l = s.Hub.hold(claims)
	}
	if l == nil {
		return s.checkInTime(ctx, claims, deviceNumber, caller)
	}
	defer s.Hub.unsubscribe(l)
	over := time.NewTimer(wait)
	defer over.Stop()
	first := CheckResult{}
	for waiting := true; ; {
		result, err := s.checkInTime(ctx, claims, deviceNumber, caller)
		if first.State == "" {
			first = result
		}
		if result.State == StateActive {
			result.State = first.State // a device that this call bound is reported as bound
		}
		if err != nil || !result.IsLogin || !waiting {
			return result, err
		}
		turn := time.NewTimer(s.until(result.Until))
		select {
		case <-l.ended:
			waiting = false
		case <-turn.C: // token or session have expired, unless a refresh has extended the session
		case <-over.C:
			waiting = false
		case <-s.Hub.stopped:
			waiting = false
		case <-ctx.Done():
			turn.Stop()
			return result, nil
		}
		turn.Stop()
	}
}

// checkInTime is Check with a time limit for the work on the database. To set the limit
// costs more than an answer from the cache, so the cache is read first.
func (s *Sessions) checkInTime(ctx context.Context, claims model.Claims, deviceNumber string, caller func() model.Caller) (CheckResult, error) {
	if result, ok := s.fromCache(claims, deviceNumber); ok {
		return result, nil
	}
	from := caller()
	ctx, cancel := context.WithTimeout(model.WithAddress(ctx, from.IP), model.StorageTime)
	defer cancel()
	return s.checkStored(ctx, claims, deviceNumber, from)
}

// until returns for how long to wait until end has certainly passed.
func (s *Sessions) until(end model.Time) time.Duration {
	return end.Sub(model.TimeOf(s.Now())) + time.Millisecond
}
