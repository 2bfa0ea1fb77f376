package service

import (
	"cmp"
	"context"
	"slices"

	"menshen/model"
)

// Scope says which sessions a logout ends.
type Scope string

// The scopes.
const (
	ScopeCurrent Scope = "current"
	ScopeOthers  Scope = "others"
	ScopeAll     Scope = "all"
)

// Logout ends sessions of the token's user and returns how many this call
// ended. With an expired token, or one of an ended session, only the current
// session may be named; that one having ended already is a success.
//
// Errors: those of Authenticate, for scopes other than current.
func (s *Sessions) Logout(ctx context.Context, raw model.Secret, claims model.Claims, scope Scope, caller Caller) (int, error) {
	var session model.Session
	var err error
	if scope == ScopeCurrent {
		session, err = s.current(ctx, claims)
	} else {
		session, err = s.Authenticate(ctx, raw)
	}
	if err != nil {
		return 0, err
	}
	ended := 0
	err = s.atomically(ctx, func(ctx context.Context) error {
		switch scope {
		case ScopeCurrent:
			ended, err = s.logOut(ctx, session, caller)
		case ScopeOthers:
			ended, err = s.logOutAll(ctx, session.UserID, session.ID, caller)
		default:
			ended, err = s.logOutAll(ctx, session.UserID, "", caller)
		}
		return err
	})
	return ended, err
}

// logOutAll ends all sessions of a user but one.
func (s *Sessions) logOutAll(ctx context.Context, userID int64, but string, caller Caller) (int, error) {
	sessions, err := s.Store.Active(ctx, userID, "")
	if err != nil {
		return 0, err
	}
	ended := 0
	for _, session := range sessions {
		if session.ID == but {
			continue
		}
		n, err := s.logOut(ctx, session, caller)
		if err != nil {
			return 0, err
		}
		ended += n
	}
	return ended, nil
}

// logOut ends one session and returns how many this call ended: one that is past
// its end has expired, and was not there to be logged out.
func (s *Sessions) logOut(ctx context.Context, session model.Session, caller Caller) (int, error) {
	now := model.TimeOf(s.Now())
	if session.EndedAt == 0 && session.Expired(now) {
		_, err := s.end(ctx, session, ending{reason: model.ReasonExpired, actor: actorSystem, at: now})
		return 0, err
	}
	ended, err := s.end(ctx, session, ending{reason: model.ReasonLoggedOut, actor: actorUser, at: now, caller: caller})
	if ended {
		return 1, err
	}
	return 0, err
}

// Delete ends one of the user's sessions and returns how many this call ended:
// 0 when it had ended already. Foreign and unknown ids are model.ErrNotFound alike.
func (s *Sessions) Delete(ctx context.Context, owner model.Session, id string, caller Caller) (int, error) {
	if !isName(id) {
		return 0, model.ErrNotFound
	}
	session, err := s.Store.ByID(ctx, id)
	if err == nil && session.UserID != owner.UserID {
		err = model.ErrNotFound
	}
	if err != nil {
		return 0, err
	}
	ended := 0
	err = s.atomically(ctx, func(ctx context.Context) error {
		ended, err = s.logOut(ctx, session, caller)
		return err
	})
	return ended, err
}

// Active lists the user's live sessions, newest first.
func (s *Sessions) Active(ctx context.Context, owner model.Session) ([]model.Session, error) {
	sessions, err := s.Store.Active(ctx, owner.UserID, "")
	if err != nil {
		return nil, err
	}
	now := model.TimeOf(s.Now())
	live := sessions[:0]
	for _, session := range sessions {
		if session.Alive(now) {
			live = append(live, session)
		}
	}
	slices.SortFunc(live, func(a, b model.Session) int {
		return cmp.Or(cmp.Compare(b.LoginAt, a.LoginAt), cmp.Compare(b.Epoch, a.Epoch))
	})
	return live, nil
}

// endedShown is how many ended sessions a user is shown.
const endedShown = 20

// Ended lists the user's newest ended sessions.
func (s *Sessions) Ended(ctx context.Context, owner model.Session) ([]model.Session, error) {
	return s.Store.Ended(ctx, owner.UserID, endedShown)
}
