package main

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"menshen/model"
	"menshen/service"
)

// oneSession is a store with one session, which lives.
type oneSession struct{ service.SessionStore }

func (oneSession) ByID(_ context.Context, id string) (model.Session, error) {
	end := model.TimeOf(time.Now()).Add(time.Hour)
	return model.Session{ID: id, UserID: 7, Gen: 1, Confirmed: true, IdleUntil: end, EndsAt: end}, nil
}

// TestDrainWaitsForStreams: a stop waits for the streams, which the servers know
// nothing of, and not longer than its bound.
func TestDrainWaitsForStreams(t *testing.T) {
	for name, tt := range map[string]struct {
		leaves time.Duration // after the stop
		want   time.Duration
		lines  int
	}{
		"it leaves":   {time.Second, time.Second, 0},
		"it is stuck": {time.Minute, drainTime, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hub := service.NewHub()
				sessions := &service.Sessions{Store: oneSession{}, Hub: hub, Now: time.Now}
				stream, err := sessions.Follow(t.Context(), model.Claims{SessionID: "S", UserID: 7, Gen: 1, ExpiresAt: model.TimeOf(time.Now()).Add(time.Hour)})
				if err != nil {
					t.Fatal(err)
				}
				core, lines := observer.New(zap.WarnLevel)
				s := &server{res: &resources{hub: hub}}
				s.log.Store(zap.New(core))
				left := time.AfterFunc(tt.leaves, stream.Leave)
				defer left.Stop()
				began := time.Now()
				s.drain(t.Context(), nil)
				if took := time.Since(began); took != tt.want || lines.FilterMessage("streams cut off").Len() != tt.lines {
					t.Errorf("stopped after %v with the lines %v", took, lines.All())
				}
			})
		})
	}
}
