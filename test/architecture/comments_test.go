package architecture

import (
	"regexp"
	"strings"
	"testing"
)

// vagueWords are words for a subject or an amount that a comment should name. "is
// told" stands for one of notify, log, return, record and report.
var vagueWords = regexp.MustCompile(`(?i)\b(nobody|somebody|anybody|everybody|whoever|is told|are told|anew|so many)\b`)

// quoted matches texts that a comment quotes.
var quoted = regexp.MustCompile("\"[^\"]*\"|`[^`]*`")

// TestComments: no comment of a Go file, tests included, has a vague word.
func TestComments(t *testing.T) {
	atTop(t)
	walkGo(t, ".", func(name string, text []byte) error {
		s, err := parse(name, text)
		if err != nil {
			return err
		}
		for _, finding := range s.vagueComments() {
			t.Error(finding)
		}
		return nil
	})
}

// TestCommentRules proves that the rule finds a vague word in a comment and nowhere
// else.
func TestCommentRules(t *testing.T) {
	for text, want := range map[string]int{
		"// f is for somebody.\nfunc f() {}":                  1,
		"func f() {\n\tg() // Nobody waits\n}":                1,
		"/* so\nmany */":                                      1,
		"// a client is\n// told\n\n// and is\n\n// told not": 1,
		"// f returns \"nobody\" or `anew`.\nfunc f() {}":     0,
		"var nobody = \"somebody\"":                           0,
		"// renewed, somebody's":                              1,
	} {
		s, err := parse("a.go", []byte("package a\n\n"+text+"\n"))
		if err != nil {
			t.Fatal(err)
		}
		if found := s.vagueComments(); len(found) != want {
			t.Errorf("%q: found %q", text, found)
		}
	}
}

// vagueComments finds vague words in the file's comments. A word may go over the end
// of a line.
func (s source) vagueComments() []string {
	var found []string
	for _, group := range s.file.Comments {
		text := strings.Join(strings.Fields(quoted.ReplaceAllString(group.Text(), "")), " ")
		for _, word := range vagueWords.FindAllString(text, -1) {
			found = append(found, s.at(group, "%q in a comment: name the subject, the amount or the act", word))
		}
	}
	return found
}
