package service

import (
	"context"
	"time"

	"menshen/model"
)

// LoginState is the outcome of a check in one word. For an ended session it is the
// reason of the end.
type LoginState string

// The states beside the reasons.
const (
	StateActive         LoginState = "active"
	StateBound          LoginState = "bound" // this check bound the device
	StateDeviceMismatch LoginState = "device_mismatch"
)

// CheckResult says whether the device is still the one that is logged in.
type CheckResult struct {
	IsLogin       bool
	LastLoginTime model.Time // of the newest login in the product group; 0 if IsLogin or if none is known
	State         LoginState
	Until         model.Time // if IsLogin: when the token or the session expires
}

// Check reports whether the device with deviceNumber is still logged in. It never extends
// a session, and a fault is an error, never a negative result. If the session has no
// device number, Check binds it to deviceNumber. Of concurrent checks exactly one binds.
//
// Errors: model.ErrTokenExpired if the session is alive and the token has expired. The
// end of a session is reported before the expiry of its token.
func (s *Sessions) Check(ctx context.Context, claims model.Claims, deviceNumber string, caller model.Caller) (CheckResult, error) {
	if result, ok := s.fromCache(claims, deviceNumber); ok {
		return result, nil
	}
	return s.checkStored(ctx, claims, deviceNumber, caller)
}

// checkStored is Check without the cache.
func (s *Sessions) checkStored(ctx context.Context, claims model.Claims, deviceNumber string, caller model.Caller) (CheckResult, error) {
	session, err := s.loadCurrent(ctx, claims)
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
			return CheckResult{IsLogin: err == nil, State: StateBound, Until: validUntil(session, claims)}, err
		}
	}
	if session.EndedAt != 0 {
		return s.notLoggedIn(ctx, session, LoginState(session.EndReason))
	}
	if session, err = s.confirm(ctx, session, claims); err != nil {
		return CheckResult{}, err
	}
	if session.DeviceNumber != deviceNumber {
		line := event(model.EventDeviceMismatch, session, model.TimeOf(s.Now()), caller).Folded(time.Hour, session.ID, deviceNumber)
		if err := s.Events.Append(ctx, line); err != nil {
			return CheckResult{}, err
		}
		return s.notLoggedIn(ctx, session, StateDeviceMismatch)
	}
	return CheckResult{IsLogin: true, State: StateActive, Until: validUntil(session, claims)}, nil
}

// fromCache returns the result if the cache proves that the device is logged in.
func (s *Sessions) fromCache(claims model.Claims, deviceNumber string) (CheckResult, bool) {
	entry, ok := s.Cache.lookup(claims, model.TimeOf(s.Now()))
	if !ok || entry.deviceNumber != deviceNumber {
		return CheckResult{}, false
	}
	return CheckResult{IsLogin: true, State: StateActive, Until: min(entry.idleUntil, entry.endsAt, claims.ExpiresAt)}, true
}

// validUntil returns when the token or the session expires, whichever is first.
func validUntil(session model.Session, claims model.Claims) model.Time {
	return min(session.IdleUntil, session.EndsAt, claims.ExpiresAt)
}

func (s *Sessions) notLoggedIn(ctx context.Context, session model.Session, state LoginState) (CheckResult, error) {
	last, err := s.lastLogin(ctx, session)
	return CheckResult{LastLoginTime: last, State: state}, err
}

// bind binds the session to the device number unless it has one by now. It returns the
// session as it then stands, and whether this call bound it. Of two sessions of the
// group on one device the one with the lower epoch ends, because the device has logged
// in again.
func (s *Sessions) bind(ctx context.Context, session model.Session, deviceNumber string, caller model.Caller) (_ model.Session, bound bool, err error) {
	now := model.TimeOf(s.Now())
	err = s.Within(ctx, func(ctx context.Context) error {
		if err := s.Store.LockLoginSequence(ctx, session.UserID, session.ProductGroup); err != nil {
			return err
		}
		bound, err = s.Store.Bind(ctx, session.ID, deviceNumber)
		if err != nil || !bound {
			return err
		}
		if err := s.Events.Append(ctx, event(model.EventDeviceBound, session, now, caller)); err != nil {
			return err
		}
		return s.endDuplicateDevice(ctx, session, deviceNumber, now)
	})
	if err != nil {
		return session, false, err
	}
	session, err = s.byID(ctx, session.ID)
	return session, bound, err
}

// endDuplicateDevice ends other sessions of the group on the device of session, as
// expired if their end has come. If another one has a higher epoch, session ends instead.
func (s *Sessions) endDuplicateDevice(ctx context.Context, session model.Session, deviceNumber string, now model.Time) error {
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
		if _, err := s.end(ctx, older, endSpec{reason: reason, actor: model.ActorSystem, at: now}); err != nil {
			return err
		}
	}
	return nil
}
