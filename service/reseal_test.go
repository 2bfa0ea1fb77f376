package service_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"menshen/model"
	"menshen/repository"
	"menshen/service"
)

// instance is one that holds secrets, the current one first, and its sweeps.
type instance struct {
	*world
	resealer *service.Resealer
	told     []service.SealState
}

// instanceWith starts another instance of the world with these secrets.
func (w *world) instanceWith(fills ...byte) *instance {
	w.t.Helper()
	other := *w
	other.holds = fills
	i := &instance{world: other.another()}
	i.resealer = &service.Resealer{
		Tx: w.db, Users: repository.Users{DB: w.db}, Kept: repository.Vault{DB: w.db}, Vault: i.vault, Now: w.clock.Now,
		Tell: func(state service.SealState) { i.told = append(i.told, state) },
	}
	return i
}

func (i *instance) sweep() {
	i.t.Helper()
	if err := i.resealer.Sweep(i.t.Context()); err != nil {
		i.t.Fatal(err)
	}
}

func (i *instance) wantTold(want ...service.SealState) {
	i.t.Helper()
	if diff := cmp.Diff(want, i.told); diff != "" {
		i.t.Errorf("what was told differs:\n%s", diff)
	}
}

// needed and free are the two states of a change without trouble.
var needed, free = service.SealState{Needed: true}, service.SealState{}

// crowd is the number of the i-th of many.
func crowd(i int) string { return fmt.Sprintf("137%08d", i) }

// people registers accounts without the ado of logins, sealed under the world's
// secret of the moment, and gives their ids.
func (w *world) people(n int) (ids []int64) {
	w.t.Helper()
	for i := range n {
		number, id := model.NewMobile("+86"+crowd(i)), int64(1000+i)
		w.sql(`INSERT INTO users (id, company_type, mobile_key, mobile, user_name, nick_name, real_name, avatar_url, first_source, last_source, created_at)
VALUES (?, 0, ?, ?, '', '', '', '', '', '', 0)`, id, w.vault.MobileKey(0, number), w.vault.SealMobile(number, id))
		ids = append(ids, id)
	}
	return ids
}

// under counts the numbers that are sealed under the first secret of a vault.
func (w *world) under(fill byte) (n int64) {
	w.t.Helper()
	counts, _, err := w.seals(fill, 'k', 'n')
	if err != nil {
		w.t.Fatal(err)
	}
	return counts[0].Numbers
}

// seals is what a guest with these secrets counts.
func (w *world) seals(fills ...byte) ([]service.SealCount, int64, error) {
	var secrets [][]byte
	for _, fill := range fills {
		secrets = append(secrets, secretOf(fill))
	}
	vault, err := service.JoinVault(w.t.Context(), repository.Vault{DB: w.db}, secrets...)
	if err != nil {
		return nil, 0, err
	}
	return vault.Seals(w.t.Context(), repository.Vault{DB: w.db}, repository.Users{DB: w.db})
}

// wantOpen checks that every account's number opens with a vault.
func (w *world) wantOpen(vault *service.Vault, ids []int64) {
	w.t.Helper()
	for i, id := range ids {
		user, err := repository.Users{DB: w.db}.ByID(w.t.Context(), id)
		if err != nil {
			w.t.Fatal(err)
		}
		if mobile, err := vault.UnsealMobile(user.Mobile, id); err != nil || mobile.E164() != "+86"+crowd(i) {
			w.t.Fatalf("user %d has number %v, error %v", id, mobile, err)
		}
	}
}

