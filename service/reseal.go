package service

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"menshen/model"
)

// Resealer seals the numbers of all accounts anew after a change of secret.key,
// so that the old secret can go, and tells when it can. Any number of instances
// may do so at once, and while others still run with the old secret first: the
// secret under which the look-up key is sealed is the deployment's, and only who
// has it first reseals. So two orders of the same secrets do not undo each
// other's work; the start that came last decides.
type Resealer struct {
	Tx    Tx
	Users SealStore
	Kept  VaultStore
	Vault *Vault
	Now   func() time.Time
	// Tell is told what became known, at the first sweep and at every change.
	Tell func(SealState)

	since model.Time // when the first sweep under the current secret was; 0 before
	told  *SealState
}

// SealState is what is known of the secrets behind the current one.
type SealState struct {
	// Needed: something is sealed under one of them, or a code may live that was
	// sent under one.
	Needed bool
	// Broken counts the numbers that bear the id of one and do not open. They stay
	// as they are, for a person to look at.
	Broken int
}

const (
	resealBatch   = 100 // accounts of one transaction
	resealBatches = 5   // of each secret in one sweep

	// longestCode is the longest life of a code that a configuration can give.
	longestCode = 10 * time.Minute
)

// Sweep reseals a few batches. Without older secrets it asks the database
// nothing; when nothing is left to do, for one row, and for none of each of
// them. It is not for concurrent use.
func (r *Resealer) Sweep(ctx context.Context) error {
	older := r.Vault.older()
	if len(older) == 0 {
		return nil
	}
	kept, err := r.Kept.Value(ctx, lookupName)
	if err != nil {
		return err
	}
	if !r.Vault.current(kept) {
		r.since = 0
		r.tell(SealState{Needed: true})
		return nil
	}
	now := model.TimeOf(r.Now())
	if r.since == 0 {
		r.since = now
	}
	state := SealState{Needed: now < r.since.Add(longestCode)}
	for _, id := range older {
		left, broken, err := r.reseal(ctx, id)
		if err != nil {
			return err
		}
		state.Needed = state.Needed || left
		state.Broken += broken
	}
	r.tell(state)
	return nil
}

func (r *Resealer) tell(state SealState) {
	if r.told == nil || *r.told != state {
		r.told = &state
		r.Tell(state)
	}
}

// reseal goes through what is sealed under one older secret, as far as the
// batches reach. What does not open stays in the way of the next read, and is
// skipped there.
func (r *Resealer) reseal(ctx context.Context, id []byte) (left bool, broken int, err error) {
	for range resealBatches {
		users, err := r.Users.SealedUnder(ctx, id, broken, resealBatch)
		if err != nil {
			return false, 0, err
		}
		opened := r.open(users)
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

// resealing is an account's number, sealed as it was and anew.
type resealing struct {
	id       int64
	old, new []byte
}

func (r *Resealer) open(users []model.User) []resealing {
	all := make([]resealing, 0, len(users))
	for _, user := range users {
		mobile, err := r.Vault.UnsealMobile(user.Mobile, user.ID)
		if err == nil {
			all = append(all, resealing{user.ID, user.Mobile, r.Vault.SealMobile(mobile, user.ID)})
		}
	}
	return all
}

// exchange writes what nobody else has changed since it was read: a number that
// another instance resealed, that its owner changed or that is erased, stays.
func (r *Resealer) exchange(ctx context.Context, all []resealing) error {
	if len(all) == 0 {
		return nil
	}
	// One order for everybody, so that two instances wait for each other at most.
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

// older are the ids of the secrets behind the current one.
func (v *Vault) older() [][]byte {
	var ids [][]byte
	for _, s := range v.sealers[1:] {
		ids = append(ids, s.id[:])
	}
	return ids
}

// SealCount is how many numbers are sealed under one secret.
type SealCount struct {
	Secret  string // the secret's id in hexadecimal, which tells nothing of it
	Numbers int64
	Lookup  bool // the look-up key is sealed under it
}

// Seals counts what is sealed under each secret, in their order, and the numbers
// under none of them.
func (v *Vault) Seals(ctx context.Context, kept VaultStore, users SealStore) (counts []SealCount, unknown int64, err error) {
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
