package service

import (
	"context"

	"menshen/model"
)

// LoginState is the outcome of a check in one word; for an ended session it is
// the reason of the end.
type LoginState string

// The states that are not a reason.
const (
	StateActive         LoginState = "active"
	StateBound          LoginState = "bound" // this check bound the device
	StateDeviceMismatch LoginState = "device_mismatch"
)

// CheckResult answers whether the device still is the one that is logged in.
type CheckResult struct {
	IsLogin       bool
	LastLoginTime model.Time // of the newest login in the product group; 0: none known, or logged in
	State         LoginState
	Until         model.Time // of a yes: when token or session come to an end by themselves
}

// Check is the device mutual exclusion check. It never extends a session, and
// no fault makes it answer false. The first device number that is checked with
// a session is bound to it: of two racing ones exactly one wins.
//
// Errors: model.ErrTokenExpired when the session is alive and the token's own
// end has come; a displaced or ended session is told before that.
func (s *Sessions) Check(ctx context.Context, claims model.Claims, deviceNumber string, caller Caller) (CheckResult, error) {
	if result, ok := s.remembered(claims, deviceNumber); ok {
		return result, nil
	}
	return s.checkStored(ctx, claims, deviceNumber, caller)
}

// checkStored is Check by what the storage has.
func (s *Sessions) checkStored(ctx context.Context, claims model.Claims, deviceNumber string, caller Caller) (CheckResult, error) {
	session, err := s.current(ctx, claims)
	if err != nil {
		return CheckResult{}, err
	}
	if session.EndedAt == 0 && claims.Expired(model.TimeOf(s.Now())) {
		return CheckResult{}, model.ErrTokenExpired
	}
	if session.EndedAt == 0 && session.DeviceNumber == "" {
		var bound bool
		if session, bound, err = s.bind(ctx, session, deviceNumber, caller); err != nil {
			return CheckResult{}, err
		}
		if bound && session.EndedAt == 0 {
			_, err := s.confirm(ctx, session, claims)
			return CheckResult{IsLogin: err == nil, State: StateBound, Until: turns(session, claims)}, err
		}
	}
	if session.EndedAt != 0 {
		return s.notLoggedIn(ctx, session, LoginState(session.EndReason))
	}
	if session, err = s.confirm(ctx, session, claims); err != nil {
		return CheckResult{}, err
	}
	if session.DeviceNumber != deviceNumber {
		line := event(model.EventDeviceMismatch, session, model.TimeOf(s.Now()), caller)
		if err := s.Events.Append(ctx, line); err != nil {
			return CheckResult{}, err
		}
		return s.notLoggedIn(ctx, session, StateDeviceMismatch)
	}
	return CheckResult{IsLogin: true, State: StateActive, Until: turns(session, claims)}, nil
}

// remembered is the answer of yes that needs no storage.
func (s *Sessions) remembered(claims model.Claims, deviceNumber string) (CheckResult, bool) {
	entry, ok := s.Live.look(claims, model.TimeOf(s.Now()))
	if !ok || entry.deviceNumber != deviceNumber {
		return CheckResult{}, false
	}
	return CheckResult{IsLogin: true, State: StateActive, Until: min(entry.idleUntil, entry.endsAt, claims.ExpiresAt)}, true
}

// turns is when the token or the session comes to an end by itself.
func turns(session model.Session, claims model.Claims) model.Time {
	return min(session.IdleUntil, session.EndsAt, claims.ExpiresAt)
}

func (s *Sessions) notLoggedIn(ctx context.Context, session model.Session, state LoginState) (CheckResult, error) {
	last, err := s.lastLogin(ctx, session)
	return CheckResult{LastLoginTime: last, State: state}, err
}

// bind ties the session to the device number unless it has one by now, and
// returns the session as it then stands and whether this call bound it. Of two
// sessions of the group on one device the one of the lower epoch ends: the
// device logged in anew.
func (s *Sessions) bind(ctx context.Context, session model.Session, deviceNumber string, caller Caller) (_ model.Session, bound bool, err error) {
	now := model.TimeOf(s.Now())
	err = s.atomically(ctx, func(ctx context.Context) error {
		if err := s.Store.LockSlot(ctx, session.UserID, session.ProductGroup); err != nil {
			return err
		}
		bound, err = s.Store.Bind(ctx, session.ID, deviceNumber)
		if err != nil || !bound {
			return err
		}
		if err := s.Events.Append(ctx, event(model.EventDeviceBound, session, now, caller)); err != nil {
			return err
		}
		return s.endTwin(ctx, session, deviceNumber, now)
	})
	if err != nil {
		return session, false, err
	}
	session, err = s.Store.ByID(ctx, session.ID)
	return session, bound, err
}

// endTwin ends the older of two sessions of one group on one device. One that
// is past its end is none of them: it has expired.
func (s *Sessions) endTwin(ctx context.Context, session model.Session, deviceNumber string, now model.Time) error {
	active, err := s.Store.Active(ctx, session.UserID, session.ProductGroup)
	if err != nil {
		return err
	}
	for _, twin := range active {
		if twin.ID == session.ID || twin.DeviceNumber != deviceNumber {
			continue
		}
		older, reason := twin, model.ReasonRelogin
		switch {
		case twin.Expired(now):
			reason = model.ReasonExpired
		case session.Epoch < twin.Epoch:
			older = session
		}
		if _, err := s.end(ctx, older, ending{reason: reason, actor: actorSystem, at: now}); err != nil {
			return err
		}
	}
	return nil
}
