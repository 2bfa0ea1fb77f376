package e2e

import "os"

// soak returns long if MENSHEN_SOAK is set, as by "make soak", otherwise short.
func soak(short, long int) int {
	if os.Getenv("MENSHEN_SOAK") != "" {
		return long
	}
	return short
}
