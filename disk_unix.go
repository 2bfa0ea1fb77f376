//go:build linux || darwin

package main

import (
	"math"
	"syscall"
)

// freeBytes is how much may still be written to the disk of a folder.
func freeBytes(folder string) float64 {
	var disk syscall.Statfs_t
	if err := syscall.Statfs(folder, &disk); err != nil {
		return math.NaN()
	}
	return float64(disk.Bavail) * float64(disk.Bsize)
}
