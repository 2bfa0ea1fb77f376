package conformance

import (
	"slices"
	"time"
)

// Trace is one thing that breaks clients, played from the beginning.
type Trace struct {
	Name   string
	Story  string // what happens
	Expect string // what a client does that does it right

	settings []string      // more configuration of the service, as environment; {other} is the URL of another site
	ahead    time.Duration // of the service's clock
	play     []step
}

// sharesService reports whether any service will do, whatever the time there.
func (t Trace) sharesService() bool { return len(t.settings) == 0 && t.ahead == 0 }

// Traces is the whole table.
func Traces() []Trace {
	return slices.Concat(refreshTraces, troubleTraces, tabTraces, restartTraces, endTraces, pushTraces, codeTraces, logoutTraces)
}
