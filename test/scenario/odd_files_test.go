package scenario

import (
	"errors"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"menshen/cli"
	"menshen/repository"
)

// oddFiles make what an operator's path may lead to and no secret can be read from.
var oddFiles = map[string]func(path string) error{
	"dangling link":    func(path string) error { return os.Symlink("none", path) },
	"loop of links":    func(path string) error { return os.Symlink(filepath.Base(path), path) },
	"folder":           func(path string) error { return os.Mkdir(path, 0o700) },
	"link to a folder": func(path string) error { return os.Symlink(".", path) },
	"FIFO":             func(path string) error { return syscall.Mkfifo(path, 0o600) },
	"link to a FIFO": func(path string) error {
		return errors.Join(syscall.Mkfifo(path+".pipe", 0o600), os.Symlink(path+".pipe", path))
	},
	"terminal":       func(path string) error { return os.Symlink("/dev/ptmx", path) },
	"endless device": func(path string) error { return os.Symlink("/dev/zero", path) },
	"empty":          func(path string) error { return os.WriteFile(path, nil, 0o600) },
	"null device":    func(path string) error { return os.Symlink(os.DevNull, path) },
	"larger than 1 MiB": func(path string) error {
		return errors.Join(os.WriteFile(path, nil, 0o600), os.Truncate(path, 1<<20+1))
	},
}

// failsToStart runs a program, which must end by itself with exit code 1, and returns
// its output.
func (d *deployment) failsToStart(t *testing.T, args ...string) string {
	t.Helper()
	exit := make(chan int, 1)
	p := d.program(args...)
	var complaint strings.Builder
	p.Err = &complaint
	go func() { exit <- run(t.Context(), p) }()
	select {
	case code := <-exit:
		if code != cli.ExitFailure {
			t.Errorf("exit %d", code)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("it does not end")
	}
	return complaint.String()
}

// TestOddSecretFiles: a secret's path that can be neither read nor made ends the start
// with exit code 1, naming the key.
func TestOddSecretFiles(t *testing.T) {
	t.Parallel()
	for place, row := range map[string]struct {
		file, key string
		setting   string // names the file, if not empty
	}{
		"secret.key":     {file: "secret.key", key: "secret.key"},
		"admin.key":      {file: "admin.key", key: "admin.keys"},
		"a key file":     {file: "keys/odd.pem", key: "token.key_dir"},
		"a _FILE":        {file: "master", key: "secret.key", setting: "SECRET_KEY_FILE"},
		"a list's _FILE": {file: "operators", key: "admin.keys", setting: "ADMIN_KEYS_FILE"},
	} {
		kinds := maps.Clone(oddFiles)
		if row.setting != "" { // an empty value is a value: the key is not configured
			delete(kinds, "empty")
			delete(kinds, "null device")
		}
		for kind, create := range kinds {
			t.Run(place+"/"+kind, func(t *testing.T) {
				t.Parallel()
				d := newDeployment(t, repository.SQLite)
				path := filepath.Join(d.folder, row.file)
				if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), create(path)); err != nil {
					t.Fatal(err)
				}
				if row.setting != "" {
					d.settings = append(d.settings, row.setting+"="+path)
				}
				if said := d.failsToStart(t); !strings.Contains(said, row.key+": ") {
					t.Errorf("%s is not named: %s", row.key, said)
				}
			})
		}
	}
}

// TestOddDataDir: data_dir and the path of an SQLite database may hold any character, and
// everything is made inside the folder.
func TestOddDataDir(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"what?", "?_pragma=x", "a#b", "100%", "%3F", "a b", "a&b=c", "a+b;c", "file:a", "门神", `"'\`} {
		for _, place := range []string{"data_dir", "dsn"} {
			t.Run(place+"/"+name, func(t *testing.T) {
				t.Parallel()
				top := t.TempDir()
				d := newDeployment(t, repository.SQLite)
				d.folder = filepath.Join(top, name)
				dsn := ""
				if place == "dsn" {
					dsn = filepath.Join(d.folder, name+".db")
					if strings.Contains(dsn, "?") {
						dsn = "file:" + (&url.URL{Path: dsn}).EscapedPath()
					}
				}
				d.settings = append(d.settings, "DATA_DIR="+d.folder, "DATABASE_DSN="+dsn)
				d.start(t)
				d.login(t, form{Mobile: d.number()})
				if exit, out, complaint := d.command(t, "secrets", "status"); exit != cli.ExitOK {
					t.Errorf("a command: exit %d: %s%s", exit, out, complaint)
				}
				want := map[bool]string{true: "menshen.db", false: name + ".db"}[dsn == ""]
				for _, file := range []string{want, want + "-wal", want + ".migrate", "secret.key", "admin.key"} {
					if _, err := os.Stat(filepath.Join(d.folder, file)); err != nil {
						t.Error(err)
					}
				}
				if beside, _ := filepath.Glob(filepath.Join(top, "*")); len(beside) != 1 {
					t.Errorf("beside the folder: %q", beside)
				}
			})
		}
	}
}
