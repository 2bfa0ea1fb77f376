package telemetry

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"

	"menshen/config"
)

// canary is what a collector answers and no line may quote.
const canary = "whsec_canary0123456789"

// raw answers every connection with a text that need not be HTTP.
func raw(t *testing.T, text string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				_, _ = conn.Read(make([]byte, 64<<10))
				_, _ = io.WriteString(conn, text)
				_ = conn.(*net.TCPConn).CloseWrite()
				_, _ = io.Copy(io.Discard, conn) // a client whose request is cut off reads no answer
				_ = conn.Close()
			})
		}
	})
	t.Cleanup(func() { _ = listener.Close(); all.Wait() })
	return "http://" + listener.Addr().String()
}

// selfSigned is a server whose certificate has signed itself and names canary.
func selfSigned(t *testing.T, certificate *x509.Certificate) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	certificate.SerialNumber, certificate.Subject.CommonName = big.NewInt(1), canary
	der, err := x509.CreateCertificate(rand.Reader, certificate, certificate, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(nil)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.TLS = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.URL
}

// TestCollectors: whatever a collector answers, or does not, a span is made at once, the
// stop is bounded, one line reports the loss in the program's own words, and it quotes
// nothing.
func TestCollectors(t *testing.T) {
	partial, err := proto.Marshal(&collector.ExportTraceServiceResponse{
		PartialSuccess: &collector.ExportTracePartialSuccess{RejectedSpans: 1, ErrorMessage: canary},
	})
	if err != nil {
		t.Fatal(err)
	}
	answer := func(status int, header, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", header)
			w.Header().Set("Retry-After", canary)
			w.Header().Set("Location", "http://127.0.0.1:1/"+canary)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	const form = "application/x-protobuf"
	loopback, tomorrow := []net.IP{net.IPv4(127, 0, 0, 1)}, time.Now().Add(24*time.Hour)
	stall := func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}
	for name, row := range map[string]struct {
		handler http.HandlerFunc
		raw     string
		trust   *x509.Certificate // of a collector with TLS, signed by itself
		want    string            // "": nothing is lost
	}{
		"takes them":           {handler: answer(200, form, "")},
		"stalls":               {handler: stall, want: "no answer in time"},
		"stalls in the answer": {handler: func(w http.ResponseWriter, r *http.Request) { w.(http.Flusher).Flush(); stall(w, r) }, want: "no answer in time"},
		"floods": {handler: func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := io.WriteString(w, strings.Repeat(canary, 1024)); err != nil {
					return
				}
			}
		}, want: "none of OTLP"},
		"10 MB":         {handler: answer(200, form, strings.Repeat(canary, 10<<20/len(canary))), want: "none of OTLP"},
		"10 MB refused": {handler: answer(400, form, strings.Repeat(canary, 10<<20/len(canary))), want: "status 400"},
		"echoes": {handler: func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusUnauthorized)
			_ = r.Header.Write(w)
			_, _ = io.Copy(w, r.Body)
		}, want: "status 401"},
		"closes": {handler: func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			panic(http.ErrAbortHandler)
		}, want: "connection closed"},
		"closes in the answer": {handler: func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, canary)
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}, want: "connection closed"},
		"unknown authority": {trust: &x509.Certificate{IPAddresses: loopback, NotAfter: tomorrow}, want: "unknown authority"},
		"expired":           {trust: &x509.Certificate{IPAddresses: loopback}, want: "has expired"},
		"another host":      {trust: &x509.Certificate{DNSNames: []string{canary}, NotAfter: tomorrow}, want: "for another host"},

		"unavailable":      {handler: answer(503, form, canary), want: "status 503"},
		"redirects":        {handler: answer(307, form, canary), want: "status 307"},
		"JSON":             {handler: answer(200, "application/json", `{"`+canary+`":`+canary), want: "none of OTLP"},
		"takes a part":     {handler: answer(200, form, string(partial)), want: "or not all spans were taken"},
		"no HTTP":          {raw: canary + "\r\n\r\n", want: "none of OTLP"},
		"ill status":       {raw: "HTTP/1.1 " + canary + " x\r\n\r\n", want: "none of OTLP"},
		"ill header":       {raw: "HTTP/1.1 200 OK\r\n" + canary + "\r\n\r\n", want: "none of OTLP"},
		"phrase":           {raw: "HTTP/1.1 500 " + canary + "\r\nContent-Length: 0\r\n\r\n", want: "status 500"},
		"10 MB of headers": {raw: "HTTP/1.1 200 OK\r\nX: " + strings.Repeat(canary, 10<<20/len(canary)) + "\r\n\r\n", want: "none of OTLP"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := ""
			switch {
			case row.trust != nil:
				url = selfSigned(t, row.trust)
			case row.handler == nil:
				url = raw(t, row.raw)
			default:
				server := httptest.NewServer(row.handler)
				t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
				url = server.URL
			}
			testCollector(t, url, row.want)
		})
	}
}

