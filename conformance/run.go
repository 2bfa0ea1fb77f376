package conformance

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"menshen/app"
)

// Options are what Run needs.
type Options struct {
	Process  app.Process // Environ is that of the client under test; the service's is empty
	Client   []string    // program and arguments of the client under test
	Parallel int         // traces that are played at once, at least 1
}

// traceTime bounds a trace, so that a client that hangs in each step ends too.
const traceTime = 5 * time.Minute

// Select returns the traces that one of the patterns names, in the order of the table; all of
// them without patterns. A pattern is a name, or one with stars as in a path. The error names
// a pattern of no trace.
func Select(patterns []string) ([]Trace, error) {
	named := func(t Trace, pattern string) bool {
		found, err := path.Match(pattern, t.Name)
		return found && err == nil
	}
	for _, pattern := range patterns {
		if !slices.ContainsFunc(Traces(), func(t Trace) bool { return named(t, pattern) }) {
			return nil, fmt.Errorf("there is no trace %q", pattern)
		}
	}
	return slices.DeleteFunc(Traces(), func(t Trace) bool {
		return len(patterns) > 0 && !slices.ContainsFunc(patterns, func(pattern string) bool { return named(t, pattern) })
	}), nil
}

// Run plays traces to the client and calls onVerdict with each verdict, in the order of the
// traces. Each trace has a process of the client of its own, and users of its own; traces
// that are played one after another may share a service. The error is that of the machine or
// of onVerdict, not the client's.
func Run(ctx context.Context, o Options, traces []Trace, onVerdict func(Verdict) error) error {
	ctx, cancel := context.WithCancel(ctx)
	var players sync.WaitGroup
	defer players.Wait()
	defer cancel()
	results, turns, closed := make([]chan played, len(traces)), make(chan int, len(traces)), make(chan error, max(1, o.Parallel))
	for i := range traces {
		results[i] = make(chan played, 1)
		turns <- i
	}
	close(turns)
	for range cap(closed) {
		players.Go(func() {
			p := player{Options: o}
			for i := range turns {
				results[i] <- p.play(ctx, i, traces[i])
			}
			closed <- p.close()
		})
	}
	for _, result := range results {
		one := <-result
		if one.err == nil {
			one.err = onVerdict(one.verdict)
		}
		if one.err != nil {
			return one.err
		}
	}
	var failures []error
	for range cap(closed) {
		failures = append(failures, <-closed)
	}
	return errors.Join(failures...)
}

// played is what a player has found.
type played struct {
	verdict Verdict
	err     error // of the machine
}

// player plays one trace after another. Starting a service is most of the work of a trace,
// so it keeps one.
type player struct {
	Options
	shared *program // nil until a trace has needed it
}

func (p *player) close() error {
	if p.shared == nil {
		return nil
	}
	return p.shared.stop()
}

// play plays the trace with a number.
func (p *player) play(ctx context.Context, number int, t Trace) (got played) {
	if t.sharesService() && p.shared == nil {
		process := p.Process
		process.Environ = nil
		if p.shared, got.err = startProgram(ctx, process, 0); got.err != nil {
			return got
		}
	}
	ctx, cancel := context.WithTimeout(ctx, traceTime)
	defer cancel()
	s, err := newStage(ctx, p.Options, t, p.shared)
	if err != nil {
		got.err = err
		return got
	}
	s.trace = number
	got.verdict, err = s.play(ctx, t)
	got.err = errors.Join(err, s.close())
	return got
}

// play plays the steps of a trace and judges the client. The error is that of a run that was
// stopped.
func (s *stage) play(ctx context.Context, t Trace) (v Verdict, err error) {
	v = Verdict{Name: t.Name, Story: t.Story, Wanted: t.Expect, Result: Passed}
	failure := all(t.play...)(ctx, s)
	s.release()
	var missed unmet
	if broken := houseRules(ctx, s); broken != nil && (failure == nil || errors.As(failure, &missed)) {
		failure = broken // which is why the trace failed
	}
	if ctx.Err() != nil && failure == nil {
		failure = ctx.Err()
	}
	switch {
	case failure == nil:
	case errors.Is(failure, context.Canceled):
		err = failure
	case errors.Is(failure, errUnsupported):
		v.Result, v.Seen = NotPlayed, failure.Error()
	case errors.As(failure, &missed):
		v.Result, v.Expected, v.Seen = Failed, missed.want, missed.seen
	default:
		v.Result, v.Expected, v.Seen = Failed, "the client to keep to the protocol", strings.ReplaceAll(failure.Error(), "\n", "; ")
	}
	if v.Result == Failed {
		v.Log = s.gate.conversation()
	}
	return v, err
}
