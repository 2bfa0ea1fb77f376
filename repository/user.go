package repository

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"gorm.io/gorm"

	"menshen/model"
)

// Users stores the accounts.
type Users struct{ DB *DB }

// Register returns the account of the user's company and number, locked. It creates the
// account from user if there is none.
func (u Users) Register(ctx context.Context, user model.User) (kept model.User, created bool, err error) {
	kept, created, err = userTable.upsert(ctx, u.DB, "register user", u.DB.dialect.upsertUser,
		user.ID, user.CompanyType, user.MobileKey, user.Mobile, user.UserName, user.NickName,
		user.FirstSource, user.LastSource, user.CreatedAt, user.LastSource)
	switch {
	case errors.Is(err, gorm.ErrDuplicatedKey):
		return kept, false, fmt.Errorf("%w: %w", model.ErrIDTaken, err)
	case err == nil && created:
		return user, true, nil
	case err == nil && kept.ID == 0:
		kept, err = u.ByNumber(ctx, user.CompanyType, user.MobileKey)
		if errors.Is(err, model.ErrNotFound) { // MySQL has updated the account with user.ID, for the caller to roll back
			err = model.ErrIDTaken
		}
	}
	return kept, err == nil && kept.ID == user.ID, err
}

// rowsAtOnce bounds the rows of one INSERT, and so the parameters of the statement.
const rowsAtOnce = 250

// Insert adds accounts. If a unique key refuses them, it looks which one did.
func (u Users) Insert(ctx context.Context, users ...model.User) error {
	var err error
	for chunk := range slices.Chunk(users, rowsAtOnce) {
		if err = userTable.insert(ctx, u.DB, chunk...); err != nil {
			break
		}
	}
	if !errors.Is(err, gorm.ErrDuplicatedKey) {
		return err
	}
	for _, user := range users {
		switch kept, missing := u.ByNumber(ctx, user.CompanyType, user.MobileKey); {
		case missing == nil && kept.ID != user.ID:
			return model.ErrNumberTaken.Wrap(err)
		case missing != nil && !errors.Is(missing, model.ErrNotFound):
			return missing
		}
		if user.ExternalID == nil {
			continue
		}
		switch kept, missing := u.ByExternalIDs(ctx, user.CompanyType, *user.ExternalID); {
		case missing != nil:
			return missing
		case len(kept) > 0:
			return model.ErrExternalIDTaken.Wrap(err)
		}
	}
	return fmt.Errorf("%w: %w", model.ErrIDTaken, err)
}

// ByExternalIDs finds the accounts of a company that have one of the external ids.
func (u Users) ByExternalIDs(ctx context.Context, company int32, ids ...string) ([]model.User, error) {
	found, err := userTable.list(ctx, u.DB, "WHERE company_type = ? AND external_id IN (?"+strings.Repeat(", ?", len(ids)-1)+")", anyOf(company, ids)...)
	return found, unavailable("find users by external id", err)
}

// LockNumbers finds the accounts of a company that have one of the keys, and locks them.
func (u Users) LockNumbers(ctx context.Context, company int32, keys [][]byte) ([]model.User, error) {
	found, err := userTable.list(ctx, u.DB, "WHERE company_type = ? AND mobile_key IN (?"+strings.Repeat(", ?", len(keys)-1)+")"+u.DB.dialect.forUpdate, anyOf(company, keys)...)
	return found, unavailable("find users by number", err)
}

// After lists accounts that are not deleted in the order of their ids.
func (u Users) After(ctx context.Context, id int64, limit int) ([]model.User, error) {
	found, err := userTable.list(ctx, u.DB, "WHERE id > ? AND deleted_at = 0 ORDER BY id LIMIT ?", id, limit)
	return found, unavailable("list users", err)
}

// anyOf are the arguments of a condition on a company and a list.
func anyOf[T any](company int32, values []T) []any {
	args := []any{company}
	for _, value := range values {
		args = append(args, value)
	}
	return args
}

// ByNumber finds an account by its key.
func (u Users) ByNumber(ctx context.Context, company int32, mobileKey []byte) (model.User, error) {
	return userTable.first(ctx, u.DB, "WHERE company_type = ? AND mobile_key = ?", company, mobileKey)
}

// ByExternalID finds an account by its id in the company's own system.
func (u Users) ByExternalID(ctx context.Context, company int32, externalID string) (model.User, error) {
	return userTable.first(ctx, u.DB, "WHERE company_type = ? AND external_id = ?", company, externalID)
}

// ByID finds an account, deleted ones too.
func (u Users) ByID(ctx context.Context, id int64) (model.User, error) {
	return userTable.first(ctx, u.DB, "WHERE id = ?", id)
}

// Lock is ByID that makes other writers of the account wait.
func (u Users) Lock(ctx context.Context, id int64) (model.User, error) {
	return userTable.first(ctx, u.DB, "WHERE id = ?"+u.DB.dialect.forUpdate, id)
}

// Describe writes the members that users and operators may change. The unique key
// decides races for an external id.
func (u Users) Describe(ctx context.Context, user model.User) error {
	err := u.DB.exec(ctx, "describe user", "UPDATE users SET nick_name = ?, real_name = ?, avatar_url = ?, external_id = ?, metadata = ? WHERE id = ?",
		user.NickName, user.RealName, user.AvatarURL, user.ExternalID, user.Metadata, user.ID)
	if errors.Is(err, gorm.ErrDuplicatedKey) {
		return model.ErrExternalIDTaken.Wrap(err)
	}
	return err
}

// SetBan writes the end of a ban, 0 for none, and its reason.
func (u Users) SetBan(ctx context.Context, id int64, until model.Time, reason string) error {
	return u.DB.exec(ctx, "set ban", "UPDATE users SET banned_until = ?, ban_reason = ? WHERE id = ?", until, reason, id)
}

// Renumber gives an account another number and ends its device credentials. The unique
// key decides races.
func (u Users) Renumber(ctx context.Context, id int64, mobileKey, sealed []byte) error {
	err := u.DB.exec(ctx, "renumber user", "UPDATE users SET mobile_key = ?, mobile = ?, credential_epoch = credential_epoch + 1 WHERE id = ?", mobileKey, sealed, id)
	if errors.Is(err, gorm.ErrDuplicatedKey) {
		return model.ErrNumberTaken.Wrap(err)
	}
	return err
}

// EndCredentials ends all device credentials of an account.
func (u Users) EndCredentials(ctx context.Context, id int64) error {
	return u.DB.exec(ctx, "end credentials", "UPDATE users SET credential_epoch = credential_epoch + 1 WHERE id = ?", id)
}

// Erase removes the personal data of an account and keeps its id.
func (u Users) Erase(ctx context.Context, id int64, free bool, now model.Time) error {
	err := u.DB.exec(ctx, "erase user",
		`UPDATE users SET mobile = NULL, user_name = '', nick_name = '', real_name = '', avatar_url = '', first_source = '', last_source = '', external_id = NULL, metadata = NULL, deleted_at = ?, credential_epoch = credential_epoch + 1 WHERE id = ?`, now, id)
	if err == nil && free {
		err = u.Free(ctx, id)
	}
	return err
}

// Free releases the number of an erased account.
func (u Users) Free(ctx context.Context, id int64) error {
	return u.DB.exec(ctx, "free number", "UPDATE users SET mobile_key = NULL WHERE id = ? AND deleted_at > 0", id)
}
