package challenge

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"menshen/model"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	testSecret = model.Secret("0x4hush-secret")
	testToken  = model.Secret("token-hush")
)

type outcome int

const (
	passed outcome = iota
	failed
	unknown
)

// verify asks a server for a verdict and compares what is made of it.
func verify(t *testing.T, address string, token model.Secret, want outcome) error {
	t.Helper()
	turnstile, err := NewTurnstile(address, testSecret)
	if err != nil {
		t.Fatal(err)
	}
	defer turnstile.transport.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	err = turnstile.Verify(ctx, token, "192.0.2.1")
	got := unknown
	switch {
	case err == nil:
		got = passed
	case errors.Is(err, model.ErrChallengeFailed):
		got = failed
	}
	if got != want {
		t.Errorf("outcome %d, want %d (error: %v)", got, want, err)
	}
	if err != nil && (strings.Contains(err.Error(), "hush") || strings.Contains(err.Error(), "127.0.0.1") || len(err.Error()) > 200) {
		t.Errorf("the error shows too much: %v", err)
	}
	return err
}

func TestTurnstileVerdicts(t *testing.T) {
	for _, row := range []struct {
		name   string
		status int
		body   string
		want   outcome
	}{
		{"success", 200, `{"success":true,"challenge_ts":"2026-01-02T03:04:05Z","hostname":"a.example","error-codes":[],"action":"","cdata":""}`, passed},
		{"wrong", 200, `{"success":false,"error-codes":["invalid-input-response"]}`, failed},
		{"spent", 200, `{"success":false,"error-codes":["timeout-or-duplicate"],"messages":[]}`, failed},
		{"missing, in the vendor's eyes", 200, `{"success":false,"error-codes":["missing-input-response"]}`, failed},
		{"wrong with status 400", 400, `{"success":false,"error-codes":["invalid-input-response"]}`, failed},
		{"no without a reason", 200, `{"success":false,"error-codes":[]}`, failed},
		{"our secret is wrong", 200, `{"success":false,"error-codes":["invalid-input-secret"]}`, unknown},
		{"our secret is wrong and so is the token", 200, `{"success":false,"error-codes":["invalid-input-response","invalid-input-secret"]}`, unknown},
		{"our request is bad", 400, `{"success":false,"error-codes":["bad-request"]}`, unknown},
		{"the vendor is ill", 200, `{"success":false,"error-codes":["internal-error"]}`, unknown},
		{"a reason that echoes", 200, `{"success":false,"error-codes":["` + strings.Repeat("x", 5000) + `"]}`, unknown},
		{"a fault that says success", 500, `{"success":true}`, unknown},
		{"garbage", 200, `<html>hush</html>`, unknown},
		{"nothing", 200, ``, unknown},
		{"null", 200, `null`, unknown},
		{"an empty object", 200, `{}`, unknown},
		{"success as a word", 200, `{"success":"true"}`, unknown},
		{"success as a number", 200, `{"success":1}`, unknown},
		{"more than one value", 200, `{"success":true}{"success":true}`, unknown},
		{"cut off by its length", 200, `{"success":true,"x":"` + strings.Repeat("x", maxAnswer) + `"}`, unknown},
		{"redirect", 302, `{"success":true}`, unknown},
		{"redirect that keeps the method", 307, `{"success":true}`, unknown},
		{"throttled", 429, `{"success":false,"error-codes":[]}`, unknown},
	} {
		t.Run(row.name, func(t *testing.T) {
			var calls atomic.Int32
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				calls.Add(1)
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(row.status)
				_, _ = w.Write([]byte(row.body))
			}))
			defer server.Close()
			_ = verify(t, server.URL+"/siteverify?key=hush", testToken, row.want)
			if calls.Load() != 1 {
				t.Errorf("%d calls", calls.Load())
			}
		})
	}
}

// TestTurnstileEchoes: what the vendor was sent does not come back in an error,
// whole or in pieces; its own codes do.
func TestTurnstileEchoes(t *testing.T) {
	for _, echo := range []func(form url.Values) string{
		func(form url.Values) string { return form.Get("secret") },
		func(form url.Values) string { return form.Get("remoteip") },
		func(form url.Values) string { return form.Get("response") + "\n" + form.Get("remoteip") },
		func(form url.Values) string { return "bad-request " + form.Get("secret") },
		func(url.Values) string { return "bad-request\n" },
		func(url.Values) string { return strings.Repeat("x", 65) },
		func(url.Values) string { return "" },
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_ = r.ParseForm()
			_ = json.NewEncoder(w).Encode(map[string]any{"success": false, "error-codes": []string{echo(r.PostForm)}})
		}))
		err := verify(t, server.URL, testToken, unknown)
		server.Close()
		if err == nil || err.Error() != "turnstile: refused: a code of an unknown form" {
			t.Errorf("error %v", err)
		}
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"success":false,"error-codes":["invalid-input-secret"]}`))
	}))
	defer server.Close()
	if err := verify(t, server.URL, testToken, unknown); err == nil || err.Error() != "turnstile: refused: invalid-input-secret" {
		t.Errorf("error %v", err)
	}
}

func TestTurnstileRequest(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil || r.Method != http.MethodPost || r.URL.String() != "/siteverify?a=1" {
			t.Errorf("%s %s, error %v", r.Method, r.URL, err)
		}
		want := url.Values{"secret": {string(testSecret)}, "response": {"a&b=c +\n"}, "remoteip": {"192.0.2.1"}}
		if got := r.PostForm; got.Encode() != want.Encode() {
			t.Errorf("form %v, want %v", got, want)
		}
		_, _ = w.Write([]byte(`{"success":true}`))
	}))
	defer server.Close()
	_ = verify(t, server.URL+"/siteverify?a=1", "a&b=c +\n", passed)
}

func TestTurnstileIsNotAskedInVain(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it was asked") }))
	defer server.Close()
	_ = verify(t, server.URL, "", failed)
	_ = verify(t, server.URL, model.Secret(strings.Repeat("x", maxToken+1)), failed)
}

func TestTurnstileHangs(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/half" {
			_, _ = w.Write([]byte(`{"success":true`))
			_ = http.NewResponseController(w).Flush()
		}
		<-release
	}))
	defer server.Close()
	defer close(release)
	for _, path := range []string{"/", "/half"} {
		turnstile, err := NewTurnstile(server.URL+path, testSecret)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		err = turnstile.Verify(ctx, testToken, "")
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, model.ErrChallengeFailed) {
			t.Errorf("%s: error %v", path, err)
		}
		turnstile.transport.CloseIdleConnections()
	}
}

func TestTurnstileAway(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_ = conn.Close()
		}
	}))
	_ = verify(t, server.URL, testToken, unknown) // broken off
	server.Close()
	_ = verify(t, server.URL, testToken, unknown) // refused
}

func TestNewTurnstileRefuses(t *testing.T) {
	for _, row := range []struct {
		address string
		secret  model.Secret
	}{{"", testSecret}, {"/siteverify", testSecret}, {"ftp://hush.example", testSecret}, {"https://\x00", testSecret}, {"https://a.example", ""}} {
		if _, err := NewTurnstile(row.address, row.secret); err == nil || strings.Contains(err.Error(), "hush") {
			t.Errorf("%q: error %v", row.address, err)
		}
	}
}
