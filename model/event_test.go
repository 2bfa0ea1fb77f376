package model_test

import (
	"strings"
	"testing"

	"menshen/model"
)

// TestKindsAreThoseOfTheContract: contract §7.
func TestKindsAreThoseOfTheContract(t *testing.T) {
	const want = "register code_sent code_failed login displaced relogin logout kick ban unban reuse expired recover adopt " +
		"device_bound device_mismatch user_changed number_changed user_deleted kick_war pumping config_changed"
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
