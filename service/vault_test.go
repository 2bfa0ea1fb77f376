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
	"menshen/service/vault"
)

func (d *deployment) openVault(fills ...byte) (*vault.Vault, error) {
	var secrets [][]byte
	for _, fill := range fills {
		secrets = append(secrets, secretOf(fill))
	}
	return vault.Open(d.t.Context(), repository.Vault{DB: d.db}, secrets...)
}

func (d *deployment) mustOpenVault(fills ...byte) *vault.Vault {
	d.t.Helper()
	vault, err := d.openVault(fills...)
	if err != nil {
		d.t.Fatal(err)
	}
	return vault
}

var aMobile = model.NewMobile("+86" + alice)

func TestVault(t *testing.T) {
	runScenes(t,
		scene{"first start and restart", func(t *testing.T, in *instance) {
			in.emptyVault()
			first := in.mustOpenVault('a')
			sealed := first.SealMobile(aMobile, 7)
			again := in.mustOpenVault('a')
			if got, err := again.UnsealMobile(sealed, 7); err != nil || got != aMobile {
				t.Errorf("unsealed %v, error %v", got, err)
			}
			wantSameKeys(t, first, again)
			if in.count("SELECT COUNT(*) FROM vault") != 1 {
				t.Error("the vault holds more than the look-up key")
			}
		}},
		scene{"another secret", func(t *testing.T, in *instance) {
			in.emptyVault()
			in.mustOpenVault('a')
			before := in.dumpVault()
			for _, fills := range [][]byte{{'b'}, {'b', 'c'}} {
				if _, err := in.openVault(fills...); !errors.Is(err, vault.ErrSecretMismatch) {
					t.Errorf("secrets %s: error %v", fills, err)
				} else if !strings.Contains(err.Error(), "secret.key") {
					t.Errorf("the error does not name the key: %v", err)
				}
			}
			if in.dumpVault() != before {
				t.Error("a wrong secret changed the vault")
			}
			in.mustOpenVault('a')
		}},
		scene{"no secret", func(t *testing.T, in *instance) {
			if _, err := in.openVault(); err == nil {
				t.Error("opened")
			}
		}},
		scene{"a new secret with the old one behind it", func(t *testing.T, in *instance) {
			in.emptyVault()
			old := in.mustOpenVault('a')
			sealed := old.SealMobile(aMobile, 7)
			mac := old.CodeMAC(plainCode(model.PurposeLogin, 0, aMobile, "123456"))
			before := in.dumpVault()

			young := in.mustOpenVault('b', 'a')
			wantSameKeys(t, old, young)
			if got, err := young.UnsealMobile(sealed, 7); err != nil || got != aMobile {
				t.Errorf("what the old secret sealed unseals to %v, error %v", got, err)
			}
			if !young.CodeMatches(mac, plainCode(model.PurposeLogin, 0, aMobile, "123456")) {
				t.Error("a code of the old secret does not match")
			}
			if in.dumpVault() == before {
				t.Error("the look-up key was not sealed anew")
			}
			if got, err := old.UnsealMobile(young.SealMobile(aMobile, 7), 7); err == nil {
				t.Errorf("the old secret alone opens what the new one sealed: %v", got)
			}

			alone := in.mustOpenVault('b') // the old one is not needed for the look-up key any more
			wantSameKeys(t, old, alone)
			if _, err := alone.UnsealMobile(sealed, 7); err == nil {
				t.Error("what the old secret sealed opens without it")
			}
			if alone.CodeMatches(mac, plainCode(model.PurposeLogin, 0, aMobile, "123456")) {
				t.Error("a code of the old secret matches without it")
			}
			if _, err := in.openVault('a'); !errors.Is(err, vault.ErrSecretMismatch) {
				t.Errorf("the old secret alone still opens the database: %v", err)
			}
			in.mustOpenVault('a', 'b') // and back
			in.mustOpenVault('a')
		}},
		scene{"16 first starts", func(t *testing.T, in *instance) {
			in.emptyVault()
			vaults := make([]*vault.Vault, 16)
			for _, err := range race(len(vaults), func(i int) (err error) {
				vaults[i], err = in.openVault('a')
				return err
			}) {
				wantFailure(t, err, nil)
			}
			for _, vault := range vaults {
				wantSameKeys(t, vaults[0], vault)
			}
		}},
		scene{"16 starts with a new secret", func(t *testing.T, in *instance) {
			in.emptyVault()
			old := in.mustOpenVault('a')
			var mu sync.Mutex
			for _, err := range race(16, func(int) error {
				vault, err := in.openVault('b', 'a')
				if err == nil {
					mu.Lock()
					defer mu.Unlock()
					wantSameKeys(t, old, vault)
				}
				return err
			}) {
				wantFailure(t, err, nil)
			}
			in.mustOpenVault('b')
		}},
		scene{"a vault that was tampered with", func(t *testing.T, in *instance) {
			in.emptyVault()
			in.mustOpenVault('a')
			for _, value := range [][]byte{{}, {1}, []byte("1234"), bytes.Repeat([]byte{1}, 64)} {
				in.sql("UPDATE vault SET value = ?", value)
				if _, err := in.openVault('a'); !errors.Is(err, vault.ErrSecretMismatch) {
					t.Errorf("%x: error %v", value, err)
				}
			}
		}},
		scene{"the storage is away", func(t *testing.T, in *instance) {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			_, err := vault.Open(ctx, repository.Vault{DB: in.db}, secretOf('k'))
			if errors.Is(err, vault.ErrSecretMismatch) || !errors.Is(err, model.ErrUnavailable) {
				t.Errorf("error %v", err)
			}
		}},
		scene{"logins, codes and numbers over a change of the secret", func(t *testing.T, in *instance) {
			c := in.logIn(alice)
			code := in.receiveCode(alice)
			young := in.mustOpenVault('n', 'k')
			in.codes.Vault, in.verifier.Vault, in.login.Vault, in.users.Vault = young, young, young, young
			t.Cleanup(func() { in.emptyVaultAfter() })
			again, err := in.tryLogIn(alice, code)
			wantFailure(t, err, nil)
			if again.User.User.ID != c.User.User.ID {
				t.Error("the number has another account now")
			}
			if got, err := in.users.ByID(t.Context(), c.User.User.ID); err != nil || got.Mobile != alice {
				t.Errorf("profile %+v, error %v", got, err)
			}
			in.quotas.Limits.Cooldown = time.Minute
			in.wantRefused(alice, model.ErrCooldown, 60) // quotas go on
		}},
	)
}

