package repository_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"menshen/model"
	"menshen/repository"
	"menshen/repository/dbtest"
)

// register calls Register as the rules do: in a transaction.
func register(t *testing.T, db *repository.DB, user model.User) (kept model.User, created bool, err error) {
	t.Helper()
	err = db.Within(t.Context(), func(ctx context.Context) error {
		kept, created, err = repository.Users{DB: db}.Register(ctx, user)
		return err
	})
	return kept, created, err
}

func mustRegister(t *testing.T, db *repository.DB, user model.User) model.User {
	t.Helper()
	kept, created, err := register(t, db, user)
	if err != nil || !created {
		t.Fatalf("created %v, error %v", created, err)
	}
	return kept
}

func TestUsersRegister(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		first := aUser(1<<51+3, 'a')
		if diff := cmp.Diff(first, mustRegister(t, db, first)); diff != "" {
			t.Errorf("a new account differs:\n%s", diff)
		}
		stored, err := repository.Users{DB: db}.ByNumber(t.Context(), first.CompanyType, first.MobileKey)
		if diff := cmp.Diff(first, stored); err != nil || diff != "" {
			t.Errorf("error %v, and a new account was stored otherwise:\n%s", err, diff)
		}
		again := aUser(77, 'a')
		again.UserName, again.NickName, again.FirstSource, again.LastSource, again.CreatedAt = "u2", "other", "second", "second", t0+5
		again.Mobile = []byte("sealed anew")
		kept, created, err := register(t, db, again)
		if err != nil || created {
			t.Fatalf("created %v, error %v", created, err)
		}
		want := first
		want.LastSource = "second"
		if diff := cmp.Diff(want, kept); diff != "" {
			t.Errorf("a second login changed more than the latest source:\n%s", diff)
		}
		other := aUser(78, 'a')
		other.CompanyType = 0
		mustRegister(t, db, other) // the same number in another company
		if n := queryCount(t, db, "SELECT COUNT(*) FROM users"); n != 2 {
			t.Errorf("%d accounts, want 2", n)
		}
	})
}

func TestUsersRegisterWithATakenID(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		first := mustRegister(t, db, aUser(5, 'a'))
		intruder := aUser(5, 'b')
		intruder.LastSource = "intruder"
		_, created, err := register(t, db, intruder)
		if !errors.Is(err, model.ErrIDTaken) || errors.Is(err, model.ErrNotFound) || created {
			t.Errorf("created %v, error %v; want ErrIDTaken", created, err)
		}
		kept, err := repository.Users{DB: db}.ByID(t.Context(), 5)
		if diff := cmp.Diff(first, kept); err != nil || diff != "" {
			t.Errorf("error %v, and the other account changed:\n%s", err, diff)
		}
		mustRegister(t, db, aUser(6, 'b'))
	})
}

func TestUsersRegisterCreatesOne(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		var created atomic.Int32
		kept := make([]model.User, 48)
		for _, err := range raceErrors(len(kept), func(i int) error {
			user, fresh, err := register(t, db, aUser(int64(i+1), 'a'))
			kept[i] = user
			if fresh {
				created.Add(1)
			}
			return err
		}) {
			must(t, err)
		}
		for _, user := range kept {
			if diff := cmp.Diff(kept[0], user); diff != "" {
				t.Fatalf("two callers got different rows:\n%s", diff)
			}
		}
		if created.Load() != 1 || queryCount(t, db, "SELECT COUNT(*) FROM users") != 1 {
			t.Errorf("%d callers created, want one", created.Load())
		}
	})
}

// TestUsersRegisterLocks: the account stays locked until the transaction ends.
func TestUsersRegisterLocks(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		users := repository.Users{DB: db}
		mustRegister(t, db, aUser(1, 'a'))
		var inside, most atomic.Int32
		for _, err := range raceErrors(16, func(i int) error {
			return db.Within(t.Context(), func(ctx context.Context) error {
				var err error
				if i%2 == 0 {
					_, _, err = users.Register(ctx, aUser(int64(i+10), 'a'))
				} else {
					_, err = users.Lock(ctx, 1)
				}
				if err != nil {
					return err
				}
				most.Store(max(most.Load(), inside.Add(1)))
				defer inside.Add(-1)
				_, err = users.ByID(ctx, 1)
				return err
			})
		}) {
			must(t, err)
		}
		if most.Load() != 1 {
			t.Errorf("%d transactions held one account", most.Load())
		}
	})
}

