package e2e

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"menshen/repository"
)

// wantPrivate fails the test if a file below the folder has another mode than 0600, or a
// folder than 0700.
func wantPrivate(t *testing.T, folder string) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a draft that is in place by now
		}
		if err != nil {
			return err
		}
		want := fs.FileMode(0o600)
		if entry.IsDir() {
			want = 0o700 | fs.ModeDir
		} else {
			files++
		}
		if info.Mode() != want {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return nil
	})
	if err != nil || files == 0 {
		t.Errorf("%d files, error %v", files, err)
	}
}

// watchModes looks at the modes of the files until the returned function is called, which
// fails the test if one of them was open to others at a moment.
func watchModes(t *testing.T, paths ...string) (end func()) {
	t.Helper()
	stop, found := make(chan struct{}), make(chan string, 1)
	go func() {
		defer close(found)
		for {
			select {
			case <-stop:
				return
			default:
			}
			for _, path := range paths {
				if info, err := os.Lstat(path); err == nil && info.Mode()&0o077 != 0 {
					found <- path + " had mode " + info.Mode().String()
					return
				}
			}
		}
	}()
	return func() {
		t.Helper()
		close(stop)
		if wide := <-found; wide != "" {
			t.Error(wide)
		}
	}
}

// TestUmasks: under any umask all that a process makes is private, and the database is
// at no moment anything else.
func TestUmasks(t *testing.T) {
	t.Parallel()
	for _, umask := range []string{"000", "022", "077", "177"} {
		t.Run(umask, func(t *testing.T) {
			t.Parallel()
			d := newDeployment(t, repository.SQLite, "SECRET_KEY=", "TOKEN_KEY_DIR=", "ADMIN_KEYS=")
			folder := filepath.Join(d.folder, data)
			under := func(args ...string) *exec.Cmd {
				cmd := behind(t, d.command(t, data), "sh", "-c", `umask "$0" && exec "$@"`, umask)
				cmd.Args = append(cmd.Args, args...)
				return cmd
			}
			database := filepath.Join(folder, "menshen.db")
			end := watchModes(t, database, database+"-wal", database+"-shm", database+"-journal")
			i := d.run(t, data, under())
			i.awaitServing(t)
			i.login(t, "", "device")
			end()
			wantPrivate(t, folder)
			for _, command := range []string{"keys rotate", "migrate"} {
				if said, err := under(strings.Fields(command)...).CombinedOutput(); err != nil {
					t.Errorf("%s: %v: %s", command, err, said)
				}
			}
			i.kill(t) // what it leaves behind
			if said, err := under("secrets", "rotate").CombinedOutput(); err != nil {
				t.Errorf("secrets rotate: %v: %s", err, said)
			}
			wantPrivate(t, folder)
			if i.log.count("open to other users") > 0 {
				t.Errorf("it warns of its own files:\n%s", i.log.tail())
			}
		})
	}
}

// TestWideFiles: at a start what is open to others is closed, with a log line, if it is
// the process's own. What it cannot close is a warning and stays as it is, and so is the
// file of a variable.
func TestWideFiles(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, repository.SQLite, "SECRET_KEY=", "TOKEN_KEY_DIR=", "ADMIN_KEYS=")
	first := d.start(t, data)
	s := first.login(t, "", "device")
	first.kill(t) // leaves the -wal and -shm
	folder, elsewhere := filepath.Join(d.folder, data), filepath.Join(d.folder, "elsewhere")
	made := 0
	if err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		made++
		mode := fs.FileMode(0o666)
		if entry.IsDir() {
			mode = 0o755
		}
		return errors.Join(err, os.Chmod(path, mode))
	}); err != nil || made < 8 {
		t.Fatalf("%d files, error %v", made, err)
	}
	mounted := filepath.Join(d.folder, "clients")
	foreign := filepath.Join(folder, "foreign")
	clients := []byte(`[{"id":"shop","secret":"clients-0123456789-0123456789-0123456789"}]`)
	err := errors.Join(os.WriteFile(elsewhere, nil, 0o600), os.Chmod(elsewhere, 0o644), os.Symlink(elsewhere, filepath.Join(folder, "link")),
		os.WriteFile(mounted, clients, 0o600), os.Chmod(mounted, 0o444))
	open := []string{filepath.Join(folder, "link")}
	if keys, _ := filepath.Glob(filepath.Join(folder, "keys", "*.pem")); os.Geteuid() == 0 { // only root can make files of another user
		err = errors.Join(err, os.WriteFile(foreign, nil, 0o600))
		for _, path := range append(keys, foreign) { // a key is read nevertheless
			err = errors.Join(err, os.Chmod(path, 0o644), os.Chown(path, 1, 1))
			open = append(open, path)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	again := d.start(t, data, "CLIENTS_FILE="+mounted)
	again.wantState(t, s, "active")
	log := again.log.tail()
	closed := lineWith(t, log, "are closed now")
	for _, name := range []string{"", "/menshen.db", "/menshen.db-wal", "/menshen.db-shm", "/menshen.db.migrate", "/secret.key", "/admin.key", "/keys"} {
		if !strings.Contains(closed, `"`+folder+name+`"`) {
			t.Errorf("%q is not named: %s", name, closed)
		}
	}
	left := lineWith(t, log, "are open to other users, and are not")
	for _, path := range open {
		if !strings.Contains(left, `"`+path+`"`) {
			t.Errorf("%s is not named: %s", path, left)
		}
		if info, err := os.Stat(path); err != nil || info.Mode() != 0o644 {
			t.Errorf("%s has mode %v, error %v", path, info.Mode(), err)
		}
		if err := os.Remove(path); err != nil {
			t.Error(err)
		}
	}
	if warning := lineWith(t, log, "MENSHEN_CLIENTS_FILE"); !strings.Contains(warning, "other users") || strings.Contains(warning, mounted) {
		t.Errorf("the mounted file: %s", warning)
	}
	if info, err := os.Stat(mounted); err != nil || info.Mode() != 0o444 {
		t.Errorf("the mounted file has mode %v, error %v", info.Mode(), err)
	}
	wantPrivate(t, folder)
}

// lineWith returns the first line of the log with the text.
func lineWith(t *testing.T, log, text string) string {
	t.Helper()
	for line := range strings.Lines(log) {
		if strings.Contains(line, text) {
			return line
		}
	}
	t.Errorf("no line has %q:\n%s", text, log)
	return ""
}
