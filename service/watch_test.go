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

func (c census) CountActive(ctx context.Context, _ model.Time) (map[int32]int64, error) {
	return c(ctx)
}

// TestCensusOutlastsReports: operators' reports, which have 7 s, may hold all the
// connections that it counts by. The time is the bubble's.
func TestCensusOutlastsReports(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		c := service.Census{Now: time.Now, Process: time.Now, Active: census(func(ctx context.Context) (map[int32]int64, error) {
			select {
			case <-time.After(7 * time.Second):
				return map[int32]int64{0: 1}, nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}), See: func(active map[int32]int64) {
			if active[0] != 1 {
				t.Errorf("told %v", active)
			}
			stop()
		}}
		c.Run(ctx, service.CensusEvery)
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
		c := service.Census{Now: time.Now, Process: time.Now, Active: census(func(context.Context) (map[int32]int64, error) {
			at = append(at, time.Since(began))
			time.Sleep(took[len(at)-1])
			if took[len(at)-1] == 8*time.Second {
				return nil, errors.New("away")
			}
			return nil, nil
		}), See: func(map[int32]int64) {
			if len(at) == len(took) {
				stop()
			}
		}}
		c.Run(ctx, service.CensusEvery)
		want := []time.Duration{2 * time.Second, 32*time.Second + time.Millisecond, 185*time.Second + time.Millisecond, 223*time.Second + time.Millisecond}
		if !slices.Equal(at, want) {
			t.Errorf("counted at %v, want %v", at, want)
		}
	})
}

// TestCensus: sessions are counted soon and at each interval, and a count that
// fails is told as nobody's knowledge.
func TestCensus(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	asked := 0
	var told []map[int32]int64
	c := service.Census{Now: newFakeClock().Now, Process: newFakeClock().Now, Active: census(func(context.Context) (map[int32]int64, error) {
		if asked++; asked == 2 {
			return map[int32]int64{7: 7}, errors.New("away")
		}
		return map[int32]int64{0: int64(asked)}, nil
	}), See: func(active map[int32]int64) {
		if told = append(told, active); len(told) == 3 {
			stop()
		}
	}}
	c.Run(ctx, time.Millisecond)
	if len(told) != 3 || told[0][0] != 1 || told[1] != nil || told[2][0] != 3 {
		t.Errorf("it told %v", told)
	}
}

// TestRefreshIsTold: an act that the storage did not take is none.
func TestRefreshIsTold(t *testing.T) {
	play(t, scene{"recover that cannot be noted", func(t *testing.T, w *world) {
		var told []string
		w.sessions.Refreshed = func(outcome string) { told = append(told, outcome) }
		c := w.logIn(alice)
		w.mustRefresh(c)
		w.clock.advance(time.Hour)
		restore := w.failEvents(model.EventRecover)
		if _, err := w.refresh(c.access, c.Refresh.Value); !errors.Is(err, model.ErrUnavailable) {
			t.Fatalf("refresh: %v", err)
		}
		restore()
		w.mustRefresh(c)
		if len(told) != 2 || told[0] != "rotate" || told[1] != "recover" {
			t.Errorf("it told %q", told)
		}
	}})
}
