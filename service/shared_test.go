package service

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"menshen/model"
)

// What the tests inside and outside of the package share.

// FakeClock is a clock that a test moves.
type FakeClock struct{ nanos atomic.Int64 }

// NewFakeClock returns a clock at the beginning of every test.
func NewFakeClock() *FakeClock {
	c := &FakeClock{}
	c.Set(time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC))
	return c
}

func (c *FakeClock) Now() time.Time          { return time.Unix(0, c.nanos.Load()).UTC() }
func (c *FakeClock) Time() model.Time        { return model.TimeOf(c.Now()) }
func (c *FakeClock) Advance(d time.Duration) { c.nanos.Add(int64(d)) }
func (c *FakeClock) Set(t time.Time)         { c.nanos.Store(t.UnixNano()) }

// Together runs act for 0…n-1 at once and waits for all.
func Together(n int, act func(i int)) {
	var ready, done sync.WaitGroup
	ready.Add(1)
	for i := range n {
		done.Go(func() {
			ready.Wait()
			act(i)
		})
	}
	ready.Done()
	done.Wait()
}

// WantFailure compares err with a row of the table of failures; nil is success.
func WantFailure(t testing.TB, err error, want *model.Failure) {
	t.Helper()
	switch {
	case want == nil && err != nil:
		t.Errorf("error %v, want none", err)
	case want != nil && (!errors.Is(err, want) || model.AsFailure(err).Code != want.Code):
		t.Errorf("error %v, want %v", err, want)
	}
}

// HookedStore calls AfterRead, if any, once after the next read of a session.
type HookedStore struct {
	SessionStore
	AfterRead func()
}

func (s *HookedStore) ByID(ctx context.Context, id string) (model.Session, error) {
	session, err := s.SessionStore.ByID(ctx, id)
	if hook := s.AfterRead; hook != nil {
		s.AfterRead = nil
		hook()
	}
	return session, err
}
