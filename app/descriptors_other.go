//go:build !linux && !darwin

package app

import "math"

// descriptors returns the largest number: this system does not report a limit.
func descriptors() int { return math.MaxInt }
