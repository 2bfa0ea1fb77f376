package architecture

import (
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestTwins: README.zh-CN.md and each document of docs/zh are the whole of their English
// originals, section by section: the same headings, commands and figures.
func TestTwins(t *testing.T) {
	atTop(t)
	names, err := filepath.Glob("docs/zh/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"operations", "verify", "security"} {
		if !slices.Contains(names, "docs/zh/"+want+".md") {
			t.Errorf("docs/zh has no %s", want)
		}
	}
	twins := map[string]string{"README.zh-CN.md": "README.md"}
	for _, name := range names {
		twins[name] = "docs/" + filepath.Base(name)
	}
	for name, original := range twins {
		for _, finding := range compareTwins(string(readText(t, original)), string(readText(t, name))) {
			t.Errorf("%s: %s", name, finding)
		}
		if !strings.Contains(string(readText(t, original)), "[中文]("+strings.TrimPrefix(name, "docs/")+")") {
			t.Errorf("%s does not lead to its translation", original)
		}
	}
}

// TestTwinsFindWhatDiffers proves that the comparison finds what it is made for.
func TestTwinsFindWhatDiffers(t *testing.T) {
	const original = "# A\n\nIt waits two seconds, at most 1,000 ms, by `wait`.\n\n## B\n\n```sh\n# first\nrun -x 3   # so\n```\n\n- 5 of six\n- 7\n\n| a |\n|---|\n| `b` |\n| `d` |\n| c |\n"
	const twin = "# 甲\n\n等 2 秒，至多 1000 毫秒，用 `wait`。\n\n## 乙\n\n```sh\n# 先\nrun -x 3   # 如此\n```\n\n- 6 个中的 5 个\n- 7\n\n| 甲 |\n|---|\n| `b` |\n| `d` |\n| 丙 |\n"
	if found := compareTwins(original, twin); len(found) != 0 {
		t.Errorf("equal twins differ: %q", found)
	}
	for _, change := range [][2]string{
		{"## 乙", "### 乙"},
		{"## 乙\n", ""},
		{"2 秒", "3 秒"},
		{"，至多 1000 毫秒", ""},
		{"7\n", "8\n"},
		{"，用 `wait`", ""},
		{"`wait`", "`hold`"},
		{"run -x 3", "run -x 4"},
		{"```sh\n# 先\nrun -x 3   # 如此\n```\n", ""},
		{"- 7\n", "7\n"},
		{"| 丙 |\n", ""},
		{"| `b` |\n| `d` |", "| `d` |\n| `b` |"},
	} {
		if changed := strings.Replace(twin, change[0], change[1], 1); changed == twin || len(compareTwins(original, changed)) == 0 {
			t.Errorf("%q for %q is not found", change[1], change[0])
		}
	}
}

// part is what of a section does not depend on the language.
type part struct {
	heading     string
	blocks      []string // of code, without their comments
	names       []string // first in a row of a table: metrics, alarms, calls
	rows, items int      // of tables and lists
	spans       set      // of code
	figures     set
	spelled     set // figures that are written as words
}

type set map[string]bool

// without returns what is in the set and in none of the others.
func (s set) without(others ...set) []string {
	var left []string
	for _, one := range slices.Sorted(maps.Keys(s)) {
		if !slices.ContainsFunc(others, func(other set) bool { return other[one] }) {
			left = append(left, one)
		}
	}
	return left
}

func compareTwins(original, twin string) (findings []string) {
	ours, theirs := partsOf(original), partsOf(twin)
	if len(ours) != len(theirs) {
		return []string{fmt.Sprintf("%d sections, want %d", len(theirs), len(ours))}
	}
	for i, want := range ours {
		got := theirs[i]
		report := func(format string, values ...any) {
			findings = append(findings, got.heading+": "+fmt.Sprintf(format, values...))
		}
		if strings.IndexByte(got.heading, ' ') != strings.IndexByte(want.heading, ' ') {
			report("is not of the level of %s", want.heading)
		}
		if !slices.Equal(got.blocks, want.blocks) {
			report("the code is\n%q, want\n%q", got.blocks, want.blocks)
		}
		if !slices.Equal(got.names, want.names) {
			report("the rows are of %q, want %q", got.names, want.names)
		}
		if got.rows != want.rows || got.items != want.items {
			report("%d rows and %d items, want %d and %d", got.rows, got.items, want.rows, want.items)
		}
		for what, lists := range map[string][]string{
			"lacks": append(want.spans.without(got.spans), want.figures.without(got.figures)...),
			"adds":  append(got.spans.without(want.spans), got.figures.without(want.figures, want.spelled)...),
		} {
			if len(lists) > 0 {
				report("%s %q", what, lists)
			}
		}
	}
	return findings
}

var (
	codeBlock = regexp.MustCompile("(?ms)^```.*?^```$")
	diagram   = regexp.MustCompile("(?s)^```mermaid.*")
	comment   = regexp.MustCompile(`(?m)(^|\s+)(#|//) .*$`)
	figure    = regexp.MustCompile(`\d+(?:[,.]\d+)*`)
	item      = regexp.MustCompile(`(?m)^ *(?:-|\d+\.) `)
	named     = regexp.MustCompile("(?m)^\\| (`[^`]+`)")
	row       = regexp.MustCompile(`(?m)^\|`)
	words     = regexp.MustCompile(`[a-z]+`)
	heading   = regexp.MustCompile(`(?m)^#+ .*$`)
)

// partsOf takes a document apart at its headings.
func partsOf(document string) (parts []part) {
	blocks := codeBlock.FindAllString(document, -1)
	document = codeBlock.ReplaceAllString(document, "\x00")
	starts := append(heading.FindAllStringIndex(document, -1), []int{len(document)})
	for i := range len(starts) - 1 {
		text := document[starts[i][1]:starts[i+1][0]]
		p := part{
			heading: document[starts[i][0]:starts[i][1]], rows: len(row.FindAllString(text, -1)), items: len(item.FindAllString(text, -1)),
			spans: set{}, figures: set{}, spelled: set{},
		}
		for range strings.Count(text, "\x00") {
			p.blocks = append(p.blocks, comment.ReplaceAllString(diagram.ReplaceAllString(blocks[0], ""), ""))
			blocks = blocks[1:]
		}
		for _, name := range named.FindAllStringSubmatch(text, -1) {
			p.names = append(p.names, name[1])
		}
		text = p.heading + "\n" + linkTarget.ReplaceAllString(text, "]")
		for _, span := range codeSpan.FindAllString(text, -1) {
			p.spans[strings.Join(strings.Fields(span), " ")] = true
		}
		text = codeSpan.ReplaceAllString(item.ReplaceAllString(text, ""), "")
		for _, number := range figure.FindAllString(text, -1) {
			p.figures[strings.ReplaceAll(number, ",", "")] = true
		}
		for _, word := range words.FindAllString(strings.ToLower(text), -1) {
			if number, known := spelledFigures[word]; known {
				p.spelled[number] = true
			}
		}
		parts = append(parts, p)
	}
	return parts
}

// spelledFigures are those that English writes as words and Chinese as digits.
var spelledFigures = map[string]string{
	"no": "0", "one": "1", "once": "1", "first": "1", "two": "2", "twice": "2", "second": "1", "minute": "1", "hour": "1", "three": "3", "third": "3",
	"four": "4", "five": "5", "six": "6", "seven": "7", "eight": "8", "nine": "9", "ten": "10", "twelve": "12", "fifteen": "15", "eighteen": "18",
	"fourteen": "14", "fifty": "50", "day": "24",
}
