package config

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// wholeNumber allows one notation for each number: YAML reads 010 as eight.
var wholeNumber = regexp.MustCompile(`\A-?(0|[1-9][0-9]*)\z`)

// decimalNumber is a short decimal number without exponent.
var decimalNumber = regexp.MustCompile(`\A-?[0-9]{1,9}(\.[0-9]{1,9})?\z`)

// errUnit has a text of its own because the mistake is frequent.
var errUnit = errors.New("needs a unit, such as 30s, 5m or 12h")

// parse converts text from files, variables and JSON to a value of type t. Its errors
// complete the sentence "<key>: …" and repeat nothing of the text.
func parse(t reflect.Type, text string) (reflect.Value, error) {
	value, wrong := reflect.New(t).Elem(), errors.New("must be "+noun(t))
	switch {
	case t == durationType:
		if wholeNumber.MatchString(text) && text != "0" {
			return value, errUnit
		}
		d, err := time.ParseDuration(text)
		if err != nil {
			return value, wrong
		}
		value.SetInt(int64(d))
	case t == timeType:
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return value, wrong
		}
		value.Set(reflect.ValueOf(at))
	case t.Kind() == reflect.String:
		if !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
			return value, errors.New("must be UTF-8 text without line breaks and control characters")
		}
		value.SetString(text)
	case t.Kind() == reflect.Bool:
		yes := slices.Contains([]string{"true", "True", "TRUE", "1"}, text)
		if !yes && !slices.Contains([]string{"false", "False", "FALSE", "0"}, text) {
			return value, wrong
		}
		value.SetBool(yes)
	case t.Kind() == reflect.Float64:
		number, err := strconv.ParseFloat(text, 64)
		if err != nil || !decimalNumber.MatchString(text) {
			return value, wrong
		}
		value.SetFloat(number)
	default:
		if !wholeNumber.MatchString(text) {
			return value, wrong
		}
		n, err := strconv.ParseInt(text, 10, t.Bits())
		if err != nil {
			return value, fmt.Errorf("is outside the range of a %d bit number", t.Bits())
		}
		value.SetInt(n)
	}
	return value, nil
}

// noun describes the values of t, to follow "must be".
func noun(t reflect.Type) string {
	switch {
	case t == durationType:
		return "a duration with a unit, such as 30s, 5m or 12h (at most 292 years)"
	case t == timeType:
		return "a time with a zone, such as 2030-01-31T00:00:00Z"
	case t == claimsType:
		return "a mapping of names of claims to their sources"
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
