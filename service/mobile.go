package service

import (
	"slices"
	"strconv"

	"github.com/nyaruka/phonenumbers"

	"menshen/model"
)

const (
	regionChina = "CN"
	maxSpelling = 64 // bytes of a number as typed
	maxDigits   = 17 // 00 and the 15 digits of E.164
	minDigits   = 6
	minE164     = 7 // digits of the shortest E.164 that is taken
	maxE164     = 15
)

// Numbers reads and shows mobile numbers. Its rules are contract §8: every
// spelling of a number becomes one model.Mobile, from which all keys are made,
// and whatever is not surely a spelling of one mobile number is refused.
type Numbers struct {
	DefaultRegion string   // region of a number without a country code, "CN"
	Regions       []string // regions that are accepted, []string{"CN"}
}

// Parse reads a number as a person types it: in international form, with + or
// 00, or in the national form of the default region. Separators and full-width
// forms are normalised; the rest must fit to the digit, because a parser that
// guesses gives one account two numbers. Every refusal is model.ErrMobile.
func (n Numbers) Parse(raw string) (model.Mobile, error) {
	var buffer [maxDigits + 1]byte
	spelling, ok := normalise(buffer[:0], raw)
	if !ok {
		return model.Mobile{}, model.ErrMobile
	}
	if spelling[0] == '+' {
		return n.international(spelling[1:])
	}
	if len(spelling) > 2 && spelling[0] == '0' && spelling[1] == '0' {
		return n.international(spelling[2:])
	}
	return n.national(spelling)
}

// National shows m as people of the default region write it (13800138000), and
// numbers of every other region in E.164. Parse reads both back as m.
func (n Numbers) National(m model.Mobile) string {
	e164 := m.E164()
	if digits, ok := chinese(e164); ok {
		if n.DefaultRegion == regionChina {
			return digits
		}
		return e164
	}
	if n.DefaultRegion == regionChina || n.DefaultRegion == "" {
		return e164
	}
	number, err := phonenumbers.Parse(e164, phonenumbers.UNKNOWN_REGION)
	if err != nil || phonenumbers.GetRegionCodeForNumber(number) != n.DefaultRegion {
		return e164
	}
	// In a few regions the national form of some numbers does not lead back.
	digits := nationalDigits(number)
	if again, err := n.Parse(digits); err != nil || again != m {
		return e164
	}
	return digits
}

// Prefix is the part of a number that many share who have it of one place: in
// China +86 and seven digits, which an operator gives out in one city; elsewhere
// the region, because messages to a region cost what its operators agree on.
func (n Numbers) Prefix(m model.Mobile) string {
	e164 := m.E164()
	if _, ok := chinese(e164); ok {
		return e164[:len("+861380013")]
	}
	number, err := phonenumbers.Parse(e164, phonenumbers.UNKNOWN_REGION)
	if err != nil {
		return ""
	}
	return phonenumbers.GetRegionCodeForNumber(number)
}

// international reads digits that begin with a country code. Nothing but the
// number's own E.164 is taken: a trunk zero after the country code is not.
func (n Numbers) international(digits []byte) (model.Mobile, error) {
	if len(digits) < minE164 || len(digits) > maxE164 || digits[0] == '0' {
		return model.Mobile{}, model.ErrMobile
	}
	if digits[0] == '8' && digits[1] == '6' {
		return n.china(digits[2:])
	}
	e164 := "+" + string(digits)
	number, err := phonenumbers.Parse(e164, phonenumbers.UNKNOWN_REGION)
	if err != nil || canonical(number) != e164 {
		return model.Mobile{}, model.ErrMobile
	}
	return n.accept(number)
}

