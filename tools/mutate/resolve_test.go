package main

import (
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"testing"
)

// files are the code of a small module, by name.
type files map[string]string

func (f files) module(t *testing.T) *module {
	t.Helper()
	m := newModule()
	for _, name := range slices.Sorted(maps.Keys(f)) {
		text := f[name]
		if !strings.HasPrefix(text, "package ") {
			text = "package p\n\nfunc f() {\n" + text + "\n}\n"
		}
		if err := m.add(name, text); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

func TestResolve(t *testing.T) {
	for _, c := range []struct {
		name  string
		code  files
		entry mutant
		want  string // the mutated text of the place, "" if the entry is stale
	}{
		{"literal", files{"a/a.go": "if x.n > y.n { g() }"},
			mutant{old: "x.n > y.n", new: "x.n >= y.n"}, "if x.n >= y.n { g() }"},
		{"whitespace and comments", files{"a/a.go": "if x.n  > // more\n\ty.n { g() }"},
			mutant{old: "x.n > y.n {", new: "x.n >= y.n {"}, "if x.n >= y.n { g() }"},
		{"one new name for each name", files{"a/a.go": "if ended.count > y.n { g() }"},
			mutant{old: "x.n > y.n", new: "x.n >= y.n && x.n > 1"}, ""}, // n has two names
		{"renamed consistently", files{"a/a.go": "if ended.count > y.count { g() }"},
			mutant{old: "x.n > y.n", new: "x.n >= y.n && x.n > 1"}, "if ended.count >= y.count && ended.count > 1 { g() }"},
		{"a field and a variable of one name", files{"a/a.go": "if x.n > count { g() }"},
			mutant{old: "x.n > n", new: "x.n < n"}, "if x.n < count { g() }"},
		{"two names do not become one", files{"a/a.go": "if c > c { g() }"},
			mutant{old: "a > b", new: "a < b"}, ""},
		{"operators are equal", files{"a/a.go": "if x.n >= y.n { g() }"},
			mutant{old: "x.n > y.n", new: "x.n >= y.n"}, ""},
		{"literals are equal", files{"a/a.go": `if x == 2 { g("b") }`},
			mutant{old: `x == 2 { g("a") }`, new: "false"}, ""},
		{"predeclared names are equal", files{"a/a.go": "return min(a, b)"},
			mutant{old: "return max(a, b)", new: "return a"}, ""},
		{"a field may have a predeclared name", files{"a/a.go": "return l.max, limit"},
			mutant{old: "return l.most, limit", new: "return l.most - 1, limit"}, "return l.max - 1, limit"},
		{"the most identical names win", files{"a/a.go": "if old.count > limit { g() }\nif x.count > limit { g() }"},
			mutant{old: "x.n > limit", new: "false"}, "if old.count > limit { g() }\nif false { g() }"},
		{"ambiguous", files{"a/a.go": "if x.n > 1 { g() }\nif x.n > 1 { g() }"},
			mutant{old: "x.n > 1", new: "false"}, ""},
		{"ambiguous new names", files{"a/a.go": "if x.n > 1 { g() }\nif x.m > 1 { g() }"},
			mutant{old: "x.o > 1", new: "false"}, ""},
		{"a name in use is not a new name", files{"a/a.go": "if x.n > 1 { g() }\nif x.m > 1 { g() }"},
			mutant{old: "x.o > 1 {", new: "x.n > 1"}, ""},
		{"a part of a string", files{"a/a.go": `g("UPDATE t SET n = ?,  m = 0 WHERE id = ?", x)`},
			mutant{old: `m = 0 WHERE id = ?", x`, new: `m = 1 WHERE id = ?", x`}, `g("UPDATE t SET n = ?,  m = 1 WHERE id = ?", x)`},
		{"names in strings are literals", files{"a/a.go": `g("SET number = number + 1")`},
			mutant{old: `n = n + 1`, new: `n = n`}, ""},
		{"the beginning of a string", files{"a/a.go": `err = g("panic: in f")`},
			mutant{old: `err = f("panic: in`, new: `_ = f("panic: in`}, `_ = g("panic: in f")`},
		{"a raw string", files{"a/a.go": "g(`SET n = 1\nWHERE id = ?`)"},
			mutant{old: "1 WHERE id = ?`", new: "1`"}, "g(`SET n = 1`)"},
		{"not there", files{"a/a.go": "g()"},
			mutant{old: "if x.n > 1 {", new: "if false {"}, ""},
		{"in the function", files{"a/a.go": "package p\n\nfunc f() { g(1) }\n\nfunc (t *T) h() { g(1) }\n"},
			mutant{function: "T.h", old: "g(1)", new: "g(2)"}, "package p\n\nfunc f() { g(1) }\n\nfunc (t *T) h() { g(2) }\n"},
		{"in another file of the package", files{"a/a.go": "g(1)", "a/b.go": "package p\n\nfunc h() { g(x, y, z) }\n"},
			mutant{old: "g(x, y, z)", new: "g(y, x, z)"}, "package p\n\nfunc h() { g(y, x, z) }\n"},
		{"in another package", files{"a/a.go": "g(1)", "b/c/d.go": "package p\n\nfunc h() { g(x, y, z) }\n"},
			mutant{file: "gone.go", function: "h", old: "g(x, y, z)", new: "g(y, x, z)"}, "package p\n\nfunc h() { g(y, x, z) }\n"},
		{"elsewhere with little in common", files{"a/a.go": "g(1)", "b/b.go": "package p\n\nfunc h() { if x.ended { g() } }\n"},
			mutant{function: "gone", old: "if x.n {", new: "if false {"}, ""},
		{"a qualifier came", files{"a/a.go": "package p\n\nimport \"m/phone\"\n\nfunc f() { if x == phone.Unknown { g() } }\n"},
			mutant{old: "x == Unknown", new: "x != Unknown"}, "package p\n\nimport \"m/phone\"\n\nfunc f() { if x != phone.Unknown { g() } }\n"},
		{"a qualifier went", files{"a/a.go": "if x == Unknown { g() }", "b/b.go": "package p\n\nimport \"m/phone\"\n"},
			mutant{old: "x == phone.Unknown", new: "phone.Unknown != x"}, "if Unknown != x { g() }"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.entry.file == "" {
				c.entry.file = "a/a.go"
			}
			code := c.code.module(t)
			f := resolve(list{mutants: []mutant{c.entry}}, code)[0]
			if f.place == nil {
				if c.want != "" {
					t.Error(f.explain())
				}
				return
			}
			got := f.change(code.packages).text
			if got != c.want && got != "package p\n\nfunc f() {\n"+c.want+"\n}\n" {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

// TestResolveByOthers lets one entry decide what another means.
func TestResolveByOthers(t *testing.T) {
	code := files{"a/a.go": "if h.waiting >= maxHeld { g() }\nh.total--\nh.waiting--\nif h.total >= most { g() }\nwaiting = false"}.module(t)
	entries := []mutant{
		{file: "a/a.go", old: "h.held--", new: "_ = h"},
		{file: "a/a.go", old: "h.held >= heldInAll", new: "h.held > heldInAll"},
		{file: "a/a.go", old: "h.total >= most", new: "h.held >= most"},
		{file: "a/a.go", old: "waiting = false", new: "waiting = true"},
	}
	findings := resolve(list{mutants: entries}, code)
	for i, want := range []string{"h.total--\n_ = h\n", "if h.waiting > maxHeld {", "if h.waiting >= most {", "waiting = true"} {
		if findings[i].place == nil {
			t.Error(findings[i].explain())
		} else if got := findings[i].change(code.packages).text; !strings.Contains(got, want) {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// TestResolveAfterRenames gives new names to every tenth identifier that the list
// quotes, and moves files of service to other packages.
func TestResolveAfterRenames(t *testing.T) {
	l, err := readList("../../scripts/mutants")
	if err != nil {
		t.Fatal(err)
	}
	code, err := readModule("../..")
	if err != nil {
		t.Fatal(err)
	}
	before := resolve(l, code)
	for seed := range uint64(3) {
		after, moved := disturbed(t, before, code, rand.New(rand.NewPCG(seed, 1)))
		stale := 0
		for i, f := range resolve(l, after) {
			if f.place == nil {
				stale++
				t.Log(f.explain())
				continue
			}
			was := before[i].place
			if f.place.source.name != moved[was.source.name] || f.place.index() != was.index() {
				t.Errorf("%s, %s: taken for %s:%d", f.file, f.description, f.place.source.name, f.place.source.line(f.place.from))
			}
		}
		if stale > len(l.mutants)/100 {
			t.Errorf("seed %d: %d entries are stale", seed, stale)
		}
	}
}

// index is the number of the first atom of a match in its file.
func (m *match) index() int {
	return slices.IndexFunc(m.source.atoms, func(a atom) bool { return a.from == m.from })
}

// disturbed returns the code with other names, and the new names of its files.
func disturbed(t *testing.T, findings []finding, code *module, r *rand.Rand) (*module, files) {
	t.Helper()
	quoted := map[string]bool{}
	for _, f := range findings {
		quoted[last(f.function)] = true
		for _, b := range f.place.bindings {
			quoted[b.old.text] = !code.packages[b.old.text]
		}
	}
	renamed := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(quoted)) {
		if quoted[name] && r.IntN(10) == 0 {
			renamed[name] = name + "Zz"
		}
	}
	after, moved := newModule(), files{}
	for _, s := range code.sources {
		moved[s.name] = s.name
		if s.folder() == "service" && r.IntN(3) == 0 {
			moved[s.name] = "service/code/new_" + path.Base(s.name)
		}
		var b strings.Builder
		end := 0
		for _, a := range s.atoms {
			if today := renamed[a.text]; a.kind == ident && today != "" {
				b.WriteString(s.text[end:a.from] + today)
				end = a.to
			}
		}
		if err := after.add(moved[s.name], b.String()+s.text[end:]); err != nil {
			t.Fatal(err)
		}
	}
	return after, moved
}
