package smallfile

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestRead(t *testing.T) {
	folder := t.TempDir()
	at := func(name string) string { return filepath.Join(folder, name) }
	listener, err := net.Listen("unix", at("socket"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	if err := errors.Join(
		os.WriteFile(at("file"), []byte("1234"), 0o600),
		os.WriteFile(at("empty"), nil, 0o600),
		os.Mkdir(at("folder"), 0o700),
		syscall.Mkfifo(at("fifo"), 0o600),
		os.Symlink("file", at("link")),
		os.Symlink("link", at("link to a link")),
		os.Symlink("folder", at("link to a folder")),
		os.Symlink("fifo", at("link to a FIFO")),
		os.Symlink("none", at("dangling link")),
		os.Symlink("loop", at("loop")),
		os.Symlink("/dev/zero", at("endless device")),
		os.Symlink("/dev/ptmx", at("terminal")),
		os.Symlink(os.DevNull, at("null device")),
	); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]any{
		"file": "1234", "link": "1234", "link to a link": "1234", "empty": "", "null device": "",
		"folder": syscall.EISDIR, "link to a folder": syscall.EISDIR, "terminal": ErrNotRegular,
		"fifo": ErrNotRegular, "link to a FIFO": ErrNotRegular, "socket": syscall.ENXIO,
		"dangling link": fs.ErrNotExist, "none": fs.ErrNotExist, "loop": syscall.ELOOP, "file/x": syscall.ENOTDIR,
	} {
		content, err := Read(at(name))
		if text, ok := want.(string); ok {
			if err != nil || string(content) != text {
				t.Errorf("%s: %q, error %v", name, content, err)
			}
			continue
		}
		if path := (*fs.PathError)(nil); !errors.Is(err, want.(error)) || !errors.As(err, &path) {
			t.Errorf("%s: error %v, want %v", name, err, want)
		}
	}
	if content, err := Read(at("endless device")); err == nil || !strings.Contains(err.Error(), "larger than 1 MiB") {
		t.Errorf("an endless device: %d bytes, error %v", len(content), err)
	}
	for size, fits := range map[int64]bool{limit: true, limit + 1: false} {
		if err := os.Truncate(at("file"), size); err != nil {
			t.Fatal(err)
		}
		content, err := Read(at("file"))
		if path := (*fs.PathError)(nil); (err == nil) != fits || !fits && !errors.As(err, &path) {
			t.Errorf("of %d bytes: %d, error %v", size, len(content), err)
		}
	}
}
