package service

import (
	"bytes"
	"context"

	"menshen/model"
	"menshen/service/code"
)

// NumberChange is a request to move the caller's account to another number.
type NumberChange struct {
	Mobile  string
	NewCode model.Secret   // sent to the new number for the purpose "change"
	OldCode model.Secret   // sent to the old number for the purpose "change"
	Tickets []model.Secret // of the codes, in any order
	Session model.Session
	Caller  model.Caller
}

// ChangeNumber replaces the account's number. The request must carry a valid code of the
// old and of the new number. Sessions stay active.
//
// Errors, in the order in which they are judged: model.ErrMobile, ErrNumberTaken for the
// own number, ErrTooManyFailures and ErrCode for the old number, then for the new one,
// ErrNumberTaken. The last leaves both codes unused. If the session was ended meanwhile:
// ErrDisplaced, ErrSessionEnded. The device credentials of the old number end; credential
// is one of the new number.
func (u *Users) ChangeNumber(ctx context.Context, r NumberChange) (profile Profile, credential model.Secret, err error) {
	number, err := u.Numbers.Parse(r.Mobile)
	if err != nil {
		return Profile{}, "", err
	}
	user, current, err := u.owner(ctx, r.Session)
	if err != nil {
		return Profile{}, "", err
	}
	if number == current {
		return Profile{}, "", model.ErrNumberTaken
	}
	oldCode := code.Attempt{
		CompanyType: user.CompanyType, Purpose: model.PurposeChange, Mobile: current, Code: r.OldCode, Tickets: r.Tickets, Caller: r.Caller,
	}
	newCode := oldCode
	newCode.Mobile, newCode.Code = number, r.NewCode
	var changed model.User
	err = u.Codes.Redeem(ctx, u.Endings, func(ctx context.Context) error {
		if changed, err = u.lockSame(ctx, user, r.Session); err != nil {
			return err
		}
		changed.MobileKey, changed.Mobile = u.Vault.MobileKey(user.CompanyType, number), u.Vault.SealMobile(number, user.ID)
		now := model.TimeOf(u.Now())
		if err := renumber(ctx, u.Store, changed, now); err != nil {
			return err
		}
		if err := u.Sent.EraseNumber(ctx, user.CompanyType, u.Vault.NumberKey(current)); err != nil {
			return err
		}
		changed.CredentialEpoch++
		line := event(model.EventNumberChanged, r.Session, now, r.Caller)
		line.Detail = model.EventDetail("from", current.String(), "to", number.String())
		return u.Endings.Events.Append(ctx, line)
	}, oldCode, newCode)
	if err != nil {
		return Profile{}, "", err
	}
	profile, err = u.profile(changed)
	return profile, u.Vault.Credential(changed, model.TimeOf(u.Now())), err
}

// owner returns the account of an active session and its number in clear.
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

// lockSame locks the account and returns its current row. It fails if the session has
// ended since the request was authenticated, so that a request under way cannot evade a
// ban. It returns model.ErrCode if the number has changed, because the code that was
// checked belongs to the earlier number.
func (u *Users) lockSame(ctx context.Context, seen model.User, session model.Session) (model.User, error) {
	user, err := u.Store.Lock(ctx, seen.ID)
	if err != nil {
		return user, err
	}
	if user.DeletedAt != 0 {
		return user, errDeleted()
	}
	now, err := u.Endings.byID(ctx, session.ID)
	switch {
	case err != nil:
		return user, err
	case now.EndedAt != 0:
		return user, u.Endings.failure(ctx, now)
	case !bytes.Equal(user.MobileKey, seen.MobileKey):
		return user, model.ErrCode
	}
	return user, nil
}

// errDeleted is the failure for a session whose account was deleted a moment ago.
func errDeleted() error {
	return model.ErrSessionEnded.With(Ended{Reason: model.ReasonLoggedOut})
}

// Deletion is a request to delete the caller's account.
type Deletion struct {
	Code    model.Secret // sent for the purpose "delete"
	Ticket  model.Secret // of the code; "" when none was given
	Session model.Session
	Caller  model.Caller
}

// Delete ends all sessions of the account and erases its personal data. It frees the
// number unless the account is banned, so that a new account does not evade the ban. The
// log keeps the id. Delete returns how many sessions ended.
//
// Errors: model.ErrTooManyFailures, ErrCode. If the session was ended meanwhile:
// ErrDisplaced, ErrSessionEnded.
func (u *Users) Delete(ctx context.Context, r Deletion) (ended int, err error) {
	user, mobile, err := u.owner(ctx, r.Session)
	if err != nil {
		return 0, err
	}
	err = u.Codes.Redeem(ctx, u.Endings, func(ctx context.Context) error {
		now := model.TimeOf(u.Now())
		locked, err := u.lockSame(ctx, user, r.Session)
		if err != nil {
			return err
		}
		ends := u.Endings.loggedOut(r.Caller)
		ends.at = now
		if ended, err = (erasure{u.Store, u.Sent, u.Endings, u.Vault, locked, ends}).do(ctx); err != nil {
			return err
		}
		return u.Endings.Events.Append(ctx, event(model.EventUserDeleted, model.Session{UserID: user.ID, CompanyType: user.CompanyType}, now, model.Caller{RequestID: r.Caller.RequestID}))
	}, code.Attempt{
		CompanyType: user.CompanyType, Purpose: model.PurposeDelete, Mobile: mobile, Code: r.Code, Tickets: []model.Secret{r.Ticket}, Caller: r.Caller,
	})
	return ended, err
}
