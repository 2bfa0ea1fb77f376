package service

import (
	"bytes"
	"context"

	"menshen/model"
)

// NumberChange asks for another number of the caller's account.
type NumberChange struct {
	Mobile  string
	NewCode model.Secret // sent to the new number for the purpose "change"
	OldCode model.Secret // sent to the old number for the purpose "change"
	Session model.Session
	Caller  Caller
}

// ChangeNumber gives the account another number once the owner of both has
// shown a code of each. Sessions go on.
//
// Errors, in the order in which they are judged: model.ErrMobile, ErrNumberTaken
// for the own number, ErrTooManyFailures and ErrCode for the old number, then for the new one,
// ErrNumberTaken; the last leaves both codes unused. A session that was ended
// meanwhile: ErrDisplaced, ErrSessionEnded.
func (u *Users) ChangeNumber(ctx context.Context, r NumberChange) (Profile, error) {
	number, err := u.Numbers.Parse(r.Mobile)
	if err != nil {
		return Profile{}, err
	}
	user, current, err := u.owner(ctx, r.Session)
	if err != nil {
		return Profile{}, err
	}
	if number == current {
		return Profile{}, model.ErrNumberTaken
	}
	oldCode, err := u.Codes.attempt(ctx, user.CompanyType, model.PurposeChange, current, r.OldCode, r.Caller)
	if err != nil {
		return Profile{}, err
	}
	newCode, err := u.Codes.attempt(ctx, user.CompanyType, model.PurposeChange, number, r.NewCode, r.Caller)
	if err != nil {
		return Profile{}, err
	}
	var changed model.User
	err = u.Tx.Within(ctx, func(ctx context.Context) error {
		now := model.TimeOf(u.Now())
		if changed, err = u.lockSame(ctx, user, r.Session); err != nil {
			return err
		}
		for _, code := range []model.Code{oldCode, newCode} {
			if err := u.Codes.Store.Use(ctx, code.ID, now); err != nil {
				return err
			}
		}
		changed.Mobile = u.Vault.SealMobile(number, user.ID)
		if err := u.Store.Renumber(ctx, user.ID, u.Vault.MobileKey(user.CompanyType, number), changed.Mobile); err != nil {
			return err
		}
		line := event(model.EventNumberChanged, r.Session, now, r.Caller)
		line.Detail = detail("from", current.String(), "to", number.String())
		return u.Events.Append(ctx, line)
	})
	if err != nil {
		return Profile{}, err
	}
	return u.profile(changed)
}

// owner is the account of a live session with its number in clear.
func (u *Users) owner(ctx context.Context, session model.Session) (model.User, model.Mobile, error) {
	user, err := u.Store.ByID(ctx, session.UserID)
	if err != nil {
		return user, model.Mobile{}, err
	}
	if user.DeletedAt != 0 {
		return user, model.Mobile{}, errDeleted()
	}
	mobile, err := u.Vault.UnsealMobile(user.Mobile, user.ID)
	return user, mobile, err
}

// lockSame locks the account and gives it as it is now, unless the request has
// been overtaken: the session ended, so that a ban is not shed by what was on its
// way; or the number changed, so that the code that was checked is another's.
func (u *Users) lockSame(ctx context.Context, seen model.User, session model.Session) (model.User, error) {
	user, err := u.Store.Lock(ctx, seen.ID)
	if err != nil {
		return user, err
	}
	if user.DeletedAt != 0 {
		return user, errDeleted()
	}
	now, err := u.Sessions.Store.ByID(ctx, session.ID)
	switch {
	case err != nil:
		return user, err
	case now.EndedAt != 0:
		return user, u.Sessions.endedFailure(ctx, now)
	case !bytes.Equal(user.MobileKey, seen.MobileKey):
		return user, model.ErrCode
	}
	return user, nil
}

// errDeleted is for a session that outlived its account by a moment.
func errDeleted() error {
	return model.ErrSessionEnded.With(Ended{Reason: model.ReasonLoggedOut})
}

// Delete ends all sessions of the account, erases its personal data and frees
// its number, unless it is banned: a ban is not to be shed by a new account. The
// log keeps the id. It returns how many sessions ended.
//
// Errors: model.ErrTooManyFailures, ErrCode; for a session that was ended
// meanwhile ErrDisplaced, ErrSessionEnded.
func (u *Users) Delete(ctx context.Context, session model.Session, text model.Secret, caller Caller) (int, error) {
	user, mobile, err := u.owner(ctx, session)
	if err != nil {
		return 0, err
	}
	code, err := u.Codes.attempt(ctx, user.CompanyType, model.PurposeDelete, mobile, text, caller)
	if err != nil {
		return 0, err
	}
	ended := 0
	err = u.Sessions.atomically(ctx, func(ctx context.Context) error {
		now := model.TimeOf(u.Now())
		locked, err := u.lockSame(ctx, user, session)
		if err != nil {
			return err
		}
		if err := u.Codes.Store.Use(ctx, code.ID, now); err != nil {
			return err
		}
		if ended, err = u.Sessions.logOutAll(ctx, user.ID, "", caller); err != nil {
			return err
		}
		if err := u.Sessions.Store.Anonymise(ctx, user.ID); err != nil {
			return err
		}
		if err := u.Store.Erase(ctx, user.ID, !locked.Banned(now), now); err != nil {
			return err
		}
		return u.Events.Append(ctx, event(model.EventUserDeleted, model.Session{UserID: user.ID}, now, Caller{RequestID: caller.RequestID}))
	})
	return ended, err
}
