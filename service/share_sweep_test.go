package service

import (
	"crypto/sha256"
	"testing"
	"time"

	"menshen/model"
	"menshen/service/token"
)

// TestSweepCaches: the hash of a session stays while its client comes back in time, and
// leaves the cache after that.
func TestSweepCaches(t *testing.T) {
	live, clock, _, _ := liveScene()
	s := &Sessions{
		Endings: &Endings{Cache: live, Now: clock.Now}, Tokens: &token.Issuer{Cache: token.NewCache()}, AccessTTL: time.Hour, Hashes: NewRefreshHashes(),
	}
	kept := func() int {
		s.SweepCaches()
		s.Hashes.bySession.CleanUp()
		return s.Hashes.bySession.EstimatedSize()
	}
	s.Hashes.put("idle", [sha256.Size]byte{}, model.TimeOf(clock.Now()))
	s.Hashes.put("busy", [sha256.Size]byte{7}, model.TimeOf(clock.Now()))
	for range 3 {
		clock.Advance(time.Hour)
		hash, known := s.Hashes.get("busy")
		if !known || hash != [sha256.Size]byte{7} {
			t.Fatal("a client that comes back in time is forgotten")
		}
		s.Hashes.put("busy", hash, model.TimeOf(clock.Now()))
	}
	if got := kept(); got != 1 {
		t.Errorf("%d hashes, want that of the client that came back", got)
	}
	clock.Advance(time.Hour + time.Minute + time.Millisecond)
	if got := kept(); got != 0 {
		t.Errorf("%d hashes after the client has left", got)
	}
}
