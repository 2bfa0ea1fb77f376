package service

import (
	"context"
	"strconv"

	"menshen/model"
	"menshen/service/code"
)

// Number returns what the limits of a number hold, whether or not it has an account, and
// records the look.
//
// Errors: model.ErrMobile, and ErrNotFound if the operator serves some companies and the
// number has no account in them.
func (a *Admin) Number(ctx context.Context, by Operator, mobile string) (model.Mobile, code.Locks, error) {
	number, err := a.Numbers.Parse(mobile)
	if err != nil {
		return number, code.Locks{}, err
	}
	accounts, err := a.accountsOf(ctx, by, number)
	if err != nil {
		return number, code.Locks{}, err
	}
	locks, err := a.Quotas.Locks(ctx, a.Vault.NumberKey(number))
	if err != nil {
		return number, code.Locks{}, err
	}
	return number, locks, a.Endings.Events.Append(ctx, a.viewedNumber(by, number, accounts)...)
}

// accountsOf returns the accounts of a number that the operator serves. An operator of
// some companies gets model.ErrNotFound if there is none.
func (a *Admin) accountsOf(ctx context.Context, by Operator, number model.Mobile) ([]model.User, error) {
	accounts, err := a.accounts(ctx, number, a.companies(by.Companies))
	if err == nil && len(accounts) == 0 && len(by.Companies) > 0 {
		err = model.ErrNotFound
	}
	return accounts, err
}

// numberEvents returns an event for each account of a number, or one without a user.
func (o Operator) numberEvents(kind model.Kind, now model.Time, accounts []model.User, detail ...string) []model.Event {
	if len(accounts) == 0 {
		accounts = []model.User{{}}
	}
	lines := make([]model.Event, 0, len(accounts))
	for _, user := range accounts {
		line := o.event(kind, user, now, "")
		line.Detail = model.EventDetail(detail...)
		lines = append(lines, line)
	}
	return lines
}

// Unlock lifts the limits of a user's number: see UnlockNumber.
//
// Errors: model.ErrNotFound, also for a deleted account; ErrTooMany.
func (a *Admin) Unlock(ctx context.Context, by Operator, id int64, reason string) (cleared int, err error) {
	user, err := a.user(ctx, by, id)
	if err != nil {
		return 0, err
	}
	if user.Mobile == nil {
		return 0, model.ErrNotFound
	}
	number, err := a.Vault.UnsealMobile(user.Mobile, user.ID)
	if err != nil {
		return 0, err
	}
	return a.unlock(ctx, by, unlocking{number, []model.User{user}, reason})
}

// UnlockNumber lifts the limits of a number: it forgets the failures and the messages in
// all pools, and ends the device credentials of its accounts in all companies, in one
// transaction. It returns how many limits held something. Attempts and messages of parallel
// requests are forgotten as a whole or not at all. An operator with the role "support" may
// do it supportUnlocks times a day, together with all others of that role.
//
// Errors: model.ErrMobile, ErrTooMany, and ErrNotFound if the operator serves some
// companies and the number has no account in them.
func (a *Admin) UnlockNumber(ctx context.Context, by Operator, mobile, reason string) (cleared int, err error) {
	number, err := a.Numbers.Parse(mobile)
	if err != nil {
		return 0, err
	}
	known, err := a.accountsOf(ctx, by, number)
	if err != nil {
		return 0, err
	}
	return a.unlock(ctx, by, unlocking{number, known, reason})
}

// unlocking is a number to unlock.
type unlocking struct {
	number model.Mobile
	known  []model.User // accounts of it, possibly of companies that are no longer configured
	reason string
}

func (a *Admin) unlock(ctx context.Context, by Operator, u unlocking) (cleared int, err error) {
	err = a.Endings.Within(ctx, func(ctx context.Context) error {
		if by.Role == model.RoleSupport {
			if err := a.takeUnlock(ctx, u.number); err != nil {
				return err
			}
		}
		if cleared, err = a.Quotas.Unlock(ctx, a.Vault.NumberKey(u.number)); err != nil {
			return err
		}
		companies := a.companies(nil)
		for _, user := range u.known {
			if !companies.Include(user.CompanyType) {
				companies = append(companies, user.CompanyType)
			}
		}
		accounts, err := a.accounts(ctx, u.number, companies)
		if err != nil {
			return err
		}
		for _, user := range accounts {
			if err := a.Users.EndCredentials(ctx, user.ID); err != nil {
				return err
			}
		}
		return a.Endings.Events.Append(ctx, by.numberEvents(model.EventUnlocked, model.TimeOf(a.Now()), accounts, "mobile", u.number.String(), "reason", u.reason)...)
	})
	return cleared, err
}

// supportUnlocks is how often operators with the role "support" may lift the limits of one
// number within a day.
const supportUnlocks = 5

// takeUnlock counts an unlock of a number by the role "support". It returns
// model.ErrTooMany if there were supportUnlocks within a day. Each of as many names can be
// raised once a day.
func (a *Admin) takeUnlock(ctx context.Context, number model.Mobile) error {
	now := model.TimeOf(a.Now())
	since := now.Add(-day)
	var names []string
	for i := range supportUnlocks {
		name := "unlock|" + strconv.Itoa(i) + "|" + string(a.Vault.NumberKey(number))
		taken, err := a.Marks.Raise(ctx, name, since, now)
		if err != nil || taken {
			return err
		}
		names = append(names, name)
	}
	raised, err := a.Marks.Raised(ctx, names, since)
	if err != nil {
		return err
	}
	first := now
	for _, at := range raised {
		first = min(first, at)
	}
	return model.ErrTooMany.After(first.Add(day).Sub(now))
}
