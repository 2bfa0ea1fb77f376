package middleware

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"menshen/model"
)

// manualClock advances only when the test advances it.
type manualClock struct{ ns atomic.Int64 }

func (s *manualClock) now() time.Time          { return time.Unix(1767323045, 678e6+s.ns.Load()) }
func (s *manualClock) advance(d time.Duration) { s.ns.Add(int64(d)) }

// wantRefusal checks a refusal and returns its Retry-After.
func wantRefusal(t *testing.T, err error) time.Duration {
	t.Helper()
	if !errors.Is(err, model.ErrTooMany) {
		t.Fatalf("error %v, want a refusal", err)
	}
	return time.Duration(model.AsFailure(err).RetryAfter()) * time.Second
}

// TestLimiterRetryAfterIsExact: the whole limit passes at once. Then Retry-After is
// exact to the second, however many requests passed or were refused before.
func TestLimiterRetryAfterIsExact(t *testing.T) {
	for _, perMinute := range []int{1, 2, 7, 59, 60, 61, 120, 1200} {
		t.Run(fmt.Sprint(perMinute), func(t *testing.T) {
			clock := &manualClock{}
			limiter := NewLimiter(perMinute, clock.now)
			for i := range perMinute {
				if err := limiter.Take("a"); err != nil {
					t.Fatalf("request %d: %v", i+1, err)
				}
			}
			for range 30 {
				wait := wantRefusal(t, limiter.Take("a"))
				if wait > time.Second {
					clock.advance(wait - time.Second)
					if left := wantRefusal(t, limiter.Take("a")); left != time.Second {
						t.Errorf("a second before its end the wait is %s", left)
					}
					wait = time.Second
				}
				clock.advance(wait)
				if err := limiter.Take("a"); err != nil {
					t.Fatalf("after the wait: %v", err)
				}
				for range 1_000 { // a second may have freed more than one
					if limiter.Take("a") != nil {
						break
					}
				}
			}
			if err := limiter.Take("b"); err != nil {
				t.Errorf("another key: %v", err)
			}
		})
	}
}

// TestLimiterDoesNotCountRefusals: of concurrent requests exactly as many pass as the
// limit allows, and refused requests do not count against later ones.
func TestLimiterDoesNotCountRefusals(t *testing.T) {
	clock := &manualClock{}
	limiter := NewLimiter(10, clock.now)
	for round := range 200 {
		var passed atomic.Int32
		var all sync.WaitGroup
		for range 64 {
			all.Go(func() {
				if limiter.Take("a") == nil {
					passed.Add(1)
				}
			})
		}
		all.Wait()
		want := int32(1)
		if round == 0 {
			want = 10
		}
		if passed.Load() != want {
			t.Fatalf("round %d: %d passed, want %d", round, passed.Load(), want)
		}
		clock.advance(6 * time.Second)
	}
}

// TestLimiterSweep: a sweep removes the buckets that are full, and no others.
func TestLimiterSweep(t *testing.T) {
	clock := &manualClock{}
	limiter := NewLimiter(60, clock.now)
	for range 60 {
		if err := limiter.Take("busy"); err != nil {
			t.Fatal(err)
		}
	}
	if err := limiter.Take("idle"); err != nil {
		t.Fatal(err)
	}
	left := func() int {
		limiter.Sweep()
		limiter.buckets.CleanUp()
		return limiter.buckets.EstimatedSize()
	}
	for _, step := range []struct {
		after time.Duration
		left  int
	}{{0, 2}, {time.Second, 1}, {58 * time.Second, 1}, {time.Second, 0}} {
		clock.advance(step.after)
		if got := left(); got != step.left {
			t.Errorf("%d buckets after another %s, want %d", got, step.after, step.left)
		}
		if step.after == 0 {
			wantRefusal(t, limiter.Take("busy"))
		}
	}
}

func TestLimiterOff(t *testing.T) {
	for _, limiter := range []*Limiter{nil, NewLimiter(0, time.Now)} {
		for range 5000 {
			if err := limiter.Take("a"); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestLimiterByAddress: IPv6 counts by /64, and a client cannot choose its address by
// a header.
func TestLimiterByAddress(t *testing.T) {
	addresses, err := NewAddresses([]string{"10.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	clock := &manualClock{}
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	envelope := &Envelope{Locale: "en"}
	engine.Use(Begin(clock.now, addresses), envelope.Render)
	engine.GET("/", NewLimiter(2, clock.now).ByAddress, Handle(func(*gin.Context) (any, error) { return nil, nil }))
	from := 0
	for _, row := range []struct {
		peer, forwarded string
		same            bool // address as the row before
	}{
		{"192.0.2.1:1", "", false},
		{"192.0.2.1:2", "198.51.100.7", true}, // not from a proxy
		{"192.0.2.1:3", "198.51.100.8", true},
		{"[2001:db8:1:2::1]:1", "", false},
		{"[2001:db8:1:2:ffff::9]:1", "", true},
		{"[2001:db8:1:2::3]:1", "198.51.100.9", true},
		{"[2001:db8:1:3::1]:1", "", false},
		{"10.0.0.1:1", "203.0.113.1", false},
		{"10.0.0.1:1", "198.51.100.7, 203.0.113.1", true}, // the right-most hop
		{"10.0.0.1:1", "203.0.113.1, 10.0.0.1", true},     // that is not trusted
	} {
		if from++; !row.same {
			from = 1
		}
		request := httptest.NewRequest(http.MethodGet, "/", nil)
		request.RemoteAddr = row.peer
		for _, name := range []string{"X-Real-Ip", "Forwarded", "Cf-Connecting-Ip", "X-Client-Ip", "True-Client-Ip"} {
			request.Header.Set(name, fmt.Sprintf("198.51.100.%d", from))
		}
		if row.forwarded != "" {
			request.Header.Set("X-Forwarded-For", row.forwarded)
		}
		answer := httptest.NewRecorder()
		engine.ServeHTTP(answer, request)
		want := http.StatusOK
		if from > 2 {
			want = http.StatusTooManyRequests
		}
		if answer.Code != want || (want == http.StatusTooManyRequests) != (answer.Header().Get("Retry-After") == "30") {
			t.Errorf("%s, %q: status %d, Retry-After %q", row.peer, row.forwarded, answer.Code, answer.Header().Get("Retry-After"))
		}
	}
}
