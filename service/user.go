package service

import (
	"context"
	"fmt"
	"time"

	"menshen/model"
	"menshen/service/code"
	"menshen/service/phone"
	"menshen/service/vault"
)

// Users shows and changes accounts.
type Users struct {
	Store   UserStore
	Sent    MessageLog
	Endings *Endings // of the owners' sessions
	Codes   *code.Verifier
	Vault   *vault.Vault
	Numbers phone.Numbers
	Now     func() time.Time

	changes turns
}

// Profile is a user with the number in clear, for the owner alone.
type Profile struct {
	User   model.User
	Mobile string // national number for the default region, else E.164
}

// Changes are the members that owners and operators may change. nil leaves a member as it is.
type Changes struct {
	NickName  *string
	RealName  *string
	AvatarURL *string
}

// ByID returns the user's profile.
func (u *Users) ByID(ctx context.Context, id int64) (Profile, error) {
	user, err := u.Store.ByID(ctx, id)
	if err != nil {
		return Profile{}, err
	}
	return u.profile(user)
}

func (u *Users) profile(user model.User) (Profile, error) {
	if user.DeletedAt != 0 {
		return Profile{}, errDeleted()
	}
	mobile, err := u.Vault.UnsealMobile(user.Mobile, user.ID)
	if err != nil {
		return Profile{}, fmt.Errorf("show user: %w", err)
	}
	return Profile{User: user, Mobile: u.Numbers.National(mobile)}, nil
}

// Change writes the owner's changes and returns the profile as it then is.
func (u *Users) Change(ctx context.Context, session model.Session, changes Changes, caller model.Caller) (Profile, error) {
	done, err := u.changes.take(ctx, session.UserID)
	if err != nil {
		return Profile{}, err
	}
	defer done()
	var user model.User
	err = u.Endings.Within(ctx, func(ctx context.Context) (err error) {
		if user, err = u.Store.Lock(ctx, session.UserID); err != nil {
			return err
		}
		if user.DeletedAt != 0 {
			return errDeleted()
		}
		before := user
		changes.applyTo(&user)
		if user.NickName == before.NickName && user.RealName == before.RealName && user.AvatarURL == before.AvatarURL {
			return nil
		}
		if err := u.Store.Describe(ctx, user); err != nil {
			return err
		}
		line := event(model.EventUserChanged, session, model.TimeOf(u.Now()), caller)
		return u.Endings.Events.Append(ctx, line.Folded(time.Minute, session.ID, model.AddressBlock(caller.IP)))
	})
	if err != nil {
		return Profile{}, err
	}
	return u.profile(user)
}

func (c Changes) applyTo(user *model.User) {
	set(&user.NickName, c.NickName)
	set(&user.RealName, c.RealName)
	set(&user.AvatarURL, c.AvatarURL)
}

func set(member, value *string) {
	if value != nil {
		*member = *value
	}
}