func TestReseal(t *testing.T) {
	play(t,
		scene{"after a change of the secret", func(t *testing.T, w *world) {
			w.t.Cleanup(w.emptyVaultAfter)
			c, code := w.logIn(alice), w.code(bob)
			i := w.instanceWith('n', 'k')
			i.logIn("13500135000")
			if old, young := w.under('k'), w.under('n'); old != 1 || young != 1 {
				t.Errorf("%d numbers under the old secret, %d under the new one", old, young)
			}
			i.sweep()
			if old, young := w.under('k'), w.under('n'); old != 0 || young != 2 {
				t.Errorf("after the sweep %d numbers under the old secret, %d under the new one", old, young)
			}
			i.wantTold(needed) // a code of the old secret may live
			if _, err := i.try(bob, code); err != nil {
				t.Errorf("a live code of the old secret: %v", err)
			}
			w.clock.advance(10*time.Minute - time.Millisecond)
			i.sweep()
			i.wantTold(needed)
			w.clock.advance(time.Millisecond)
			i.sweep()
			i.sweep()
			i.wantTold(needed, free)

			alone := w.instanceWith('n') // the old secret is gone
			alone.sweep()
			alone.wantTold()
			if profile, err := alone.users.ByID(t.Context(), c.User.User.ID); err != nil || profile.Mobile != alice {
				t.Errorf("profile %+v, error %v", profile, err)
			}
			alone.use(alone.renewed(c)) // nobody was logged out
			if again := alone.logIn(alice, on(pc)); again.User.User.ID != c.User.User.ID {
				t.Error("the number leads to another account")
			}
		}},
		scene{"a code of the old secret ends like every other", func(t *testing.T, w *world) {
			w.t.Cleanup(w.emptyVaultAfter)
			code, spent := w.code(alice), w.code(bob)
			i := w.instanceWith('n', 'k')
			for range 5 {
				_, err := i.try(bob, wrong)
				wantFailure(t, err, model.ErrCode)
			}
			_, err := i.try(bob, spent)
			wantFailure(t, err, model.ErrCode)
			w.clock.advance(5 * time.Minute)
			_, err = i.try(alice, code)
			wantFailure(t, err, model.ErrCode)
		}},
		scene{"a sweep is bounded, the next goes on", func(t *testing.T, w *world) {
			w.t.Cleanup(w.emptyVaultAfter)
			ids := w.people(620)
			i := w.instanceWith('n', 'k')
			for _, want := range []int64{120, 0, 0} {
				i.sweep()
				if left := w.under('k'); left != want {
					t.Errorf("%d are left, want %d", left, want)
				}
			}
			w.wantOpen(w.mustOpenVault('n'), ids)
		}},
		scene{"several at once, beside owners", func(t *testing.T, w *world) {
			w.t.Cleanup(w.emptyVaultAfter)
			ids := w.people(150)
			c, d := w.logIn(alice), w.logIn(bob)
			oldCode, newCode := w.changeCodes(alice, "13600136000", 0)
			deletion := w.code(bob, forPurpose(model.PurposeDelete))
			all := []*instance{w.instanceWith('n', 'k'), w.instanceWith('n', 'k'), w.instanceWith('n', 'k')}
			session := w.row(d)
			for _, err := range race(5, func(i int) error {
				switch i {
				case 3:
					return second(all[0].renumber(c, "13600136000", newCode, oldCode))
				case 4:
					return second(all[1].users.Delete(t.Context(), session, deletion, service.Caller{}))
				}
				return all[i].resealer.Sweep(t.Context())
			}) {
				wantFailure(t, err, nil)
			}
			all[0].sweep()
			alone := w.mustOpenVault('n')
			w.wantOpen(alone, ids)
			if user, err := (repository.Users{DB: w.db}).ByID(t.Context(), d.User.User.ID); err != nil || user.Mobile != nil {
				t.Errorf("the erased account has a number: %x, error %v", user.Mobile, err)
			}
			user, err := repository.Users{DB: w.db}.ByID(t.Context(), c.User.User.ID)
			if err != nil {
				t.Fatal(err)
			}
			if mobile, err := alone.UnsealMobile(user.Mobile, user.ID); err != nil || mobile.E164() != "+8613600136000" {
				t.Errorf("the changed number is %v, error %v", mobile, err)
			}
		}},
		scene{"instances take the new secret one by one", func(t *testing.T, w *world) {
			w.t.Cleanup(w.emptyVaultAfter)
			ids := w.people(3)
			a := w.instanceWith('k', 'n') // step 1: all know the new one
			a.sweep()
			if w.under('k') != 3 {
				t.Error("a secret that is not in force yet was taken")
			}
			b := w.instanceWith('n', 'k') // step 2 has come to b alone
			b.sweep()
			a.sweep() // does not undo it
			if w.under('n') != 3 || a.told[len(a.told)-1] != needed {
				t.Errorf("%d under the new secret, a was told %v", w.under('n'), a.told)
			}
			fromA, fromB := a.logIn(alice), b.logIn(bob)
			for mobile, c := range map[string]client{alice: fromA, bob: fromB} {
				for name, i := range map[string]*instance{"a": a, "b": b} {
					if profile, err := i.users.ByID(t.Context(), c.User.User.ID); err != nil || profile.Mobile != mobile {
						t.Errorf("%s reads %+v, error %v", name, profile, err)
					}
				}
			}
			code := a.code(alice)
			if _, err := b.try(alice, code); err != nil {
				t.Errorf("b does not know a's code: %v", err)
			}
			code = b.code(alice)
			if _, err := a.try(alice, code); err != nil {
				t.Errorf("a does not know b's code: %v", err)
			}
			if w.under('k') != 1 {
				t.Errorf("%d under the old secret, want what a has sealed", w.under('k'))
			}
			b.sweep()
			if w.under('k') != 0 {
				t.Error("what a has sealed since was overlooked")
			}
			a = w.instanceWith('k', 'n') // a starts again before its turn: back
			b.sweep()
			a.sweep()
			if w.under('k') != 5 {
				t.Errorf("%d under the old secret", w.under('k'))
			}
			a = w.instanceWith('n', 'k')
			a.sweep()
			if w.under('n') != 5 {
				t.Errorf("%d under the new secret", w.under('n'))
			}
			w.wantOpen(w.mustOpenVault('n'), ids)
		}},
		scene{"numbers that do not open", func(t *testing.T, w *world) {
			w.t.Cleanup(w.emptyVaultAfter)
			ids := w.people(320)
			id := w.vault.SealMobile(aMobile, 0)[:4]
			for _, user := range ids[:250] {
				w.sql("UPDATE users SET mobile = ? WHERE id = ?", append(bytes.Clone(id), "broken"...), user)
			}
			i := w.instanceWith('n', 'k')
			i.sweep()
			i.wantTold(service.SealState{Needed: true, Broken: 250})
			if old, young := w.under('k'), w.under('n'); old != 250 || young != 70 {
				t.Errorf("%d under the old secret, %d under the new one", old, young)
			}
			user, err := repository.Users{DB: w.db}.ByID(t.Context(), ids[0])
			if err != nil || !bytes.HasSuffix(user.Mobile, []byte("broken")) {
				t.Errorf("it was changed to %s, error %v", hex.EncodeToString(user.Mobile), err)
			}
			w.clock.advance(time.Hour)
			i.sweep()
			i.wantTold(service.SealState{Needed: true, Broken: 250})
		}},
		scene{"the storage is away", func(t *testing.T, w *world) {
			w.t.Cleanup(w.emptyVaultAfter)
			w.people(2)
			i := w.instanceWith('n', 'k')
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if err := i.resealer.Sweep(ctx); !errors.Is(err, model.ErrUnavailable) {
				t.Errorf("error %v", err)
			}
			i.wantTold() // nothing is known
			i.sweep()
			i.wantTold(needed)
		}},
	)
}

