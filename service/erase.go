package service

import (
	"context"

	"menshen/model"
	"menshen/service/vault"
)

// erasure is the deletion of an account whose row is locked.
type erasure struct {
	users   UserStore
	sent    MessageLog
	endings *Endings
	vault   *vault.Vault
	user    model.User
	ends    endSpec // of the sessions
}

// do ends all sessions of the account and erases its personal data. It frees the number
// unless the account is banned, so that a new account does not evade the ban. It returns
// how many sessions ended. The caller writes the event.
func (e erasure) do(ctx context.Context) (ended int, err error) {
	if ended, err = e.endings.endAll(ctx, e.user.ID, anySession, e.ends); err != nil {
		return 0, err
	}
	if err := e.endings.Store.Anonymise(ctx, e.user.ID); err != nil {
		return 0, err
	}
	mask := ""
	if number, err := e.vault.UnsealMobile(e.user.Mobile, e.user.ID); err == nil {
		mask = number.String()
		if err := e.sent.EraseNumber(ctx, e.user.CompanyType, e.vault.NumberKey(number)); err != nil {
			return 0, err
		}
	}
	if err := e.sent.Erase(ctx, e.user, mask); err != nil {
		return 0, err
	}
	return ended, e.users.Erase(ctx, e.user.ID, !e.user.Banned(e.ends.at), e.ends.at)
}

// Delete deletes an account as its owner can: see Users.Delete.
//
// Errors: model.ErrNotFound, also for a deleted account.
func (a *Admin) Delete(ctx context.Context, by Operator, id int64, reason string) (ended int, err error) {
	err = a.Endings.Within(ctx, func(ctx context.Context) error {
		user, err := a.lock(ctx, by, id)
		if err == nil && user.DeletedAt != 0 {
			err = model.ErrNotFound
		}
		if err != nil {
			return err
		}
		now := model.TimeOf(a.Now())
		ended, err = erasure{a.Users, a.Sent, a.Endings, a.Vault, user, endSpec{
			reason: model.ReasonLoggedOut, actor: by.Name, note: reason, at: now, caller: by.Caller,
		}}.do(ctx)
		if err != nil {
			return err
		}
		return a.Endings.Events.Append(ctx, by.event(model.EventUserDeleted, user, now, reason))
	})
	return ended, err
}
