package architecture

import (
	"cmp"
	"fmt"
	"go/constant"
	"go/token"
	"go/types"
	"math"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"menshen/config"
)

// chance is a row of the table "Probabilities" in docs/security.md: a formula over the keys
// of the section code, the number of comparisons, and the chance that one is right.
var chance = regexp.MustCompile("(?m)^\\| ([^|]+) \\| `([^`]+)` \\| ([0-9,]+) \\| ([^|]+) \\|$")

// TestChances: docs/security.md states the chances of guessing that the shipped defaults
// have.
func TestChances(t *testing.T) {
	atTop(t)
	cfg, _, err := config.Load(config.Options{Defaults: readText(t, "config.yaml")})
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]string{}
	for section, i := reflect.ValueOf(cfg.Code), 0; i < section.NumField(); i++ {
		if section.Field(i).Kind() == reflect.Int {
			keys[section.Type().Field(i).Tag.Get("mapstructure")] = fmt.Sprint(section.Field(i))
		}
	}
	_, table, _ := strings.Cut(string(readText(t, "docs/security.md")), "\n## Probabilities\n")
	table, _, _ = strings.Cut(table, "\n## ")
	rows := chance.FindAllStringSubmatch(table, -1)
	if len(rows) != 8 {
		t.Errorf("%d rows, want 8", len(rows))
	}
	for _, row := range rows {
		comparisons := evaluate(t, row[2], keys)
		if want := strings.ReplaceAll(row[3], ",", ""); strconv.FormatInt(comparisons, 10) != want {
			t.Errorf("%s: %d comparisons, not %s", row[1], comparisons, want)
		}
		got, want := float64(comparisons)/math.Pow10(cfg.Code.Length), scientific(t, row[4])
		if math.Abs(got-want) > want*0.01 {
			t.Errorf("%s: %g, not %s", row[1], got, row[4])
		}
	}
}

// evaluate is the value of a formula of whole numbers, × and / over the keys.
func evaluate(t *testing.T, formula string, keys map[string]string) int64 {
	t.Helper()
	text := regexp.MustCompile(`[a-z_]+`).ReplaceAllStringFunc(strings.ReplaceAll(formula, "×", "*"), func(name string) string { return keys[name] })
	result, err := types.Eval(token.NewFileSet(), nil, token.NoPos, text)
	if err != nil {
		t.Fatalf("%s is %s: %v", formula, text, err)
	}
	value, exact := constant.Int64Val(result.Value)
	if !exact {
		t.Fatalf("%s is no whole number", formula)
	}
	return value
}

var number = regexp.MustCompile(`^([0-9.]+)?·?(?:10⁻([⁰¹²³⁴⁵⁶⁷⁸⁹]))?$`)

// scientific reads 0.1, 5·10⁻⁶ and 10⁻⁵.
func scientific(t *testing.T, text string) float64 {
	t.Helper()
	parts := number.FindStringSubmatch(text)
	if parts == nil {
		t.Fatalf("%s is no number", text)
	}
	value, err := strconv.ParseFloat(cmp.Or(parts[1], "1"), 64)
	if err != nil {
		t.Fatal(err)
	}
	before, _, _ := strings.Cut("⁰¹²³⁴⁵⁶⁷⁸⁹", cmp.Or(parts[2], "⁰"))
	return value / math.Pow10(utf8.RuneCountInString(before))
}
