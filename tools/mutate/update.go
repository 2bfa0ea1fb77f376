package main

import (
	"cmp"
	"path"
	"slices"
	"strings"
)

// update returns the entry as the code of its place has it.
func (f *finding) update(packages map[string]bool, exists func(folder string) bool) mutant {
	m, p := f.mutant, f.place
	m.file, m.function = p.source.name, p.function()
	m.packages = testedPackages(m, exists)
	if !p.literal() {
		m.old, m.new = p.plain(), p.today(m.new, packages)
	}
	return m
}

// testedPackages are the package in which the code stands and those that the entry
// names, as long as they exist.
func testedPackages(m mutant, exists func(folder string) bool) []string {
	var packages []string
	own := "./" + path.Dir(m.file)
	if own == "./." {
		own = "."
	}
	if !slices.Contains(m.packages, own) {
		packages = append(packages, own)
	}
	for _, p := range m.packages {
		if exists(path.Clean(p)) {
			packages = append(packages, p)
		}
	}
	return packages
}

// plain is the code of the place without comments.
func (m *match) plain() string {
	first, _ := slices.BinarySearchFunc(m.source.atoms, m.from, func(a atom, from int) int { return cmp.Compare(a.from, from) })
	var b strings.Builder
	for i := first; i < len(m.source.atoms) && m.source.atoms[i].to <= m.to; i++ {
		if i > first {
			gap := m.source.text[m.source.atoms[i-1].to:m.source.atoms[i].from]
			b.WriteString(withoutComments(gap))
		}
		b.WriteString(m.source.atoms[i].text)
	}
	return b.String()
}

// withoutComments is what lies between two atoms, without its comments.
func withoutComments(gap string) string {
	if strings.TrimSpace(gap) == "" {
		return gap
	}
	if i := strings.LastIndexByte(gap, '\n'); i >= 0 {
		return gap[i:]
	}
	return " "
}
