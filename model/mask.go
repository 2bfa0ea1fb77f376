package model

import (
	"fmt"
	"io"
	"strings"
)

// Secret is a token, code or key. Printed, logged or marshalled in any way it is
// "***". Only the conversion string(s) returns the text.
type Secret string

const masked = "***"

// Format writes the mask for every verb of fmt.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, masked) }

// String is the mask.
func (Secret) String() string { return masked }

// MarshalText is the mask, for JSON and for structured logs.
func (Secret) MarshalText() ([]byte, error) { return []byte(masked), nil }

// Mobile is a mobile number in E.164. Printed, logged or marshalled in any way it is
// masked (138****8000). Only E164 returns the number.
type Mobile struct{ e164 string }

// NewMobile returns the Mobile of a number in E.164. It does not check the number.
func NewMobile(e164 string) Mobile { return Mobile{e164: e164} }

// E164 is the whole number, for providers, keyed hashes and views of its owner.
func (m Mobile) E164() string { return m.e164 }

// Last4 is the number's last four digits.
func (m Mobile) Last4() string { return m.e164[max(0, len(m.e164)-4):] }

// String is the masked number.
func (m Mobile) String() string {
	digits := strings.TrimPrefix(strings.TrimPrefix(m.e164, "+86"), "+")
	if len(digits) < 8 { // the mask shows seven digits
		return masked
	}
	return digits[:3] + "****" + digits[len(digits)-4:]
}

// Format writes the masked number for every verb of fmt.
func (m Mobile) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, m.String()) }

// MarshalText is the masked number, for JSON and for structured logs.
func (m Mobile) MarshalText() ([]byte, error) { return []byte(m.String()), nil }
