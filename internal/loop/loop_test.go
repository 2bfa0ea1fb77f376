package loop

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// TestEvery: calls stand an interval apart, a row of failures is reported once, and
// the end of the context ends the loop, also when it comes during a call.
func TestEvery(t *testing.T) {
	first, second := errors.New("first"), errors.New("second")
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		began := time.Now()
		var at []time.Duration
		var reported []error
		answers := []error{nil, first, first, nil, second, errors.New("of the end")}
		Every(ctx, time.Second, func(context.Context) error {
			at = append(at, time.Since(began))
			if len(at) == len(answers) {
				cancel()
			}
			return answers[len(at)-1]
		}, func(err error) { reported = append(reported, err) })
		if want := []time.Duration{1e9, 2e9, 3e9, 4e9, 5e9, 6e9}; !slices.Equal(at, want) {
			t.Errorf("called at %v, want %v", at, want)
		}
		if want := []error{first, second}; !slices.Equal(reported, want) {
			t.Errorf("reported %v, want %v", reported, want)
		}
	})
}

// TestEveryWithoutReports: onError may be nil, and a context that has ended has no
// call made.
func TestEveryWithoutReports(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 3500*time.Millisecond)
		defer cancel()
		calls := 0
		do := func(context.Context) error { calls++; return errors.New("fails") }
		Every(ctx, time.Second, do, nil)
		Every(ctx, time.Second, do, nil)
		if calls != 3 {
			t.Errorf("%d calls, want 3", calls)
		}
	})
}

// TestNowAndEvery: the first call comes at once, and its failure is the first of a row.
func TestNowAndEvery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
		defer cancel()
		began := time.Now()
		var at []time.Duration
		reports := 0
		NowAndEvery(ctx, time.Second, func(context.Context) error {
			at = append(at, time.Since(began))
			return errors.New("fails")
		}, func(error) { reports++ })
		if want := []time.Duration{0, 1e9, 2e9}; !slices.Equal(at, want) || reports != 1 {
			t.Errorf("called at %v with %d reports, want %v with 1", at, reports, want)
		}
	})
}
