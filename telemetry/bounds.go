package telemetry

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// maxText bounds the texts of one line together, in bytes as JSON writes them. With
// keys, numbers and times a line stays below 4 KiB.
const maxText = 3 << 10

// boundedCore cuts the texts of each line to maxText and leaves out characters that are
// not shown: an error may quote what another program sent.
type boundedCore struct {
	zapcore.Core
	context []zap.Field // of With
}

// With is [zapcore.Core.With].
func (c boundedCore) With(fields []zap.Field) zapcore.Core {
	return boundedCore{c.Core, slices.Concat(c.context, fields)}
}

// Check is [zapcore.Core.Check].
func (c boundedCore) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(entry.Level) {
		return checked.AddCore(entry, c)
	}
	return checked
}

// Write is [zapcore.Core.Write].
func (c boundedCore) Write(entry zapcore.Entry, fields []zap.Field) error {
	room := room(maxText)
	entry.Message = room.cut(strings.Map(oneLine, entry.Message)) // the console shows it as it is
	fields = slices.Concat(c.context, fields)
	for i, field := range fields {
		fields[i] = room.bound(field)
	}
	return c.Core.Write(entry, fields)
}

// room is what is left of maxText.
type room int

// bound cuts the texts of a field. Objects, reflected values and binary fields are not
// bounded: the program logs none.
func (r *room) bound(field zap.Field) zap.Field {
	switch field.Type {
	case zapcore.StringType:
		field.String = r.cut(field.String)
		return field
	case zapcore.ByteStringType, zapcore.StringerType, zapcore.ErrorType, zapcore.ArrayMarshalerType:
	default:
		return field
	}
	plain := zapcore.NewMapObjectEncoder()
	field.AddTo(plain) // as zap shows it, also if Error or String panics; without errorVerbose
	switch value := plain.Fields[field.Key].(type) {
	case string:
		return zap.String(field.Key, r.cut(value))
	case []any:
		texts := []string{}
		for _, element := range value {
			if text, ok := element.(string); ok && *r > 0 {
				*r -= room(len(`"",`))
				texts = append(texts, r.cut(text))
			}
		}
		return zap.Strings(field.Key, texts)
	}
	return field
}

// cut returns the beginning of text that fits, without characters that are not shown.
// JSON escapes those below the space.
func (r *room) cut(text string) string {
	text = strings.Map(shown, text[:min(len(text), 2*maxText)])
	for i, char := range text {
		size := utf8.RuneLen(char)
		switch {
		case strings.ContainsRune("\n\r\t\"\\", char):
			size = len(`\n`)
		case char < ' ':
			size = len(`\u0000`)
		}
		if *r -= room(size); *r < 0 {
			return text[:i] + "…"
		}
	}
	return text
}

func shown(char rune) rune {
	if char < ' ' || unicode.IsGraphic(char) {
		return char
	}
	return unicode.ReplacementChar
}

func oneLine(char rune) rune {
	if char < ' ' {
		return ' '
	}
	return char
}
