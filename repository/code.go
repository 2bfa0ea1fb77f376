package repository

import (
	"context"
	"strconv"

	"menshen/model"
)

// Codes keeps the verification codes: each row is a code and its line in the
// ledger from which the limits of sending and guessing are counted.
type Codes struct{ DB *DB }

// Gate lets one transaction at a time past the given name, until it ends. It
// always writes, so that passing costs the same for every name.
func (c Codes) Gate(ctx context.Context, name []byte, now model.Time) error {
	_, err := c.DB.exec(ctx, "pass gate", c.DB.words.upsertGate, now, name)
	return err
}

// Recent lists the number's codes, of all companies and purposes, whose end is
// after since, newest first, at most so many. Codes that a provider refused are
// charged to nobody and may be any number: of them it lists those that somebody
// tried, and the one that is the newest of all.
//
// Numbers of rows stand in the texts of the hot paths: SQLite compiles a statement
// anew for each value that is bound to its LIMIT.
func (c Codes) Recent(ctx context.Context, numberKey []byte, since model.Time, most int) ([]model.Code, error) {
	codes, err := codeShape.list(ctx, c.DB, `WHERE number_key = ? AND expires_at > ?
AND (delivery <> ? OR attempts > 0 OR seq = (SELECT MAX(seq) FROM codes WHERE number_key = ?)) ORDER BY seq DESC LIMIT `+strconv.Itoa(most),
		numberKey, since, model.DeliveryRefused, numberKey)
	return codes, fault("list codes", err)
}

// NthSent is when the n-th newest code after since was sent, from the address
// or, with an empty ipKey, in the whole deployment, where what a provider
// refused is no message. Fewer than n: 0.
func (c Codes) NthSent(ctx context.Context, ipKey string, since model.Time, n int) (model.Time, error) {
	which, what := "delivery <> ?", any(model.DeliveryRefused)
	if ipKey != "" {
		which, what = "ip_key = ?", ipKey
	}
	sent, _, err := scalar[model.Time](ctx, c.DB,
		"SELECT sent_at FROM codes WHERE sent_at > ? AND "+which+" ORDER BY sent_at DESC LIMIT 1 OFFSET "+strconv.Itoa(n-1), since, what)
	return sent, fault("count codes", err)
}

// CountSince counts the codes after since, from the address or, with an empty
// ipKey, in the whole deployment, what a provider refused among them: it reads
// the index alone.
func (c Codes) CountSince(ctx context.Context, ipKey string, since model.Time) (n int, err error) {
	query, args := "SELECT COUNT(*) FROM codes WHERE sent_at > ?", []any{since}
	if ipKey != "" {
		query, args = query+" AND ip_key = ?", append(args, ipKey)
	}
	n, _, err = scalar[int](ctx, c.DB, query, args...)
	return n, fault("count codes", err)
}

// Insert adds a code. The caller has passed the number's gate.
func (c Codes) Insert(ctx context.Context, code model.Code) error {
	return codeShape.insert(ctx, c.DB, code)
}

// Settle notes how the sending ended and by whom; a refused code is dead from
// then on.
func (c Codes) Settle(ctx context.Context, id int64, s model.Settlement) error {
	var dead model.Time
	if s.Delivery == model.DeliveryRefused {
		dead = s.At
	}
	_, err := c.DB.exec(ctx, "settle code", "UPDATE codes SET delivery = ?, provider = ?, dead_at = ? WHERE id = ?",
		s.Delivery, s.Provider, dead, id)
	return err
}

// CountAttempt counts one more attempt on the code. An id of 0 writes nothing,
// at the same cost.
func (c Codes) CountAttempt(ctx context.Context, id int64) error {
	_, err := c.DB.exec(ctx, "count attempt", "UPDATE codes SET attempts = attempts + 1 WHERE id = ?", id)
	return err
}

// Use redeems the code. Of any number of callers exactly one gets nil, the
// others model.ErrCode.
func (c Codes) Use(ctx context.Context, id int64, now model.Time) error {
	return c.DB.one(ctx, "use code", model.ErrCode,
		"UPDATE codes SET used_at = ? WHERE id = ? AND used_at = 0 AND dead_at = 0", now, id)
}
