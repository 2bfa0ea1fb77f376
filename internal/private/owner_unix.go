//go:build unix

package private

import (
	"io/fs"
	"os"
	"syscall"
)

// owned reports whether the file is the process's own. To root too a file of another user
// is foreign.
func owned(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Geteuid()
}
