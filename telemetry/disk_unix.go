//go:build linux || darwin

package telemetry

import (
	"math"
	"syscall"
)

// FreeBytes returns the free space on the disk of a folder, NaN if the system does not
// report it.
func FreeBytes(folder string) float64 {
	var disk syscall.Statfs_t
	if err := syscall.Statfs(folder, &disk); err != nil {
		return math.NaN()
	}
	return float64(disk.Bavail) * float64(disk.Bsize)
}
