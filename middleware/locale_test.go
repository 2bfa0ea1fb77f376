package middleware

import (
	"strings"
	"testing"

	"menshen/model"
)

func TestLocaleOf(t *testing.T) {
	const fallback = "fallback"
	for header, want := range map[string]string{
		"": fallback, "zh-CN": zhCN, "en": en,
		"zh": zhCN, "ZH": zhCN, "zh-Hans": zhCN, "zh-SG": zhCN, "zh-TW": zhCN, "zh-Hant-HK": zhCN, "zh_CN": zhCN, "cmn": zhCN,
		"en-US": en, "EN-gb": en, "en-001": en, "en-x-private": en,
		"zh-CN,zh;q=0.9,en;q=0.8": zhCN, "en-US,en;q=0.9,zh-CN;q=0.8": en, "en;q=0.5, zh;q=0.6": zhCN, "zh;q=0.5,en": en,
		"fr, en;q=0.5": en, "fr;q=0.9, ja;q=0.8, zh;q=0.1": zhCN,
		"fr": fallback, "fr-FR, de;q=0.5": fallback, "ja": fallback, "*": fallback, "*;q=0.5": fallback, "xx": fallback,
		" ": fallback, ",": fallback, ";": fallback, "en;q=": fallback, "en;q=x": fallback, "\x80\xff": fallback, "\x00": fallback, "1": fallback,
		"en, " + strings.Repeat("fr, ", 50): en, "en, " + strings.Repeat("fr, ", 64): fallback, strings.Repeat("x", 10000): fallback,
	} {
		if got := localeOf(header, fallback); got != want {
			t.Errorf("%.40q: %s, want %s", header, got, want)
		}
	}
}

func TestSentence(t *testing.T) {
	for _, f := range model.Failures() {
		if sentence(f, zhCN) != f.Zh || sentence(f, en) != f.En {
			t.Errorf("%d: %s, %s", f.Code, sentence(f, zhCN), sentence(f, en))
		}
	}
}

func FuzzLocaleOf(f *testing.F) {
	for _, seed := range []string{"", "en", "zh-CN,zh;q=0.9,en;q=0.8", "*", "en;q=2", "x-a-b-c"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		if got := localeOf(header, en); got != en && got != zhCN {
			t.Errorf("%q: %q", header, got)
		}
	})
}