// national reads digits without a country code: the national significant number
// of the default region or its national form (07400 123456 in GB).
func (n Numbers) national(digits []byte) (model.Mobile, error) {
	if n.DefaultRegion == regionChina {
		return n.china(digits)
	}
	if n.DefaultRegion == "" {
		return model.Mobile{}, model.ErrMobile
	}
	typed := string(digits)
	number, err := phonenumbers.Parse(typed, n.DefaultRegion)
	if err != nil {
		return model.Mobile{}, model.ErrMobile
	}
	if typed != phonenumbers.GetNationalSignificantNumber(number) && typed != nationalDigits(number) {
		return model.Mobile{}, model.ErrMobile
	}
	return n.accept(number)
}

// china accepts 1[3-9] and nine digits more, without the library: its metadata
// does not know a prefix that was given out since.
func (n Numbers) china(digits []byte) (model.Mobile, error) {
	if !isChinese(digits) || !slices.Contains(n.Regions, regionChina) {
		return model.Mobile{}, model.ErrMobile
	}
	return model.NewMobile("+86" + string(digits)), nil
}

// accept takes a mobile number of a listed region.
func (n Numbers) accept(number *phonenumbers.PhoneNumber) (model.Mobile, error) {
	switch phonenumbers.GetNumberType(number) {
	case phonenumbers.MOBILE, phonenumbers.FIXED_LINE_OR_MOBILE:
	default:
		return model.Mobile{}, model.ErrMobile
	}
	e164 := canonical(number)
	if !slices.Contains(n.Regions, phonenumbers.GetRegionCodeForNumber(number)) ||
		len(e164) <= minE164 || len(e164) > 1+maxE164 {
		return model.Mobile{}, model.ErrMobile
	}
	return model.NewMobile(e164), nil
}

func canonical(number *phonenumbers.PhoneNumber) string {
	return "+" + strconv.Itoa(int(number.GetCountryCode())) + phonenumbers.GetNationalSignificantNumber(number)
}

// nationalDigits are the digits of the number's national form.
func nationalDigits(number *phonenumbers.PhoneNumber) string {
	form := phonenumbers.Format(number, phonenumbers.NATIONAL)
	digits := make([]byte, 0, len(form))
	for i := range len(form) {
		if isDigit(form[i]) {
			digits = append(digits, form[i])
		}
	}
	return string(digits)
}

// chinese reports whether e164 is a mobile number of mainland China, and gives
// its national form.
func chinese(e164 string) (string, bool) {
	if len(e164) != len("+8613800138000") || e164[:3] != "+86" {
		return "", false
	}
	return e164[3:], isChinese([]byte(e164[3:]))
}

func isChinese(digits []byte) bool {
	if len(digits) != 11 || digits[0] != '1' || digits[1] < '3' || digits[1] > '9' {
		return false
	}
	for _, b := range digits {
		if !isDigit(b) {
			return false
		}
	}
	return true
}

func isDigit(b byte) bool { return '0' <= b && b <= '9' }

// normalise appends raw to spelling without separators, full-width forms made
// ASCII. It reports whether the result is [+]digits of a plausible length; a
// byte of anything else, and invalid UTF-8, is a refusal.
func normalise(spelling []byte, raw string) ([]byte, bool) {
	if len(raw) > maxSpelling {
		return nil, false
	}
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
		case r == '+' && len(spelling) == 0:
		case '0' <= r && r <= '9' && digits < maxDigits:
			digits++
		default: // U+FFFD stands for invalid UTF-8 here
			return nil, false
		}
		spelling = append(spelling, byte(r))
	}
	return spelling, digits >= minDigits
}

// isSeparator knows the spaces, hyphens, dots and brackets that people and
// input methods put into numbers, and no others: a tab or a line break is none.
func isSeparator(r rune) bool {
	switch r {
	case ' ', '\u00a0', '\u3000', // spaces
		'-', '\u2212', '\uff0d', // hyphen, minus sign, full-width hyphen
		'.', '\uff0e',
		'(', ')', '[', ']', '\uff08', '\uff09', '\uff3b', '\uff3d':
		return true
	}
	return '\u2010' <= r && r <= '\u2015' // hyphen to horizontal bar
}
