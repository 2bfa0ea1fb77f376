package repository

import (
	"context"
	"errors"

	"gorm.io/gorm"

	"menshen/model"
)

// Users keeps the accounts.
type Users struct{ DB *DB }

// Register returns the account of the user's company and number, which it
// makes from user when there is none, and locks it until the transaction ends.
// Of concurrent calls exactly one creates. When user.ID is taken by another
// account the error is model.ErrNotFound: call again with another id.
func (u Users) Register(ctx context.Context, user model.User) (kept model.User, created bool, err error) {
	kept, created, err = userShape.upsert(ctx, u.DB, "register user", u.DB.words.upsertUser,
		user.ID, user.CompanyType, user.MobileKey, user.Mobile, user.UserName, user.NickName,
		user.FirstSource, user.LastSource, user.CreatedAt)
	switch {
	case errors.Is(err, gorm.ErrDuplicatedKey):
		return kept, false, model.ErrNotFound.Wrap(err)
	case err == nil && created:
		return user, true, nil
	case err == nil && kept.ID == 0:
		kept, err = u.ByNumber(ctx, user.CompanyType, user.MobileKey)
	}
	return kept, err == nil && kept.ID == user.ID, err
}

// ByNumber finds an account by its key; none is model.ErrNotFound.
func (u Users) ByNumber(ctx context.Context, company int32, mobileKey []byte) (model.User, error) {
	return userShape.one(ctx, u.DB, "WHERE company_type = ? AND mobile_key = ?", company, mobileKey)
}

// ByID finds an account, deleted ones too; none is model.ErrNotFound.
func (u Users) ByID(ctx context.Context, id int64) (model.User, error) {
	return userShape.one(ctx, u.DB, "WHERE id = ?", id)
}

// Lock is ByID that also keeps every other writer of the account waiting until
// the transaction ends.
func (u Users) Lock(ctx context.Context, id int64) (model.User, error) {
	return userShape.one(ctx, u.DB, "WHERE id = ?"+u.DB.words.forUpdate, id)
}

// Describe writes the three members that an owner may change.
func (u Users) Describe(ctx context.Context, user model.User) error {
	_, err := u.DB.exec(ctx, "describe user", "UPDATE users SET nick_name = ?, real_name = ?, avatar_url = ? WHERE id = ?",
		user.NickName, user.RealName, user.AvatarURL, user.ID)
	return err
}

// SetBan writes the end of a ban, 0 for none, and its reason.
func (u Users) SetBan(ctx context.Context, id int64, until model.Time, reason string) error {
	_, err := u.DB.exec(ctx, "set ban", "UPDATE users SET banned_until = ?, ban_reason = ? WHERE id = ?", until, reason, id)
	return err
}

// Renumber gives an account another number; when that has an account in the
// company already: model.ErrNumberTaken. The unique key decides.
func (u Users) Renumber(ctx context.Context, id int64, mobileKey, sealed []byte) error {
	_, err := u.DB.exec(ctx, "renumber user", "UPDATE users SET mobile_key = ?, mobile = ? WHERE id = ?", mobileKey, sealed, id)
	if errors.Is(err, gorm.ErrDuplicatedKey) {
		return model.ErrNumberTaken.Wrap(err)
	}
	return err
}

// Erase removes the personal data of an account and keeps its id; free lets its
// number go.
func (u Users) Erase(ctx context.Context, id int64, free bool, now model.Time) error {
	_, err := u.DB.exec(ctx, "erase user",
		`UPDATE users SET mobile = NULL, user_name = '', nick_name = '', real_name = '', avatar_url = '', first_source = '', last_source = '', deleted_at = ? WHERE id = ?`, now, id)
	if err == nil && free {
		err = u.Free(ctx, id)
	}
	return err
}

// Free lets the number of an erased account go.
func (u Users) Free(ctx context.Context, id int64) error {
	_, err := u.DB.exec(ctx, "free number", "UPDATE users SET mobile_key = NULL WHERE id = ? AND deleted_at > 0", id)
	return err
}
