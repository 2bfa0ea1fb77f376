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

// remembered is how many sessions BenchmarkRemembered holds.
const remembered = 1_000_000

// anySession is storage in which every session lives.
type anySession struct{ service.SessionStore }

// ByID is a session that was read by its id.
func (anySession) ByID(_ context.Context, id string) (model.Session, error) {
	soon := model.TimeOf(time.Now()).Add(time.Hour)
	return model.Session{
		ID: id, UserID: 1, ProductGroup: "app", DeviceNumber: "device-" + id[:8], Gen: 1, Confirmed: true, IdleUntil: soon, EndsAt: soon,
	}, nil
}

// BenchmarkRemembered is the memory of a million remembered sessions: of each on
// the heap, and of the process that holds them. It runs once.
func BenchmarkRemembered(b *testing.B) {
	if testing.Short() {
		b.Skip("-short")
	}
	live := service.NewLive(time.Now)
	live.Followed(time.Now())
	sessions := &service.Sessions{Store: anySession{}, Live: live, Now: time.Now}
	expires := model.TimeOf(time.Now()).Add(time.Hour)
	before := heap()
	for range remembered {
		id := rand.Text()
		claims := model.Claims{UserID: 1, SessionID: id, Gen: 1, ExpiresAt: expires}
		if result, err := sessions.Check(b.Context(), claims, "device-"+id[:8], service.Caller{}); err != nil || !result.IsLogin {
			b.Fatal(result, err)
		}
	}
	after := heap()
	if held := live.Size(); held < remembered*99/100 {
		b.Fatalf("%d of %d are remembered", held, remembered)
	}
	resident, err := residentMemory()
	if err != nil {
		b.Skip(err)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(after-before)/remembered, "B/session")
	b.ReportMetric(resident/1000, "million-MB")
	runtime.KeepAlive(live)
}

// heap is what lives.
func heap() uint64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

// residentMemory is this process's VmRSS in kB.
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