// TestMalformedEnvironment: what OpenTelemetry cannot read of its environment is reported
// in the log and not quoted, neither there nor on the standard error.
func TestMalformedEnvironment(t *testing.T) {
	stderr := filepath.Join(t.TempDir(), "stderr")
	file, err := os.Create(stderr)
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	const inside = "MENSHEN_TEST_MALFORMED"
	if os.Getenv(inside) == "" { // the loggers keep the standard error of their process
		again := exec.CommandContext(t.Context(), program, "-test.run=^TestMalformedEnvironment$", "-test.v")
		again.Stderr = file
		again.Env = append(os.Environ(), inside+"=1", "OTEL_EXPORTER_OTLP_HEADERS=authorization "+canary+",a=%zz"+canary,
			"OTEL_EXPORTER_OTLP_TIMEOUT="+canary, "OTEL_EXPORTER_OTLP_CERTIFICATE=/"+canary, "OTEL_TRACES_SAMPLER="+canary,
			"OTEL_BSP_SCHEDULE_DELAY="+canary, "OTEL_EXPORTER_OTLP_ENDPOINT=http://%zz"+canary)
		lines, err := again.Output()
		_ = file.Close()
		written, _ := os.ReadFile(stderr)
		for _, doing := range []string{"parse headers", "escape header value", "read tls ca cert file", "parse url"} {
			if !strings.Contains(string(lines), `"error":"OpenTelemetry: `+doing+`"`) {
				t.Errorf("not reported: %s", doing)
			}
		}
		if err != nil || bytes.Contains(lines, []byte("canary")) || len(written) > 0 {
			t.Errorf("error %v, output %s, standard error %s", err, lines, written)
		}
		return
	}
	log := NewLogger(config.Log{Level: "info", Format: "json"}, os.Stdout)
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	tracing, err := OpenTracing(t.Context(), config.Tracing{Endpoint: server.URL, Ratio: 1}, "dev", func() *zap.Logger { return log })
	if err != nil {
		t.Fatal(err)
	}
	_, span := tracing.Tracer().Start(t.Context(), "span")
	span.End()
	tracing.Close(context.WithoutCancel(t.Context()))
	otel.Handle(errors.New(canary))
}

func testCollector(t *testing.T, url, want string) {
	var text lockedBuffer
	log := NewLogger(config.Log{Level: "info", Format: "json"}, &text)
	tracing, err := OpenTracing(t.Context(), config.Tracing{Endpoint: url, Ratio: 1}, "dev", func() *zap.Logger { return log })
	if err != nil {
		t.Fatal(err)
	}
	for range 3000 { // more than are queued
		_, span := tracing.Tracer().Start(t.Context(), canary)
		span.End()
	}
	begin := time.Now()
	tracing.Close(context.WithoutCancel(t.Context()))
	if took := time.Since(begin); took > 10*time.Second { // 2 s, on a slow machine
		t.Errorf("the stop took %s", took)
	}
	lines := text.String()
	for want != "" && lines == "" && time.Since(begin) < 20*time.Second { // the last export may end after Close
		time.Sleep(10 * time.Millisecond)
		lines = text.String()
	}
	if strings.Contains(lines, "canary") || len(lines) > 4<<10 || strings.Count(lines, "\n") > 1 {
		t.Errorf("the log has %.500s", lines)
	}
	if want == "" {
		return
	}
	if !strings.Contains(lines, "traces are lost") || !strings.Contains(lines, want) {
		t.Errorf("want %s, the log has %s", want, lines)
	}
}

// lockedBuffer is a buffer for several goroutines.
type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(text []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(text)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return fmt.Sprint(b.text.String())
}
