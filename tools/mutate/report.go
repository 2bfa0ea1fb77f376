package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
)

// change is the change that makes a finding's mistake.
func (f *finding) change(packages map[string]bool) change {
	return change{f.place.source.name, f.place.mutated(f.mutant, packages)}
}

// printList checks that every mistake compiles and prints how many there are in each
// folder, and which entries differ from the code of today.
func printList(out io.Writer, root string, findings []finding, packages map[string]bool) error {
	compiler, err := newCompiler(root)
	if err != nil {
		return err
	}
	var changes []change
	folders := map[string]int{}
	for i := range findings {
		f := &findings[i]
		changes = append(changes, f.change(packages))
		folders[f.place.source.folder()]++
		if difference := f.difference(); difference != "" {
			fmt.Fprintf(out, "%s, %s: now %s\n", f.file, f.description, difference)
		}
	}
	var problems []error
	for i, problem := range compiler.checkAll(changes) {
		if changes[i].text == findings[i].place.source.text {
			problem = errors.New("changes nothing")
		}
		if problem != nil {
			problems = append(problems, fmt.Errorf("%s, %s: %w", findings[i].file, findings[i].description, problem))
		}
	}
	for _, folder := range slices.Sorted(maps.Keys(folders)) {
		fmt.Fprintf(out, "%4d %s\n", folders[folder], folder)
	}
	fmt.Fprintf(out, "%4d mistakes, each in one place\n", len(findings))
	return doNotFit(problems)
}

// difference says where an entry stands today if it is not where and what it says, else "".
func (f *finding) difference() string {
	p := f.place
	var names []string
	for _, b := range p.bindings {
		if b.renamed() {
			names = append(names, b.old.text+" → "+b.new)
		}
	}
	if p.source.name == f.file && (f.function == "" || f.function == p.function()) && len(names) == 0 {
		return ""
	}
	return fmt.Sprintf("%s:%d %s %s", p.source.name, p.source.line(p.from), p.function(), strings.Join(names, ", "))
}

// tryAll makes the mistakes one after the other and prints the table.
func tryAll(ctx context.Context, root string, out io.Writer, findings []finding, packages map[string]bool) (err error) {
	tree, err := copyTree(root)
	defer func() { err = errors.Join(err, os.RemoveAll(tree)) }()
	if err != nil {
		return err
	}
	r := runner{tree}
	unnoticed := 0
	var problems []error
	fmt.Fprint(out, "| file | mistake | noticed by |\n|---|---|---|\n")
	for i := range findings {
		f := &findings[i]
		m := f.update(packages, r.isFolder)
		o, err := r.try(ctx, m, f.change(packages), f.place.source.text)
		switch {
		case err != nil:
			return err
		case o.broken != "":
			problems = append(problems, fmt.Errorf("%s, %s: %s", m.file, m.description, o.broken))
		case o.noticed:
			fmt.Fprintf(out, "| %s | %s | `%s` |\n", m.file, m.description, o.by)
		default:
			unnoticed++
			fmt.Fprintf(out, "| %s | %s | **no test** |\n", m.file, m.description)
		}
	}
	fmt.Fprintf(out, "\n%d mistakes, %d unnoticed\n", len(findings), unnoticed)
	if len(problems) == 0 && unnoticed > 0 {
		return errUnnoticed
	}
	return doNotFit(problems)
}