func TestVaultJoined(t *testing.T) {
	play(t, scene{"status", func(t *testing.T, w *world) {
		w.t.Cleanup(w.emptyVaultAfter)
		w.people(3)
		count := w.seals
		before := w.dumpVault()
		for fills, want := range map[string]struct {
			numbers []int64
			lookup  int
			unknown int64
		}{
			"k": {[]int64{3}, 0, 0}, "nk": {[]int64{0, 3}, 1, 0}, "knk": {[]int64{3, 0}, 0, 0},
		} {
			counts, unknown, err := count([]byte(fills)...)
			if err != nil || unknown != want.unknown || len(counts) != len(want.numbers) {
				t.Fatalf("%s: %+v, %d unknown, error %v", fills, counts, unknown, err)
			}
			for i, c := range counts {
				if c.Numbers != want.numbers[i] || c.Lookup != (i == want.lookup) || len(c.Secret) != 8 {
					t.Errorf("%s: %+v", fills, counts)
				}
			}
		}
		if w.dumpVault() != before {
			t.Error("counting changed the vault")
		}
		if _, _, err := count('n'); !errors.Is(err, service.ErrSecretMismatch) {
			t.Errorf("another secret: error %v", err)
		}
		if _, _, err := count(); err == nil {
			t.Error("counted without a secret")
		}
		w.instanceWith('n', 'k')
		if counts, unknown, err := count('n'); err != nil || unknown != 3 || counts[0].Numbers != 0 || !counts[0].Lookup {
			t.Errorf("without the old secret: %+v, %d unknown, error %v", counts, unknown, err)
		}
		w.sql("DELETE FROM vault")
		if _, _, err := count('k'); !errors.Is(err, model.ErrNotFound) {
			t.Errorf("an unused database: error %v", err)
		}
	}})
}
