// Package atomicfile writes files that are either there as a whole or not at all,
// with mode 0600, also after a loss of power. google/renameio does not sync the
// folder and cannot create a file only where there is none.
package atomicfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Create creates the file path. When a file is there already, also one of a
// concurrent Create, the error is fs.ErrExist and the file stays as it is.
func Create(path string, content []byte) error {
	return write(path, content, os.Link)
}

// Replace creates the file path, or replaces the file that is there. Of concurrent
// calls one wins.
func Replace(path string, content []byte) error {
	return write(path, content, os.Rename)
}

// write makes a draft beside path and puts it in place.
func write(path string, content []byte, place func(draft, path string) error) error {
	folder := filepath.Dir(path)
	draft, err := os.CreateTemp(folder, ".draft-*") // mode 0600, less what the umask takes
	if err != nil {
		return err
	}
	_, err = draft.Write(content)
	err = errors.Join(err, draft.Chmod(0o600), draft.Sync(), draft.Close())
	if err == nil {
		err = place(draft.Name(), path)
	}
	if removed := os.Remove(draft.Name()); !errors.Is(removed, fs.ErrNotExist) { // a rename has moved it away
		err = errors.Join(err, removed)
	}
	if err != nil {
		return err
	}
	return SyncFolder(folder)
}

// SyncFolder makes renames and removals in the folder outlive a loss of power, where
// the file system can.
func SyncFolder(path string) error {
	folder, err := os.Open(path) //nolint:gosec // a path of the configuration
	if err != nil {
		return err
	}
	err = folder.Sync()
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, syscall.EINVAL) {
		err = nil
	}
	return errors.Join(err, folder.Close())
}
