package app

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"menshen/config"
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
				sessions := &service.Sessions{Endings: &service.Endings{Store: oneSession{}, Hub: hub, Now: time.Now}}
				stream, err := sessions.Follow(t.Context(), model.Claims{SessionID: "S", UserID: 7, Gen: 1, ExpiresAt: model.TimeOf(time.Now()).Add(time.Hour)})
				if err != nil {
					t.Fatal(err)
				}
				core, lines := observer.New(zap.WarnLevel)
				s := &server{res: &Resources{Hub: hub}}
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

// listening is a listener that notes when it is closed.
type listening struct {
	net.Listener
	closed time.Time
}

func (l *listening) Close() error {
	l.closed = time.Now()
	return nil
}

// TestDrainWaitsForKeptConnections: a stop refuses new connections at once, asks the
// clients of kept ones to leave, and waits for that while they send requests, not longer
// than its bound: a kept connection that the server closes may have one on its way.
func TestDrainWaitsForKeptConnections(t *testing.T) {
	for name, tt := range map[string]struct{ leaves, busy, want time.Duration }{
		"it leaves":           {98 * time.Millisecond, 0, 100 * time.Millisecond},
		"it stays":            {time.Minute, time.Millisecond, 5*time.Millisecond + quietTime},
		"it stays for a bit":  {time.Minute, 602 * time.Millisecond, 605*time.Millisecond + quietTime},
		"it leaves when busy": {802 * time.Millisecond, 402 * time.Millisecond, 805 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &server{App: &App{Config: &config.Config{}}, res: &Resources{Hub: service.NewHub()}}
				s.log.Store(zap.NewNop())
				kept := s.newHTTPServer(http.NotFoundHandler())
				answered := func() string {
					w := httptest.NewRecorder()
					kept.Handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
					return w.Header().Get("Connection")
				}
				kept.ConnState(nil, http.StateNew)
				stream := s.newHTTPServer(http.NotFoundHandler()) // is waited for elsewhere
				stream.ConnState(nil, http.StateNew)
				stream.ConnState(nil, http.StateHijacked)
				if got := answered(); got != "" {
					t.Errorf("before the stop: Connection: %s", got)
				}
				s.stopping.Store(true)
				if got := answered(); got != "close" {
					t.Errorf("during the stop: Connection: %s", got)
				}
				asked := time.AfterFunc(tt.busy/2, func() { answered() })
				defer asked.Stop()
				again := time.AfterFunc(tt.busy, func() { answered() })
				defer again.Stop()
				left := time.AfterFunc(tt.leaves, func() { kept.ConnState(nil, http.StateClosed) })
				defer left.Stop()
				listener, began := &listening{}, time.Now()
				s.drain(t.Context(), map[*http.Server]net.Listener{kept: listener})
				if took := time.Since(began); took != tt.want || !listener.closed.Equal(began) {
					t.Errorf("stopped after %v, the listener closed after %v", took, listener.closed.Sub(began))
				}
			})
		})
	}
}
