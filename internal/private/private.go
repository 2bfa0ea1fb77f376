// Package private makes files and folders that are closed to other users, whatever the
// umask is, and closes those that are open to them.
package private

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

const (
	fileMode   fs.FileMode = 0o600
	folderMode fs.FileMode = 0o700
	others     fs.FileMode = 0o077 // bits that open a file or a folder to others
)

// MakeFolder makes the folder path with mode 0700, and the folders above it. One that is
// there stays as it is.
func MakeFolder(path string) error {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return nil
	}
	if err := os.MkdirAll(path, folderMode); err != nil {
		return err
	}
	return os.Chmod(path, folderMode) // the umask may have taken a bit of the owner's
}

// MakeFile makes an empty file with mode 0600 if there is none, at no moment with a wider
// one. A file that is there is not even opened: to close it would release the locks that
// SQLite has on it in this process (sqlite.org/howtocorrupt.html §2.2).
func MakeFile(path string) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, fileMode) //nolint:gosec // a path of the configuration
	if errors.Is(err, fs.ErrExist) {
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		file, err = os.OpenFile(path, os.O_CREATE|os.O_RDWR, fileMode) //nolint:gosec // a link whose file is still missing
	}
	if err != nil {
		return err
	}
	return errors.Join(file.Chmod(fileMode), file.Close())
}

// Findings are the files and folders that were open to others.
type Findings struct {
	Closed []string // closed now
	Open   []string // of another user, or not to be changed
}

// CloseFolder closes the folder and the files in it, but no folder in it. A missing folder
// is no finding. What is behind a link lies elsewhere and is not changed. A folder that
// its users share, such as /tmp, stays open.
func (f *Findings) CloseFolder(path string) {
	entries, err := os.ReadDir(path)
	if err != nil {
		return // its first use reports the error
	}
	f.check(path, os.Stat, folderMode)
	for _, entry := range entries {
		f.CloseFile(filepath.Join(path, entry.Name()))
	}
}

// CloseFile closes a regular file. A missing one is no finding.
func (f *Findings) CloseFile(path string) {
	f.check(path, os.Lstat, fileMode)
}

func (f *Findings) check(path string, stat func(string) (fs.FileInfo, error), mode fs.FileMode) {
	info, err := stat(path)
	if err != nil {
		return
	}
	linked := info.Mode()&fs.ModeSymlink != 0
	if linked {
		if info, err = os.Stat(path); err != nil {
			return
		}
	}
	regular := info.Mode().IsRegular() || mode == folderMode && info.IsDir()
	switch shared := info.Mode()&fs.ModeSticky != 0; {
	case !regular || info.Mode()&others == 0:
	case linked || shared || !owned(info) || running(info) || os.Chmod(path, mode) != nil:
		f.Open = append(f.Open, path)
	default:
		f.Closed = append(f.Closed, path)
	}
}

// Open returns the path and the files in it, if it is a folder, that are open to other
// users. It changes nothing.
func Open(path string) (open []string, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode()&others != 0 {
		open = append(open, path)
	}
	if !info.IsDir() {
		return open, nil
	}
	entries, err := os.ReadDir(path)
	for _, entry := range entries {
		if info, err := entry.Info(); err == nil && info.Mode().IsRegular() && info.Mode()&others != 0 && !running(info) {
			open = append(open, filepath.Join(path, entry.Name()))
		}
	}
	return open, err
}

// running reports whether the file is the program that runs: with mode 0600 it would not
// start again.
func running(info fs.FileInfo) bool {
	path, err := os.Executable()
	if err != nil {
		return false
	}
	program, err := os.Stat(path)
	return err == nil && os.SameFile(program, info)
}
