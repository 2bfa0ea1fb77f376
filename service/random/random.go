// Package random draws ids, names, secrets and codes from the secure source of the
// system.
package random

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math/big"
	"strings"
)

// ID returns a random id of 52 bits, never 0. A JavaScript number holds it exactly, and
// it does not reveal how many ids there are.
func ID() int64 {
	var b [8]byte
	for {
		_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the program instead
		if id := int64(binary.BigEndian.Uint64(b[:]) >> 12); id != 0 {
			return id
		}
	}
}

// TextID returns an id of 130 random bits in letters and digits, for sessions, tokens and
// messages.
func TextID() string { return rand.Text() }

// Secret returns 256 random bits, printable (RFC 9700 §4.14).
func Secret() string {
	var b [32]byte
	_, _ = rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// Digits returns a uniformly random code of the given number of digits, leading zeros
// included (ASVS 6.5.3).
func Digits(length int) string {
	limit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(length)), nil)
	n, err := rand.Int(rand.Reader, limit)
	if err != nil {
		panic(fmt.Sprintf("system random source: %v", err)) // crypto/rand never returns an error
	}
	digits := n.String()
	return strings.Repeat("0", length-len(digits)) + digits
}

// IsName reports whether text has the form of a TextID. Callers check it before they use
// text in a query.
func IsName(text string) bool {
	return text != "" && len(text) <= 32 && strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") == ""
}
