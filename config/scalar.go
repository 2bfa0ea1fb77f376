package config

import (
	"errors"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// wholeNumber has one spelling for each number: no sign plus, no leading zero
// (010 is eight to YAML), no underscore, no hexadecimal.
var wholeNumber = regexp.MustCompile(`\A-?(0|[1-9][0-9]*)\z`)

// decimalNumber is a short number as people write it: no exponent, no infinity.
var decimalNumber = regexp.MustCompile(`\A-?[0-9]{1,9}(\.[0-9]{1,9})?\z`)

// errUnit is apart from other faults because this one is made so often.
var errUnit = errors.New("needs a unit, such as 30s, 5m or 12h")

// parse turns text into a value of type t. It is the only place where text
// becomes a value, whether it stood in a file, a variable or a JSON document.
// Its errors complete the sentence "<key>: …" and repeat nothing of the text.
func parse(t reflect.Type, text string) (reflect.Value, error) {
	value := reflect.New(t).Elem()
	switch {
	case t == durationType:
		d, err := parseDuration(text)
		value.SetInt(int64(d))
		return value, err
	case t == timeType:
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return value, errors.New("must be " + noun(t))
		}
		value.Set(reflect.ValueOf(at))
	case t.Kind() == reflect.String:
		if !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
			return value, errors.New("must be UTF-8 text without line breaks and control characters")
		}
		value.SetString(text)
	case t.Kind() == reflect.Bool:
		yes, err := parseBool(text)
		value.SetBool(yes)
		return value, err
	case t.Kind() == reflect.Float64:
		if !decimalNumber.MatchString(text) {
			return value, errors.New("must be " + noun(t))
		}
		number, err := strconv.ParseFloat(text, 64)
		value.SetFloat(number)
		return value, err
	default:
		n, err := parseInt(text, t.Bits())
		value.SetInt(n)
		return value, err
	}
	return value, nil
}

func parseDuration(text string) (time.Duration, error) {
	if wholeNumber.MatchString(text) && text != "0" {
		return 0, errUnit
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, errors.New("must be " + noun(durationType))
	}
	return d, nil
}

func parseBool(text string) (bool, error) {
	switch text {
	case "true", "True", "TRUE", "1":
		return true, nil
	case "false", "False", "FALSE", "0":
		return false, nil
	}
	return false, errors.New("must be true or false")
}

func parseInt(text string, bits int) (int64, error) {
	if !wholeNumber.MatchString(text) {
		return 0, errors.New("must be a whole number in decimal digits")
	}
	n, err := strconv.ParseInt(text, 10, bits)
	if err != nil {
		return 0, errors.New("is outside the range of a " + strconv.Itoa(bits) + " bit number")
	}
	return n, nil
}

// noun names what t wants, to follow "must be".
func noun(t reflect.Type) string {
	switch {
	case t == durationType:
		return "a duration with a unit, such as 30s, 5m or 12h (at most 292 years)"
	case t == timeType:
		return "a time with a zone, such as 2030-01-31T00:00:00Z"
	case composite(t):
		return "an object with the members " + names(members(t))
	case t.Kind() == reflect.Slice:
		return "a list"
	case t.Kind() == reflect.String:
		return "a string"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() == reflect.Float64:
		return "a number such as 0.25"
	}
	return "a whole number in decimal digits"
}
