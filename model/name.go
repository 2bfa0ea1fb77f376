package model

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Joiners of scripts and of emoji.
const (
	nonJoiner = '\u200c'
	joiner    = '\u200d'
)

// Bounds of names, in characters.
const (
	maxNickName = 32
	maxRealName = 64
)

// CheckNickName checks a nick name. It returns a reason of a FieldProblem, or "" if the name
// is valid, as CheckRealName does.
func CheckNickName(name string) (problem string) {
	if length := utf8.RuneCountInString(name); length == 0 || length > maxNickName {
		return ReasonLength
	}
	if !Visible(name) {
		return ReasonCharset
	}
	return CheckName(name)
}

// CheckRealName checks a real name, which may be empty.
func CheckRealName(name string) (problem string) {
	if utf8.RuneCountInString(name) > maxRealName {
		return ReasonLength
	}
	return CheckName(name)
}

// CheckName checks the characters of a name that others see. It refuses control characters,
// line and paragraph separators, and format characters (Unicode Cf) except a joiner between
// two other characters and tags after an emoji. It returns ReasonCharset, or "" for a
// valid name. A valid name may be empty.
func CheckName(name string) (problem string) {
	runes := []rune(name)
	for i, r := range runes {
		switch {
		case isJoiner(r):
			if i == 0 || i == len(runes)-1 || isJoiner(runes[i-1]) || isJoiner(runes[i+1]) {
				return ReasonCharset
			}
		case isTag(r):
			if !behindEmoji(runes[:i]) {
				return ReasonCharset
			}
		case unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp, unicode.Cf):
			return ReasonCharset
		}
	}
	return ""
}

// Visible reports whether text has a character that is neither white space nor
// default-ignorable (Unicode's Default_Ignorable_Code_Point) nor the blank pattern of
// Braille.
func Visible(text string) bool {
	return strings.ContainsFunc(text, func(r rune) bool {
		return r != '\u2800' && !unicode.In(r, unicode.White_Space, unicode.Cc, unicode.Cf, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point)
	})
}

func isJoiner(r rune) bool { return r == nonJoiner || r == joiner }

func isTag(r rune) bool { return 0xe0020 <= r && r <= 0xe007f }

// behindEmoji reports whether runes end in an emoji, which may have a variation selector,
// and tags.
func behindEmoji(runes []rune) bool {
	for i := len(runes) - 1; i >= 0; i-- {
		switch r := runes[i]; {
		case isTag(r), r == '\ufe0f':
		default: // blocks of emoji: symbols and dingbats, pictographs
			return 0x2600 <= r && r <= 0x27bf || 0x1f000 <= r && r <= 0x1faff
		}
	}
	return false
}