// TestUsersKeysAreBytes: keyed hashes are compared byte for byte, zeros and
// letters' case included (security V11).
func TestUsersKeysAreBytes(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		trailing := key('a')
		trailing[31] = ' '
		zeroed := key('a')
		zeroed[31] = 0
		keys := [][]byte{key('a'), key('A'), trailing, zeroed, key(0), key(' '), key(0xff)}
		for i, k := range keys {
			user := aUser(int64(i+1), 0)
			user.MobileKey = k
			mustRegister(t, db, user)
		}
		for i, k := range keys {
			user, err := repository.Users{DB: db}.ByNumber(t.Context(), 1, k)
			if err != nil || user.ID != int64(i+1) {
				t.Errorf("key %x leads to account %d, error %v; want %d", k, user.ID, err, i+1)
			}
		}
		for what, k := range map[string][]byte{"a shorter key": keys[0][:31], "an empty one": {}, "none": nil} {
			_, err := repository.Users{DB: db}.ByNumber(t.Context(), 1, k)
			if !errors.Is(err, model.ErrNotFound) {
				t.Errorf("%s: error %v, want ErrNotFound", what, err)
			}
		}
	})
}

func TestUsersFind(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		users := repository.Users{DB: db}
		mustRegister(t, db, aUser(1, 'a'))
		find := map[string]func(ctx context.Context, id int64, number byte, company int32) error{
			"ByID": func(ctx context.Context, id int64, _ byte, _ int32) error {
				_, err := users.ByID(ctx, id)
				return err
			},
			"ByNumber": func(ctx context.Context, _ int64, number byte, company int32) error {
				_, err := users.ByNumber(ctx, company, key(number))
				return err
			},
			"Lock": func(ctx context.Context, id int64, _ byte, _ int32) error {
				return db.Within(ctx, func(ctx context.Context) error {
					_, err := users.Lock(ctx, id)
					return err
				})
			},
		}
		for method, call := range find {
			t.Run(method, func(t *testing.T) {
				wantError(t, call(t.Context(), 1, 'a', 1), nil)
				wantError(t, call(t.Context(), 2, 'b', 1), model.ErrNotFound)
				wantError(t, call(t.Context(), 0, 0, 0), model.ErrNotFound) // never the table's first row
				wantError(t, call(t.Context(), 2, 'a', 0), model.ErrNotFound)
			})
		}
	})
}

func TestUsersDescribe(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		users := repository.Users{DB: db}
		want := mustRegister(t, db, aUser(1, 'a'))
		other := mustRegister(t, db, aUser(2, 'b'))
		want.NickName, want.RealName, want.AvatarURL = "👩‍🚀 宇航员", "张三", "https://example.com/a.png"
		want.ExternalID, want.Metadata = new("工号 A-1"), []byte(`{"level":3}`)
		change := want
		change.UserName, change.LastSource, change.BannedUntil = "not this", "nor this", t0
		must(t, users.Describe(t.Context(), change))
		got, err := users.ByID(t.Context(), 1)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("error %v:\n%s", err, diff)
		}
		must(t, users.Describe(t.Context(), model.User{ID: 1})) // empty is a value
		if got, _ := users.ByID(t.Context(), 1); got.NickName != "" || got.RealName != "" || got.AvatarURL != "" {
			t.Errorf("not emptied: %+v", got)
		}
		if got, _ := users.ByID(t.Context(), 2); got.NickName != other.NickName {
			t.Error("another account changed")
		}
		must(t, users.Describe(t.Context(), model.User{ID: 9})) // gone meanwhile
	})
}

// TestUsersExternalID: an external id is compared byte for byte and is unique in its
// company. A deletion frees it.
func TestUsersExternalID(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		users := repository.Users{DB: db}
		give := func(id int64, company int32, external string) error {
			user := aUser(id, byte(id))
			user.CompanyType = company
			user = mustRegister(t, db, user)
			user.ExternalID = &external
			return users.Describe(t.Context(), user)
		}
		must(t, give(1, 1, "a"))
		for i, other := range []string{"A", "a ", "ａ", "á", "1"} {
			if err := give(int64(i+10), 1, other); err != nil {
				t.Errorf("%q beside %q: %v", other, "a", err)
			}
		}
		must(t, give(2, 0, "a"))
		wantError(t, give(3, 1, "a"), model.ErrExternalIDTaken)
		wantError(t, users.Describe(t.Context(), model.User{ID: 1}), nil) // nil clears it
		must(t, give(4, 1, "a"))
		must(t, users.Erase(t.Context(), 4, true, t0))
		must(t, give(5, 1, "a"))
	})
}
