package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const head = "# The mistakes.\n"

// tree writes a small module with its list of mistakes.
func tree(t *testing.T, entries string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range (files{
		"go.mod":          "module m\n\ngo 1.26\n",
		"new/max.go":      "package max\n\n// Max is the larger one.\nfunc Max(first, second int) int {\n\tif first > second {\n\t\treturn first\n\t}\n\treturn second\n}\n",
		"new/max_test.go": "package max\n\nimport \"testing\"\n\nfunc TestMax(t *testing.T) {\n\tif Max(1, 2) != 2 {\n\t\tt.Error(\"wrong\")\n\t}\n}\n",
		"scripts/mutants": head + "\n@ old/max.go ./old\n? TestMax\n> Max\n" + entries,
	}) {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

const (
	noticed   = "= the smaller one\n- if a > b {\n+ if a < b {\n"
	unnoticed = "= always the second\n- if a > b {\n+ if false && a > b {\n"
	nothing   = "= nothing\n- if a > b {\n+ if a > b {\n"
	broken    = "= broken\n- if a > b {\n+ if c > b {\n"
	stale     = "= stale\n- for a > b {\n+ for false {\n"
)

func TestRun(t *testing.T) {
	for _, c := range []struct {
		name, entries string
		want          error
		row           string
	}{
		{"noticed", noticed, nil, "| new/max.go | the smaller one | `TestMax` |"},
		{"unnoticed", noticed + unnoticed, errUnnoticed, "| new/max.go | always the second | **no test** |"},
		{"broken", broken, errStale, "1 mistakes, 0 unnoticed"},
		{"stale", stale, errStale, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out strings.Builder
			err := run(context.Background(), []string{tree(t, c.entries)}, &out)
			if !errors.Is(err, c.want) || !strings.Contains(out.String(), c.row) {
				t.Errorf("%v: %s", err, out.String())
			}
		})
	}
}

func TestRunSelects(t *testing.T) {
	root := tree(t, unnoticed+noticed)
	for _, args := range [][]string{{"-pattern", "^new/max.go the"}, {"-shard", "2/2"}} {
		var out strings.Builder
		if err := run(context.Background(), append(args, root), &out); err != nil {
			t.Errorf("%v: %v", args, err)
		}
	}
}

func TestList(t *testing.T) {
	for entries, want := range map[string]error{noticed: nil, unnoticed: nil, nothing: errStale, broken: errStale, stale: errStale} {
		var out strings.Builder
		if err := run(context.Background(), []string{"-list", tree(t, entries)}, &out); !errors.Is(err, want) {
			t.Errorf("%s: %v", entries, err)
		} else if err == nil && !strings.Contains(out.String(), "new/max.go:5 Max a → first, b → second") {
			t.Error(out.String())
		}
	}
}

func TestUpdate(t *testing.T) {
	root := tree(t, noticed+unnoticed)
	if err := run(context.Background(), []string{"-update", root}, nil); err != nil {
		t.Fatal(err)
	}
	want := head + "\n@ new/max.go ./new\n? TestMax\n> Max\n" + strings.NewReplacer("a >", "first >", "a <", "first <", " b", " second").Replace(noticed+unnoticed)
	if text, err := os.ReadFile(filepath.Join(root, "scripts", "mutants")); err != nil || string(text) != want {
		t.Errorf("%v: %s", err, text)
	}
}

func TestOptions(t *testing.T) {
	for _, args := range []string{"", "a b", "-shard 0/2 .", "-shard 3/2 .", "-shard 1 .", "-pattern ( .", "-update -list .", "-update -shard 1/2 .", "-unknown ."} {
		if _, err := parseOptions(strings.Fields(args)); err == nil {
			t.Errorf("accepted: %s", args)
		}
	}
}

func TestFirstFailure(t *testing.T) {
	for output, want := range map[string]string{
		"--- FAIL: TestA (0.1s)\n    --- FAIL: TestA/b (0.1s)\n--- FAIL: TestC (0s)\n": "TestA/b",
		"ok\npanic: test timed out after 3m0s\n":                                       "time",
		"\npanic: oh [recovered]\n\ngoroutine 1":                                       "panic: oh [recovered]",
		"exit status 1":                                                                "?",
	} {
		if got := firstFailure(output); got != want {
			t.Errorf("%q: %s, want %s", output, got, want)
		}
	}
}
