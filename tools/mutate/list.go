package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// mutant is one mistake made on purpose: an entry of scripts/mutants.
type mutant struct {
	file        string   // in which the code stands, relative to the root of the module
	packages    []string // whose tests must notice the mistake
	likely      string   // pattern of the tests to run first, may be empty
	function    string   // top-level declaration in which the code stands, may be empty
	description string
	old, new    string // code, with real newlines and tabs
}

// list is the content of scripts/mutants.
type list struct {
	head    []string // comment lines before the first entry
	mutants []mutant
}

var (
	unescape = strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\t`, "\t")
	escape   = strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\t", `\t`)
)

func readList(name string) (list, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return list{}, err
	}
	return parseList(string(text))
}

// parseList reads the format that the head of scripts/mutants describes.
func parseList(text string) (list, error) {
	var l list
	var m mutant
	for i, line := range strings.Split(text, "\n") {
		mark, rest, _ := strings.Cut(line, " ")
		switch {
		case line == "":
		case mark[0] == '#' && m.file == "":
			l.head = append(l.head, line)
		case mark == "@" && rest != "":
			words := strings.Fields(rest)
			m = mutant{file: words[0], packages: words[1:]}
		case mark == "?":
			m.likely = rest
		case mark == ">":
			m.function = rest
		case mark == "=":
			m.description = rest
		case mark == "-" && rest != "":
			m.old = strings.TrimSpace(unescape.Replace(rest))
		case mark == "+" && m.file != "" && m.old != "":
			m.new = strings.TrimSpace(unescape.Replace(rest))
			l.mutants = append(l.mutants, m)
			m.description, m.old = "", ""
		default:
			return list{}, fmt.Errorf("line %d: not understood: %s", i+1, line)
		}
	}
	return l, nil
}

// String is the list in the format that parseList reads.
func (l list) String() string {
	var b strings.Builder
	for _, line := range l.head {
		fmt.Fprintln(&b, line)
	}
	var last mutant
	for _, m := range l.mutants {
		if m.file != last.file || m.likely != last.likely || !slices.Equal(m.packages, last.packages) {
			fmt.Fprintf(&b, "\n@ %s\n", strings.Join(append([]string{m.file}, m.packages...), " "))
			if m.likely != "" {
				fmt.Fprintln(&b, "?", m.likely)
			}
			last.function = ""
		}
		if m.function != last.function {
			fmt.Fprintln(&b, ">", m.function)
		}
		fmt.Fprintf(&b, "= %s\n- %s\n+ %s\n", m.description, escape.Replace(m.old), escape.Replace(m.new))
		last = m
	}
	return b.String()
}
