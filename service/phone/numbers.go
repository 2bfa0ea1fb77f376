// Package phone parses and formats mobile numbers.
package phone

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/nyaruka/phonenumbers"

	"menshen/model"
)

const (
	regionChina = "CN"
	maxSpelling = 64 // characters of a number as typed
	maxDigits   = 17 // 00 and the 15 digits of E.164
	minDigits   = 6
	minE164     = 7 // digits of the shortest E.164 that is taken
	maxE164     = 15
)

// chineseForm is the national form of a mobile number of mainland China. It is not the
// library's, whose metadata lacks prefixes assigned since its release.
var chineseForm = regexp.MustCompile(`\A1[3-9][0-9]{9}\z`)

// Numbers parses and formats mobile numbers by the rules of contract §8. Every spelling
// of a number becomes one model.Mobile, from which all keys are made. Text that may not
// be a spelling of exactly one mobile number is refused.
type Numbers struct {
	DefaultRegion string   // region of a number without a country code, "CN"
	Regions       []string // regions that are accepted, []string{"CN"}
}

// Parse reads a number as a person types it: in international form, with + or 00, or in
// the national form of the default region. Separators and full-width forms are
// normalised. The rest must match to the digit, because a parser that guesses gives one
// account two numbers. Every refusal is model.ErrMobile.
func (n Numbers) Parse(raw string) (model.Mobile, error) {
	typed, ok := normalise(raw)
	if !ok {
		return model.Mobile{}, model.ErrMobile
	}
	for _, prefix := range []string{"+", "00"} {
		if digits, found := strings.CutPrefix(typed, prefix); found {
			return n.international(digits)
		}
	}
	return n.national(typed)
}

// FromQuery returns the text of a number in a query, where + is a blank, as Parse reads
// it: without a leading blank and, if that is no number, with a plus.
func (n Numbers) FromQuery(text string) string {
	rest, blank := strings.CutPrefix(text, " ")
	if !blank {
		return text
	}
	if _, err := n.Parse(rest); err == nil {
		return rest
	}
	return "+" + rest
}

// National returns m as people of the default region write it (13800138000), and numbers
// of every other region in E.164. Parse reads both back as m.
func (n Numbers) National(m model.Mobile) string {
	e164 := m.E164()
	if digits, ok := chinese(e164); ok && n.DefaultRegion == regionChina {
		return digits
	} else if ok || n.DefaultRegion == regionChina || n.DefaultRegion == "" {
		return e164
	}
	number, err := phonenumbers.Parse(e164, phonenumbers.UNKNOWN_REGION)
	if err != nil || phonenumbers.GetRegionCodeForNumber(number) != n.DefaultRegion {
		return e164
	}
	// In a few regions Parse does not read the national form of some numbers back as m.
	digits := nationalDigits(number)
	if again, err := n.Parse(digits); err != nil || again != m {
		return e164
	}
	return digits
}

// Prefix returns the part that numbers of one place have in common. In China that is +86
// and seven digits, which an operator assigns in one city. Elsewhere it is the region,
// because the price of a message depends on the region.
func (n Numbers) Prefix(m model.Mobile) string {
	region := n.Region(m)
	if region == regionChina {
		return m.E164()[:len("+861380013")]
	}
	return region
}

// Region returns the ISO 3166 region of a number that Parse has returned.
func (n Numbers) Region(m model.Mobile) string {
	e164 := m.E164()
	if _, ok := chinese(e164); ok {
		return regionChina
	}
	number, err := phonenumbers.Parse(e164, phonenumbers.UNKNOWN_REGION)
	if err != nil {
		return ""
	}
	return phonenumbers.GetRegionCodeForNumber(number)
}

// international reads digits that begin with a country code. They must be the number's
// own E.164: a trunk zero after the country code is refused.
func (n Numbers) international(digits string) (model.Mobile, error) {
	if len(digits) < minE164 || len(digits) > maxE164 || digits[0] == '0' {
		return model.Mobile{}, model.ErrMobile
	}
	if rest, found := strings.CutPrefix(digits, "86"); found {
		return n.china(rest)
	}
	e164 := "+" + digits
	number, err := phonenumbers.Parse(e164, phonenumbers.UNKNOWN_REGION)
	if err != nil || phonenumbers.Format(number, phonenumbers.E164) != e164 {
		return model.Mobile{}, model.ErrMobile
	}
	return n.accept(number)
}

