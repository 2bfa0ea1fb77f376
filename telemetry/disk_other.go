//go:build !linux && !darwin

package telemetry

import "math"

// FreeBytes returns NaN: this system does not report the free space.
func FreeBytes(string) float64 { return math.NaN() }
