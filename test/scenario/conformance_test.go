package scenario

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"menshen/cli"
	"menshen/conformance"
	"menshen/repository"
)

// TestConformanceCommand: the command needs neither configuration nor database, and its exit
// code says how the client did. What the traces are is tested in package conformance.
func TestConformanceCommand(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, repository.SQLite, "DATABASE_DRIVER=none")
	lacksAll := []string{"sed", "-u", `s/.*"id":\([0-9]*\).*/{"id":\1,"unsupported":true}/`}
	for _, tt := range []struct {
		name string
		args []string
		exit int
		want []string
	}{
		{"a list", []string{"-list", "-run", "lost-*"}, cli.ExitOK, []string{"lost-answer  ", "\nlost-answers  "}},
		{"a client that lacks a command", append([]string{"-run", "expired"}, lacksAll...), cli.ExitOK, []string{`not played: "open"`, "1 traces: 0 passed, 0 failed, 1 not played"}},
		{"a client that is none", []string{"-run", "expired", "cat"}, cli.ExitFailure, []string{"FAIL  expired", `the command "open" to succeed`, "0 passed, 1 failed"}},
		{"flags of the client", []string{"-run", "expired", "echo", "-json", "-h"}, cli.ExitFailure, []string{`the client wrote "-json -h"`}},
	} {
		exit, out, _ := d.command(t, append([]string{"conformance"}, tt.args...)...)
		for _, text := range tt.want {
			if exit != tt.exit || !strings.Contains(out, text) {
				t.Errorf("%s: exit %d without %q: %s", tt.name, exit, text, out)
			}
		}
	}
	exit, out, complaint := d.command(t, "conformance", "-json", "-run", "expired,reset", "true")
	var got conformance.Summary
	if err := json.Unmarshal([]byte(out), &got); err != nil || exit != cli.ExitFailure || got.Failed != 2 || got.Traces[1].Name != "reset" || !strings.Contains(complaint, "failed a trace") {
		t.Errorf("exit %d, error %v: %s%s", exit, err, out, complaint)
	}
	if made, _ := filepath.Glob(filepath.Join(d.folder, "*")); len(made) > 0 {
		t.Errorf("made %v", made)
	}
}
