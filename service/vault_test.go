package service_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"menshen/model"
	"menshen/repository"
	"menshen/service"
)

func (w *world) openVault(fills ...byte) (*service.Vault, error) {
	var secrets [][]byte
	for _, fill := range fills {
		secrets = append(secrets, secretOf(fill))
	}
	return service.OpenVault(w.t.Context(), repository.Vault{DB: w.db}, secrets...)
}

func (w *world) mustOpenVault(fills ...byte) *service.Vault {
	w.t.Helper()
	vault, err := w.openVault(fills...)
	if err != nil {
		w.t.Fatal(err)
	}
	return vault
}

var aMobile = model.NewMobile("+86" + alice)

func TestVault(t *testing.T) {
	play(t,
		scene{"first start and restart", func(t *testing.T, w *world) {
			w.emptyVault()
			first := w.mustOpenVault('a')
			sealed := first.SealMobile(aMobile, 7)
			again := w.mustOpenVault('a')
			if got, err := again.UnsealMobile(sealed, 7); err != nil || got != aMobile {
				t.Errorf("unsealed %v, error %v", got, err)
			}
			wantSameKeys(t, first, again)
			if w.count("SELECT COUNT(*) FROM vault") != 1 {
				t.Error("the vault holds more than the look-up key")
			}
		}},
		scene{"another secret", func(t *testing.T, w *world) {
			w.emptyVault()
			w.mustOpenVault('a')
			before := w.dumpVault()
			for _, fills := range [][]byte{{'b'}, {'b', 'c'}} {
				if _, err := w.openVault(fills...); !errors.Is(err, service.ErrSecretMismatch) {
					t.Errorf("secrets %s: error %v", fills, err)
				} else if !strings.Contains(err.Error(), "secret.key") {
					t.Errorf("the error does not name the key: %v", err)
				}
			}
			if w.dumpVault() != before {
				t.Error("a wrong secret changed the vault")
			}
			w.mustOpenVault('a')
		}},
		scene{"no secret", func(t *testing.T, w *world) {
			if _, err := w.openVault(); err == nil {
				t.Error("opened")
			}
		}},
		scene{"a new secret with the old one behind it", func(t *testing.T, w *world) {
			w.emptyVault()
			old := w.mustOpenVault('a')
			sealed := old.SealMobile(aMobile, 7)
			mac := old.CodeMAC(model.PurposeLogin, 0, aMobile, "123456")
			before := w.dumpVault()

			young := w.mustOpenVault('b', 'a')
			wantSameKeys(t, old, young)
			if got, err := young.UnsealMobile(sealed, 7); err != nil || got != aMobile {
				t.Errorf("what the old secret sealed unseals to %v, error %v", got, err)
			}
			if !young.CodeMatches(mac, model.PurposeLogin, 0, aMobile, "123456") {
				t.Error("a code of the old secret does not match")
			}
			if w.dumpVault() == before {
				t.Error("the look-up key was not sealed anew")
			}
			if got, err := old.UnsealMobile(young.SealMobile(aMobile, 7), 7); err == nil {
				t.Errorf("the old secret alone opens what the new one sealed: %v", got)
			}

			alone := w.mustOpenVault('b') // the old one is not needed for the look-up key any more
			wantSameKeys(t, old, alone)
			if _, err := alone.UnsealMobile(sealed, 7); err == nil {
				t.Error("what the old secret sealed opens without it")
			}
			if alone.CodeMatches(mac, model.PurposeLogin, 0, aMobile, "123456") {
				t.Error("a code of the old secret matches without it")
			}
			if _, err := w.openVault('a'); !errors.Is(err, service.ErrSecretMismatch) {
				t.Errorf("the old secret alone still opens the database: %v", err)
			}
			w.mustOpenVault('a', 'b') // and back
			w.mustOpenVault('a')
		}},
		scene{"16 first starts", func(t *testing.T, w *world) {
			w.emptyVault()
			vaults := make([]*service.Vault, 16)
			for _, err := range race(len(vaults), func(i int) (err error) {
				vaults[i], err = w.openVault('a')
				return err
			}) {
				wantFailure(t, err, nil)
			}
			for _, vault := range vaults {
				wantSameKeys(t, vaults[0], vault)
			}
		}},
		scene{"16 starts with a new secret", func(t *testing.T, w *world) {
			w.emptyVault()
			old := w.mustOpenVault('a')
			var mu sync.Mutex
			for _, err := range race(16, func(int) error {
				vault, err := w.openVault('b', 'a')
				if err == nil {
					mu.Lock()
					defer mu.Unlock()
					wantSameKeys(t, old, vault)
				}
				return err
			}) {
				wantFailure(t, err, nil)
			}
			w.mustOpenVault('b')
		}},
		scene{"a vault that was tampered with", func(t *testing.T, w *world) {
			w.emptyVault()
			w.mustOpenVault('a')
			for _, value := range [][]byte{{}, {1}, []byte("1234"), bytes.Repeat([]byte{1}, 64)} {
				w.sql("UPDATE vault SET value = ?", value)
				if _, err := w.openVault('a'); !errors.Is(err, service.ErrSecretMismatch) {
					t.Errorf("%x: error %v", value, err)
				}
			}
		}},
		scene{"the storage is away", func(t *testing.T, w *world) {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			_, err := service.OpenVault(ctx, repository.Vault{DB: w.db}, secretOf('k'))
			if errors.Is(err, service.ErrSecretMismatch) || !errors.Is(err, model.ErrUnavailable) {
				t.Errorf("error %v", err)
			}
		}},
		scene{"logins, codes and numbers over a change of the secret", func(t *testing.T, w *world) {
			c := w.logIn(alice)
			code := w.code(alice)
			young := w.mustOpenVault('n', 'k')
			w.codes.Vault, w.login.Vault, w.users.Vault = young, young, young
			t.Cleanup(func() { w.emptyVaultAfter() })
			again, err := w.try(alice, code)
			wantFailure(t, err, nil)
			if again.User.User.ID != c.User.User.ID {
				t.Error("the number has another account now")
			}
			if got, err := w.users.ByID(t.Context(), c.User.User.ID); err != nil || got.Mobile != alice {
				t.Errorf("profile %+v, error %v", got, err)
			}
			w.codes.Rules.Cooldown = time.Minute
			w.refused(alice, model.ErrCooldown, 60) // quotas go on
		}},
	)
}

