package config

import (
	"encoding/base64"
	"fmt"
	"io"
	"strings"

	"github.com/go-sql-driver/mysql"
)

const mask = "***"

// Secret is a value that must not be shown. Printed, logged or marshalled it is "***",
// or "" if it is empty. Only string(s) returns the text. Use it in exported fields
// only: fmt calls no methods on unexported ones.
type Secret string

// String is the mask.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return mask
}

// Format writes the mask for every verb of fmt.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// MarshalText is the mask, for JSON, YAML and structured logs.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// DSN is a data source name, whose password is masked like a [Secret]. Only string(d)
// returns the text.
type DSN string

// String is the DSN with "***" for the password. A text that is neither a MySQL DSN nor
// clearly a path is masked as a whole.
func (d DSN) String() string {
	text := string(d)
	if parsed, err := mysql.ParseDSN(text); err == nil && text != "" {
		if parsed.Passwd == "" {
			return text
		}
		// As the driver parses it: last slash, last @ before it, first colon.
		at := strings.LastIndexByte(text[:strings.LastIndexByte(text, '/')], '@')
		return text[:strings.IndexByte(text, ':')+1] + mask + text[at:]
	}
	if strings.ContainsAny(strings.TrimPrefix(text, "file:"), "@:") {
		return mask
	}
	return text
}

// Format writes the masked DSN for every verb of fmt.
func (d DSN) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, d.String()) }

// MarshalText is the masked DSN, for JSON, YAML and structured logs.
func (d DSN) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// Current is the 32 bytes of secret.key, nil if it is not configured.
func (k SecretKeys) Current() []byte {
	key, err := decodeBase64(string(k.Key))
	if err != nil || len(key) == 0 {
		return nil
	}
	return key
}

// Retired is the bytes of secret.previous, in the configured order.
func (k SecretKeys) Retired() [][]byte {
	keys := make([][]byte, 0, len(k.Previous))
	for _, previous := range k.Previous {
		if key, err := decodeBase64(string(previous)); err == nil {
			keys = append(keys, key)
		}
	}
	return keys
}

// decodeBase64 decodes standard base64; parse has refused line breaks.
func decodeBase64(text string) ([]byte, error) { return base64.StdEncoding.DecodeString(text) }

// sample reports whether a secret is easy to guess: one repeated character, or a
// repeated short word ("secretsecret…").
func sample[T string | []byte](secret T) bool {
	const longestWord = 8
	for period := 1; period <= min(longestWord, len(secret)-1); period++ {
		if string(secret[period:]) == string(secret[:len(secret)-period]) {
			return true
		}
	}
	return false
}
