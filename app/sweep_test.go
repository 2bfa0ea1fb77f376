package app

import (
	"io"
	"os"
	"testing"
	"time"

	"go.uber.org/zap"

	"menshen/model"
	"menshen/telemetry"
)

// TestSweepCaches: what has expired leaves the cache of tokens of the configuration in
// force, also after a reload, and idle keys leave the limits.
func TestSweepCaches(t *testing.T) {
	defaults, err := os.ReadFile("../config.yaml")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	a, err := New(Process{
		Environ: []string{"MENSHEN_DATA_DIR=" + t.TempDir()}, Out: io.Discard, Now: func() time.Time { return now }, Version: "test", Defaults: defaults,
	}, "")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{App: a, out: telemetry.NewLogWriter(io.Discard)}
	s.log.Store(zap.NewNop())
	if s.res, err = a.Open(t.Context(), s.log.Load); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.res.Close(t.Context()) })
	for range 2 { // the start and a reload
		if err := s.apply(a.Config); err != nil {
			t.Fatal(err)
		}
		for _, after := range []time.Duration{0, time.Minute} {
			now = now.Add(after)
			tokens := s.res.sessions.Load().Tokens
			_, err = tokens.Sign(model.Claims{
				UserID: 1, SessionID: "S", TokenID: "T", CompanyType: 1, ProductType: 1,
				IssuedAt: model.TimeOf(now), ExpiresAt: model.TimeOf(now.Add(time.Minute)),
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := s.sweepCaches(t.Context()); err != nil || tokens.Cache.Size() != 1 {
				t.Errorf("error %v, %d tokens in the cache, want the newest", err, tokens.Cache.Size())
			}
		}
	}
}