// emptyVault makes the next start the first one, for the scene alone.
func (w *world) emptyVault() {
	w.sql("DELETE FROM vault")
	w.t.Cleanup(w.emptyVaultAfter)
}

func (w *world) emptyVaultAfter() { w.sqlAfter("DELETE FROM vault") }

func (w *world) dumpVault() string {
	w.t.Helper()
	return strings.Join(w.texts("SELECT HEX(value) FROM vault"), "\n")
}

// wantSameKeys checks that both look numbers up alike.
func wantSameKeys(t *testing.T, a, b *service.Vault) {
	t.Helper()
	if !bytes.Equal(a.MobileKey(1, aMobile), b.MobileKey(1, aMobile)) || !bytes.Equal(a.NumberKey(aMobile), b.NumberKey(aMobile)) {
		t.Error("the look-up key changed")
	}
}

func TestVaultSeals(t *testing.T) {
	play(t, scene{"numbers", func(t *testing.T, w *world) {
		sealed := w.vault.SealMobile(aMobile, 7)
		if bytes.Contains(sealed, []byte(alice)) || len(sealed) > 128 {
			t.Errorf("%d bytes sealed, or the number shows", len(sealed))
		}
		if bytes.Equal(sealed, w.vault.SealMobile(aMobile, 7)) {
			t.Error("sealed twice it is the same: equal numbers show")
		}
		if _, err := w.vault.UnsealMobile(sealed, 8); err == nil {
			t.Error("it opens for another user's row")
		}
		for i := range sealed {
			broken := bytes.Clone(sealed)
			broken[i] ^= 1
			if _, err := w.vault.UnsealMobile(broken, 7); err == nil || strings.Contains(err.Error(), alice) {
				t.Fatalf("with byte %d changed: error %v", i, err)
			}
		}
		for n := range len(sealed) {
			if _, err := w.vault.UnsealMobile(sealed[:n], 7); err == nil {
				t.Fatalf("the first %d bytes open", n)
			}
		}
		if _, err := w.vault.UnsealMobile(nil, 7); err == nil {
			t.Error("nothing opens")
		}
	}})
}

func TestVaultMACs(t *testing.T) {
	play(t, scene{"codes and keys", func(t *testing.T, w *world) {
		v := w.vault
		other := model.NewMobile("+86" + bob)
		macs := map[string][]byte{
			"the code":        v.CodeMAC(model.PurposeLogin, 1, aMobile, "123456"),
			"another purpose": v.CodeMAC(model.PurposeDelete, 1, aMobile, "123456"),
			"another company": v.CodeMAC(model.PurposeLogin, 0, aMobile, "123456"),
			"another number":  v.CodeMAC(model.PurposeLogin, 1, other, "123456"),
			"another code":    v.CodeMAC(model.PurposeLogin, 1, aMobile, "123457"),
			"account":         v.MobileKey(1, aMobile),
			"another account": v.MobileKey(0, aMobile),
			"number":          v.NumberKey(aMobile),
			"plain hash":      hashed("login|1|+86" + alice + "|123456"),
		}
		seen := map[string]string{}
		for what, mac := range macs {
			if len(mac) != 32 {
				t.Errorf("%s has %d bytes", what, len(mac))
			}
			if twin, ok := seen[string(mac)]; ok {
				t.Errorf("%s and %s are the same", what, twin)
			}
			seen[string(mac)] = what
			matches := v.CodeMatches(mac, model.PurposeLogin, 1, aMobile, "123456")
			if matches != (what == "the code") {
				t.Errorf("%s: matches is %v", what, matches)
			}
		}
		if v.CodeMatches(make([]byte, 32), model.PurposeLogin, 1, aMobile, "") || v.CodeMatches(nil, model.PurposeLogin, 1, aMobile, "") {
			t.Error("nothing matches something")
		}
	}})
}

func hashed(text string) []byte {
	sum := sha256.Sum256([]byte(text))
	return sum[:]
}
