package vault

import (
	"crypto/hmac"
	"encoding/base64"
	"encoding/binary"
	"strconv"
	"strings"
	"time"

	"menshen/model"
)

// A device credential shows that a device has logged in before (a device cookie, OWASP).
// Its text is credentialPrefix and the base64url of the seconds of its issue and of a MAC
// over company, number, account and epoch. It shows none of them.
const (
	credentialPrefix = "dc1_"
	credentialSize   = 8 + 32
	credentialTTL    = 180 * 24 * time.Hour
)

// Credential returns a device credential for the account and its present number. It is
// good until credentialTTL has passed, the number or the epoch of the account changes, or
// the secret that made it is no longer configured.
func (v *Vault) Credential(user model.User, now model.Time) model.Secret {
	issued := binary.BigEndian.AppendUint64(make([]byte, 0, credentialSize), uint64(now.Unix()))
	return model.Secret(credentialPrefix + base64.RawURLEncoding.EncodeToString(append(issued, credentialMAC(v.devices[0], user, issued)...)))
}

// CredentialMatches reports whether the credential is good for the account at now. It
// takes as long for a malformed one as for a good one.
func (v *Vault) CredentialMatches(credential model.Secret, user model.User, now model.Time) bool {
	text, prefixed := strings.CutPrefix(string(credential), credentialPrefix)
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	wellFormed := prefixed && err == nil && len(raw) == credentialSize
	if !wellFormed {
		raw = make([]byte, credentialSize)
	}
	issued := raw[:8]
	matches := false
	for _, key := range v.devices {
		matches = hmac.Equal(raw[8:], credentialMAC(key, user, issued)) || matches
	}
	age := now.Unix() - int64(binary.BigEndian.Uint64(issued)) //nolint:gosec // of a MAC that matches: a time that this program wrote
	return matches && wellFormed && user.ID != 0 && age < int64(credentialTTL/time.Second)
}

func credentialMAC(key []byte, user model.User, issued []byte) []byte {
	return mac(key, strings.Join([]string{
		strconv.Itoa(int(user.CompanyType)), string(user.MobileKey), strconv.FormatInt(user.ID, 10), strconv.FormatInt(user.CredentialEpoch, 10),
		string(issued),
	}, "|"))
}
