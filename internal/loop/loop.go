// Package loop runs work in the background at intervals.
package loop

import (
	"context"
	"time"
)

// Every calls do at each interval, first after one, until ctx ends. A call that
// takes longer than the interval delays the next one. onError, which may be nil,
// receives an error of do unless the call before failed too, and no error of a call
// that ctx interrupted.
func Every(ctx context.Context, interval time.Duration, do func(ctx context.Context) error, onError func(error)) {
	every(ctx, interval, reporting(do, onError))
}

// NowAndEvery is Every that calls do at once too.
func NowAndEvery(ctx context.Context, interval time.Duration, do func(ctx context.Context) error, onError func(error)) {
	once := reporting(do, onError)
	once(ctx)
	every(ctx, interval, once)
}

func every(ctx context.Context, interval time.Duration, once func(ctx context.Context)) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-ticker.C:
			once(ctx)
		}
	}
}

// reporting is do, with its errors reported as Every promises.
func reporting(do func(ctx context.Context) error, onError func(error)) func(ctx context.Context) {
	failing := false
	return func(ctx context.Context) {
		err := do(ctx)
		if err != nil && !failing && onError != nil && ctx.Err() == nil {
			onError(err)
		}
		failing = err != nil
	}
}
