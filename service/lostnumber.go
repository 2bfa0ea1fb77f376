package service

import (
	"context"

	"menshen/model"
	"menshen/service/code"
)

// LostNumber is an operator's request to move an account, whose owner has lost the number,
// to another one.
type LostNumber struct {
	Mobile string       // the new number
	Code   model.Secret // that SendCode sent to it
	Ticket model.Secret // of the code; "" when none was given
	Reason string
}

// SendCode sends a code with which Renumber moves the account to a new number. The request
// is of the number's known pool, and its event names the operator and the user.
//
// Errors: model.ErrNotFound, also for a deleted account; those of code.Sender.Send.
func (a *Admin) SendCode(ctx context.Context, by Operator, id int64, mobile, language string) (code.SendResult, error) {
	storing, cancel := context.WithTimeout(ctx, model.StorageTime)
	defer cancel()
	user, err := a.living(storing, by, id)
	if err != nil {
		return code.SendResult{}, err
	}
	return a.Sender.Send(ctx, code.SendRequest{
		CompanyType: user.CompanyType, Mobile: mobile, Purpose: model.PurposeChange, Language: language, Caller: by.Caller,
		Operator: by.Name, UserID: user.ID,
	})
}

// Renumber replaces the number of an account. It ends all sessions, with the reason
// kicked, and the device credentials. It returns how many sessions ended.
//
// Errors, in the order in which they are judged: model.ErrMobile; ErrNotFound, also for a
// deleted account; ErrNumberTaken for the present number; ErrTooManyFailures, ErrTooMany
// and ErrCode; ErrNumberTaken, which leaves the code unused. Of operators who act with one
// code, one succeeds and the others get ErrCode.
func (a *Admin) Renumber(ctx context.Context, by Operator, id int64, r LostNumber) (ended int, err error) {
	number, err := a.Numbers.Parse(r.Mobile)
	if err != nil {
		return 0, err
	}
	user, err := a.living(ctx, by, id)
	if err != nil {
		return 0, err
	}
	if current, err := a.Vault.UnsealMobile(user.Mobile, user.ID); err == nil && current == number {
		return 0, model.ErrNumberTaken
	}
	err = a.Codes.Redeem(ctx, a.Endings, func(ctx context.Context) error {
		user, err := a.lock(ctx, by, id)
		if err == nil && user.DeletedAt != 0 {
			err = model.ErrNotFound
		}
		if err != nil {
			return err
		}
		current, _ := a.Vault.UnsealMobile(user.Mobile, user.ID) // masked entirely if it cannot be decrypted
		user.MobileKey, user.Mobile = a.Vault.MobileKey(user.CompanyType, number), a.Vault.SealMobile(number, id)
		now := model.TimeOf(a.Now())
		if err := renumber(ctx, a.Users, user, now); err != nil {
			return err
		}
		if err := a.Sent.EraseNumber(ctx, user.CompanyType, a.Vault.NumberKey(current)); err != nil {
			return err
		}
		line := by.event(model.EventNumberChanged, user, now, "")
		line.Detail = model.EventDetail("from", current.String(), "to", number.String(), "reason", r.Reason)
		if err := a.Endings.Events.Append(ctx, line); err != nil {
			return err
		}
		ended, err = a.Endings.endAll(ctx, id, anySession, endSpec{
			reason: model.ReasonKicked, actor: by.Name, note: r.Reason, at: now, caller: by.Caller,
		})
		return err
	}, code.Attempt{
		CompanyType: user.CompanyType, Purpose: model.PurposeChange, Mobile: number, Code: r.Code, Tickets: []model.Secret{r.Ticket}, Caller: by.Caller,
	})
	return ended, err
}

// renumber writes the number of user, which is free or kept by a ban that is over.
func renumber(ctx context.Context, users UserStore, user model.User, now model.Time) error {
	if err := claim(ctx, users, user, now); err != nil {
		return err
	}
	return users.Renumber(ctx, user.ID, user.MobileKey, user.Mobile)
}

// living is user without deleted accounts.
func (a *Admin) living(ctx context.Context, by Operator, id int64) (model.User, error) {
	user, err := a.user(ctx, by, id)
	if err == nil && user.DeletedAt != 0 {
		err = model.ErrNotFound
	}
	return user, err
}