// national reads digits without a country code: the national significant number
// of the default region or its national form (07400 123456 in GB).
func (n Numbers) national(typed string) (model.Mobile, error) {
	if n.DefaultRegion == regionChina {
		return n.china(typed)
	}
	if n.DefaultRegion == "" {
		return model.Mobile{}, model.ErrMobile
	}
	number, err := phonenumbers.Parse(typed, n.DefaultRegion)
	if err != nil {
		return model.Mobile{}, model.ErrMobile
	}
	if typed != phonenumbers.GetNationalSignificantNumber(number) && typed != nationalDigits(number) {
		return model.Mobile{}, model.ErrMobile
	}
	return n.accept(number)
}

// china reads the national form of mainland China.
func (n Numbers) china(digits string) (model.Mobile, error) {
	if !chineseForm.MatchString(digits) || !slices.Contains(n.Regions, regionChina) {
		return model.Mobile{}, model.ErrMobile
	}
	return model.NewMobile("+86" + digits), nil
}

// accept returns the number if it is a mobile number of a listed region.
func (n Numbers) accept(number *phonenumbers.PhoneNumber) (model.Mobile, error) {
	switch phonenumbers.GetNumberType(number) {
	case phonenumbers.MOBILE, phonenumbers.FIXED_LINE_OR_MOBILE:
	default:
		return model.Mobile{}, model.ErrMobile
	}
	e164 := phonenumbers.Format(number, phonenumbers.E164)
	if !slices.Contains(n.Regions, phonenumbers.GetRegionCodeForNumber(number)) ||
		len(e164) <= minE164 || len(e164) > 1+maxE164 {
		return model.Mobile{}, model.ErrMobile
	}
	return model.NewMobile(e164), nil
}

// nationalDigits returns the digits of the number's national form.
func nationalDigits(number *phonenumbers.PhoneNumber) string {
	return phonenumbers.NormalizeDigitsOnly(phonenumbers.Format(number, phonenumbers.NATIONAL))
}

// chinese reports whether e164 is a mobile number of mainland China, and returns its
// national form.
func chinese(e164 string) (string, bool) {
	digits, found := strings.CutPrefix(e164, "+86")
	return digits, found && chineseForm.MatchString(digits)
}

// normalise returns raw without separators and with full-width forms made ASCII. It
// reports whether the result is [+]digits of a plausible length. Any other character,
// and invalid UTF-8, is refused.
func normalise(raw string) (string, bool) {
	if utf8.RuneCountInString(raw) > maxSpelling {
		return "", false
	}
	var typed []byte
	digits := 0
	for _, r := range raw {
		switch {
		case r >= '０' && r <= '９':
			r = '0' + r - '０'
		case r == '＋':
			r = '+'
		case isSeparator(r):
			continue
		}
		switch {
		case r == '+' && len(typed) == 0:
		case '0' <= r && r <= '9' && digits < maxDigits:
			digits++
		default: // U+FFFD stands for invalid UTF-8 here
			return "", false
		}
		typed = append(typed, byte(r))
	}
	return string(typed), digits >= minDigits
}

// separators are the hyphens, dots and brackets that people, input methods and address
// books put into numbers, beside spaces.
const separators = "-\u2010\u2011\u2012\u2013\u2014\u2015\u2212\uff0d" + ".\uff0e" + "()[]\uff08\uff09\uff3b\uff3d"

// isSeparator reports whether r is one of the separators, a space, or an invisible format
// character. A tab or a line break is not, nor is a format character that can be seen.
func isSeparator(r rune) bool {
	return strings.ContainsRune(separators, r) || unicode.Is(unicode.Zs, r) ||
		unicode.Is(unicode.Cf, r) && !unicode.Is(unicode.Prepended_Concatenation_Mark, r)
}
