package model_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"menshen/model"
)

func marshalled(t *testing.T, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var verbs = []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "% x", "%#x", "%d", "%t", "%c", "%U", "%e", "%10s", "%-40s|", "%.3s"}

// wantMasked prints value, alone and within other values, in every way in which it may
// reach a log. It fails if a hidden part shows.
func wantMasked(t *testing.T, value any, shown string, hidden ...string) {
	t.Helper()
	prints := map[string]string{
		"Print":  fmt.Sprint(value),
		"JSON":   marshalled(t, value),
		"nested": marshalled(t, map[string]any{"a": []any{value}, "b": struct{ Member any }{value}}),
		"slog":   slog.AnyValue(value).String(),
	}
	for _, verb := range verbs {
		prints[verb] = fmt.Sprintf(verb, value)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		prints["struct "+verb] = fmt.Sprintf(verb, struct{ Member any }{value})
		prints["slice "+verb] = fmt.Sprintf(verb, []any{value})
		prints["map "+verb] = fmt.Sprintf(verb, map[string]any{"key": value})
	}
	for way, text := range prints {
		if !strings.Contains(text, shown) {
			t.Errorf("%s shows %q, want %q in it", way, text, shown)
		}
		for _, part := range hidden {
			if strings.Contains(strings.ToLower(text), strings.ToLower(part)) {
				t.Errorf("%s shows %q, in which is %q", way, text, part)
			}
		}
	}
}

func TestSecretIsMasked(t *testing.T) {
	const text = "rt1_ABCDEF_s3cret"
	hexadecimal := fmt.Sprintf("%x", text)
	wantMasked(t, model.Secret(text), "***", text, "s3cret", hexadecimal, hexadecimal[:8])
	wantMasked(t, struct{ Token model.Secret }{text}, "***", text, "s3cret")
	if string(model.Secret(text)) != text {
		t.Error("the conversion does not give it away")
	}
	if got := model.Secret("").String(); got != "***" {
		t.Errorf("an empty one prints %q: its length shows", got)
	}
	text2, err := model.Secret(text).MarshalText()
	if err != nil || string(text2) != "***" {
		t.Errorf("text %q, error %v", text2, err)
	}
}

func TestMobileIsMasked(t *testing.T) {
	mobile := model.NewMobile("+8613812348000")
	hexadecimal := fmt.Sprintf("%x", "13812348000")
	wantMasked(t, mobile, "138****8000", "13812348000", "1234", hexadecimal)
	wantMasked(t, struct{ Mobile model.Mobile }{mobile}, "138****8000", "13812348000")
	wantMasked(t, &mobile, "138****8000", "13812348000")
	if mobile.E164() != "+8613812348000" || mobile.Last4() != "8000" {
		t.Errorf("E164 %s, Last4 %s", mobile.E164(), mobile.Last4())
	}
}

func TestMobileMasks(t *testing.T) {
	tests := []struct{ e164, masked, last4 string }{
		{"+8613800138000", "138****8000", "8000"},
		{"+14155550123", "141****0123", "0123"},
		{"+447400123456", "447****3456", "3456"},
		{"+29012345", "290****2345", "2345"},
		{"+2901234", "***", "1234"}, // the mask would show all seven digits
		{"+290123", "***", "0123"},
		{"+12", "***", "+12"},
		{"", "***", ""},
	}
	for _, tt := range tests {
		t.Run(tt.e164, func(t *testing.T) {
			m := model.NewMobile(tt.e164)
			if m.String() != tt.masked || m.Last4() != tt.last4 {
				t.Errorf("masked %s, last four %s; want %s and %s", m, m.Last4(), tt.masked, tt.last4)
			}
		})
	}
}
