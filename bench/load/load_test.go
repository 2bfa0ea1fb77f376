package main

import (
	"context"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// serveSlowly answers after a while, and hands over where.
func serveSlowly(t *testing.T, pause time.Duration) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(pause)
		_, _ = io.WriteString(w, `{"data":{"isLogin":true}}`)
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

func TestClosedLoopAsksEachOnce(t *testing.T) {
	requests := [][]byte{get("/a", "x"), get("/b", "x"), get("/c", "x")}
	result, err := once(serveSlowly(t, 0), 2, requests).closed(t.Context())
	if err != nil || result.requests != 3 || result.failures != 0 || result.latency.TotalCount() != 3 {
		t.Errorf("%d answered, %d failed, %v", result.requests, result.failures, err)
	}
}

func TestWrongAnswersAreCounted(t *testing.T) {
	l := once(serveSlowly(t, 0), 1, [][]byte{get("/a", "x"), get("/b", "x")})
	wrong := errors.New("wrong")
	l.answered = func(_ int, _ answer) error { return wrong }
	result, err := l.closed(t.Context())
	if !errors.Is(err, wrong) || result.failures != 2 {
		t.Errorf("%d failed, %v", result.failures, err)
	}
}

// TestOpenLoopChargesForWaiting: one connection to a server that needs 20 ms is
// asked every 5 ms; the last of 20 requests waits for nearly all before it.
func TestOpenLoopChargesForWaiting(t *testing.T) {
	l := checks(serveSlowly(t, 20*time.Millisecond), 1, [][]byte{get("/a", "x")}, 100*time.Millisecond)
	result, err := l.open(t.Context(), 200)
	if err != nil || result.requests != 20 {
		t.Fatalf("%d answered, %v", result.requests, err)
	}
	if last := result.latency.Max(); last < 250_000 {
		t.Errorf("the last answer took %d µs from its time, want at least 250,000", last)
	}
}

func TestLoadEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	l := checks(serveSlowly(t, time.Millisecond), 2, [][]byte{get("/a", "x"), get("/b", "x")}, time.Minute)
	if _, err := l.closed(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestRecordedAnswerIsRepeatable(t *testing.T) {
	same, err := record(t.Context(), serveSlowly(t, 0), get("/a", "x"))
	if err != nil || string(same.Body) != `{"data":{"isLogin":true}}` {
		t.Fatalf("%q, %v", same.Body, err)
	}
	if same.Header.Get("Content-Type") == "" || same.Header.Get("Date") != "" || same.Header.Get("Content-Length") != "" {
		t.Errorf("headers %v", same.Header)
	}
}

func TestMeterReadsThisProcess(t *testing.T) {
	before, err := meter{server: os.Getpid()}.read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); time.Since(began) < 100*time.Millisecond; { //nolint:revive // to use the processor
	}
	after, err := meter{server: os.Getpid()}.read(t.Context())
	if used := after.minus(before).server; err != nil || used <= 0 {
		t.Errorf("used %v, %v", used, err)
	}
}

func TestWorse(t *testing.T) {
	for _, tt := range []struct {
		better    string
		kept, now float64
		want      bool
	}{
		{higher, 1, 0.86, false}, {higher, 1, 0.84, true}, {higher, 1, 2, false},
		{lower, 1, 1.14, false}, {lower, 1, 1.16, true}, {lower, 1, 0.5, false},
	} {
		if got := worse(ratio{tt.kept, tt.better}, ratio{tt.now, tt.better}); got != tt.want {
			t.Errorf("%v: %v", tt, got)
		}
	}
}

func TestParseBenchmarks(t *testing.T) {
	found := parseBenchmarks("goos: linux\nBenchmarkStart-2 \t 1\t 0 ns/op\t 12.5 first-ms\t 32.6 binary-MB\nPASS\n")
	if found["first-ms"] != 12.5 || found["binary-MB"] != 32.6 {
		t.Error(found)
	}
}

// TestDocument keeps what was written by hand, and makes pictures that are XML.
func TestDocument(t *testing.T) {
	path := filepath.Join(t.TempDir(), "performance.md")
	if err := os.WriteFile(path, []byte("by hand\n"+sectionBegin+"\nof yesterday\n"+sectionEnd+"\nby hand too\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := sampleReport()
	if err := r.writeDocument(path); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"by hand\n" + sectionBegin, sectionEnd + "\nby hand too\n", "**0.50** (CPU 2.00)", "10 M devices"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("lacks %q in\n%s", want, text)
		}
	}
	if strings.Contains(string(text), "yesterday") || strings.Contains(string(text), "NaN") {
		t.Errorf("%s", text)
	}
	for _, name := range []string{latencyPlot, sessionsPlot} {
		picture, err := os.ReadFile(filepath.Join(filepath.Dir(path), name))
		if err != nil {
			t.Fatal(err)
		}
		var anything struct{}
		if err := xml.Unmarshal(picture, &anything); err != nil || strings.Contains(string(picture), "NaN") {
			t.Errorf("%s: %v\n%s", name, err, picture)
		}
	}
}

// TestCompare fails for a ratio that became worse, and for no other.
func TestCompare(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ratios.json")
	r := sampleReport()
	if err := r.keep("", path, false); err != nil {
		t.Fatal(err)
	}
	if err := r.keep("", path, true); err != nil {
		t.Error(err)
	}
	r.duels[0].menshen.rates = []float64{40}
	if err := r.keep("", path, true); !errors.Is(err, errWorse) {
		t.Errorf("got %v", err)
	}
	r.duels[0].menshen.failures, r.duels[0].menshen.failure = 1, io.EOF
	if err := r.keep("", path, false); !errors.Is(err, io.EOF) {
		t.Errorf("failures were kept as figures: %v", err)
	}
}

func sampleReport() *report {
	sample := func(rate float64, server time.Duration) tally {
		t := tally{outcome: outcome{requests: 10, latency: newLatency()}, rates: []float64{rate}, usage: usage{server: server}}
		_ = t.latency.RecordValue(1500)
		return t
	}
	r := &report{micro: map[string]float64{"B/session": 250}}
	r.duels = []*duel{{clients: 64, menshen: sample(50, 2*time.Second), bare: sample(100, time.Second), plain: sample(110, time.Second)}}
	for _, rate := range []float64{10, 20} {
		r.steps = append(r.steps, &step{rate: rate, menshen: sample(rate, 1), bare: sample(rate, 1)})
	}
	for _, sessions := range []int{1_000, liveSessions} {
		r.tables = append(r.tables, &table{sessions: sessions, cold: sample(10, time.Second), warm: sample(50, time.Second)})
	}
	r.acts = []*acts{{driver: driverSQLite, code: sample(3, 1e9), login: sample(4, 1e9), refresh: sample(5, 1e9)}}
	return r
}

// TestRatiosAreAllCompared: a committed ratio that was not measured fails, unless its server is
// optional.
func TestRatiosAreAllCompared(t *testing.T) {
	r := report{duels: []*duel{{clients: 64}}}
	for kept, want := range map[string]error{
		`{}`: nil,
		`{"login, mysql, against a bare request: processor time": {"value": 1, "better": "lower"}}`:   nil,
		`{"login, mariadb, against a bare request: processor time": {"value": 1, "better": "lower"}}`: errNotTaken,
	} {
		path := filepath.Join(t.TempDir(), "ratios.json")
		if err := os.WriteFile(path, []byte(kept), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := r.compare(path); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", kept, err, want)
		}
	}
}
