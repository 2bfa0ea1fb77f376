package e2e

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"menshen/repository"
)

// damages make of a path of the key folder what no key can be read from.
var damages = map[string]func(path string) error{
	"half a key":       func(path string) error { return os.WriteFile(path, []byte("-----BEGIN PRIVATE KEY-----\nMIG"), 0o600) },
	"empty":            func(path string) error { return os.WriteFile(path, nil, 0o600) },
	"too large":        func(path string) error { return errors.Join(os.WriteFile(path, nil, 0o600), os.Truncate(path, 1<<30)) },
	"unreadable":       func(path string) error { return os.WriteFile(path, nil, 0) },
	"FIFO":             func(path string) error { return syscall.Mkfifo(path, 0o600) },
	"dangling link":    func(path string) error { return os.Symlink("none", path) },
	"loop of links":    func(path string) error { return os.Symlink(filepath.Base(path), path) },
	"folder":           func(path string) error { return os.Mkdir(path, 0o700) },
	"closed folder":    func(path string) error { return os.Mkdir(path, 0) },
	"link to a folder": func(path string) error { return os.Symlink(".", path) },
	"endless device":   func(path string) error { return os.Symlink("/dev/zero", path) },
	"socket": func(path string) error {
		fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
		if err != nil {
			return err
		}
		defer func() { _ = syscall.Close(fd) }()
		return bindAt(fd, path)
	},
	"of another user": func(path string) error {
		if os.Geteuid() != 0 {
			return os.WriteFile(path, nil, 0) // only root can make one
		}
		return errors.Join(os.WriteFile(path, nil, 0o600), os.Chown(path, 1, 1))
	},
}

// bindAt binds a socket by a short name, because a socket's path has little room.
func bindAt(fd int, path string) error {
	short, err := os.MkdirTemp("", "s")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(short) }()
	name := filepath.Join(short, "s")
	return errors.Join(syscall.Bind(fd, &syscall.SockaddrUnix{Name: name}), os.Rename(name, path))
}

// mend runs a command of the keys, to which no file is open but by its mode, and returns
// what it reports.
func (d *deployment) mend(t *testing.T, args ...string) (out, said string) {
	t.Helper()
	cmd := d.command(t, data)
	if os.Geteuid() == 0 {
		cmd = unprivileged(t, cmd)
	}
	cmd.Args = append(cmd.Args, append([]string{"keys"}, args...)...)
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Errorf("keys %q: %v: %s%s", args, err, stdout.String(), stderr.String())
	}
	return stdout.String(), stderr.String()
}

// unprivileged makes a process of root one that modes of files bind.
func unprivileged(t *testing.T, cmd *exec.Cmd) *exec.Cmd {
	t.Helper()
	return behind(t, cmd, "setpriv", "--bounding-set=-all", "--inh-caps=-all")
}

// published returns the kids that the instance publishes.
func (i *instance) published() (kids []string) {
	var set struct{ Keys []struct{ Kid string } }
	_ = json.Unmarshal(i.call(request{path: "/.well-known/jwks.json"}).raw, &set)
	for _, key := range set.Keys {
		kids = append(kids, key.Kid)
	}
	return kids
}

// TestDamagedKeyFolders: keys rotate and keys revoke do their work beside files that cannot
// be used, and name them; a running instance follows. The file of the revoked key
// may be such a file itself.
func TestDamagedKeyFolders(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, repository.SQLite)
	cmd := d.command(t, data)
	if os.Geteuid() == 0 {
		cmd = unprivileged(t, cmd)
	}
	i := d.run(t, data, cmd)
	i.awaitServing(t)
	keys := filepath.Join(d.folder, "keys")
	revoked := i.published()[0]
	rotate := func(t *testing.T, names ...string) (added string) {
		t.Helper()
		out, said := d.mend(t, "rotate")
		added, _ = strings.CutPrefix(strings.TrimSpace(out), "added ")
		if _, err := os.Stat(filepath.Join(keys, added+".pem")); err != nil {
			t.Errorf("rotate adds %q: %v", out, err)
		}
		wantNamed(t, said, names...)
		return added
	}
	for name, damage := range damages {
		odd := filepath.Join(keys, "odd.pem")
		if err := damage(odd); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		added := rotate(t, odd)
		out, said := d.mend(t, "revoke", revoked)
		if _, err := os.Lstat(filepath.Join(keys, revoked+".pem")); err == nil || out != "removed "+revoked+"\n" {
			t.Errorf("beside %s: revoke says %q, the file: %v", name, out, err)
		}
		wantNamed(t, said, odd)
		if err := os.Remove(odd); err != nil {
			t.Errorf("%s is gone: %v", name, err)
		}
		own := filepath.Join(keys, added+".pem")
		if err := errors.Join(os.Remove(own), damage(own)); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		revoked = rotate(t, own)
		if out, _ := d.mend(t, "revoke", added); out != "removed "+added+"\n" {
			t.Errorf("the file of the key is %s: revoke says %q", name, out)
		}
		if _, err := os.Lstat(own); err == nil {
			t.Errorf("the file of the key, %s, is there", name)
		}
	}
	all := []string{}
	for name, damage := range damages {
		all = append(all, filepath.Join(keys, strings.ReplaceAll(name, " ", "-")+".pem"))
		if err := damage(all[len(all)-1]); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, callTime, "the instance has followed", func() bool { return slices.Equal(i.published(), []string{revoked}) })
	s := i.login(t, "", "device")
	added := rotate(t, all...)
	eventually(t, callTime, "the new key is published beside all damages", func() bool { return slices.Contains(i.published(), added) })
	_, said := d.mend(t, "revoke", revoked)
	wantNamed(t, said, all...)
	eventually(t, callTime, "the revoked key is gone beside all damages", func() bool { return slices.Equal(i.published(), []string{added}) })
	if answer := i.call(request{path: "/app/auth/user", token: s.access}); answer.code != 40100 {
		t.Errorf("its token: %s", answer)
	}
	for _, path := range all {
		if i.log.count(path) == 0 {
			t.Errorf("the log of the instance does not name %s", path)
		}
	}
	if err := os.Chmod(filepath.Join(keys, "closed-folder.pem"), 0o700); err != nil { // to be cleaned up
		t.Error(err)
	}
}

// wantNamed fails the test unless the complaint names each path once.
func wantNamed(t *testing.T, said string, paths ...string) {
	t.Helper()
	for _, path := range paths {
		if strings.Count(said, "key file "+path+": ") != 1 {
			t.Errorf("%s is not named once: %s", path, said)
		}
	}
}