// emptyVault makes the next start the first one, for the scene alone.
func (in *instance) emptyVault() {
	in.sql("DELETE FROM vault")
	in.t.Cleanup(in.emptyVaultAfter)
}

func (in *instance) emptyVaultAfter() { in.sqlAfter("DELETE FROM vault") }

func (in *instance) dumpVault() string {
	in.t.Helper()
	return strings.Join(in.texts("SELECT HEX(value) FROM vault"), "\n")
}

// wantSameKeys checks that both look numbers up alike.
func wantSameKeys(t *testing.T, a, b *vault.Vault) {
	t.Helper()
	if !bytes.Equal(a.MobileKey(1, aMobile), b.MobileKey(1, aMobile)) || !bytes.Equal(a.NumberKey(aMobile), b.NumberKey(aMobile)) {
		t.Error("the look-up key changed")
	}
}

func TestVaultSeals(t *testing.T) {
	runScenes(t, scene{"numbers", func(t *testing.T, in *instance) {
		sealed := in.vault.SealMobile(aMobile, 7)
		if bytes.Contains(sealed, []byte(alice)) || len(sealed) > 128 {
			t.Errorf("%d bytes sealed, or the number shows", len(sealed))
		}
		if bytes.Equal(sealed, in.vault.SealMobile(aMobile, 7)) {
			t.Error("sealed twice it is the same: equal numbers show")
		}
		if _, err := in.vault.UnsealMobile(sealed, 8); err == nil {
			t.Error("it opens for another user's row")
		}
		for i := range sealed {
			broken := bytes.Clone(sealed)
			broken[i] ^= 1
			if _, err := in.vault.UnsealMobile(broken, 7); err == nil || strings.Contains(err.Error(), alice) {
				t.Fatalf("with byte %d changed: error %v", i, err)
			}
		}
		for n := range len(sealed) {
			if _, err := in.vault.UnsealMobile(sealed[:n], 7); err == nil {
				t.Fatalf("the first %d bytes open", n)
			}
		}
		if _, err := in.vault.UnsealMobile(nil, 7); err == nil {
			t.Error("nothing opens")
		}
	}})
}

func TestVaultMACs(t *testing.T) {
	runScenes(t, scene{"codes and keys", func(t *testing.T, in *instance) {
		v := in.vault
		other := model.NewMobile("+86" + bob)
		macs := map[string][]byte{
			"the code":        v.CodeMAC(plainCode(model.PurposeLogin, 1, aMobile, "123456")),
			"another purpose": v.CodeMAC(plainCode(model.PurposeDelete, 1, aMobile, "123456")),
			"another company": v.CodeMAC(plainCode(model.PurposeLogin, 0, aMobile, "123456")),
			"another number":  v.CodeMAC(plainCode(model.PurposeLogin, 1, other, "123456")),
			"another code":    v.CodeMAC(plainCode(model.PurposeLogin, 1, aMobile, "123457")),
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
			matches := v.CodeMatches(mac, plainCode(model.PurposeLogin, 1, aMobile, "123456"))
			if matches != (what == "the code") {
				t.Errorf("%s: matches is %v", what, matches)
			}
		}
		if v.CodeMatches(make([]byte, 32), plainCode(model.PurposeLogin, 1, aMobile, "")) || v.CodeMatches(nil, plainCode(model.PurposeLogin, 1, aMobile, "")) {
			t.Error("nothing matches something")
		}
	}})
}

func hashed(text string) []byte {
	sum := sha256.Sum256([]byte(text))
	return sum[:]
}

func plainCode(purpose model.Purpose, company int32, mobile model.Mobile, code model.Secret) vault.PlainCode {
	return vault.PlainCode{Purpose: purpose, CompanyType: company, Mobile: mobile, Code: code}
}
