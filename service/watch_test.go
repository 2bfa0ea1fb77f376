package service_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"menshen/model"
	"menshen/service"
)

type census func(ctx context.Context) (map[int32]int64, error)

func (c census) CountActive(ctx context.Context, _ model.Companies, _ model.Time) (map[int32]int64, error) {
	return c(ctx)
}

// TestCensusOutlastsReports: operators' reports, which have 7 s, may hold all the
// connections that it counts by. The time is the bubble's.
func TestCensusOutlastsReports(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		c := service.SessionCounter{Now: time.Now, OwnNow: time.Now, Store: census(func(ctx context.Context) (map[int32]int64, error) {
			select {
			case <-time.After(7 * time.Second):
				return map[int32]int64{0: 1}, nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}), OnCount: func(active map[int32]int64) {
			if active[0] != 1 {
				t.Errorf("told %v", active)
			}
			stop()
		}}
		c.Run(ctx, service.CountInterval)
	})
}

// TestCensusLeavesTime: where a count takes long, the next one comes later, and the
// first leaves the start of the process alone; a count that failed is tried again soon. The time is the bubble's.
func TestCensusLeavesTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		took := []time.Duration{time.Millisecond, 3 * time.Second, 8 * time.Second, 0}
		began := time.Now()
		var at []time.Duration
		c := service.SessionCounter{Now: time.Now, OwnNow: time.Now, Store: census(func(context.Context) (map[int32]int64, error) {
			at = append(at, time.Since(began))
			time.Sleep(took[len(at)-1])
			if took[len(at)-1] == 8*time.Second {
				return nil, errors.New("away")
			}
			return nil, nil
		}), OnCount: func(map[int32]int64) {
			if len(at) == len(took) {
				stop()
			}
		}}
		c.Run(ctx, service.CountInterval)
		want := []time.Duration{2 * time.Second, 32*time.Second + time.Millisecond, 185*time.Second + time.Millisecond, 223*time.Second + time.Millisecond}
		if !slices.Equal(at, want) {
			t.Errorf("counted at %v, want %v", at, want)
		}
	})
}

// TestCensus: sessions are counted soon and at each interval, and a count that
// fails is reported as unknown.
func TestCensus(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	asked := 0
	var told []map[int32]int64
	c := service.SessionCounter{Now: service.NewFakeClock().Now, OwnNow: service.NewFakeClock().Now, Store: census(func(context.Context) (map[int32]int64, error) {
		if asked++; asked == 2 {
			return map[int32]int64{7: 7}, errors.New("away")
		}
		return map[int32]int64{0: int64(asked)}, nil
	}), OnCount: func(active map[int32]int64) {
		if told = append(told, active); len(told) == 3 {
			stop()
		}
	}}
	c.Run(ctx, time.Millisecond)
	if len(told) != 3 || told[0][0] != 1 || told[1] != nil || told[2][0] != 3 {
		t.Errorf("it told %v", told)
	}
}

// TestCensusWithoutReceiver: without OnCount sessions are counted all the same.
func TestCensusWithoutReceiver(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	counts := 0
	c := service.SessionCounter{Now: time.Now, OwnNow: time.Now, Store: census(func(context.Context) (map[int32]int64, error) {
		if counts++; counts == 2 {
			stop()
		}
		return nil, nil
	})}
	c.Run(ctx, time.Millisecond)
	if counts != 2 {
		t.Errorf("%d counts, want 2", counts)
	}
}

// TestRefreshReportsOutcome: an act that the storage did not take is none.
func TestRefreshReportsOutcome(t *testing.T) {
	runScenes(t, scene{"recover that cannot be noted", func(t *testing.T, in *instance) {
		var told []string
		in.sessions.OnRefresh = func(outcome string) { told = append(told, outcome) }
		c := in.logIn(alice)
		in.mustRefresh(c)
		in.clock.Advance(time.Hour)
		restore := in.failEvents(model.EventRecover)
		if _, err := in.refresh(c.access, c.Refresh.Value); !errors.Is(err, model.ErrUnavailable) {
			t.Fatalf("refresh: %v", err)
		}
		restore()
		in.mustRefresh(c)
		if len(told) != 2 || told[0] != "rotate" || told[1] != "recover" {
			t.Errorf("it told %q", told)
		}
	}})
}
