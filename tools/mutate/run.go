package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// omitted are files and folders that a copy does without.
var omitted = []string{".git", "data", "menshen", "tools/openapi/node_modules", "tools/verify/node/node_modules"}

// runner makes mistakes in a copy of the tree and runs the tests there.
type runner struct {
	tree string // the copy
}

func (r runner) isFolder(name string) bool { return isFolder(filepath.Join(r.tree, name)) }

// outcome is what the tests make of a mistake.
type outcome struct {
	noticed bool
	by      string // the first test that failed, or how the run ended
	broken  string // the compiler's complaint about a mistake that does not compile
}

// copyTree copies the files of root into a new temporary folder.
func copyTree(root string) (string, error) {
	tree, err := os.MkdirTemp("", "menshen-mutate.")
	if err != nil {
		return "", err
	}
	return tree, filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		to := filepath.Join(tree, relative)
		switch skip := slices.Contains(omitted, filepath.ToSlash(relative)); {
		case skip && entry.IsDir():
			return filepath.SkipDir
		case skip:
			return nil
		case entry.IsDir():
			return os.MkdirAll(to, 0o700)
		case entry.Type()&fs.ModeSymlink != 0:
			target, err := os.Readlink(name)
			if err != nil {
				return err
			}
			return os.Symlink(target, to)
		}
		return copyFile(name, to, entry)
	})
}

func copyFile(from, to string, entry fs.DirEntry) error {
	info, err := entry.Info()
	if err != nil {
		return err
	}
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, text, info.Mode().Perm())
}

// try makes one mistake, runs the tests of the packages, the likely ones first, and
// puts the file back.
func (r runner) try(ctx context.Context, m mutant, ch change, original string) (outcome, error) {
	name := filepath.Join(r.tree, filepath.FromSlash(ch.file))
	if err := os.WriteFile(name, []byte(ch.text), 0o600); err != nil {
		return outcome{}, err
	}
	o, err := r.judge(ctx, m, ch.file)
	return o, errors.Join(err, os.WriteFile(name, []byte(original), 0o600))
}

func (r runner) judge(ctx context.Context, m mutant, file string) (outcome, error) {
	patterns := []string{"."}
	if m.likely != "" {
		patterns = []string{m.likely, "."}
	}
	for _, pattern := range patterns {
		passed, output, err := r.test(ctx, pattern, m.packages)
		switch {
		case err != nil:
			return outcome{}, err
		case passed:
		case failedToBuild.MatchString(output):
			return outcome{broken: complaints(output, file)}, nil
		default:
			return outcome{noticed: true, by: firstFailure(output)}, nil
		}
	}
	return outcome{}, nil
}

// test runs the tests on SQLite. Chance is the same for all of them, and no smallest
// sequence is looked for.
func (r runner) test(ctx context.Context, pattern string, packages []string) (passed bool, output string, err error) {
	args := []string{"test", "-vet=off", "-ldflags=-s -w", "-short", "-failfast", "-count=1", "-timeout", "3m", "-run", pattern}
	command := exec.CommandContext(ctx, "go", append(args, packages...)...)
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.WaitDelay = 10 * time.Second
	command.Dir = r.tree
	command.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "MENSHEN_TEST_MYSQL=") }),
		"RAPID_SEED=1", "RAPID_SHRINKTIME=1ms", "RAPID_NOFAILFILE=true")
	var b bytes.Buffer
	command.Stdout, command.Stderr = &b, &b
	err = command.Run()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && ctx.Err() == nil {
		return false, b.String(), nil
	}
	return err == nil, b.String(), err
}

var (
	failedToBuild = regexp.MustCompile(`\[(build|setup) failed\]`)
	failedTest    = regexp.MustCompile(`(?m)^ *--- FAIL: (\S+) `)
	panicked      = regexp.MustCompile(`(?m)^panic: .*`)
)

// firstFailure is the first of the failed tests that are nested deepest, or how the run ended.
func firstFailure(output string) string {
	best := ""
	for _, m := range failedTest.FindAllStringSubmatch(output, -1) {
		if best == "" || strings.Count(m[1], "/") > strings.Count(best, "/") {
			best = m[1]
		}
	}
	switch {
	case best != "":
		return best
	case strings.Contains(output, "\npanic: test timed out"):
		return "time"
	case panicked.MatchString(output):
		return panicked.FindString(output)
	}
	return "?"
}

// complaints are the first lines of the compiler about a file.
func complaints(output, file string) string {
	var lines []string
	for line := range strings.Lines(output) {
		if strings.HasPrefix(line, file) && len(lines) < 3 {
			lines = append(lines, line)
		}
	}
	return fmt.Sprint("does not compile\n", strings.Join(lines, ""))
}
