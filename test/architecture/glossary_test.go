package architecture

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/text/width"
)

const (
	maxProse = 110 // columns of a line
	maxCell  = 140 // columns of a table's cell
)

// generatedTexts are written by programs, registers have a row per requirement:
// the first are not checked at all, the cells of the second may be long.
var (
	generatedTexts = []string{"docs/errors.md", "docs/licenses.md"}
	registers      = []string{"docs/asvs.md", "docs/requirements.md"}
)

// TestGlossary: no text uses a word that docs/glossary.md lists as not to be used.
func TestGlossary(t *testing.T) {
	atTop(t)
	avoided := avoidedWords(string(readText(t, "docs/glossary.md")))
	if len(avoided) < 20 {
		t.Fatalf("docs/glossary.md lists %d words not to use", len(avoided))
	}
	texts := append(markdownTexts(t), "config.yaml", "router/openapi.yaml", "model/errors.go", "model/sentence.go")
	for _, name := range texts {
		if name == "docs/glossary.md" {
			continue
		}
		for _, finding := range findAvoided(name, string(readText(t, name)), avoided) {
			t.Error(finding)
		}
	}
}

// TestProse: prose is wrapped, and a table's cell is a phrase.
func TestProse(t *testing.T) {
	atTop(t)
	for _, name := range markdownTexts(t) {
		for _, finding := range findWide(name, string(readText(t, name))) {
			t.Error(finding)
		}
	}
}

// TestTextRules proves that the two rules above find what they are made for.
func TestTextRules(t *testing.T) {
	avoided := avoidedWords("| term | 中文 | meaning | do not use |\n|---|---|---|---|\n| token | 令牌 | x | 凭证, old word |\n")
	long := strings.Repeat("word ", 23)
	tests := []struct {
		name, file, text string
		want             bool // a finding
	}{
		{"Chinese within a word", "a.md", "登录凭证无效", true},
		{"English across case", "a.md", "An Old word.", true},
		{"part of a longer word", "a.md", "some bold words, old wordy", false},
		{"in a code span", "a.md", "the `old word` here", false},
		{"in a code block", "a.md", "```sh\nold word\n```\n", false},
		{"after a code block", "a.md", "```sh\n```\nold word\n", true},
		{"in a sentence of Go", "a.go", `x = "凭证"`, true},
		{"in a comment of Go", "a.go", `// 凭证`, false},
		{"in a comment of YAML", "a.yaml", `# 凭证`, true},
		{"wide prose", "a.md", long, true},
		{"wide prose in Chinese", "a.md", strings.Repeat("词，", 28), true},
		{"wide by a link's target", "a.md", "[word](" + strings.Repeat("x", 120) + ") word", false},
		{"wide code", "a.md", "```\n" + long + "\n```", false},
		{"wide table", "a.md", "| " + long + " | " + long + " |", false},
		{"wide cell", "a.md", "| a | " + long + long + " |", true},
		{"wide cell of a register", "docs/asvs.md", "| a | " + long + long + " |", false},
		{"wide line without a blank", "a.md", strings.Repeat("x", 120), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			found := findAvoided(tt.file, tt.text, avoided)
			if strings.HasSuffix(tt.file, ".md") {
				found = append(found, findWide(tt.file, tt.text)...)
			}
			if (len(found) > 0) != tt.want {
				t.Errorf("found %q", found)
			}
		})
	}
}

// markdownTexts returns the documents, without those that programs write.
func markdownTexts(t *testing.T) []string {
	t.Helper()
	names := []string{"README.md", "README.zh-CN.md", "CONTRIBUTING.md", "bench/notes.md"}
	english, err := filepath.Glob("docs/*.md")
	chinese, err2 := filepath.Glob("docs/zh/*.md")
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	for _, path := range append(english, chinese...) {
		if name := filepath.ToSlash(path); !slices.Contains(generatedTexts, name) {
			names = append(names, name)
		}
	}
	return names
}

// avoidedWords returns the words of the tables' last column, each with the pattern
// that finds it: a Chinese word anywhere, an English one as a whole word.
func avoidedWords(glossary string) map[string]*regexp.Regexp {
	words := map[string]*regexp.Regexp{}
	for line := range strings.Lines(glossary) {
		cells := cellsOf(line)
		if len(cells) == 0 || strings.HasPrefix(cells[0], "---") {
			continue
		}
		for word := range strings.SplitSeq(cells[len(cells)-1], ", ") {
			if pattern := regexp.QuoteMeta(word); word != "" && word != "do not use" {
				if word[0] < 0x80 {
					pattern = `(?i)\b` + pattern + `\b`
				}
				words[word] = regexp.MustCompile(pattern)
			}
		}
	}
	return words
}

// cellsOf returns the cells of a table's row, or nil for another line.
func cellsOf(line string) []string {
	row, ok := strings.CutPrefix(strings.TrimSpace(line), "|")
	if !ok {
		return nil
	}
	cells := strings.Split(strings.TrimSuffix(row, "|"), "|")
	for i := range cells {
		cells[i] = strings.TrimSpace(cells[i])
	}
	return cells
}

var (
	codeSpan   = regexp.MustCompile("`[^`]*`")
	linkTarget = regexp.MustCompile(`\]\([^)]*\)`)
	goString   = regexp.MustCompile(`"[^"]*"`)
)

// proseLines calls visit with each line of a text that is prose, without the
// targets of links. Of Go these are the strings.
func proseLines(name, text string, visit func(number int, line string)) {
	number, fenced := 0, false
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimRight(line, "\n")
		switch {
		case strings.HasSuffix(name, ".go"):
			line, _, _ = strings.Cut(line, "//")
			line = strings.Join(goString.FindAllString(line, -1), " ")
		case strings.HasPrefix(strings.TrimSpace(line), "```"):
			fenced = !fenced
			continue
		case fenced:
			continue
		}
		visit(number, linkTarget.ReplaceAllString(line, "]"))
	}
}

func findAvoided(name, text string, avoided map[string]*regexp.Regexp) []string {
	var found []string
	proseLines(name, text, func(number int, line string) {
		line = codeSpan.ReplaceAllString(line, "``")
		for word, pattern := range avoided {
			if pattern.MatchString(line) {
				found = append(found, fmt.Sprintf("%s:%d: %q is not to be used, see docs/glossary.md", name, number, word))
			}
		}
	})
	return found
}

func findWide(name, text string) []string {
	var found []string
	proseLines(name, text, func(number int, line string) {
		cells := cellsOf(line)
		for _, cell := range cells {
			if n := columns(codeSpan.ReplaceAllString(cell, "``")); n > maxCell && !slices.Contains(registers, name) {
				found = append(found, fmt.Sprintf("%s:%d: a cell of %d columns, more than %d: a cell is a phrase", name, number, n, maxCell))
			}
		}
		if n := columns(line); cells == nil && n > maxProse && strings.ContainsAny(strings.TrimSpace(line), " ，。；：、") {
			found = append(found, fmt.Sprintf("%s:%d: %d columns, more than %d", name, number, n, maxProse))
		}
	})
	return found
}

// columns is the width of a line in a terminal: a Chinese character has two.
func columns(line string) int {
	n := 0
	for _, r := range line {
		n++
		if kind := width.LookupRune(r).Kind(); kind == width.EastAsianWide || kind == width.EastAsianFullwidth {
			n++
		}
	}
	return n
}
