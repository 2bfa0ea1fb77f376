package service_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"menshen/model"
	"menshen/service"
)

// logInMemory is a log of ends in memory, which cannot be read while away.
type logInMemory struct {
	events []model.Event
	away   bool
}

func (l *logInMemory) Ends(_ context.Context, since model.Time) ([]model.Event, error) {
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

// TestFollowerAbsence: an end is logged while the log cannot be read. Once it can
// be read again, however long that took, the session's listener is notified, and
// the cache no longer has the session.
func TestFollowerAbsence(t *testing.T) {
	for _, absence := range []time.Duration{time.Second, 2 * service.ShortWindow, 2 * service.LongWindow, service.LongestGap, service.LongestGap + time.Second, 24 * time.Hour, -time.Hour} {
		t.Run(absence.String(), func(t *testing.T) {
			at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
			now := func() time.Time { return at }
			log, live, hub := &logInMemory{}, service.NewSessionCache(now), service.NewHub()
			f := &service.Follower{Log: log, Cache: live, Hub: hub, Now: now, OwnNow: now, OnError: func(error) {}}
			poll := func() error { return f.Poll(t.Context()) }
			if err := poll(); err != nil {
				t.Fatal(err)
			}
			at = at.Add(service.FollowInterval)
			if err := poll(); err != nil {
				t.Fatal(err)
			}
			live.Put(model.Session{ID: "ended", Confirmed: true})
			told, leave := hub.Listen("ended")
			defer leave()

			log.away = true
			log.events = []model.Event{{ID: 7, SessionID: "ended", At: model.TimeOf(at.Add(time.Millisecond))}}
			for range 3 { // the last try is just before the return
				at = at.Add((absence - service.FollowInterval) / 3)
				if poll() == nil {
					t.Fatal("the log was read")
				}
			}
			log.away = false
			at = at.Add(service.FollowInterval)
			if err := poll(); err != nil {
				t.Fatal(err)
			}
			if _, believed := live.Get("ended"); believed {
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
	for _, leap := range []time.Duration{service.LongestGap + time.Second, -service.LongestGap - time.Second} {
		t.Run(leap.String(), func(t *testing.T) {
			at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
			process := func() time.Time { return at }
			ahead := time.Duration(0)
			log, live, hub := &logInMemory{}, service.NewSessionCache(process), service.NewHub()
			f := &service.Follower{
				Log: log, Cache: live, Hub: hub, Now: func() time.Time { return at.Add(ahead) }, OwnNow: process, OnError: func(error) {},
			}
			if err := f.Poll(t.Context()); err != nil {
				t.Fatal(err)
			}
			live.Put(model.Session{ID: "S", Confirmed: true})
			at, ahead = at.Add(service.FollowInterval), leap
			if err := f.Poll(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, believed := live.Get("S"); believed {
				t.Error("the session is still believed to live")
			}
		})
	}
}
