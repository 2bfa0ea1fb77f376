// Package leak proves that tests leave no goroutine behind. Only tests import it.
package leak

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// patience is how often goleak looks, for a second and a half each time: a slow machine
// takes its time to close connections.
const patience = 20

// Run runs the tests of a package and returns the exit code: a failure if goroutines of
// theirs remain that the options do not except.
func Run(m *testing.M, options ...goleak.Option) (exit int) {
	if exit = m.Run(); exit != 0 {
		return exit
	}
	var left error
	for range patience {
		if left = goleak.Find(options...); left == nil {
			return 0
		}
	}
	_, _ = fmt.Fprintln(os.Stderr, "goroutines of the tests remain:", left)
	return 1
}
