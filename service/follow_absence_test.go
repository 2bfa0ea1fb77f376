package service

import (
	"context"
	"errors"
	"testing"
	"time"

	"menshen/model"
)

// ends is a log in memory; away it cannot be read.
type ends struct {
	events []model.Event
	away   bool
}

func (l *ends) Ends(_ context.Context, since model.Time) ([]model.Event, error) {
	var found []model.Event
	for _, e := range l.events {
		if e.At > since {
			found = append(found, e)
		}
	}
	if l.away {
		return nil, errors.New("away")
	}
	return found, nil
}

// TestFollowerAbsence: an end that was logged while the log could not be read is
// told after its return, however long that took, and believed by no cache.
func TestFollowerAbsence(t *testing.T) {
	for _, absence := range []time.Duration{time.Second, 2 * shortWindow, 2 * longWindow, longestGap, longestGap + time.Second, 24 * time.Hour, -time.Hour} {
		t.Run(absence.String(), func(t *testing.T) {
			at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
			now := func() time.Time { return at }
			log, live, hub := &ends{}, NewLive(now), NewHub()
			f := &Follower{Log: log, Live: live, Hub: hub, Now: now, Process: now, Report: func(error) {}}
			poll := func() error { return f.Poll(t.Context()) }
			if err := poll(); err != nil {
				t.Fatal(err)
			}
			at = at.Add(FollowEvery)
			if err := poll(); err != nil {
				t.Fatal(err)
			}
			live.keep(model.Session{ID: "ended", Confirmed: true})
			told, leave := hub.listen("ended")
			defer leave()

			log.away = true
			log.events = []model.Event{{ID: 7, SessionID: "ended", At: model.TimeOf(at.Add(time.Millisecond))}}
			for range 3 { // the last try is just before the return
				at = at.Add((absence - FollowEvery) / 3)
				if poll() == nil {
					t.Fatal("the log was read")
				}
			}
			log.away = false
			at = at.Add(FollowEvery)
			if err := poll(); err != nil {
				t.Fatal(err)
			}
			if _, believed := live.find("ended"); believed {
				t.Error("the session is still believed to live")
			}
			select {
			case <-told:
			default:
				t.Error("the listener was not told")
			}
		})
	}
}

// TestFollowerClockLeaps: when the database's clock leaps, what was logged before
// lies outside of every window. Nothing that was remembered is believed any more.
func TestFollowerClockLeaps(t *testing.T) {
	for _, leap := range []time.Duration{longestGap + time.Second, -longestGap - time.Second} {
		t.Run(leap.String(), func(t *testing.T) {
			at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
			process := func() time.Time { return at }
			ahead := time.Duration(0)
			log, live, hub := &ends{}, NewLive(process), NewHub()
			f := &Follower{
				Log: log, Live: live, Hub: hub, Now: func() time.Time { return at.Add(ahead) }, Process: process, Report: func(error) {},
			}
			if err := f.Poll(t.Context()); err != nil {
				t.Fatal(err)
			}
			live.keep(model.Session{ID: "S", Confirmed: true})
			at, ahead = at.Add(FollowEvery), leap
			if err := f.Poll(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, believed := live.find("S"); believed {
				t.Error("the session is still believed to live")
			}
		})
	}
}
