package service

import (
	"cmp"
	"context"
	"slices"

	"menshen/model"
	"menshen/service/random"
)

// Delete ends one of the user's sessions. It returns how many sessions this call ended:
// 0 if the session had ended already. The error is model.ErrNotFound for unknown ids and
// for those of other users alike.
func (s *Sessions) Delete(ctx context.Context, owner model.Session, id string, caller model.Caller) (ended int, err error) {
	if !random.IsName(id) {
		return 0, model.ErrNotFound
	}
	session, err := s.byID(ctx, id)
	if err == nil && session.UserID != owner.UserID {
		err = model.ErrNotFound
	}
	if err != nil {
		return 0, err
	}
	err = s.Within(ctx, func(ctx context.Context) error {
		ended, err = s.endLive(ctx, session, s.loggedOut(caller))
		return err
	})
	return ended, err
}

// Active lists the user's active sessions, newest first.
func (e *Endings) Active(ctx context.Context, owner model.Session) ([]model.Session, error) {
	sessions, err := e.Store.Active(ctx, owner.UserID, "")
	if err != nil {
		return nil, err
	}
	now := model.TimeOf(e.Now())
	sessions = slices.DeleteFunc(sessions, func(s model.Session) bool { return !s.Alive(now) })
	slices.SortFunc(sessions, func(a, b model.Session) int {
		return cmp.Or(cmp.Compare(b.LoginAt, a.LoginAt), cmp.Compare(b.Epoch, a.Epoch))
	})
	return sessions, nil
}

// endedShown is the greatest number of ended sessions in the list of a user.
const endedShown = 20

// Ended lists the user's newest ended sessions.
func (s *Sessions) Ended(ctx context.Context, owner model.Session) ([]model.Session, error) {
	sessions, err := s.Store.Ended(ctx, owner.UserID, endedShown)
	for _, session := range sessions {
		s.Cache.markEnded(session.ID)
	}
	return sessions, err
}
