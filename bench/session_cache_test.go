package bench

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"menshen/model"
	"menshen/service"
)

// cachedSessions is how many sessions BenchmarkSessionCache holds.
const cachedSessions = 1_000_000

// anySession is storage in which every session is active.
type anySession struct{ service.SessionStore }

// ByID returns an active session with the id.
func (anySession) ByID(_ context.Context, id string) (model.Session, error) {
	soon := model.TimeOf(time.Now()).Add(time.Hour)
	return model.Session{
		ID: id, UserID: 1, ProductGroup: "app", DeviceNumber: "device-" + id[:8], Gen: 1, Confirmed: true, IdleUntil: soon, EndsAt: soon,
	}, nil
}

// BenchmarkSessionCache measures the memory of a million cached sessions: of each on
// the heap, and of the process that holds them. It runs once.
func BenchmarkSessionCache(b *testing.B) {
	if testing.Short() {
		b.Skip("-short")
	}
	cache := service.NewSessionCache(time.Now)
	cache.Followed(time.Now())
	sessions := &service.Sessions{Endings: &service.Endings{Store: anySession{}, Cache: cache, Now: time.Now}}
	expires := model.TimeOf(time.Now()).Add(time.Hour)
	before := heap()
	for range cachedSessions {
		id := rand.Text()
		claims := model.Claims{UserID: 1, SessionID: id, Gen: 1, ExpiresAt: expires}
		if result, err := sessions.Check(b.Context(), claims, "device-"+id[:8], model.Caller{}); err != nil || !result.IsLogin {
			b.Fatal(result, err)
		}
	}
	after := heap()
	if held := cache.Size(); held < cachedSessions*99/100 {
		b.Fatalf("%d of %d are in the cache", held, cachedSessions)
	}
	resident, err := residentMemory()
	if err != nil {
		b.Skip(err)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(after-before)/cachedSessions, "B/session")
	b.ReportMetric(resident/1000, "million-MB")
	runtime.KeepAlive(cache)
}

// heap returns the bytes of live objects, after a collection.
func heap() uint64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

// residentMemory returns this process's VmRSS in kB.
func residentMemory() (kilobytes float64, err error) {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	return statusLine(string(text), "VmRSS")
}

func statusLine(text, name string) (value float64, err error) {
	for line := range strings.Lines(text) {
		if _, err = fmt.Sscanf(line, name+": %f kB", &value); err == nil {
			return value, nil
		}
	}
	return 0, fmt.Errorf("no %s", name)
}
