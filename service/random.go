package service

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math/big"
	"strings"
)

// newID is a random id of 52 bits, never 0: a JavaScript number holds it
// exactly, and it tells nothing of how many there are.
func newID() int64 {
	var b [8]byte
	for {
		_, _ = rand.Read(b[:]) // never fails: it ends the program instead
		if id := int64(binary.BigEndian.Uint64(b[:]) >> 12); id != 0 {
			return id
		}
	}
}

// newName is an id of 130 random bits in letters and digits: for sessions,
// tokens and messages.
func newName() string { return rand.Text() }

// newSecret is 256 random bits, printable (RFC 9700 §4.14).
func newSecret() string {
	var b [32]byte
	_, _ = rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// RandomCode is a uniform code of the given number of digits, leading zeros
// included (ASVS 6.5.3).
func RandomCode(length int) string {
	limit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(length)), nil)
	n, err := rand.Int(rand.Reader, limit)
	if err != nil {
		panic(fmt.Sprintf("system random source: %v", err)) // crypto/rand never returns an error
	}
	digits := n.String()
	return strings.Repeat("0", length-len(digits)) + digits
}
