package model_test

import (
	"strings"
	"testing"
	"unicode"

	"menshen/model"
)

func TestCheckName(t *testing.T) {
	const flag = "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f" // of Scotland
	good := []string{
		"x", "小门神", " x ", "a b", "a\u00a0b", "a\u3000b", "O'Brien", "Zoë", "e\u0301", "می\u200cخواهم", "क्\u200dष", "👨\u200d👩\u200d👧", "👩\u200d❤\ufe0f\u200d👨", "❤\ufe0f", "1\ufe0f\u20e3",
		"👍🏽", "🇨🇳", flag, flag + flag, "x" + flag, flag + "x", "🏴\ufe0f\U000e0067\U000e007f", "🏳\ufe0f\u200d🌈", "👨🏽\u200d🚀", "ﷺ", "x\u2800", "\u2800x", "x\u3164", "\ufffd", "\ue000", strings.Repeat("😀", 32),
	}
	for _, name := range good {
		if problem := model.CheckNickName(name); problem != "" {
			t.Errorf("%q is refused: %s", name, problem)
		}
		if problem := model.CheckName(name); problem != "" {
			t.Errorf("%q is refused as a real name: %s", name, problem)
		}
	}
	bad := []string{
		"\u200cx", "x\u200c", "\u200dx", "x\u200d", "a\u200d\u200db", "a\u200c\u200db", "\u200c", "👨\u200d", flag + "\u200d",
		"x\U000e0067", "\U000e0067", "中\U000e0067\U000e007f", "1\U000e0067", "\ufe0f\U000e0067", "🏴x\U000e0067", "🏴\U000e0001\U000e0067", "°\U000e0067",
	}
	for r := rune(0); r <= unicode.MaxRune; r++ { // each control, separator and format character
		if unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp) || unicode.Is(unicode.Cf, r) && r != '\u200c' && r != '\u200d' && (r < 0xe0020 || r > 0xe007f) {
			bad = append(bad, "a"+string(r)+"b", string(r), "😀"+string(r))
		}
	}
	for _, name := range bad {
		if model.CheckName(name) != model.ReasonCharset || model.CheckNickName(name) != model.ReasonCharset {
			t.Errorf("%q is accepted", name)
		}
	}
	if model.CheckName("") != "" || model.CheckNickName("") == "" {
		t.Error("an empty real name is refused, or an empty nick name accepted")
	}
}

// TestVisible: a nick name of invisible characters alone is none, a real name may be.
func TestVisible(t *testing.T) {
	for _, name := range []string{" ", "   ", "\u00a0", "\u2003", "\u2009", "\u202f", "\u205f", "\u3000", "\u1680", "\u2800", "\u2800 \u2800", "\u3164", "\uffa0", "\u115f\u1160", "\u034f", "\u17b4\u17b5", "\u180b", "\ufe00", "\ufe0f", "\U000e0100", "\u2065", "\ufff0"} {
		if model.CheckNickName(name) != model.ReasonCharset {
			t.Errorf("nick name %q is accepted", name)
		}
		if problem := model.CheckName(name); problem != "" {
			t.Errorf("real name %q is refused: %s", name, problem)
		}
		if problem := model.CheckNickName(name + "x" + name); problem != "" {
			t.Errorf("nick name %q is refused: %s", name+"x"+name, problem)
		}
	}
}

// FuzzCheckName: an accepted nick name has something to see, and without its joiners and
// tags no format character.
func FuzzCheckName(f *testing.F) {
	for _, seed := range []string{"x", "می\u200cخواهم", "👨\u200d👩\u200d👧", "🏴\U000e0067\U000e007f", "x\U000e0067", "\u202ex", "\u2800", "\u3164", "a\u200d\u200db", "\xff", "\u2028", "\ufeffx", "\u00adx"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if model.CheckNickName(name) != "" {
			return
		}
		rest := strings.Map(func(r rune) rune {
			if r == '\u200c' || r == '\u200d' || r >= 0xe0020 && r <= 0xe007f {
				return -1
			}
			return r
		}, name)
		if strings.Trim(rest, " \u2800\u3164") == "" || strings.ContainsFunc(rest, func(r rune) bool { return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) }) {
			t.Fatalf("%q is accepted", name)
		}
		if strings.ContainsRune(name, '\u202e') || !model.Visible(name) || model.CheckName(name) != "" {
			t.Fatalf("%q", name)
		}
	})
}
