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
	"menshen/service/vault"
)

// instance is one that holds secrets, the current one first, and its sweeps.
type sweeper struct {
	*instance
	resealer *vault.Reencrypter
	reported []vault.SealStatus
}

// sweeperWith starts another instance with these secrets.
func (in *instance) sweeperWith(fills ...byte) *sweeper {
	in.t.Helper()
	other := *in.deployment
	other.holds = fills
	i := &sweeper{instance: other.start(0)}
	i.resealer = &vault.Reencrypter{
		Tx: in.db, Users: repository.Users{DB: in.db}, Kept: repository.Vault{DB: in.db}, Vault: i.vault, Now: in.clock.Now,
		OnSealStatus: func(state vault.SealStatus) { i.reported = append(i.reported, state) },
	}
	return i
}

func (i *sweeper) sweep() {
	i.t.Helper()
	if err := i.resealer.Sweep(i.t.Context()); err != nil {
		i.t.Fatal(err)
	}
}

func (i *sweeper) wantReported(want ...vault.SealStatus) {
	i.t.Helper()
	if diff := cmp.Diff(want, i.reported); diff != "" {
		i.t.Errorf("what was reported differs:\n%s", diff)
	}
}

// needed and free are the two states of a change without trouble.
var needed, free = vault.SealStatus{Needed: true}, vault.SealStatus{}

// crowd is the number of the i-th of many.
func crowd(i int) string { return fmt.Sprintf("137%08d", i) }

// insertUsers inserts n accounts, sealed under the current secret, and returns their
// ids.
func (in *instance) insertUsers(n int) (ids []int64) {
	in.t.Helper()
	for i := range n {
		number, id := model.NewMobile("+86"+crowd(i)), int64(1000+i)
		in.sql(`INSERT INTO users (id, company_type, mobile_key, mobile, user_name, nick_name, real_name, avatar_url, first_source, last_source, created_at)
VALUES (?, 0, ?, ?, '', '', '', '', '', '', 0)`, id, in.vault.MobileKey(0, number), in.vault.SealMobile(number, id))
		ids = append(ids, id)
	}
	return ids
}

// sealedUnder counts the numbers that are sealed under the secret.
func (in *instance) sealedUnder(fill byte) (n int64) {
	in.t.Helper()
	counts, _, err := in.seals(fill, 'k', 'n')
	if err != nil {
		in.t.Fatal(err)
	}
	return counts[0].Numbers
}

// seals is what a guest with these secrets counts.
func (in *instance) seals(fills ...byte) ([]vault.SealCount, int64, error) {
	var secrets [][]byte
	for _, fill := range fills {
		secrets = append(secrets, secretOf(fill))
	}
	vault, err := vault.Join(in.t.Context(), repository.Vault{DB: in.db}, secrets...)
	if err != nil {
		return nil, 0, err
	}
	return vault.Seals(in.t.Context(), repository.Vault{DB: in.db}, repository.Users{DB: in.db})
}

// wantOpen checks that every account's number opens with a vault.
func (in *instance) wantOpen(vault *vault.Vault, ids []int64) {
	in.t.Helper()
	for i, id := range ids {
		user, err := repository.Users{DB: in.db}.ByID(in.t.Context(), id)
		if err != nil {
			in.t.Fatal(err)
		}
		if mobile, err := vault.UnsealMobile(user.Mobile, id); err != nil || mobile.E164() != "+86"+crowd(i) {
			in.t.Fatalf("user %d has number %v, error %v", id, mobile, err)
		}
	}
}

