package service

import (
	"context"

	"menshen/model"
)

// Scope selects the sessions that a logout ends.
type Scope string

// The scopes.
const (
	ScopeCurrent Scope = "current"
	ScopeOthers  Scope = "others"
	ScopeAll     Scope = "all"
)

// Logout ends sessions of the token's user and returns how many this call ended. An
// expired token, or one of an ended session, permits ScopeCurrent alone. Success if the
// current session has ended already.
//
// Errors: model.ErrStalePair for an expired token of an active session whose client holds
// newer ones; those of Authenticate, for scopes other than current.
func (s *Sessions) Logout(ctx context.Context, raw model.Secret, claims model.Claims, scope Scope, caller model.Caller) (ended int, err error) {
	var session model.Session
	switch {
	case scope != ScopeCurrent:
		session, err = s.Authenticate(ctx, raw)
	case claims.Expired(model.TimeOf(s.Now())):
		return s.logOutExpired(ctx, claims, caller)
	default:
		session, err = s.loadCurrent(ctx, claims)
	}
	if err != nil {
		return 0, err
	}
	err = s.Within(ctx, func(ctx context.Context) error {
		switch scope {
		case ScopeCurrent:
			ended, err = s.endLive(ctx, session, s.loggedOut(caller))
		case ScopeOthers:
			ended, err = s.endAll(ctx, session.UserID, func(other model.Session) bool { return other.ID != session.ID }, s.loggedOut(caller))
		default:
			ended, err = s.endAll(ctx, session.UserID, anySession, s.loggedOut(caller))
		}
		return err
	})
	return ended, err
}

// logOutExpired ends the session of an expired token, unless a refresh has replaced the
// token twice: then its client has newer ones, and the holder of this one may be a thief.
func (s *Sessions) logOutExpired(ctx context.Context, claims model.Claims, caller model.Caller) (int, error) {
	for range maxTries {
		session, err := s.loadCurrent(ctx, claims)
		switch {
		case err != nil || session.EndedAt != 0:
			return 0, err
		case claims.Gen < session.PrevGen:
			return 0, model.ErrStalePair
		}
		var ended bool
		err = s.Within(ctx, func(ctx context.Context) (err error) {
			ended, err = s.endSeen(ctx, session, model.ReasonLoggedOut, event(model.EventLogout, session, model.TimeOf(s.Now()), caller))
			return err
		})
		if err != nil {
			return 0, err
		}
		if ended {
			return 1, nil
		}
	}
	return 0, model.ErrUnavailable.Wrap(errLostTooOften)
}

// loggedOut is the end of a session by a logout of its user.
func (e *Endings) loggedOut(caller model.Caller) endSpec {
	return endSpec{reason: model.ReasonLoggedOut, actor: model.ActorUser, at: model.TimeOf(e.Now()), caller: caller}
}

// anySession matches every session.
func anySession(model.Session) bool { return true }
