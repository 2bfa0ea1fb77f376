package service

import (
	"context"
	"errors"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"menshen/model"
	"menshen/service/random"
	"menshen/service/vault"
)

// NewAccount is an account that an operator creates. Its members have been checked.
type NewAccount struct {
	CompanyType int32
	Mobile      string
	Source      string
	Details     Changes
	ExternalID  *string // nil: none
	Metadata    []byte  // JSON object; nil: none
}

// AccountEdit is what an operator changes. nil leaves a member as it is.
type AccountEdit struct {
	Details         Changes
	ExternalID      *string
	ClearExternalID bool
	Metadata        []byte // JSON merge patch (RFC 7396), an object
}

// Create creates the account of a number, whether or not registration is open.
//
// Errors: model.ErrNotFound for a company that the operator does not serve; ErrMalformed,
// ErrMobile, ErrNumberTaken, ErrExternalIDTaken. Of concurrent
// calls for one number, or one external id, one succeeds.
func (a *Admin) Create(ctx context.Context, by Operator, account NewAccount) (person Person, err error) {
	if !by.Companies.Include(account.CompanyType) {
		return person, model.ErrNotFound
	}
	if _, known := a.Catalog.Company(account.CompanyType); !known {
		return person, model.MalformedField("companyType", model.ReasonUnknown)
	}
	number, err := a.Numbers.Parse(account.Mobile)
	if err != nil {
		return person, err
	}
	metadata, problem := account.Metadata, ""
	if metadata != nil {
		if metadata, problem = compactMetadata(metadata); problem != "" {
			return person, model.MalformedField("metadata", problem)
		}
	}
	for { // each try draws another id
		err = a.Endings.Within(ctx, func(ctx context.Context) error {
			now := model.TimeOf(a.Now())
			user := newUser(a.Vault, account.CompanyType, number, now)
			user.FirstSource, user.LastSource = account.Source, account.Source
			account.Details.applyTo(&user)
			user.ExternalID, user.Metadata = account.ExternalID, metadata
			if err := claim(ctx, a.Users, user, now); err != nil {
				return err
			}
			if err := a.Users.Insert(ctx, user); err != nil {
				return err
			}
			line := by.event(model.EventUserCreated, user, now, "")
			line.Detail = model.EventDetail("source", account.Source)
			if err := a.Endings.Events.Append(ctx, line); err != nil {
				return err
			}
			person, err = a.Person(ctx, user)
			return err
		})
		if !errors.Is(err, model.ErrIDTaken) {
			return person, err
		}
	}
}

// claim makes the number of user free, or returns model.ErrNumberTaken. A deleted account
// whose ban has kept the number gives it up once the ban is over.
func claim(ctx context.Context, users UserStore, user model.User, now model.Time) error {
	kept, err := users.ByNumber(ctx, user.CompanyType, user.MobileKey)
	switch {
	case errors.Is(err, model.ErrNotFound):
		return nil
	case err != nil:
		return err
	case kept.DeletedAt == 0 || kept.Banned(now):
		return model.ErrNumberTaken
	}
	if kept, err = users.Lock(ctx, kept.ID); err != nil {
		return err
	}
	if kept.Banned(now) { // it was banned again since it was read
		return model.ErrNumberTaken
	}
	return users.Free(ctx, kept.ID)
}

// newUser is the account of a number that has none yet.
func newUser(v *vault.Vault, company int32, mobile model.Mobile, now model.Time) model.User {
	id := random.ID()
	return model.User{
		ID: id, CompanyType: company, MobileKey: v.MobileKey(company, mobile), Mobile: v.SealMobile(mobile, id),
		UserName: "u" + strconv.FormatInt(id, 36), NickName: "用户" + mobile.Last4(), CreatedAt: now,
	}
}

// Edit changes an account under its lock: of concurrent edits none is lost.
//
// Errors: model.ErrNotFound, also for a deleted account; ErrExternalIDTaken; ErrMalformed
// if the metadata would be too long. Then nothing changes.
func (a *Admin) Edit(ctx context.Context, by Operator, id int64, edit AccountEdit) (person Person, err error) {
	err = a.Endings.Within(ctx, func(ctx context.Context) error {
		user, err := a.lock(ctx, by, id)
		if err != nil {
			return err
		}
		if user.DeletedAt != 0 {
			return model.ErrNotFound
		}
		if err := edit.applyTo(&user); err != nil {
			return err
		}
		if err := a.Users.Describe(ctx, user); err != nil {
			return err
		}
		if err := a.Endings.Events.Append(ctx, by.event(model.EventUserChanged, user, model.TimeOf(a.Now()), "")); err != nil {
			return err
		}
		person, err = a.Person(ctx, user)
		return err
	})
	return person, err
}

func (e AccountEdit) applyTo(user *model.User) error {
	e.Details.applyTo(user)
	if e.ExternalID != nil || e.ClearExternalID {
		user.ExternalID = e.ExternalID
	}
	if e.Metadata == nil {
		return nil
	}
	merged, err := mergePatch(jsontext.Value(user.Metadata), jsontext.Value(e.Metadata))
	if err != nil {
		return err
	}
	metadata, problem := compactMetadata(merged)
	if problem != "" {
		return model.MalformedField("metadata", problem)
	}
	user.Metadata = metadata
	return nil
}
