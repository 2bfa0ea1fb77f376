package controller

import (
	"strconv"
	"strings"

	"menshen/model"
)

// maxDigits is the length of the longest integer.
const maxDigits = len("9223372036854775807")

// parseInteger reads the text of a JSON number whose value is an integer of that size in bits,
// also if it is written as 0.0, 1e0 or 10e-1 (JSON Schema's integer). reason is
// model.ReasonType for a number with a fraction, model.ReasonRange for one outside, else "".
// Time and memory depend on the length of the text alone, never on an exponent.
func parseInteger(text string, bits int) (n int64, reason string) {
	mantissa, exponent := text, "0"
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		mantissa, exponent = text[:i], text[i+1:]
	}
	sign := ""
	if strings.HasPrefix(mantissa, "-") {
		sign, mantissa = "-", mantissa[1:]
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits := strings.TrimLeft(whole+fraction, "0")
	significant := strings.TrimRight(digits, "0")
	if significant == "" {
		return 0, ""
	}
	power, err := strconv.ParseInt(exponent, 10, 32)
	if err != nil && power > 0 { // a power of more digits than any body has
		return 0, model.ReasonRange
	}
	zeros := int(power) + len(digits) - len(significant) - len(fraction)
	switch {
	case err != nil || zeros < 0:
		return 0, model.ReasonType
	case len(significant)+zeros > maxDigits:
		return 0, model.ReasonRange
	}
	number, err := strconv.ParseInt(sign+significant+strings.Repeat("0", zeros), 10, bits)
	if err != nil {
		return 0, model.ReasonRange
	}
	return number, ""
}
