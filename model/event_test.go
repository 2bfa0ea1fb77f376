package model_test

import (
	"strings"
	"testing"
	"unicode"

	"menshen/model"
)

// TestKindsAreThoseOfTheContract: contract §7.
func TestKindsAreThoseOfTheContract(t *testing.T) {
	const want = "register code_sent code_failed login displaced relogin logout kick ban unban reuse expired recover adopt " +
		"device_bound device_mismatch user_changed number_changed user_deleted kick_war pumping config_changed unlocked viewed receipt conversion_low user_created denied exported"
	var kinds []string
	for _, kind := range model.Kinds() {
		kinds = append(kinds, string(kind))
		if len(kind) > 20 {
			t.Errorf("%s does not fit its column", kind)
		}
	}
	got := map[string]bool{}
	for _, kind := range kinds {
		got[kind] = true
	}
	for kind := range strings.FieldsSeq(want) {
		if !got[kind] {
			t.Errorf("%s is missing", kind)
		}
	}
	if len(kinds) != len(got) || len(got) != len(strings.Fields(want)) {
		t.Errorf("kinds are %v", kinds)
	}
}

// TestEveryKindHasTwoSentences: every kind has a sentence in both languages.
func TestEveryKindHasTwoSentences(t *testing.T) {
	seen := map[string]model.Kind{}
	const idle = "kick of nothing"
	for _, kind := range append(model.Kinds(), idle) {
		zh, en := model.Event{Kind: kind, SessionID: "S"}.Sentence()
		if kind == idle {
			zh, en = model.Event{Kind: model.EventKick}.Sentence()
		}
		if !strings.ContainsFunc(zh, func(r rune) bool { return unicode.Is(unicode.Han, r) }) {
			t.Errorf("%s has no Chinese: %q", kind, zh)
		}
		if !strings.HasSuffix(en, ".") || strings.ContainsFunc(en, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("%s has no English of printable ASCII: %q", kind, en)
		}
		for _, sentence := range []string{zh, en} {
			if other, taken := seen[sentence]; taken {
				t.Errorf("%s and %s both say %q", kind, other, sentence)
			}
			seen[sentence] = kind
		}
	}
}
