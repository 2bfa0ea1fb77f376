package main

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"
)

// What it costs to take a place for the one that an entry means. The cheapest place
// is taken, if no other is as cheap.
const (
	qualifierCost = 1 // a qualifier came or went, or the case of the first letter changed
	renameCost    = 1 // an identifier has another name
	existsCost    = 1 // and yet the old name is still in use
	takenCost     = 2 // and another identifier is known to have the new name
	folderCost    = 1 // the function of the entry, but in another package
	receiverCost  = 1 // a method of the entry's name, but of another type
	fileCost      = 2 // another function of the entry's file
	packageCost   = 3 // another file of the package
	moduleCost    = 4 // another package
	dearest       = 1000
)

// finding is what became of an entry: its place, or what might be its place.
type finding struct {
	mutant
	place      *match // nil if the entry is stale
	candidates []*match
}

// resolver finds the places of all entries. What one entry shows to be renamed
// decides between the candidates of another.
type resolver struct {
	module   *module
	findings []finding
	renames  map[renaming]bool  // known from entries that have their place
	taken    map[renaming]name  // without the old name: the old name
	moved    map[[3]string]bool // file, old function, new function
	files    map[[2]string]bool // old file, new file
}

// renaming is a new name in the entries of a folder.
type renaming struct {
	folder string
	binding
}

// resolve finds the place of each entry in the module.
func resolve(l list, code *module) []finding {
	r := resolver{module: code, renames: map[renaming]bool{}, taken: map[renaming]name{}, moved: map[[3]string]bool{}, files: map[[2]string]bool{}}
	for _, m := range l.mutants {
		r.findings = append(r.findings, finding{mutant: m, candidates: r.candidates(m)})
	}
	for r.settle() {
	}
	for _, f := range r.findings {
		if f.place != nil {
			f.place.others = r.others(path.Dir(f.file))
		}
	}
	return r.findings
}

// others returns the new names of identifiers of a folder that are in use no more.
func (r *resolver) others(folder string) map[name]string {
	names := map[name]string{}
	for _, f := range r.findings {
		if f.place == nil || path.Dir(f.file) != folder {
			continue
		}
		for _, b := range f.place.bindings {
			if b.renamed() && !r.module.names[b.old.text] {
				names[b.old] = b.new
			}
		}
	}
	return names
}

// candidates returns all places that have the shape of the entry's code, or the one
// place where the entry says that it is, if the names are the same there.
func (r *resolver) candidates(m mutant) []*match {
	var all, there []*match
	for _, s := range r.module.sources {
		if s.name == m.file {
			all = findAll(m.old, r.module.packages, s)
		}
	}
	for _, c := range all {
		if c.literal() && (m.function == "" || c.function() == m.function) {
			there = append(there, c)
		}
	}
	if len(there) == 1 {
		return there
	}
	for _, s := range r.module.sources {
		if s.name != m.file {
			all = append(all, findAll(m.old, r.module.packages, s)...)
		}
	}
	return all
}

// settle places the entries whose places are surest, and returns false if there are
// none. A place is the surer the more the next best one costs.
func (r *resolver) settle() bool {
	type choice struct {
		finding *finding
		place   *match
		margin  int
	}
	var choices []choice
	for i := range r.findings {
		f := &r.findings[i]
		if f.place != nil {
			continue
		}
		if place, margin := r.best(f); margin > 0 {
			choices = append(choices, choice{f, place, margin})
		}
	}
	if len(choices) == 0 {
		return false
	}
	widest := slices.MaxFunc(choices, func(a, b choice) int { return cmp.Compare(a.margin, b.margin) }).margin
	for _, c := range choices {
		if c.margin == widest {
			c.finding.place = c.place
			r.learn(c.finding)
		}
	}
	return true
}

// learn records what the place of an entry shows.
func (r *resolver) learn(f *finding) {
	folder := path.Dir(f.file)
	for _, b := range f.place.bindings {
		r.renames[renaming{folder, b}] = true
		r.taken[takenKey(folder, b)] = b.old
	}
	r.moved[[3]string{f.file, f.function, f.place.function()}] = true
	r.files[[2]string{f.file, f.place.source.name}] = true
}

