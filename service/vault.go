package service

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"menshen/model"
)

// ErrSecretMismatch says that no configured secret opens this database.
var ErrSecretMismatch = errors.New("secret.key does not match this database")

// Vault holds the keys for numbers, codes and sealing. The keys for codes and
// sealing derive from secret.key and change with it; the look-up key of numbers
// is kept in the database, sealed, so that it outlives every change of the
// secret. That sealed key is also the check that secret and database match, and
// tells under which secret the deployment seals: see [Resealer].
type Vault struct {
	lookup  []byte
	sealers []sealer // the current secret's first
	peppers [][]byte // the current secret's first
}

// sealer seals under one secret; its id tells which.
type sealer struct {
	id   [secretIDSize]byte
	aead cipher.AEAD
}

// secretIDSize is the length of the id with which everything sealed begins.
const secretIDSize = 4

const lookupName = "lookup-key"

// OpenVault derives the keys from secrets of 32 bytes, the current one first,
// then older ones that still verify and unseal. The first start on a database
// stores its look-up key. Secrets that do not open the database:
// ErrSecretMismatch.
func OpenVault(ctx context.Context, store VaultStore, secrets ...[]byte) (*Vault, error) {
	v, err := newVault(secrets)
	if err != nil {
		return nil, fmt.Errorf("open vault: %w", err)
	}
	kept, err := store.Keep(ctx, lookupName, v.seal(derive(secrets[0], "menshen number look-up v1"), lookupName))
	if err != nil {
		return nil, fmt.Errorf("open vault: %w", err)
	}
	if err := v.unlock(kept); err != nil {
		return nil, err
	}
	if !v.current(kept) {
		err = store.Replace(ctx, lookupName, kept, v.seal(v.lookup, lookupName))
		if err != nil && !errors.Is(err, model.ErrNotFound) { // another instance resealed it
			return nil, fmt.Errorf("open vault: %w", err)
		}
	}
	return v, nil
}

// JoinVault is OpenVault for a guest, such as a command: it stores no look-up key
// and does not change the secret under which the deployment seals. A database on
// which nobody has started yet: model.ErrNotFound.
func JoinVault(ctx context.Context, store VaultStore, secrets ...[]byte) (*Vault, error) {
	v, err := newVault(secrets)
	if err != nil {
		return nil, fmt.Errorf("join vault: %w", err)
	}
	kept, err := store.Value(ctx, lookupName)
	if errors.Is(err, model.ErrNotFound) {
		return nil, fmt.Errorf("join vault: no instance was started on this database yet: %w", err)
	}
	if err != nil {
		return nil, fmt.Errorf("join vault: %w", err)
	}
	return v, v.unlock(kept)
}

// unlock takes the look-up key.
func (v *Vault) unlock(kept []byte) (err error) {
	if v.lookup, err = v.unseal(kept, lookupName); err != nil {
		return ErrSecretMismatch
	}
	return nil
}

// newVault derives all keys but the one that the database keeps.
func newVault(secrets [][]byte) (*Vault, error) {
	if len(secrets) == 0 {
		return nil, errors.New("no secret")
	}
	v := &Vault{}
	for i, secret := range secrets {
		if slices.ContainsFunc(secrets[:i], func(other []byte) bool { return bytes.Equal(other, secret) }) {
			continue // given twice, it is one
		}
		seal, err := newSealer(secret)
		if err != nil {
			return nil, err
		}
		v.sealers = append(v.sealers, seal)
		v.peppers = append(v.peppers, derive(secret, "menshen code pepper v1"))
	}
	return v, nil
}

// derive makes a key of 32 bytes from a secret (RFC 5869).
func derive(secret []byte, purpose string) []byte {
	key, err := hkdf.Key(sha256.New, secret, nil, purpose, sha256.Size)
	if err != nil {
		panic(fmt.Sprintf("derive key: %v", err)) // only for lengths that this is not
	}
	return key
}

func newSealer(secret []byte) (sealer, error) {
	key := derive(secret, "menshen seal v1")
	block, err := aes.NewCipher(key)
	if err != nil {
		return sealer{}, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return sealer{}, err
	}
	id := sha256.Sum256(key)
	return sealer{id: [secretIDSize]byte(id[:]), aead: aead}, nil
}

// seal seals plain under the current secret; what it belongs to is bound in.
func (v *Vault) seal(plain []byte, belongs string) []byte {
	s := v.sealers[0]
	return s.aead.Seal(s.id[:], nil, plain, []byte(belongs)) //nolint:gosec // the cipher makes a random nonce each time
}

var errSealed = errors.New("sealed value does not open")

func (v *Vault) unseal(sealed []byte, belongs string) ([]byte, error) {
	for _, s := range v.sealers {
		if !bytes.HasPrefix(sealed, s.id[:]) {
			continue
		}
		if plain, err := s.aead.Open(nil, nil, sealed[secretIDSize:], []byte(belongs)); err == nil {
			return plain, nil
		}
	}
	return nil, errSealed
}

// current reports whether it is the current secret that something is sealed under.
func (v *Vault) current(sealed []byte) bool { return bytes.HasPrefix(sealed, v.sealers[0].id[:]) }

// SealMobile seals a number for its user's row.
func (v *Vault) SealMobile(mobile model.Mobile, userID int64) []byte {
	return v.seal([]byte(mobile.E164()), belongsTo(userID))
}

// UnsealMobile opens the number of a user's row.
func (v *Vault) UnsealMobile(sealed []byte, userID int64) (model.Mobile, error) {
	plain, err := v.unseal(sealed, belongsTo(userID))
	if err != nil {
		return model.Mobile{}, fmt.Errorf("number of user %d: %w", userID, err)
	}
	return model.NewMobile(string(plain)), nil
}

func belongsTo(userID int64) string { return "mobile|" + strconv.FormatInt(userID, 10) }

// MobileKey is the look-up key of a company's account (a blind index).
func (v *Vault) MobileKey(company int32, mobile model.Mobile) []byte {
	return mac(v.lookup, "mobile|"+strconv.Itoa(int(company))+"|"+mobile.E164())
}

// NumberKey is the key under which a number's quotas count, over all companies.
func (v *Vault) NumberKey(mobile model.Mobile) []byte {
	return mac(v.lookup, "number|"+mobile.E164())
}

// PrefixKey is the key under which the codes for numbers with a prefix count. In
// clear the prefix would, beside the masked number in the log of events, be the
// whole number.
func (v *Vault) PrefixKey(prefix string) string {
	return base64.RawURLEncoding.EncodeToString(mac(v.lookup, "prefix|"+prefix)[:16])
}

// CodeMAC is the stored form of a code: useless without the pepper, which is
// not in the database (ASVS 6.5.2).
func (v *Vault) CodeMAC(purpose model.Purpose, company int32, mobile model.Mobile, code model.Secret) []byte {
	return mac(v.peppers[0], codeText(purpose, company, mobile, code))
}

// CodeMatches compares a code with its stored form, in constant time and under
// every pepper that is still accepted.
func (v *Vault) CodeMatches(stored []byte, purpose model.Purpose, company int32, mobile model.Mobile, code model.Secret) bool {
	matches := false
	for _, pepper := range v.peppers {
		if hmac.Equal(stored, mac(pepper, codeText(purpose, company, mobile, code))) {
			matches = true
		}
	}
	return matches
}

func codeText(purpose model.Purpose, company int32, mobile model.Mobile, code model.Secret) string {
	return string(purpose) + "|" + strconv.Itoa(int(company)) + "|" + mobile.E164() + "|" + string(code)
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}
