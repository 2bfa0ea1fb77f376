package main

import (
	"go/token"
	"maps"
	"slices"
	"strings"
)

// name is an identifier of an entry. A selector (x in "a.x") and another identifier
// of the same text may be different things, which are renamed independently.
type name struct {
	selector bool
	text     string // "p.X" if the qualifier p is a part of it
}

// binding is an identifier of an entry and the identifier of today's code for it.
type binding struct {
	old name
	new string
}

func (b binding) renamed() bool { return b.old.text != b.new }

// match is a place of the module that has the shape of an entry's code.
type match struct {
	source   *source
	from, to int // offsets
	begins   start
	fragment []atom
	bindings []binding
	words    int             // words of strings, which are equal
	others   map[name]string // names of today that other entries have shown
}

func (m *match) function() string { return m.source.function(m.from) }

// matcher compares the atoms of an entry with those of a file from some place on.
type matcher struct {
	fragment []atom
	packages map[string]bool // names that may be qualifiers in the entry
	source   *source
	bindings []binding
}

// findAll returns the matches of an entry's code in a file.
func findAll(text string, packages map[string]bool, s *source) []*match {
	var found []*match
	var tried [][]atom
	for _, begins := range []start{inCode, inString, inRaw} {
		fragment, ok := scanFragment(text, begins)
		if !ok || len(fragment) == 0 || slices.ContainsFunc(tried, func(other []atom) bool { return slices.EqualFunc(other, fragment, atom.same) }) {
			continue
		}
		tried = append(tried, fragment)
		words := map[string]bool{}
		for _, a := range fragment {
			if a.kind == word {
				words[a.text] = true
			}
		}
		m := matcher{fragment: fragment, packages: packages, source: s}
		for i := range s.atoms {
			m.bindings = m.bindings[:0]
			if end := m.walk(0, i); end > 0 {
				found = append(found, &match{s, s.atoms[i].from, s.atoms[end-1].to, begins, fragment, slices.Clone(m.bindings), len(words), nil})
			}
		}
	}
	return found
}

// walk compares the fragment from its atom i on with the file from its atom j on. It
// returns the end of the match in the file's atoms, or 0.
func (m *matcher) walk(i, j int) int {
	if i == len(m.fragment) {
		return j
	}
	if j == len(m.source.atoms) {
		return 0
	}
	a, b := m.fragment[i], m.source.atoms[j]
	if a.kind != b.kind {
		return 0
	}
	if a.kind != ident {
		if a.text != b.text {
			return 0
		}
		return m.walk(i+1, j+1)
	}
	if end := m.bind(nameAt(m.fragment, i), b.text, i+1, j+1); end > 0 {
		return end
	}
	if after(m.fragment, i, ".") || after(m.source.atoms, j, ".") {
		return 0
	}
	// The code has moved out of the package of the name, or into it.
	if today := qualified(m.source.atoms, j, m.source.imports); today != "" && qualified(m.fragment, i, m.packages) == "" {
		if end := m.bind(nameAt(m.fragment, i), today, i+1, j+3); end > 0 {
			return end
		}
	}
	if once := qualified(m.fragment, i, m.packages); once != "" {
		return m.bind(name{false, once}, b.text, i+3, j+1)
	}
	return 0
}

// bind goes on from (i, j) with one more binding, unless it contradicts another.
func (m *matcher) bind(old name, today string, i, j int) int {
	before := len(m.bindings)
	known := false
	for _, b := range m.bindings {
		if b.old.selector == old.selector && (b.old == old) != (b.new == today) {
			return 0
		}
		known = known || b.old == old
	}
	if !known {
		m.bindings = append(m.bindings, binding{old, today})
	}
	end := m.walk(i, j)
	if end == 0 {
		m.bindings = m.bindings[:before]
	}
	return end
}

func nameAt(atoms []atom, i int) name { return name{after(atoms, i, "."), atoms[i].text} }

func after(atoms []atom, i int, text string) bool {
	return i > 0 && atoms[i-1].kind == code && atoms[i-1].text == text
}

// qualified returns "p.X" if it stands at i and p is the name of a package.
func qualified(atoms []atom, i int, packages map[string]bool) string {
	if i+2 < len(atoms) && packages[atoms[i].text] && after(atoms, i+2, ".") && token.IsExported(atoms[i+2].text) {
		return atoms[i].text + "." + atoms[i+2].text
	}
	return ""
}

// literal reports whether no identifier was renamed.
func (m *match) literal() bool { return !slices.ContainsFunc(m.bindings, binding.renamed) }

// today returns text, code of the entry that begins as the quoted code does, with the names of today.
func (m *match) today(text string, packages map[string]bool) string {
	names := maps.Clone(m.others)
	if names == nil {
		names = map[name]string{}
	}
	for _, b := range m.bindings {
		names[b.old] = b.new
	}
	atoms, _ := scanFragment(text, m.begins)
	var b strings.Builder
	end := 0
	for i := 0; i < len(atoms); i++ {
		if atoms[i].kind != ident {
			continue
		}
		from, old := atoms[i].from, nameAt(atoms, i)
		today := names[old]
		if once := qualified(atoms, i, packages); once != "" && !old.selector && names[name{false, once}] != "" {
			today = names[name{false, once}]
			i += 2
		}
		if other := names[name{!old.selector, old.text}]; today == "" && !strings.Contains(other, ".") {
			today = other
		}
		if today != "" {
			b.WriteString(text[end:from] + today)
			end = atoms[i].to
		}
	}
	return b.String() + text[end:]
}

// mutated returns the file with the mistake in it.
func (m *match) mutated(e mutant, packages map[string]bool) string {
	return m.source.text[:m.from] + m.today(e.new, packages) + m.source.text[m.to:]
}
