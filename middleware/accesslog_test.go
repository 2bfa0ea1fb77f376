package middleware

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"menshen/model"
)

// hand is a clock that a test turns: one look at it, one step.
type hand struct {
	at   time.Time
	step time.Duration
}

func (h *hand) Now() time.Time                         { h.at = h.at.Add(h.step); return h.at }
func (h *hand) NewTicker(d time.Duration) *time.Ticker { return time.NewTicker(d) }

// jsonLog writes lines as the program does, at the times of the clock.
func jsonLog(to *bytes.Buffer, level zapcore.Level, clock zapcore.Clock) *zap.Logger {
	return zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(LogForm()), zapcore.AddSync(to), level), zap.WithClock(clock))
}

// TestAccessLogLines: a line of success that is put together by hand is the log's
// own line, byte for byte, and nothing else is put together so.
func TestAccessLogLines(t *testing.T) {
	gin.SetMode(gin.ReleaseMode)
	ask := func(t *testing.T, byHand bool, level zapcore.Level, step time.Duration, method, path, peer string) (atOnce, later string) {
		clock := &hand{time.Date(2026, 11, 27, 8, 2, 3, 4_000_000, time.FixedZone("", 8*3600)), step}
		// The log's own clock stands where the request ends: zap asks after us.
		var now, late bytes.Buffer
		end := &hand{at: clock.at.Add(2 * step)}
		log, waiting := jsonLog(&now, level, end), jsonLog(&late, level, end)
		chain := AccessLog(log, waiting, nil, clock.Now)
		if byHand {
			chain = AccessLog(log, waiting, &late, clock.Now)
		}
		engine := gin.New()
		engine.Use(Begin(clock.Now, Addresses{}), chain, (&Envelope{Locale: en, Log: zap.NewNop()}).Render)
		engine.GET("/known/:name", Handle(func(*gin.Context) (any, error) { return nil, nil }))
		engine.HEAD("/known/:name", Handle(func(*gin.Context) (any, error) { return nil, nil }))
		engine.GET("/own", func(c *gin.Context) { c.Status(http.StatusNoContent) })
		engine.GET("/traced", Handle(func(c *gin.Context) (any, error) {
			exchangeOf(c).trace = "0af7651916cd43dd8448eb211c80319c"
			return nil, nil
		}))
		engine.GET("/refused", Handle(func(*gin.Context) (any, error) { return nil, model.ErrCode }))
		engine.GET("/broken", func(c *gin.Context) { _ = c.Error(errors.New("broken")) })
		r := httptest.NewRequest(method, path, nil)
		r.Header.Set("X-Request-Id", "a.b-c_1")
		r.RemoteAddr = peer
		engine.ServeHTTP(httptest.NewRecorder(), r)
		return now.String(), late.String()
	}
	for _, step := range []time.Duration{0, time.Microsecond, 1234 * time.Microsecond, time.Second, 3*time.Second + 120*time.Millisecond} {
		for _, row := range []struct{ method, path string }{
			{"GET", "/known/secret?token=secret"}, {"HEAD", "/known/secret"}, {"GET", "/own"}, {"GET", "/traced"},
		} {
			for _, peer := range []string{"192.0.2.1:80", "[2001:db8::1%eth0]:80", "@", "x\"}\n{\":80"} {
				_, want := ask(t, false, zapcore.InfoLevel, step, row.method, row.path, peer)
				atOnce, got := ask(t, true, zapcore.InfoLevel, step, row.method, row.path, peer)
				if diff := cmp.Diff(want, got); diff != "" || got == "" || atOnce != "" {
					t.Errorf("%s %s from %q: %s%s", row.method, row.path, peer, atOnce, diff)
				}
			}
		}
	}
	for _, path := range []string{"/refused", "/broken", "/nowhere"} {
		if atOnce, later := ask(t, true, zapcore.InfoLevel, 0, "GET", path, "192.0.2.1:80"); later != "" || atOnce == "" {
			t.Errorf("%s: at once %q, later %q", path, atOnce, later)
		}
	}
	if atOnce, later := ask(t, true, zapcore.WarnLevel, 0, "GET", "/own", "192.0.2.1:80"); atOnce != "" || later != "" {
		t.Errorf("level warn: %s%s", atOnce, later)
	}
}
