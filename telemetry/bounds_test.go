package telemetry

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode"

	"go.uber.org/zap"

	"menshen/config"
)

// verbose is an error that says more to a formatter.
type verbose struct{ error }

func (v verbose) Format(to fmt.State, _ rune) { _, _ = fmt.Fprint(to, strings.Repeat(v.Error(), 2)) }

// TestLinesAreBounded: whatever an error or a library says, its line has at most 4 KiB, no
// control characters, and its first words; the fields before it stay whole.
func TestLinesAreBounded(t *testing.T) {
	long := "first words " + strings.Repeat("x", 64<<10)
	for name, text := range map[string]string{
		"short":     "first words",
		"long":      long,
		"control":   "first words " + strings.Repeat("\x00\x1b[2J\x07", 4096),
		"quotes":    "first words " + strings.Repeat(`"\`, 4096),
		"lines":     "first words " + strings.Repeat("\n\tfunc()\r\n", 4096),
		"invisible": "first words " + strings.Repeat("\x7f\u0085\u009b2J\u200b\u202e\u2028\ufeff", 4096),
		"not UTF-8": "first words " + strings.Repeat("\xff\xc0", 4096),
		"Chinese":   "first words " + strings.Repeat("门神", 4096),
	} {
		for _, field := range []zap.Field{
			zap.String("said", text), zap.ByteString("said", []byte(text)), zap.NamedError("said", errors.New(text)),
			zap.NamedError("said", verbose{errors.New(text)}), zap.NamedError("said", fmt.Errorf("%w, %w", errors.New(text), errors.New(text))),
			zap.Stringer("said", bytes.NewBufferString(text)), zap.Strings("said", []string{text, text}), zap.Strings("said", strings.SplitAfter(text, "x")), zap.Skip(),
		} {
			for _, format := range []string{"json", "console"} {
				var out bytes.Buffer
				log := NewLogger(config.Log{Level: "info", Format: format}, &out).With(zap.NamedError("before", errors.New("whole")))
				log.Warn(text, zap.String("id", "whole"), field, zap.NamedError("more", errors.New(text)), zap.Int("number", 42))
				log.Warn("message", zap.String("id", "whole"), field, zap.NamedError("more", errors.New(text)), zap.Int("number", 42))
				for line := range strings.Lines(out.String()) {
					wantBounded(t, name+" "+format, line)
				}
			}
		}
	}
}

// wantBounded checks one line of a log.
func wantBounded(t *testing.T, name, line string) {
	t.Helper()
	text := strings.TrimSuffix(line, "\n")
	if len(line) > 4<<10 || !strings.HasSuffix(line, "\n") {
		t.Errorf("%s: a line of %d bytes", name, len(line))
	}
	hidden := func(char rune) bool { return !unicode.IsGraphic(char) && char != '\t' }
	if at := strings.IndexFunc(text, hidden); at >= 0 {
		t.Errorf("%s: %q is shown", name, text[at:min(at+20, len(text))])
	}
	for _, want := range []string{"message", "first words"} {
		if strings.Contains(text, want) {
			want = ""
		}
		if want == "first words" && !strings.Contains(text, `"more"`) {
			t.Errorf("%s: %.200s", name, text)
		}
	}
	var fields map[string]any
	if err := json.Unmarshal([]byte(text[strings.Index(text, "{"):]), &fields); err != nil || fields["number"] != 42.0 || fields["before"] == nil {
		t.Errorf("%s: %v in %.200s", name, err, text)
	}
}
