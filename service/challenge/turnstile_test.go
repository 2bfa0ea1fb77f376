package challenge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
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

// TestTurnstileElsewhere: a right answer counts only if the widget was on a page of ours
// and of our action.
func TestTurnstileElsewhere(t *testing.T) {
	for _, row := range []struct {
		name      string
		hostnames []string
		action    string
		answer    string
		want      bool
	}{
		{"any", nil, "", `"hostname":"evil.example","action":"x"`, true},
		{"ours", []string{"a.example", "b.example"}, "", `"hostname":"b.example","action":"x"`, true},
		{"ours in capitals", []string{"b.example"}, "", `"hostname":"B.Example"`, true},
		{"foreign", []string{"a.example", "b.example"}, "", `"hostname":"evil.example"`, false},
		{"below ours", []string{"a.example"}, "", `"hostname":"x.a.example"`, false},
		{"not told", []string{"a.example"}, "", `"hostname":""`, false},
		{"missing", []string{"a.example"}, "", `"action":"x"`, false},
		{"null", []string{"a.example"}, "", `"hostname":null`, false},
		{"our action", nil, "send-code", `"hostname":"evil.example","action":"send-code"`, true},
		{"another action", nil, "send-code", `"action":"Send-Code"`, false},
		{"no action", nil, "send-code", `"action":""`, false},
		{"our host, another action", []string{"a.example"}, "send-code", `"hostname":"a.example","action":"login"`, false},
		{"both", []string{"a.example"}, "send-code", `"hostname":"a.example","action":"send-code"`, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				_, _ = io.WriteString(w, `{"success":true,`+row.answer+`}`)
			}))
			defer server.Close()
			turnstile, err := NewTurnstile(server.URL, testSecret)
			if err != nil {
				t.Fatal(err)
			}
			defer turnstile.transport.CloseIdleConnections()
			turnstile.Hostnames, turnstile.Action = row.hostnames, row.action
			err = turnstile.Verify(t.Context(), testToken, "192.0.2.1")
			if row.want != (err == nil) || err != nil && (!errors.Is(err, model.ErrChallengeFailed) || strings.Contains(err.Error(), "example")) {
				t.Errorf("error %v", err)
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

// TestTurnstileConnections: each verification gets a connection of its own, so that a
// vendor that closes an earlier one costs none.
func TestTurnstileConnections(t *testing.T) {
	var calls atomic.Int32
	var addresses sync.Map
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		if _, known := addresses.LoadOrStore(r.RemoteAddr, true); known {
			panic(http.ErrAbortHandler)
		}
		_, _ = w.Write([]byte(`{"success":true}`))
	}))
	defer server.Close()
	turnstile, err := NewTurnstile(server.URL, testSecret)
	if err != nil {
		t.Fatal(err)
	}
	defer turnstile.transport.CloseIdleConnections()
	for range 10 {
		if err := turnstile.Verify(t.Context(), testToken, "192.0.2.1"); err != nil {
			t.Error(err)
		}
	}
	if calls.Load() != 10 {
		t.Errorf("%d calls", calls.Load())
	}
}

// TestTurnstileMisbehaves: whatever the vendor answers, the error comes in time, is
// short and quotes nothing.
func TestTurnstileMisbehaves(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	for name, row := range map[string]struct {
		head, more string // more is repeated until the client leaves
		echo       bool   // after the head
		want       outcome
	}{
		"10 MB of body":          {head: ok + "\r\n", more: "{", want: unknown},
		"10 MB after a verdict":  {head: ok + "\r\n" + `{"success":true}`, more: " ", want: passed},
		"10 MB of header":        {head: ok, more: "X: y\r\n", want: unknown},
		"10 MB of status":        {head: ok[:12], more: "x", want: unknown},
		"10 MB of informational": {more: "HTTP/1.1 103 X\r\n\r\n", want: unknown},
		"echo without HTTP":      {echo: true, want: unknown},
		"echo as status":         {head: "HTTP/1.1 ", echo: true, want: unknown},
		"echo as reason":         {head: "HTTP/1.1 502 ", echo: true, want: unknown},
		"echo as body":           {head: ok + "\r\n", echo: true, want: unknown},
		"echo as redirect":       {head: "HTTP/1.1 307 X\r\nLocation: ", echo: true, want: unknown},
		"echo as reason of no":   {head: ok + "\r\n" + `{"success":false,"error-codes":["token-hush"]}`, want: unknown},
		"upgrade":                {head: "HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n", more: "x", want: unknown},
		"another type":           {head: ok + "Content-Type: text/html\r\n\r\n" + `{"success":true}`, want: passed},
		"a page":                 {head: ok + "Content-Type: text/html\r\n\r\n<html>hush</html>", want: unknown},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				conn, _, err := http.NewResponseController(w).Hijack()
				if err != nil {
					return
				}
				defer func() { _ = conn.Close() }()
				_, err = io.WriteString(conn, row.head)
				if row.echo {
					_, err = fmt.Fprintf(conn, "%s %s\r\n\r\n", body, testSecret)
				}
				for more := strings.Repeat(row.more, 1024); err == nil && more != ""; {
					_, err = io.WriteString(conn, more)
				}
			}))
			defer server.Close()
			_ = verify(t, server.URL, testToken, row.want)
		})
	}
}
