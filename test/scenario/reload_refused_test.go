package scenario

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"menshen/repository"
)

// TestReloadOfNoFile: a file that is empty, truncated or no file any more is refused with
// a log line, whatever takes its place; the old configuration stays, and the program
// stops.
func TestReloadOfNoFile(t *testing.T) {
	t.Parallel()
	kinds := map[string]func(path string) error{
		"a head of comments": func(path string) error { return os.WriteFile(path, []byte("# menshen\n\n# HTTP\n"), 0o600) },
		"an empty section":   func(path string) error { return os.WriteFile(path, []byte("server:\n"), 0o600) },
		"blanks":             func(path string) error { return os.WriteFile(path, []byte("\n  \n"), 0o600) },
	}
	for kind, create := range oddFiles {
		if kind != "dangling link" { // a file that is missing may be on its way
			kinds[kind] = create
		}
	}
	for kind, create := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			d := newDeployment(t, repository.SQLite, operatorKeys())
			writeFile(t, d.file, "server: {locale: en}\n")
			d.start(t)
			english := func(when string) {
				t.Helper()
				if answer := d.send(t, call{path: "/none"}.request(t, d.public)); answer.msg != sentences(40400)[false] {
					t.Errorf("%s: %s", when, answer.msg)
				}
			}
			english("at first")
			if err := errors.Join(os.Remove(d.file), create(d.file)); err != nil {
				t.Fatal(err)
			}
			d.log.await(t, 0, "configuration refused, the old one stays")
			english("after it")
			since := len(d.log.text())
			if err := os.Remove(d.file); err != nil {
				t.Fatal(err)
			}
			writeFile(t, d.file, "server: {locale: en}\nlimits: {check: 61}\n")
			d.log.await(t, since, "configuration applied")
			english("after the next file")
		})
	}
}

// TestOddConfigurationFiles: a start with what is no file ends with exit code 1.
func TestOddConfigurationFiles(t *testing.T) {
	t.Parallel()
	for kind, create := range oddFiles {
		if kind == "empty" || kind == "null device" {
			continue // all defaults
		}
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			d := newDeployment(t, repository.SQLite)
			if err := errors.Join(os.Remove(d.file), create(d.file)); err != nil {
				t.Fatal(err)
			}
			if said := d.failsToStart(t); !strings.Contains(said, d.file+": cannot read the configuration file") {
				t.Errorf("it says %s", said)
			}
		})
	}
}

// TestReloadOfAudience: audiences change in two steps, and every session goes on. A file
// that keeps none of those in force is refused.
func TestReloadOfAudience(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, repository.SQLite, "CODE_COOLDOWN=0s")
	writeFile(t, d.file, "token: {audience: [old, older]}\n")
	d.start(t)
	step := func(text, line string) {
		t.Helper()
		since := len(d.log.text())
		writeFile(t, d.file, text)
		d.log.await(t, since, line)
	}
	active := func(token string) {
		t.Helper()
		d.do(t, call{path: "/app/auth/user", as: token})
	}
	session := d.login(t, form{Mobile: d.number()})
	step("token: {audience: [new]}\n", "token.audience: keeps none of the audiences in force")
	active(session.AccessToken.Value)
	step("token: {audience: [new, older]}\n", "configuration applied")
	active(session.AccessToken.Value)
	next := d.refresh(t, session.AccessToken.Value, session.RefreshToken.Value)
	step("token: {audience: [new]}\n", "configuration applied")
	active(next.Value)
}

// TestChangedAlgorithm: a changed token.algorithm needs a restart, and then a key. Both
// are in the log.
func TestChangedAlgorithm(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, repository.SQLite, "TOKEN_KEY_ACTIVATION=0s")
	writeFile(t, d.file, "token: {algorithm: ES256}\n")
	const line = "no active key is of token.algorithm"
	d.start(t)
	writeFile(t, d.file, "token: {algorithm: EdDSA}\n")
	d.log.await(t, 0, `"keys":["token.algorithm"]`)
	if strings.Contains(d.log.text(), line) {
		t.Error("a deployment without a change is warned")
	}
	d.stop(t)

	d.start(t)
	d.log.await(t, 0, line)
	for _, field := range []string{`"algorithm":"EdDSA"`, `"signing":"ES256"`} {
		if !strings.Contains(d.log.text(), field) {
			t.Errorf("no %s in the log", field)
		}
	}
	d.stop(t)

	if exit, _, complaint := d.command(t, "keys", "rotate"); exit != 0 {
		t.Fatal(complaint)
	}
	since := len(d.log.text())
	d.start(t)
	if strings.Contains(d.log.text()[since:], line) {
		t.Error("a deployment with a key of its algorithm is warned")
	}
}

// TestServingNamesTheConfiguration: the line "serving" has the file, or "none".
func TestServingNamesTheConfiguration(t *testing.T) {
	served := func(t *testing.T, d *deployment) string {
		t.Helper()
		since := len(d.log.text())
		d.start(t)
		defer d.stop(t)
		for line := range strings.Lines(d.log.text()[since:]) {
			var entry struct{ Msg, Config string }
			if json.Unmarshal([]byte(line), &entry) == nil && entry.Msg == "serving" {
				return entry.Config
			}
		}
		return ""
	}
	_ = defaults() // read before the folder changes
	t.Chdir(t.TempDir())
	d := newDeployment(t, repository.SQLite)
	if config := served(t, d); config != d.file {
		t.Errorf("with a file: %q, want %q", config, d.file)
	}
	d.file = ""
	if config := served(t, d); config != "none" {
		t.Errorf("without a file: %q", config)
	}
	writeFile(t, filepath.Join(".", "config.yaml"), "log: {level: info}\n")
	if config := served(t, d); config != "config.yaml" {
		t.Errorf("with the default file: %q", config)
	}
}
