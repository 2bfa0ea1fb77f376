package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"menshen/repository"
)

// stubs are programs that a backup needs and a machine may lack: what they print is what
// their owners would, as far as the commands look at it.
var stubs = map[string]string{
	"mysqldump":    "echo '-- dump'",
	"mariadb-dump": "echo '-- dump'",
	"docker":       `case "$2" in cp) exec tar -C data -c keys;; *) echo '-- dump';; esac`,
	"sqlite3":      `case "$2" in VACUUM*) into=${2#*\'}; cp "$1" "${into%\'}";; *) echo ok;; esac`,
}

// TestBackupCommands runs the commands of docs/operations.md and its translation as they
// are written, with the umask of most systems: other users can read nothing of what they
// make, and it serves when it is restored.
func TestBackupCommands(t *testing.T) {
	t.Parallel()
	for document, heading := range map[string]string{"operations.md": "## Back up\n", "zh/operations.md": "## 备份\n"} {
		t.Run(document, func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(filepath.Join("../../docs", document))
			if err != nil {
				t.Fatal(err)
			}
			_, section, _ := strings.Cut(string(text), heading)
			_, block, _ := strings.Cut(section, "```sh\n")
			block, _, found := strings.Cut(block, "```\n")
			if !found {
				t.Fatal("there are no commands")
			}
			testBackup(t, block)
		})
	}
}

func testBackup(t *testing.T, commands string) {
	d := newDeployment(t, repository.SQLite, "SECRET_KEY=", "TOKEN_KEY_DIR=")
	i := d.start(t, data)
	s := i.login(t, "", "device")
	bin := filepath.Join(d.folder, "bin")
	secrets := filepath.Join(d.folder, "secrets")
	for _, folder := range []string{bin, secrets} {
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(secrets, "secret_key"), []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, missing := exec.LookPath("sqlite3")
	for name, text := range stubs {
		if name == "sqlite3" && missing == nil {
			continue
		}
		if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil { //nolint:gosec // a program
			t.Fatal(err)
		}
	}
	before := d.listed(t)
	shell := exec.Command("sh", "-euc", "umask 022\n"+commands)
	shell.Dir = d.folder
	shell.Env = []string{"PATH=" + bin + ":" + os.Getenv("PATH"), "HOME=" + d.folder}
	said, err := shell.CombinedOutput()
	if err != nil || strings.TrimSpace(string(said)) != "ok" {
		t.Fatalf("%v: %s", err, said)
	}
	made := map[string]string{} // paths by name
	for path := range d.listed(t) {
		if before[path] {
			continue
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		made[filepath.Base(path)] = path
	}
	for _, name := range []string{"menshen.db", "keys.tar.gz", "menshen.sql.gz", "compose.sql.gz", "compose-keys.tar.gz", "secrets.tar.gz"} {
		if made[name] == "" {
			t.Errorf("%s is not made: %v", name, made)
		}
	}
	if missing != nil {
		return // a copy of the file alone
	}
	i.stop(t)
	again := filepath.Join(d.folder, "restored")
	restore := exec.Command("sh", "-euc", `mkdir -m 700 "$0"; tar -C "$0" -xzf "$1"; mv "$2" "$0/menshen.db"`, again, made["keys.tar.gz"], made["menshen.db"])
	if said, err := restore.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	there := d.start(t, "restored")
	there.wantState(t, s, "active")
	wantPrivate(t, again)
}

// listed returns the paths of all files and folders of the deployment.
func (d *deployment) listed(t *testing.T) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	if err := filepath.Walk(d.folder, func(path string, _ os.FileInfo, err error) error {
		found[path] = err == nil
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return found
}
