package service

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"

	"menshen/model"
)

// Bounds of a page of users.
const (
	UserPage    = 50
	MaxUserPage = 200
)

// UserQuery asks for a page of the list of users. Zero values select all.
type UserQuery struct {
	ID          int64
	Mobile      string
	ExternalID  string
	CompanyType *int32
	Source      string // the first one
	Banned      *bool
	From, To    model.Time // of the creation; inclusive, exclusive
	Cursor      string
	Limit       int // 1 to MaxUserPage; 0: UserPage
}

// List returns a page of the users that the query selects, newest account first, and the
// cursor of the next page, "" if this is the last. The cursor is the place of an account,
// so that accounts that are made or deleted meanwhile move no page. A deleted account is
// listed if the query names its id and neither number nor external id. List records the
// look if the query names one person.
//
// Errors: model.ErrMobile, and ErrMalformed for an unknown cursor.
func (a *Admin) List(ctx context.Context, by Operator, q UserQuery) (page []Profile, next string, err error) {
	q.Limit = cmp.Or(q.Limit, UserPage)
	now := model.TimeOf(a.Now())
	filter := model.UserFilter{Companies: by.Companies, Source: q.Source, Banned: q.Banned, Now: now, From: q.From, To: q.To}
	if q.Cursor != "" {
		if filter.After, err = a.parseCursor(ctx, by, q.Cursor); err != nil {
			return nil, "", err
		}
	}
	if q.CompanyType != nil {
		filter.Companies = model.Companies{*q.CompanyType}
		if !by.Companies.Include(*q.CompanyType) {
			if q.Mobile != "" {
				_, err = a.Numbers.Parse(q.Mobile)
			}
			return nil, "", err
		}
	}
	users, looks, err := a.find(ctx, by, q, filter)
	if err != nil {
		return nil, "", err
	}
	if len(users) > q.Limit {
		users = users[:q.Limit]
		next = strconv.FormatInt(users[q.Limit-1].ID, 10)
	}
	page = make([]Profile, len(users))
	for i, user := range users {
		page[i] = a.profile(user)
	}
	if len(looks) == 0 {
		return page, next, nil
	}
	return page, next, a.Endings.Events.Append(ctx, looks...)
}

// parseCursor returns the account that a cursor names: the last one of a page.
func (a *Admin) parseCursor(ctx context.Context, by Operator, cursor string) (model.User, error) {
	id, err := ParseID(cursor)
	if err != nil {
		return model.User{}, model.MalformedField("cursor", model.ReasonFormat)
	}
	user, err := a.user(ctx, by, id)
	if errors.Is(err, model.ErrNotFound) {
		err = model.MalformedField("cursor", model.ReasonUnknown)
	}
	return user, err
}

// find returns the users of a page, one more if there is another page, and the events of
// the look if the query names a person: of one whom its other members leave out too, because
// that tells something about the person.
func (a *Admin) find(ctx context.Context, by Operator, q UserQuery, filter model.UserFilter) (users []model.User, looks []model.Event, err error) {
	switch {
	case q.Mobile != "":
		number, err := a.Numbers.Parse(q.Mobile)
		if err != nil {
			return nil, nil, err
		}
		users, err = a.accounts(ctx, number, a.companies(filter.Companies))
		looks = a.viewedNumber(by, number, users)
		return narrow(users, q, filter), looks, err
	case q.ID != 0:
		user, err := a.user(ctx, by, q.ID)
		if err == nil {
			users = []model.User{user}
		} else if !errors.Is(err, model.ErrNotFound) {
			return nil, nil, err
		}
	case q.ExternalID != "":
		users, err = inEach(a.companies(filter.Companies), func(company int32) (model.User, error) {
			return a.Users.ByExternalID(ctx, company, q.ExternalID)
		})
		if err != nil {
			return nil, nil, err
		}
	default:
		users, err = a.Users.List(ctx, filter, q.Limit+1)
		return users, nil, err
	}
	for _, user := range users {
		looks = append(looks, by.viewed(user, filter.Now))
	}
	return narrow(users, q, filter), looks, nil
}

// narrow leaves the users that the whole query selects, in the order of the list.
func narrow(users []model.User, q UserQuery, filter model.UserFilter) []model.User {
	users = slices.DeleteFunc(users, func(user model.User) bool {
		return !filter.Matches(user) || q.ID != 0 && user.ID != q.ID ||
			q.ExternalID != "" && (user.ExternalID == nil || *user.ExternalID != q.ExternalID)
	})
	slices.SortFunc(users, model.CompareUsers)
	return users
}

// companies are those in which a number is looked for: the given ones, without any those
// that are configured.
func (a *Admin) companies(given model.Companies) model.Companies {
	if len(given) > 0 {
		return given
	}
	all := make(model.Companies, len(a.Catalog.Companies))
	for i, company := range a.Catalog.Companies {
		all[i] = company.Type
	}
	return all
}

// accounts lists the accounts of a number in the companies, at most one in each. A deleted
// one is none, although it keeps its number if it is banned.
func (a *Admin) accounts(ctx context.Context, number model.Mobile, companies model.Companies) ([]model.User, error) {
	found, err := inEach(companies, func(company int32) (model.User, error) {
		return a.Users.ByNumber(ctx, company, a.Vault.MobileKey(company, number))
	})
	return slices.DeleteFunc(found, func(user model.User) bool { return user.DeletedAt != 0 }), err
}

// inEach returns the accounts that find finds in the companies.
func inEach(companies model.Companies, find func(company int32) (model.User, error)) (found []model.User, err error) {
	for _, company := range companies {
		user, err := find(company)
		if errors.Is(err, model.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		found = append(found, user)
	}
	return found, nil
}
