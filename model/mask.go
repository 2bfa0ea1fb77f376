package model

import (
	"fmt"
	"io"
	"strings"
)

// Secret is a token, code or key. However it is printed, logged or marshalled,
// it shows "***"; only the conversion string(s) gives it away.
type Secret string

const masked = "***"

// Format answers every verb of fmt with the mask.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, masked) }

// String is the mask.
func (Secret) String() string { return masked }

// MarshalText is the mask, for JSON and for structured logs.
func (Secret) MarshalText() ([]byte, error) { return []byte(masked), nil }

// Mobile is a mobile number in E.164. However it is printed, logged or
// marshalled it is masked (138****8000); only E164 gives it away.
type Mobile struct{ e164 string }

// NewMobile takes a number that is in E.164 already.
func NewMobile(e164 string) Mobile { return Mobile{e164: e164} }

// E164 is the whole number, for providers, keyed hashes and views of its owner.
func (m Mobile) E164() string { return m.e164 }

// Last4 is the number's last four digits.
func (m Mobile) Last4() string { return m.e164[max(0, len(m.e164)-4):] }

// String is the masked number.
func (m Mobile) String() string {
	digits := strings.TrimPrefix(strings.TrimPrefix(m.e164, "+86"), "+")
	if len(digits) < 8 { // seven shown of seven would be the number
		return masked
	}
	return digits[:3] + "****" + digits[len(digits)-4:]
}

// Format answers every verb of fmt with the masked number.
func (m Mobile) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, m.String()) }

// MarshalText is the masked number, for JSON and for structured logs.
func (m Mobile) MarshalText() ([]byte, error) { return []byte(m.String()), nil }
