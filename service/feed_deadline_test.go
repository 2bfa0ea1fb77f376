package service

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"menshen/model"
)

// silentFeed is a store whose database does not answer.
type silentFeed struct{ FeedStore }

func (silentFeed) Newest(ctx context.Context) (model.Revocation, error) {
	<-ctx.Done()
	return model.Revocation{}, model.ErrUnavailable.Wrap(ctx.Err())
}

// TestFeedCursorHasADeadline: a client with a cursor is answered in time while the
// database is silent, however long it offered to wait.
func TestFeedCursorHasADeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		f := &Feed{Store: silentFeed{}, Now: time.Now}
		_, err := f.Read(t.Context(), "1", 30*time.Second)
		WantFailure(t, err, model.ErrUnavailable)
		if took := time.Since(began); took > model.StorageTime {
			t.Errorf("answered after %s", took)
		}
	})
}

// TestCoalescer: a caller that comes during a turn waits for the next one, which
// serves all callers that wait. The error of a turn is returned to its own caller
// alone.
func TestCoalescer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s coalescer
		var runs atomic.Int64
		work := func(n int) error {
			runs.Add(1)
			time.Sleep(time.Second)
			if n == 1 {
				return model.ErrUnavailable
			}
			return nil
		}
		failures := make([]error, 5)
		var all sync.WaitGroup
		for n := range failures {
			all.Go(func() {
				time.Sleep(time.Duration(n) * time.Millisecond)
				failures[n] = s.Do(t.Context(), func() error { return work(n) })
			})
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		time.Sleep(50 * time.Millisecond)
		if err := s.Do(ctx, func() error { return nil }); !errors.Is(err, model.ErrUnavailable) {
			t.Errorf("out of time: %v", err)
		}
		all.Wait()
		for n, err := range failures {
			if (err != nil) != (n == 1) {
				t.Errorf("%d: %v", n, err)
			}
		}
		if got := fmt.Sprint(runs.Load()); got != "3" {
			t.Errorf("%s runs, want 3: the first, the failure, and one for all others", got)
		}
	})
}
