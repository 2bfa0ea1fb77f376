package vault

import (
	"context"

	"menshen/model"
)

// Tx runs acts in transactions.
type Tx interface {
	// Within runs act in one transaction that the context carries. An error of act rolls
	// everything back and is returned unchanged. act may run several times.
	Within(ctx context.Context, act func(ctx context.Context) error) error
}

// Store keeps sealed values.
type Store interface {
	// Keep stores value unless there is one already, and returns the stored value.
	Keep(ctx context.Context, name string, value []byte) ([]byte, error)
	// Value returns the stored value. Without one the error is model.ErrNotFound.
	Value(ctx context.Context, name string) ([]byte, error)
	// Replace replaces old with value. If old is not the stored value any more, the
	// error is model.ErrNotFound.
	Replace(ctx context.Context, name string, old, value []byte) error
}

// SealStore finds the numbers that are sealed under a secret, by the secret's id, with
// which they begin.
type SealStore interface {
	// SealedUnder lists up to limit accounts after the first skip. Only their ids and
	// sealed numbers are set.
	SealedUnder(ctx context.Context, secretID []byte, skip, limit int) ([]model.User, error)
	// CountSealed counts the accounts whose number is sealed under the secret. With an
	// empty id it counts all accounts that have a number.
	CountSealed(ctx context.Context, secretID []byte) (int64, error)
	// Reseal replaces a sealed number and reports whether this call did. A number that
	// changed since old was read is left as it is.
	Reseal(ctx context.Context, id int64, old, sealed []byte) (bool, error)
}
