package e2e

import (
	"os"
	"time"
)

// patient returns a bound that the contract promises, if MENSHEN_SOAK is set: the long
// forms run alone. Other runs wait longer, since a slow machine is no fault.
func patient(promised time.Duration) time.Duration {
	if os.Getenv("MENSHEN_SOAK") != "" {
		return promised
	}
	return max(promised, callTime)
}

// soak returns long if MENSHEN_SOAK is set, as by "make soak", otherwise short.
func soak(short, long int) int {
	if os.Getenv("MENSHEN_SOAK") != "" {
		return long
	}
	return short
}
