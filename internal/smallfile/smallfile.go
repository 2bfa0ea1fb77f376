// Package smallfile reads files that an operator has named. A wrong path, such as a
// FIFO, a device or a database, neither blocks the reader nor fills the memory.
package smallfile

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"
)

// limit bounds a file, in bytes.
const limit = 1 << 20

// ErrNotRegular is what Read returns, inside an *fs.PathError, for a FIFO, a terminal
// and whatever else may never end.
var ErrNotRegular = errors.New("not a regular file")

// Read returns the content of a file, or of a link to one, of at most 1 MiB. The error
// is an *fs.PathError.
func Read(path string) ([]byte, error) {
	// Without O_NONBLOCK the opening of a FIFO waits until it has a writer.
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) //nolint:gosec // named by the operator
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	if file.SetReadDeadline(time.Time{}) == nil { // only what can block has deadlines
		return nil, &fs.PathError{Op: "read", Path: path, Err: ErrNotRegular}
	}
	content, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err == nil && len(content) > limit {
		err = &fs.PathError{Op: "read", Path: path, Err: errors.New("larger than 1 MiB")}
	}
	if err != nil {
		return nil, err
	}
	return content, nil
}
