package private

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
)

func wantMode(t *testing.T, path string, want fs.FileMode) {
	t.Helper()
	if info, err := os.Stat(path); err != nil || info.Mode() != want {
		t.Errorf("%s: %v, error %v, want %v", path, info.Mode(), err, want)
	}
}

// TestUmasks: neither a wide nor a narrow umask changes a mode.
func TestUmasks(t *testing.T) {
	for _, umask := range []int{0, 0o022, 0o077, 0o177, 0o777} {
		folder, file := filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "file")
		link := file + ".link"
		if err := os.Symlink(file+".target", link); err != nil {
			t.Fatal(err)
		}
		before := syscall.Umask(umask)
		err := errors.Join(MakeFolder(folder), MakeFile(file), MakeFile(link))
		syscall.Umask(before)
		if err != nil {
			t.Fatal(err)
		}
		wantMode(t, folder, 0o700|fs.ModeDir)
		wantMode(t, file, 0o600)
		wantMode(t, link, 0o600)
	}
}

// TestMakeLeavesWhatIsThere: neither content nor mode of what is there changes.
func TestMakeLeavesWhatIsThere(t *testing.T) {
	top := t.TempDir()
	file := filepath.Join(top, "file")
	if err := errors.Join(os.WriteFile(file, []byte("content"), 0o600), os.Chmod(file, 0o640), os.Chmod(top, 0o750)); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(MakeFile(file), MakeFolder(top)); err != nil {
		t.Fatal(err)
	}
	wantMode(t, file, 0o640)
	wantMode(t, top, 0o750|fs.ModeDir)
	if text, err := os.ReadFile(file); err != nil || string(text) != "content" {
		t.Errorf("it holds %q, error %v", text, err)
	}
	if err := MakeFolder(file); err == nil {
		t.Error("a file passes for a folder")
	}
	if err := MakeFile(filepath.Join(top, "none", "file")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("in no folder: %v", err)
	}
}

// TestClose: files and the folder become private; what lies elsewhere, is shared, is of
// another user or no file stays and is reported if it is open.
func TestClose(t *testing.T) {
	folder, elsewhere := t.TempDir(), filepath.Join(t.TempDir(), "target")
	at := func(name string) string { return filepath.Join(folder, name) }
	wide := []string{"readable", "writable", "group", "program"}
	for name, mode := range map[string]fs.FileMode{"readable": 0o644, "writable": 0o606, "group": 0o640, "program": 0o755, "private": 0o600, "script": 0o700, "read only": 0o400} {
		if err := errors.Join(os.WriteFile(at(name), nil, 0o600), os.Chmod(at(name), mode)); err != nil {
			t.Fatal(err)
		}
	}
	err := errors.Join(
		os.WriteFile(elsewhere, nil, 0o600), os.Chmod(elsewhere, 0o644), os.Symlink(elsewhere, at("link")), os.Symlink("none", at("dangling")),
		os.Mkdir(at("folder"), 0o700), os.Chmod(at("folder"), 0o755), syscall.Mkfifo(at("fifo"), 0o600), os.Chmod(at("fifo"), 0o666), os.Chmod(folder, 0o755),
	)
	open := []string{at("link")}
	if os.Geteuid() == 0 { // only root can make a file of another user
		err = errors.Join(err, os.WriteFile(at("foreign"), nil, 0o600), os.Chmod(at("foreign"), 0o644), os.Chown(at("foreign"), 1, 1))
		open = append(open, at("foreign"))
	}
	if err != nil {
		t.Fatal(err)
	}
	var found Findings
	found.CloseFolder(folder)
	found.CloseFolder(at("none"))
	found.CloseFile(at("none"))
	slices.Sort(found.Closed)
	slices.Sort(found.Open)
	slices.Sort(open)
	closed := []string{folder}
	for _, name := range wide {
		closed = append(closed, at(name))
		wantMode(t, at(name), 0o600)
	}
	slices.Sort(closed)
	if !slices.Equal(found.Closed, closed) || !slices.Equal(found.Open, open) {
		t.Errorf("closed %q, want %q; open %q, want %q", found.Closed, closed, found.Open, open)
	}
	wantMode(t, folder, 0o700|fs.ModeDir)
	wantMode(t, elsewhere, 0o644)
	wantMode(t, at("folder"), 0o755|fs.ModeDir)
	wantMode(t, at("fifo"), 0o666|fs.ModeNamedPipe)
	wantMode(t, at("script"), 0o700)
	wantMode(t, at("read only"), 0o400)
	var again Findings
	if again.CloseFolder(folder); len(again.Closed) > 0 || len(again.Open) != len(open) {
		t.Errorf("again: %+v", again)
	}
}

// TestCloseSpares: a folder that users share and the running program keep their modes.
func TestCloseSpares(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(program)
	shared := filepath.Join(t.TempDir(), "shared")
	if err := errors.Join(err, os.Mkdir(shared, 0o700), os.Chmod(shared, 0o777|fs.ModeSticky)); err != nil {
		t.Fatal(err)
	}
	var found Findings
	found.CloseFolder(shared)
	found.CloseFile(program)
	wantMode(t, shared, 0o777|fs.ModeDir|fs.ModeSticky)
	wantMode(t, program, info.Mode())
	if len(found.Closed) > 0 || !slices.Contains(found.Open, shared) {
		t.Errorf("%+v", found)
	}
}
