package service

import (
	"context"
	"slices"

	"menshen/model"
	"menshen/service/code"
)

// Number returns what the limits of a number hold, whether or not it has an account, and
// records the look.
//
// Errors: model.ErrMobile.
func (a *Admin) Number(ctx context.Context, by Operator, mobile string) (model.Mobile, code.Locks, error) {
	number, err := a.Numbers.Parse(mobile)
	if err != nil {
		return number, code.Locks{}, err
	}
	accounts, err := a.accounts(ctx, number, a.Catalog.Companies)
	if err != nil {
		return number, code.Locks{}, err
	}
	locks, err := a.Quotas.Locks(ctx, a.Vault.NumberKey(number))
	if err != nil {
		return number, code.Locks{}, err
	}
	return number, locks, a.Endings.Events.Append(ctx, a.viewedNumber(by, number, accounts)...)
}

// numberEvents returns an event for each account of a number, or one without a user.
func (o Operator) numberEvents(kind model.Kind, now model.Time, accounts []model.User, detail ...string) []model.Event {
	if len(accounts) == 0 {
		accounts = []model.User{{}}
	}
	lines := make([]model.Event, 0, len(accounts))
	for _, user := range accounts {
		line := o.event(kind, user.ID, now, "")
		line.Detail = model.EventDetail(detail...)
		lines = append(lines, line)
	}
	return lines
}

// Unlock lifts the limits of a user's number: see UnlockNumber.
//
// Errors: model.ErrNotFound, also for a deleted account.
func (a *Admin) Unlock(ctx context.Context, by Operator, id int64, reason string) (cleared int, err error) {
	user, err := a.Users.ByID(ctx, id)
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
	companies := a.Catalog.Companies
	if !slices.ContainsFunc(companies, func(c model.Company) bool { return c.Type == user.CompanyType }) {
		companies = append(slices.Clone(companies), model.Company{Type: user.CompanyType}) // one that was removed
	}
	return a.unlock(ctx, by, number, reason, companies)
}

// UnlockNumber lifts the limits of a number: it forgets the failures and the messages in
// all pools, and ends the device credentials of its accounts, in one transaction. It
// returns how many limits held something. Attempts and messages of parallel requests are
// forgotten as a whole or not at all.
//
// Errors: model.ErrMobile.
func (a *Admin) UnlockNumber(ctx context.Context, by Operator, mobile, reason string) (cleared int, err error) {
	number, err := a.Numbers.Parse(mobile)
	if err != nil {
		return 0, err
	}
	return a.unlock(ctx, by, number, reason, a.Catalog.Companies)
}

func (a *Admin) unlock(ctx context.Context, by Operator, number model.Mobile, reason string, companies []model.Company) (cleared int, err error) {
	err = a.Endings.Within(ctx, func(ctx context.Context) error {
		if cleared, err = a.Quotas.Unlock(ctx, a.Vault.NumberKey(number)); err != nil {
			return err
		}
		accounts, err := a.accounts(ctx, number, companies)
		if err != nil {
			return err
		}
		for _, user := range accounts {
			if err := a.Users.EndCredentials(ctx, user.ID); err != nil {
				return err
			}
		}
		return a.Endings.Events.Append(ctx, by.numberEvents(model.EventUnlocked, model.TimeOf(a.Now()), accounts, "mobile", number.String(), "reason", reason)...)
	})
	return cleared, err
}
