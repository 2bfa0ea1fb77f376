package vault

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"menshen/model"
)

// Reencrypter seals the numbers of all accounts again after a change of secret.key, and
// reports when the old secret can be removed. Only an instance whose current secret
// seals the look-up key does so: instances with the same secrets in different orders do
// not undo each other's work, and the one that started last decides. Several instances
// may work at once. A Reencrypter is not safe for concurrent use.
type Reencrypter struct {
	Tx    Tx
	Users SealStore
	Kept  Store
	Vault *Vault
	Now   func() time.Time
	// OnSealStatus receives the status after the first sweep and at every change. It may
	// be nil and must not block.
	OnSealStatus func(SealStatus)

	since    model.Time // time of the first sweep under the current secret; 0 before
	reported *SealStatus
}

// SealStatus is the state of the retired secrets: those listed after the current one.
type SealStatus struct {
	// Needed: something is sealed under a retired secret, or a code that was sent under
	// one may still be valid.
	Needed bool
	// Broken counts the numbers that begin with the id of a retired secret and cannot be
	// decrypted. They are left as they are, for an operator to examine.
	Broken int
}

const (
	resealBatch   = 100 // accounts of one transaction
	resealBatches = 5   // of each secret in one sweep

	// longestCode is the longest life of a code that a configuration can give.
	longestCode = 10 * time.Minute
)

// Sweep reseals a few batches. Without retired secrets it makes no query. When nothing
// is left to reseal it reads one row, and makes one query without a result for each
// retired secret.
func (r *Reencrypter) Sweep(ctx context.Context) error {
	retired := r.Vault.sealers[1:]
	if len(retired) == 0 {
		return nil
	}
	kept, err := r.Kept.Value(ctx, lookupName)
	if err != nil {
		return err
	}
	if !r.Vault.current(kept) {
		r.since = 0
		r.report(SealStatus{Needed: true})
		return nil
	}
	now := model.TimeOf(r.Now())
	if r.since == 0 {
		r.since = now
	}
	status := SealStatus{Needed: now < r.since.Add(longestCode)}
	for _, s := range retired {
		left, broken, err := r.reseal(ctx, s.id[:])
		if err != nil {
			return err
		}
		status.Needed = status.Needed || left
		status.Broken += broken
	}
	r.report(status)
	return nil
}

func (r *Reencrypter) report(status SealStatus) {
	if r.reported != nil && *r.reported == status {
		return
	}
	r.reported = &status
	if r.OnSealStatus != nil {
		r.OnSealStatus(status)
	}
}

// reseal reseals what is sealed under one retired secret, up to resealBatches batches. A
// number that cannot be decrypted stays in the table, so the next read skips it.
func (r *Reencrypter) reseal(ctx context.Context, id []byte) (left bool, broken int, err error) {
	for range resealBatches {
		users, err := r.Users.SealedUnder(ctx, id, broken, resealBatch)
		if err != nil {
			return false, 0, err
		}
		opened := make([]resealing, 0, len(users))
		for _, user := range users {
			if mobile, err := r.Vault.UnsealMobile(user.Mobile, user.ID); err == nil {
				opened = append(opened, resealing{user.ID, user.Mobile, r.Vault.SealMobile(mobile, user.ID)})
			}
		}
		broken += len(users) - len(opened)
		if err := r.exchange(ctx, opened); err != nil {
			return false, 0, err
		}
		if len(users) < resealBatch {
			return broken > 0, broken, nil
		}
	}
	return true, broken, nil
}

// resealing is an account's number, sealed under the old and under the current secret.
type resealing struct {
	id       int64
	old, new []byte
}

// exchange writes the numbers that have not changed since they were read. It leaves a
// number that another instance resealed, that its owner changed or that is erased.
func (r *Reencrypter) exchange(ctx context.Context, all []resealing) error {
	if len(all) == 0 {
		return nil
	}
	// All instances use one order, so two of them may wait for each other but do not
	// deadlock.
	slices.SortFunc(all, func(a, b resealing) int { return cmp.Compare(a.id, b.id) })
	return r.Tx.Within(ctx, func(ctx context.Context) error {
		for _, one := range all {
			if _, err := r.Users.Reseal(ctx, one.id, one.old, one.new); err != nil {
				return err
			}
		}
		return nil
	})
}

// SealCount is how many numbers are sealed under one secret.
type SealCount struct {
	Secret  string // the secret's id in hexadecimal, which reveals nothing of it
	Numbers int64
	Lookup  bool // the look-up key is sealed under it
}

// Seals counts the numbers that are sealed under each secret, in the order of the
// secrets, and the numbers that are sealed under none of them.
func (v *Vault) Seals(ctx context.Context, kept Store, users SealStore) (counts []SealCount, unknown int64, err error) {
	lookup, err := kept.Value(ctx, lookupName)
	if err != nil {
		return nil, 0, err
	}
	if unknown, err = users.CountSealed(ctx, nil); err != nil {
		return nil, 0, err
	}
	for _, s := range v.sealers {
		n, err := users.CountSealed(ctx, s.id[:])
		if err != nil {
			return nil, 0, err
		}
		counts = append(counts, SealCount{Secret: fmt.Sprintf("%x", s.id), Numbers: n, Lookup: bytes.HasPrefix(lookup, s.id[:])})
		unknown -= n
	}
	return counts, max(unknown, 0), nil
}
