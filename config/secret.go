package config

import (
	"encoding/base64"
	"fmt"
	"io"
	"strings"

	"github.com/go-sql-driver/mysql"
)

const mask = "***"

// Secret is a value that must not be seen. However it is printed, logged or
// marshalled it shows "***" (an empty one shows nothing, so that a missing
// secret can be noticed); only the conversion string(s) gives it away. Keep it
// in exported fields: fmt cannot call methods on unexported ones.
type Secret string

// String is the mask.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return mask
}

// Format answers every verb of fmt with the mask.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// MarshalText is the mask, for JSON, YAML and structured logs.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// DSN is a data source name. However it is printed, logged or marshalled its
// password is masked; only the conversion string(d) gives it away.
type DSN string

// String is the DSN with "***" for the password. What is neither a MySQL DSN
// nor plainly a path is masked as a whole, since a password may be anywhere in it.
func (d DSN) String() string {
	text := string(d)
	if parsed, err := mysql.ParseDSN(text); err == nil && text != "" {
		if parsed.Passwd == "" {
			return text
		}
		// The driver's own reading: last slash, last @ before it, first colon.
		at := strings.LastIndexByte(text[:strings.LastIndexByte(text, '/')], '@')
		return text[:strings.IndexByte(text, ':')+1] + mask + text[at:]
	}
	if strings.ContainsAny(strings.TrimPrefix(text, "file:"), "@:") {
		return mask
	}
	return text
}

// Format answers every verb of fmt with the masked DSN.
func (d DSN) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, d.String()) }

// MarshalText is the masked DSN, for JSON, YAML and structured logs.
func (d DSN) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// Current is secret.key as bytes: 32 of them, or nil when none is configured.
func (k SecretKeys) Current() []byte {
	key, err := decodeBase64(string(k.Key))
	if err != nil || len(key) == 0 {
		return nil
	}
	return key
}

// Retired is secret.previous as bytes, in the order given.
func (k SecretKeys) Retired() [][]byte {
	keys := make([][]byte, 0, len(k.Previous))
	for _, previous := range k.Previous {
		if key, err := decodeBase64(string(previous)); err == nil {
			keys = append(keys, key)
		}
	}
	return keys
}

// decodeBase64 reads standard base64. The standard library skips line breaks;
// the readers refuse them beforehand, like all control characters.
func decodeBase64(text string) ([]byte, error) { return base64.StdEncoding.DecodeString(text) }

// sample tells whether a secret is one that anybody would try: a single
// repeated character, or a short word over and over ("secretsecret…").
func sample[T string | []byte](secret T) bool {
	const longestWord = 8
	for period := 1; period <= min(longestWord, len(secret)-1); period++ {
		repeats := true
		for i := period; i < len(secret) && repeats; i++ {
			repeats = secret[i] == secret[i-period]
		}
		if repeats {
			return true
		}
	}
	return false
}
