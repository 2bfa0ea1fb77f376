package app

import (
	"testing"
	"time"

	"menshen/model"
	"menshen/repository"
	"menshen/repository/dbtest"
)

// TestClock: a step of this machine's clock is none of the deployment's, unless that is
// SQLite; what the deployment has seen stays, also when the machine slept.
func TestClock(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		isOwn := db.Driver() == repository.SQLite
		begin := time.Now()
		var set, slept time.Duration
		clock := NewClock(db,
			func() time.Time { return time.Now().Add(set) },
			func() time.Time { return begin.Add(time.Since(begin) - slept) },
		)
		measure := func() {
			t.Helper()
			if err := clock.measure(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		off := func(at time.Time) time.Duration { return time.Until(at).Round(10 * time.Second) }
		want := func(when string, now, latest time.Duration) {
			t.Helper()
			if got := off(clock.Now()); got != now {
				t.Errorf("%s: the clock is off by %s, want %s", when, got, now)
			}
			if got := off(clock.Latest()); got != latest {
				t.Errorf("%s: the newest time is off by %s, want %s", when, got, latest)
			}
		}
		measure()
		want("at the start", 0, 0)
		const day = 24 * time.Hour
		for _, step := range []time.Duration{-day, -30 * time.Second} {
			set = step
			if isOwn {
				want("set back", step, 0)
			} else {
				want("set back", 0, 0)
			}
			measure()
			set = 0
			if got := off(clock.Now()); got != 0 {
				t.Errorf("and right again: the clock is off by %s", got)
			}
			measure()
			want("and measured", 0, 0)
		}
		slept = time.Hour // the machine's clock has gone on
		if !isOwn {
			want("after a sleep", -slept, 0)
		}
		measure()
		want("measured after a sleep", 0, 0)
		clock.Saw(model.TimeOf(time.Now().Add(day)))
		clock.Saw(model.TimeOf(time.Now()))
		want("with an event of tomorrow", 0, day)
	})
}