func TestReseal(t *testing.T) {
	runScenes(t,
		scene{"after a change of the secret", func(t *testing.T, in *instance) {
			in.t.Cleanup(in.emptyVaultAfter)
			c, code := in.logIn(alice), in.receiveCode(bob)
			i := in.sweeperWith('n', 'k')
			i.logIn("13500135000")
			if old, young := in.sealedUnder('k'), in.sealedUnder('n'); old != 1 || young != 1 {
				t.Errorf("%d numbers under the old secret, %d under the new one", old, young)
			}
			i.sweep()
			if old, young := in.sealedUnder('k'), in.sealedUnder('n'); old != 0 || young != 2 {
				t.Errorf("after the sweep %d numbers under the old secret, %d under the new one", old, young)
			}
			i.wantReported(needed) // a code of the old secret may live
			if _, err := i.tryLogIn(bob, code); err != nil {
				t.Errorf("a live code of the old secret: %v", err)
			}
			in.clock.Advance(10*time.Minute - time.Millisecond)
			i.sweep()
			i.wantReported(needed)
			in.clock.Advance(time.Millisecond)
			i.sweep()
			i.sweep()
			i.wantReported(needed, free)

			alone := in.sweeperWith('n') // the old secret is gone
			alone.sweep()
			alone.wantReported()
			if profile, err := alone.users.ByID(t.Context(), c.User.User.ID); err != nil || profile.Mobile != alice {
				t.Errorf("profile %+v, error %v", profile, err)
			}
			alone.useToken(alone.refreshed(c)) // no client was logged out
			if again := alone.logIn(alice, on(pc)); again.User.User.ID != c.User.User.ID {
				t.Error("the number leads to another account")
			}
		}},
		scene{"a code of the old secret ends like every other", func(t *testing.T, in *instance) {
			in.t.Cleanup(in.emptyVaultAfter)
			code, spent := in.receiveCode(alice), in.receiveCode(bob)
			i := in.sweeperWith('n', 'k')
			for range 5 {
				_, err := i.tryLogIn(bob, wrong)
				wantFailure(t, err, model.ErrCode)
			}
			_, err := i.tryLogIn(bob, spent)
			wantFailure(t, err, model.ErrCode)
			in.clock.Advance(5 * time.Minute)
			_, err = i.tryLogIn(alice, code)
			wantFailure(t, err, model.ErrCode)
		}},
		scene{"a sweep is bounded, the next goes on", func(t *testing.T, in *instance) {
			in.t.Cleanup(in.emptyVaultAfter)
			ids := in.insertUsers(620)
			i := in.sweeperWith('n', 'k')
			for _, want := range []int64{120, 0, 0} {
				i.sweep()
				if left := in.sealedUnder('k'); left != want {
					t.Errorf("%d are left, want %d", left, want)
				}
			}
			in.wantOpen(in.mustOpenVault('n'), ids)
		}},
		scene{"several at once, beside owners", func(t *testing.T, in *instance) {
			in.t.Cleanup(in.emptyVaultAfter)
			ids := in.insertUsers(150)
			c, d := in.logIn(alice), in.logIn(bob)
			oldCode, newCode := in.changeCodes(alice, "13600136000", 0)
			deletion := in.receiveCode(bob, forPurpose(model.PurposeDelete))
			all := []*sweeper{in.sweeperWith('n', 'k'), in.sweeperWith('n', 'k'), in.sweeperWith('n', 'k')}
			session := in.row(d)
			for _, err := range race(5, func(i int) error {
				switch i {
				case 3:
					return errOf(all[0].renumber(c, "13600136000", newCode, oldCode))
				case 4:
					return errOf(all[1].users.Delete(t.Context(), service.Deletion{Session: session, Code: deletion}))
				}
				return all[i].resealer.Sweep(t.Context())
			}) {
				wantFailure(t, err, nil)
			}
			all[0].sweep()
			alone := in.mustOpenVault('n')
			in.wantOpen(alone, ids)
			if user, err := (repository.Users{DB: in.db}).ByID(t.Context(), d.User.User.ID); err != nil || user.Mobile != nil {
				t.Errorf("the erased account has a number: %x, error %v", user.Mobile, err)
			}
			user, err := repository.Users{DB: in.db}.ByID(t.Context(), c.User.User.ID)
			if err != nil {
				t.Fatal(err)
			}
			if mobile, err := alone.UnsealMobile(user.Mobile, user.ID); err != nil || mobile.E164() != "+8613600136000" {
				t.Errorf("the changed number is %v, error %v", mobile, err)
			}
		}},
		scene{"instances take the new secret one by one", func(t *testing.T, in *instance) {
			in.t.Cleanup(in.emptyVaultAfter)
			ids := in.insertUsers(3)
			a := in.sweeperWith('k', 'n') // step 1: all know the new one
			a.sweep()
			if in.sealedUnder('k') != 3 {
				t.Error("a secret that is not in force yet was taken")
			}
			b := in.sweeperWith('n', 'k') // step 2 has come to b alone
			b.sweep()
			a.sweep() // does not undo it
			if in.sealedUnder('n') != 3 || a.reported[len(a.reported)-1] != needed {
				t.Errorf("%d under the new secret, a reported %v", in.sealedUnder('n'), a.reported)
			}
			fromA, fromB := a.logIn(alice), b.logIn(bob)
			for mobile, c := range map[string]client{alice: fromA, bob: fromB} {
				for name, i := range map[string]*sweeper{"a": a, "b": b} {
					if profile, err := i.users.ByID(t.Context(), c.User.User.ID); err != nil || profile.Mobile != mobile {
						t.Errorf("%s reads %+v, error %v", name, profile, err)
					}
				}
			}
			code := a.receiveCode(alice)
			if _, err := b.tryLogIn(alice, code); err != nil {
				t.Errorf("b does not know a's code: %v", err)
			}
			code = b.receiveCode(alice)
			if _, err := a.tryLogIn(alice, code); err != nil {
				t.Errorf("a does not know b's code: %v", err)
			}
			if in.sealedUnder('k') != 1 {
				t.Errorf("%d under the old secret, want what a has sealed", in.sealedUnder('k'))
			}
			b.sweep()
			if in.sealedUnder('k') != 0 {
				t.Error("what a has sealed since was overlooked")
			}
			a = in.sweeperWith('k', 'n') // a starts again before its turn: back
			b.sweep()
			a.sweep()
			if in.sealedUnder('k') != 5 {
				t.Errorf("%d under the old secret", in.sealedUnder('k'))
			}
			a = in.sweeperWith('n', 'k')
			a.sweep()
			if in.sealedUnder('n') != 5 {
				t.Errorf("%d under the new secret", in.sealedUnder('n'))
			}
			in.wantOpen(in.mustOpenVault('n'), ids)
		}},
		scene{"numbers that do not open", func(t *testing.T, in *instance) {
			in.t.Cleanup(in.emptyVaultAfter)
			ids := in.insertUsers(320)
			id := in.vault.SealMobile(aMobile, 0)[:4]
			for _, user := range ids[:250] {
				in.sql("UPDATE users SET mobile = ? WHERE id = ?", append(bytes.Clone(id), "broken"...), user)
			}
			i := in.sweeperWith('n', 'k')
			i.sweep()
			i.wantReported(vault.SealStatus{Needed: true, Broken: 250})
			if old, young := in.sealedUnder('k'), in.sealedUnder('n'); old != 250 || young != 70 {
				t.Errorf("%d under the old secret, %d under the new one", old, young)
			}
			user, err := repository.Users{DB: in.db}.ByID(t.Context(), ids[0])
			if err != nil || !bytes.HasSuffix(user.Mobile, []byte("broken")) {
				t.Errorf("it was changed to %s, error %v", hex.EncodeToString(user.Mobile), err)
			}
			in.clock.Advance(time.Hour)
			i.sweep()
			i.wantReported(vault.SealStatus{Needed: true, Broken: 250})
		}},
		scene{"the storage is away", func(t *testing.T, in *instance) {
			in.t.Cleanup(in.emptyVaultAfter)
			in.insertUsers(2)
			i := in.sweeperWith('n', 'k')
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if err := i.resealer.Sweep(ctx); !errors.Is(err, model.ErrUnavailable) {
				t.Errorf("error %v", err)
			}
			i.wantReported() // nothing is known
			i.sweep()
			i.wantReported(needed)
		}},
	)
}

func TestVaultJoined(t *testing.T) {
	runScenes(t, scene{"status", func(t *testing.T, in *instance) {
		in.t.Cleanup(in.emptyVaultAfter)
		in.insertUsers(3)
		count := in.seals
		before := in.dumpVault()
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
		if in.dumpVault() != before {
			t.Error("counting changed the vault")
		}
		if _, _, err := count('n'); !errors.Is(err, vault.ErrSecretMismatch) {
			t.Errorf("another secret: error %v", err)
		}
		if _, _, err := count(); err == nil {
			t.Error("counted without a secret")
		}
		in.sweeperWith('n', 'k')
		if counts, unknown, err := count('n'); err != nil || unknown != 3 || counts[0].Numbers != 0 || !counts[0].Lookup {
			t.Errorf("without the old secret: %+v, %d unknown, error %v", counts, unknown, err)
		}
		in.sql("DELETE FROM vault")
		if _, _, err := count('k'); !errors.Is(err, vault.ErrUnused) {
			t.Errorf("an unused database: error %v", err)
		}
	}})
}
