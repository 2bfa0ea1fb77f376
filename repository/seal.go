package repository

import (
	"bytes"
	"context"

	"menshen/model"
)

// maxSealed is the room of a sealed number, in bytes.
const maxSealed = 128

// SealedUnder lists up to limit accounts whose sealed number begins with the id
// of a secret, after skipping so many; only their ids and sealed numbers are
// read. It goes by an index that is named, so that it costs next to nothing when
// there is none, whatever the statistics of a large table say.
func (u Users) SealedUnder(ctx context.Context, secretID []byte, skip, limit int) ([]model.User, error) {
	var users []model.User
	from, to := sealedRange(secretID)
	err := u.DB.reader(ctx).Raw("SELECT id, mobile FROM users"+u.DB.words.bySeal+" WHERE mobile >= ? AND mobile <= ? LIMIT ? OFFSET ?",
		from, to, limit, skip).Scan(&users).Error
	return users, fault("find sealed numbers", err)
}

// CountSealed counts the accounts whose sealed number begins with the id of a
// secret; with an empty id, all that have a number.
func (u Users) CountSealed(ctx context.Context, secretID []byte) (n int64, err error) {
	from, to := sealedRange(secretID)
	err = u.DB.reader(ctx).Raw("SELECT COUNT(*) FROM users"+u.DB.words.bySeal+" WHERE mobile >= ? AND mobile <= ?", from, to).Scan(&n).Error
	return n, fault("count sealed numbers", err)
}

// Reseal exchanges an account's sealed number and reports whether this call
// did: one that changed or went meanwhile stays as it is.
func (u Users) Reseal(ctx context.Context, id int64, old, sealed []byte) (bool, error) {
	n, err := u.DB.exec(ctx, "reseal number", "UPDATE users SET mobile = ? WHERE id = ? AND mobile = ?", sealed, id, old)
	return n > 0, err
}

// sealedRange are the least and the greatest value that begin with the id.
func sealedRange(id []byte) (from, to []byte) {
	from = append([]byte{}, id...) // none is the empty value, not NULL
	return from, append(bytes.Clone(from), bytes.Repeat([]byte{0xff}, maxSealed-len(id))...)
}
