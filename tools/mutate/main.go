// Command mutate proves that the tests hold the rules: it makes each mistake of
// scripts/mutants in a copy of the tree, one at a time, runs the tests of the packages
// named there (-short: SQLite alone) and prints a table of the tests that failed.
//
//	mutate [-list | -update] [-pattern REGEXP] [-shard I/N] ROOT
//
// An entry is found by its tokens. Whitespace and comments do not count, and where
// identifiers were renamed or the code has moved, the place is taken that has the
// same shape and the most in common with the entry. The mistake is then made with the
// names of today.
//
// The exit code is 1 if no test notices a mistake, 2 if an entry does not have exactly
// one place, or does not compile there.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"syscall"
)

// The exit codes.
const (
	exitUnnoticed = 1
	exitStale     = 2
)

var (
	// errUnnoticed is returned if no test failed on a mistake.
	errUnnoticed = errors.New("a mistake was not noticed")
	// errStale is returned if an entry does not fit the code.
	errStale = errors.New("scripts/mutants does not fit the code")
)

// options are what the command line asks for.
type options struct {
	list, update bool
	pattern      *regexp.Regexp
	shard, of    int
	root         string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, "mutate:", err)
	if errors.Is(err, errUnnoticed) {
		os.Exit(exitUnnoticed)
	}
	os.Exit(exitStale)
}

func parseOptions(args []string) (options, error) {
	o := options{}
	flags := flag.NewFlagSet("mutate", flag.ContinueOnError)
	flags.BoolVar(&o.list, "list", false, "check that each entry has one place and compiles there; run no test")
	flags.BoolVar(&o.update, "update", false, "write the entries anew, as the code of today has them")
	pattern := flags.String("pattern", "", "only entries whose \"FILE DESCRIPTION\" matches")
	shard := flags.String("shard", "1/1", "only each N-th entry, from the I-th on")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() != 1 {
		return o, errors.New("the root of the module is missing")
	}
	o.root = flags.Arg(0)
	if n, err := fmt.Sscanf(*shard, "%d/%d", &o.shard, &o.of); n != 2 || err != nil || o.of < 1 || o.shard < 1 || o.shard > o.of {
		return o, fmt.Errorf("-shard wants I/N, not %q", *shard)
	}
	var err error
	if o.pattern, err = regexp.Compile(*pattern); err != nil {
		return o, err
	}
	if o.update && (o.list || *pattern != "" || o.of > 1) {
		return o, errors.New("-update is about all entries")
	}
	return o, nil
}

// run does what args ask for and prints the result to out.
func run(ctx context.Context, args []string, out io.Writer) error {
	o, err := parseOptions(args)
	if err != nil {
		return err
	}
	listName := filepath.Join(o.root, "scripts", "mutants")
	l, err := readList(listName)
	if err != nil {
		return fmt.Errorf("scripts/mutants: %w", err)
	}
	code, err := readModule(o.root)
	if err != nil {
		return err
	}
	findings := o.selected(resolve(l, code))
	if err := checkPlaces(findings); err != nil {
		return err
	}
	switch {
	case o.update:
		for i := range findings {
			l.mutants[i] = findings[i].update(code.packages, func(folder string) bool { return isFolder(filepath.Join(o.root, folder)) })
		}
		return os.WriteFile(listName, []byte(l.String()), 0o644)
	case o.list:
		return printList(out, o.root, findings, code.packages)
	}
	return tryAll(ctx, o.root, out, findings, code.packages)
}

// selected returns the findings that the pattern and the shard select.
func (o options) selected(findings []finding) []finding {
	met := 0
	return slices.DeleteFunc(findings, func(f finding) bool {
		if !o.pattern.MatchString(f.file + " " + f.description) {
			return true
		}
		met++
		return met%o.of != o.shard%o.of
	})
}

func isFolder(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.IsDir()
}

// checkPlaces returns an error if an entry has no place.
func checkPlaces(findings []finding) error {
	var problems []error
	for i := range findings {
		if findings[i].place == nil {
			problems = append(problems, errors.New(findings[i].explain()))
		}
	}
	return doNotFit(problems)
}

// doNotFit joins the problems of entries. It returns nil if there are none.
func doNotFit(problems []error) error {
	if len(problems) == 0 {
		return nil
	}
	return fmt.Errorf("%w:\n%w", errStale, errors.Join(problems...))
}
