package middleware

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"menshen/config"
	"menshen/model"
	"menshen/telemetry"
)

// ownID is the id of a request, where no proxy chose it.
var ownID = regexp.MustCompile(`"requestId":"[A-Z2-7]{26}"`)

// stepClock advances by one step each time it is read.
type stepClock struct {
	at   time.Time
	step time.Duration
}

func (h *stepClock) Now() time.Time                         { h.at = h.at.Add(h.step); return h.at }
func (h *stepClock) NewTicker(d time.Duration) *time.Ticker { return time.NewTicker(d) }

// jsonLog is a JSON log of the program with the times of the clock.
func jsonLog(to *bytes.Buffer, level zapcore.Level, clock zapcore.Clock) *zap.Logger {
	return zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(telemetry.LogForm()), zapcore.AddSync(to), level), zap.WithClock(clock))
}

// TestAccessLogLines: the JSON line of a success, which is written without zap,
// equals zap's line byte for byte; the line of a failure is not buffered.
func TestAccessLogLines(t *testing.T) {
	synctest.Test(t, testAccessLogLines) // time stands still, so that the buffer is not flushed
}

func testAccessLogLines(t *testing.T) {
	gin.SetMode(gin.ReleaseMode)
	get := func(t *testing.T, byZap bool, level string, step time.Duration, method, path, peer string) (atOnce, later string) {
		clock := &stepClock{time.Date(2026, 11, 27, 8, 2, 3, 4_000_000, time.FixedZone("", 8*3600)), step}
		var text bytes.Buffer
		out := telemetry.NewLogWriter(&text)
		log := telemetry.NewAccessLog(config.Log{Level: level, Format: "json"}, out)
		if byZap { // zap's clock stands where the request ends
			end := &stepClock{at: clock.at.Add(2 * step)}
			log = telemetry.NewPlainAccessLog(jsonLog(&text, zapcore.InfoLevel, end))
		}
		engine := gin.New()
		proxies, err := NewAddresses([]string{"192.0.2.1"})
		if err != nil {
			t.Fatal(err)
		}
		engine.Use(Begin(clock.Now, proxies), AccessLog(log, clock.Now), (&Envelope{Locale: en, Log: zap.NewNop()}).Render)
		engine.GET("/known/:name", Handle(func(*gin.Context) (any, error) { return nil, nil }))
		engine.HEAD("/known/:name", Handle(func(*gin.Context) (any, error) { return nil, nil }))
		engine.GET("/own", func(c *gin.Context) { c.Status(http.StatusNoContent) })
		engine.GET("/traced", Handle(func(c *gin.Context) (any, error) {
			exchangeOf(c).trace = "0af7651916cd43dd8448eb211c80319c"
			return nil, nil
		}))
		engine.GET("/keyed", Handle(func(c *gin.Context) (any, error) {
			exchangeOf(c).Key.Name = `the "desk" 前台`
			return nil, nil
		}))
		engine.GET("/refused", Handle(func(*gin.Context) (any, error) { return nil, model.ErrCode }))
		engine.GET("/broken", func(c *gin.Context) { _ = c.Error(errors.New("broken")) })
		r := httptest.NewRequest(method, path, nil)
		r.Header.Set("X-Request-Id", "a.b-c_1")
		r.RemoteAddr = peer
		engine.ServeHTTP(httptest.NewRecorder(), r)
		synctest.Wait() // for the goroutine that writes
		atOnce = text.String()
		out.Flush()
		return atOnce, text.String()[len(atOnce):]
	}
	for _, step := range []time.Duration{0, time.Microsecond, 1234 * time.Microsecond, time.Second, 3*time.Second + 120*time.Millisecond} {
		for _, row := range []struct{ method, path string }{
			{"GET", "/known/secret?token=secret"}, {"HEAD", "/known/secret"}, {"GET", "/own"}, {"GET", "/traced"},
		} {
			for _, peer := range []string{"192.0.2.1:80", "[2001:db8::1%eth0]:80", "@", "x\"}\n{\":80"} {
				want, _ := get(t, true, "info", step, row.method, row.path, peer)
				atOnce, got := get(t, false, "info", step, row.method, row.path, peer)
				if trusted := strings.HasPrefix(peer, "192.0.2.1:"); strings.Contains(got, `"requestId":"a.b-c_1"`) != trusted || strings.Contains(got, `"clientRequestId":"a.b-c_1"`) == trusted {
					t.Errorf("from %q: %s", peer, got)
				}
				want, got = ownID.ReplaceAllString(want, ""), ownID.ReplaceAllString(got, "")
				if diff := cmp.Diff(want, got); diff != "" || got == "" || atOnce != "" {
					t.Errorf("%s %s from %q: %s%s", row.method, row.path, peer, atOnce, diff)
				}
			}
		}
	}
	if _, got := get(t, false, "info", 0, "GET", "/keyed", "192.0.2.1:80"); !strings.Contains(got, `"route":"/keyed","status":200,"code":0,`) || !strings.Contains(got, `,"actor":"the \"desk\" 前台"}`) {
		t.Errorf("with an operator's key: %s", got)
	}
	for _, path := range []string{"/refused", "/broken", "/nowhere"} {
		if atOnce, later := get(t, false, "info", 0, "GET", path, "192.0.2.1:80"); later != "" || atOnce == "" {
			t.Errorf("%s: at once %q, later %q", path, atOnce, later)
		}
	}
	if atOnce, later := get(t, false, "warn", 0, "GET", "/own", "192.0.2.1:80"); atOnce != "" || later != "" {
		t.Errorf("level warn: %s%s", atOnce, later)
	}
}
