package repository

import (
	"bytes"
	"context"

	"menshen/model"
)

// maxSealed is the maximal length of a sealed number, in bytes.
const maxSealed = 128

// SealedUnder lists the accounts whose sealed number begins with the id of a secret. The
// query names its index, so that it is fast when there are no such accounts, whatever
// the statistics of a large table say.
func (u Users) SealedUnder(ctx context.Context, secretID []byte, skip, limit int) ([]model.User, error) {
	var users []model.User
	from, to := sealedRange(secretID)
	err := u.DB.readDB(ctx).Raw("SELECT id, mobile FROM users"+u.DB.byIndex("users_seal")+" WHERE mobile >= ? AND mobile <= ? LIMIT ? OFFSET ?",
		from, to, limit, skip).Scan(&users).Error
	return users, unavailable("find encrypted numbers", err)
}

// CountSealed counts the accounts whose sealed number begins with the id of a secret.
func (u Users) CountSealed(ctx context.Context, secretID []byte) (n int64, err error) {
	from, to := sealedRange(secretID)
	err = u.DB.readDB(ctx).Raw("SELECT COUNT(*) FROM users"+u.DB.byIndex("users_seal")+" WHERE mobile >= ? AND mobile <= ?", from, to).Scan(&n).Error
	return n, unavailable("count encrypted numbers", err)
}

// Reseal replaces an account's sealed number if it still is old.
func (u Users) Reseal(ctx context.Context, id int64, old, sealed []byte) (bool, error) {
	return u.DB.execCAS(ctx, "re-encrypt number", "UPDATE users SET mobile = ? WHERE id = ? AND mobile = ?", sealed, id, old)
}

// sealedRange returns the least and the greatest value that begin with the id.
func sealedRange(id []byte) (from, to []byte) {
	from = append([]byte{}, id...) // an empty id is the empty value, not NULL
	return from, append(bytes.Clone(from), bytes.Repeat([]byte{0xff}, maxSealed-len(id))...)
}
