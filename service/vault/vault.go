// Package vault holds the keys of numbers and codes, seals numbers for the database and
// seals them again after a change of secret.key.
package vault

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

// ErrSecretMismatch means that no configured secret opens this database.
var ErrSecretMismatch = errors.New("secret.key does not match this database")

// Vault holds the keys for numbers, codes, device credentials and sealing. All but those
// for numbers derive from secret.key and change with it. The look-up key of numbers is kept in the
// database, sealed, so that it survives every change of the secret. That sealed key also
// proves that secret and database match, and shows under which secret the deployment
// seals: see [Reencrypter].
type Vault struct {
	lookup  []byte
	sealers []sealer // the current secret's first
	peppers [][]byte // for codes, the current secret's first
	devices [][]byte // for device credentials, the current secret's first
	puzzles [][]byte // for puzzles, likewise
}

// sealer seals under one secret, which id names.
type sealer struct {
	id   [secretIDSize]byte
	aead cipher.AEAD
}

// secretIDSize is the length of the secret's id, with which every sealed value begins.
const secretIDSize = 4

const lookupName = "lookup-key"

// Open derives the keys from secrets of 32 bytes: the current one first, then retired
// ones that still verify and unseal. The first start on a database stores its look-up
// key. If the secrets do not open the database, the error is ErrSecretMismatch.
func Open(ctx context.Context, store Store, secrets ...[]byte) (*Vault, error) {
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

// ErrUnused is what Join returns where there is no deployment.
var ErrUnused = errors.New("no instance was started on this database yet: start menshen once, which makes the keys of the numbers")

// Join is Open for a command: it stores no look-up key and does not change the secret
// under which the deployment seals. If no instance was started on the database yet, the
// error is ErrUnused.
func Join(ctx context.Context, store Store, secrets ...[]byte) (*Vault, error) {
	v, err := newVault(secrets)
	if err != nil {
		return nil, fmt.Errorf("join vault: %w", err)
	}
	kept, err := store.Value(ctx, lookupName)
	if errors.Is(err, model.ErrNotFound) {
		return nil, ErrUnused
	}
	if err != nil {
		return nil, fmt.Errorf("join vault: %w", err)
	}
	return v, v.unlock(kept)
}

// unlock decrypts the look-up key.
func (v *Vault) unlock(kept []byte) (err error) {
	if v.lookup, err = v.unseal(kept, lookupName); err != nil {
		return ErrSecretMismatch
	}
	return nil
}

// newVault derives all keys except the look-up key, which the database keeps.
func newVault(secrets [][]byte) (*Vault, error) {
	if len(secrets) == 0 {
		return nil, errors.New("no secret")
	}
	v := &Vault{}
	for i, secret := range secrets {
		if slices.ContainsFunc(secrets[:i], func(other []byte) bool { return bytes.Equal(other, secret) }) {
			continue // a secret given twice counts once
		}
		seal, err := newSealer(secret)
		if err != nil {
			return nil, err
		}
		v.sealers = append(v.sealers, seal)
		v.peppers = append(v.peppers, derive(secret, "menshen code pepper v1"))
		v.devices = append(v.devices, derive(secret, "menshen device credential v1"))
		v.puzzles = append(v.puzzles, derive(secret, "menshen puzzle v1"))
	}
	return v, nil
}

// derive derives a key of 32 bytes from a secret (RFC 5869).
func derive(secret []byte, purpose string) []byte {
	key, err := hkdf.Key(sha256.New, secret, nil, purpose, sha256.Size)
	if err != nil {
		panic(fmt.Sprintf("derive key: %v", err)) // impossible: only a length that is too great fails
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

// seal seals plain under the current secret and binds it to belongs.
func (v *Vault) seal(plain []byte, belongs string) []byte {
	s := v.sealers[0]
	return s.aead.Seal(s.id[:], nil, plain, []byte(belongs)) //nolint:gosec // the cipher makes a random nonce each time
}

var errSealed = errors.New("encrypted value cannot be decrypted")

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

// current reports whether sealed is sealed under the current secret.
func (v *Vault) current(sealed []byte) bool { return bytes.HasPrefix(sealed, v.sealers[0].id[:]) }

// SealMobile seals a number for its user's row.
func (v *Vault) SealMobile(mobile model.Mobile, userID int64) []byte {
	return v.seal([]byte(mobile.E164()), belongsTo(userID))
}

// UnsealMobile decrypts the number of a user's row.
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

// NumberKey is the key under which a number's quotas are counted, over all companies.
func (v *Vault) NumberKey(mobile model.Mobile) []byte {
	return mac(v.lookup, "number|"+mobile.E164())
}

// PrefixKey is the key under which the codes for numbers with a prefix are counted. In
// clear the prefix, together with the masked number in the log of events, would reveal
// the whole number.
func (v *Vault) PrefixKey(prefix string) string {
	return base64.RawURLEncoding.EncodeToString(mac(v.lookup, "prefix|"+prefix)[:16])
}

// PlainCode is a verification code and what it is valid for.
type PlainCode struct {
	Purpose     model.Purpose
	CompanyType int32
	Mobile      model.Mobile
	Code        model.Secret
}

// CodeMAC is the stored form of a code: useless without the pepper, which is
// not in the database (ASVS 6.5.2).
func (v *Vault) CodeMAC(code PlainCode) []byte {
	return mac(v.peppers[0], code.text())
}

// CodeMatches compares a code with its stored form, in constant time, under the pepper
// of every secret.
func (v *Vault) CodeMatches(stored []byte, code PlainCode) bool {
	matches := false
	for _, pepper := range v.peppers {
		matches = hmac.Equal(stored, mac(pepper, code.text())) || matches
	}
	return matches
}

func (c PlainCode) text() string {
	return string(c.Purpose) + "|" + strconv.Itoa(int(c.CompanyType)) + "|" + c.Mobile.E164() + "|" + string(c.Code)
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}