// takenKey is what the new names of a binding have in common, whatever the old name.
func takenKey(folder string, b binding) renaming {
	return renaming{folder, binding{name{selector: b.old.selector}, b.new}}
}

// best returns the cheapest place of an entry, and how much more the next one costs:
// 0 if there is no place or another is as cheap.
func (r *resolver) best(f *finding) (*match, int) {
	var best *match
	least, next := dearest, dearest
	for _, m := range f.candidates {
		cost, ok := r.cost(f, m)
		switch {
		case !ok:
		case cost < least:
			best, least, next = m, cost, least
		case cost < next:
			next = cost
		}
	}
	return best, next - least
}

// cost is the cost of a place for an entry. It returns false if the place has too
// little in common with the entry, or is the place of another one.
func (r *resolver) cost(f *finding, m *match) (int, bool) {
	if r.occupied(f, m) {
		return 0, false
	}
	kept, renamed, cost := m.words, 0, 0
	for _, b := range m.bindings {
		if c := r.renameCost(f, b); c == 0 {
			kept++
		} else {
			renamed++
			cost += c
		}
	}
	place := r.placeCost(f, m)
	cost += place
	switch {
	case place < fileCost:
		return cost, true
	case place < packageCost:
		return cost, kept >= max(1, renamed)
	}
	return cost, kept > max(2, renamed)
}

// occupied reports whether another code of the list has its place there.
func (r *resolver) occupied(f *finding, m *match) bool {
	return slices.ContainsFunc(r.findings, func(other finding) bool {
		p := other.place
		return p != nil && p.source == m.source && p.from == m.from && p.to == m.to && !slices.EqualFunc(p.fragment, m.fragment, atom.same)
	})
}

func (r *resolver) renameCost(f *finding, b binding) int {
	folder := path.Dir(f.file)
	if !b.renamed() || r.renames[renaming{folder, b}] {
		return 0
	}
	if strings.EqualFold(last(b.old.text), last(b.new)) {
		return qualifierCost
	}
	cost := renameCost
	if r.module.names[b.old.text] {
		cost += existsCost
	}
	if old, ok := r.taken[takenKey(folder, b)]; ok && old != b.old {
		cost += takenCost
	}
	return cost
}

func (r *resolver) placeCost(f *finding, m *match) int {
	function := m.function()
	known := f.function != "" && function != ""
	sameFolder := m.source.folder() == path.Dir(f.file)
	sameFile := m.source.name == f.file || r.files[[2]string{f.file, m.source.name}]
	switch {
	case sameFile && f.function == "", known && r.sameFunction(f, m, function):
		if sameFile || sameFolder {
			return 0
		}
		return folderCost
	case known && last(function) == last(f.function) && sameFolder:
		return receiverCost
	case known && last(function) == last(f.function):
		return folderCost + receiverCost
	case sameFile:
		return fileCost
	case sameFolder:
		return packageCost
	}
	return moduleCost
}

// sameFunction reports whether a function of today is that of the entry, perhaps with
// a new name that is known from another entry, or from the quoted code itself.
func (r *resolver) sameFunction(f *finding, m *match, today string) bool {
	return today == f.function || r.moved[[3]string{f.file, f.function, today}] ||
		slices.ContainsFunc(m.bindings, func(b binding) bool { return b.old.text == f.function && b.new == today })
}

// last is the part of a name after its last dot.
func last(name string) string { return name[strings.LastIndexByte(name, '.')+1:] }

// explain says why an entry is stale.
func (f *finding) explain() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %s: not exactly one place like: %s", f.file, f.description, escape.Replace(f.old))
	for i, m := range f.candidates {
		if i == maxCandidates {
			fmt.Fprintf(&b, "\n\tand %d more", len(f.candidates)-i)
			break
		}
		fmt.Fprintf(&b, "\n\t%s:%d: %s", m.source.name, m.source.line(m.from), m.source.text[m.from:m.to])
	}
	return b.String()
}

// maxCandidates is how many candidates of a stale entry are printed.
const maxCandidates = 5
