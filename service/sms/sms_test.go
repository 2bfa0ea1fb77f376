package sms

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	webhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"menshen/model"
)

const (
	testSecret = model.Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	wantBody   = `{"mobile":"+8613800138000","code":"012345","companyType":0,"productType":1,"expire":"2019-08-24T14:15:22Z"}`
)

func testMessage() model.Message {
	return model.Message{
		ID:          "msg_7",
		Mobile:      model.NewMobile("+8613800138000"),
		Code:        "012345",
		ProductType: 1,
		Purpose:     model.PurposeLogin,
		Expire:      model.TimeOf(time.Date(2019, 8, 24, 14, 15, 22, 0, time.UTC)),
	}
}

func newWebhook(t *testing.T, address string) *Webhook {
	t.Helper()
	w, err := NewWebhook(address, testSecret, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.transport.CloseIdleConnections)
	return w
}

// mustHide fails when the error shows what no log may hold.
func mustHide(t *testing.T, err error) {
	t.Helper()
	for _, secret := range []string{"13800138000", "012345", string(testSecret[6:]), "user", "pass", "hush"} {
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("error %q shows %q", err, secret)
		}
	}
}

// errOf is the error of a sender.
func errOf(_ model.Sent, err error) error { return err }

type outcome int

const (
	sent outcome = iota
	refused
	unknown
)

func checkOutcome(t *testing.T, err error, want outcome) {
	t.Helper()
	mustHide(t, err)
	got := unknown
	switch {
	case err == nil:
		got = sent
	case errors.Is(err, model.ErrSendRefused):
		got = refused
	}
	if got != want {
		t.Errorf("outcome %d, want %d (error: %v)", got, want, err)
	}
}

func TestWebhookStatuses(t *testing.T) {
	for status, want := range map[int]outcome{
		200: sent, 201: sent, 202: sent, 204: sent, 299: sent,
		301: refused, 302: refused, 304: refused, 307: refused, 308: refused,
		400: refused, 401: refused, 404: refused, 429: refused, 499: refused, 500: refused, 502: refused, 503: refused, 599: refused,
		408: unknown, 504: unknown,
	} {
		var calls atomic.Int32
		server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			calls.Add(1)
			rw.Header().Set("Location", "/elsewhere")
			rw.WriteHeader(status)
			if status != 204 && status != 304 {
				_, _ = rw.Write([]byte("012345 hush"))
			}
		}))
		err := errOf(newWebhook(t, server.URL+"/sms?key=hush").Send(t.Context(), testMessage()))
		server.Close()
		checkOutcome(t, err, want)
		if calls.Load() != 1 {
			t.Errorf("status %d: %d calls", status, calls.Load())
		}
	}
}

func TestWebhookRedirectWithoutUsableLocation(t *testing.T) {
	address := serveRaw(t, "HTTP/1.1 302 Found\r\nLocation: http://[bad\r\nContent-Length: 0\r\n\r\n")
	checkOutcome(t, errOf(newWebhook(t, address).Send(t.Context(), testMessage())), refused)
}

func TestWebhookRequest(t *testing.T) {
	verifier, err := webhooks.NewWebhook(string(testSecret))
	if err != nil {
		t.Fatal(err)
	}
	var header http.Header
	var body []byte
	var user, password string
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		header = r.Header
		body, _ = io.ReadAll(r.Body)
		user, password, _ = r.BasicAuth()
		if r.Method != http.MethodPost || r.URL.String() != "/sms?key=1" {
			t.Errorf("request %s %s", r.Method, r.URL)
		}
	}))
	defer server.Close()
	w := newWebhook(t, strings.Replace(server.URL, "http://", "http://user:pass@", 1)+"/sms?key=1")
	if err := errOf(w.Send(t.Context(), testMessage())); err != nil {
		t.Fatal(err)
	}
	if string(body) != wantBody {
		t.Errorf("body %s", body)
	}
	if got := header.Get("Content-Type"); got != "application/json" {
		t.Errorf("content type %q", got)
	}
	if got := header.Get("webhook-id"); got != "msg_7" {
		t.Errorf("id %q", got)
	}
	if user != "user" || password != "pass" {
		t.Errorf("basic auth %q %q", user, password)
	}
	if err := verifier.Verify(body, header); err != nil {
		t.Error(err)
	}
	if err := verifier.Verify(append(body, ' '), header); err == nil {
		t.Error("a changed body verifies")
	}

	change := testMessage()
	change.Purpose = model.PurposeChange
	if err := errOf(w.Send(t.Context(), change)); err != nil {
		t.Fatal(err)
	}
	if want := strings.TrimSuffix(wantBody, "}") + `,"purpose":"change"}`; string(body) != want {
		t.Errorf("body %s", body)
	}
	autofill := testMessage()
	autofill.Domain, autofill.AppHash = "app.example.com", "FA+9qCX9VSu"
	if _, err := w.Send(t.Context(), autofill); err != nil {
		t.Fatal(err)
	}
	if want := strings.TrimSuffix(wantBody, "}") + `,"domain":"app.example.com","appHash":"FA+9qCX9VSu"}`; string(body) != want {
		t.Errorf("body %s", body)
	}
	w.Language = model.LanguageZhCN
	for language, more := range map[string]string{model.LanguageZhCN: `}`, model.LanguageEn: `,"language":"en"}`} {
		message := testMessage()
		message.Language = language
		if err := errOf(w.Send(t.Context(), message)); err != nil {
			t.Fatal(err)
		}
		if want := strings.TrimSuffix(wantBody, "}") + more; string(body) != want {
			t.Errorf("%s: body %s", language, body)
		}
	}
}

func TestWebhookHangs(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer server.Close()
	defer close(release)

	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := errOf(newWebhook(t, server.URL).Send(ctx, testMessage()))
	checkOutcome(t, err, unknown)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}

	own := newWebhook(t, server.URL)
	if own.timeout != 3*time.Second {
		t.Errorf("time-out %s", own.timeout)
	}
	own.timeout = 50 * time.Millisecond
	err = errOf(own.Send(t.Context(), testMessage()))
	checkOutcome(t, err, unknown)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}

	gone, leave := context.WithCancel(t.Context())
	leave()
	checkOutcome(t, errOf(own.Send(gone, testMessage())), unknown)
}

// TestWebhookHangsBeforeTLS: a time-out is unknown at every stage (contract §3).
func TestWebhookHangsBeforeTLS(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	checkOutcome(t, errOf(newWebhook(t, "https://"+listener.Addr().String()).Send(ctx, testMessage())), unknown)
}

// TestWebhookSlowBody: the head has said it all, the body is not waited for.
func TestWebhookSlowBody(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		rw.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(rw).Flush()
		<-release
	}))
	defer server.Close()
	defer close(release)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	checkOutcome(t, errOf(newWebhook(t, server.URL).Send(ctx, testMessage())), sent)
	if ctx.Err() != nil {
		t.Error("waited for the body")
	}
}

// serveRaw answers the first request of each connection with the given bytes
// and closes the connection.
func serveRaw(t *testing.T, answer string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	wait.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			if r, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
				_, _ = io.Copy(io.Discard, r.Body)
			}
			_, _ = io.WriteString(conn, answer)
			_ = conn.Close()
		}
	})
	t.Cleanup(func() { _ = listener.Close(); wait.Wait() })
	return "http://" + listener.Addr().String()
}

func TestWebhookBrokenAnswers(t *testing.T) {
	for answer, want := range map[string]outcome{
		"":                                      unknown,
		"HTTP/1.1 200":                          unknown,
		"HTTP/1.1 200 OK\r\nContent-Le":         unknown,
		"012345 to 13800138000 hush\r\n\r\n":    unknown,
		"HTTP/1.1 abc 012345\r\n\r\n":           unknown,
		"HTTP/1.1 200 OK\r\nbad 012345\r\n\r\n": unknown,
		"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf":        sent,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nhush": sent,
		"HTTP/1.1 500 Oh\r\nContent-Length: 100\r\n\r\n012345":      refused,
	} {
		checkOutcome(t, errOf(newWebhook(t, serveRaw(t, answer)).Send(t.Context(), testMessage())), want)
	}
}

func TestWebhookWithoutConnection(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	defer secure.Close()
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	for name, address := range map[string]string{
		"refused port":        "http://user:pass@" + nobody + "/sms?key=hush",
		"unknown certificate": secure.URL,
		"no TLS":              strings.Replace(plain.URL, "http://", "https://", 1),
		"no such host":        "http://sms..invalid/", // refused by the resolver without a network
	} {
		t.Run(name, func(t *testing.T) {
			checkOutcome(t, errOf(newWebhook(t, address).Send(t.Context(), testMessage())), refused)
		})
	}
}

// TestWebhookNeverSendsTwice: the transport must not repeat a request on a kept
// connection that breaks after it was written.
func TestWebhookNeverSendsTwice(t *testing.T) {
	var calls atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		if calls.Add(1) > 1 {
			panic(http.ErrAbortHandler)
		}
	}))
	defer server.Close()
	w := newWebhook(t, server.URL)
	checkOutcome(t, errOf(w.Send(t.Context(), testMessage())), sent)
	checkOutcome(t, errOf(w.Send(t.Context(), testMessage())), unknown)
	if calls.Load() != 2 {
		t.Errorf("%d calls", calls.Load())
	}
}

func TestWebhookKeepsConnections(t *testing.T) {
	var opened atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		rw.WriteHeader(http.StatusAccepted)
		_, _ = rw.Write(bytes.Repeat([]byte("x"), 4096))
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	w := newWebhook(t, server.URL)
	for range 100 {
		if err := errOf(w.Send(t.Context(), testMessage())); err != nil {
			t.Fatal(err)
		}
	}
	if opened.Load() > 3 {
		t.Errorf("100 messages in a row opened %d connections", opened.Load())
	}
	opened.Store(0)
	var wait sync.WaitGroup
	for range 32 {
		wait.Go(func() {
			for range 20 {
				if err := errOf(w.Send(t.Context(), testMessage())); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wait.Wait()
	if opened.Load() > 64 {
		t.Errorf("32 senders opened %d connections", opened.Load())
	}
}

func TestNewWebhookRefuses(t *testing.T) {
	good := "https://user:pass@sms.example/hush"
	for _, row := range []struct {
		address string
		secret  model.Secret
	}{
		{"", testSecret}, {"sms.example", testSecret}, {"ftp://user:pass@sms.example", testSecret},
		{"http:///hush", testSecret}, {"http://user:pa/ss@sms.example", testSecret}, {"http://pass\x7f", testSecret},
		{good, ""}, {good, "whsec_"}, {good, "whsec_hush!"}, {good, "aHVzaA=="},
	} {
		w, err := NewWebhook(row.address, row.secret, time.Now)
		if err == nil || w != nil {
			t.Errorf("%q: no error", row.address)
		}
		mustHide(t, err)
	}
	for _, secret := range []model.Secret{testSecret, model.Secret("whsec_" + base64.StdEncoding.EncodeToString(make([]byte, 64)))} {
		if _, err := NewWebhook(good, secret, time.Now); err != nil {
			t.Error(err)
		}
	}
}

func TestLog(t *testing.T) {
	now := func() time.Time { return time.Date(2019, 8, 24, 14, 10, 22, 5e6, time.UTC) }
	var out bytes.Buffer
	for format, want := range map[string]string{
		FormatJSON: `{"level":"info","ts":"2019-08-24T14:10:22.005Z","msg":"verification code","mobile":"+8613800138000","validateNo":"012345",` +
			`"companyType":0,"productType":1,"purpose":"login","expire":"2019-08-24T14:15:22Z"}` + "\n",
		"console": "2019-08-24T14:10:22.005Z\tinfo\t>>>>>> verification code\tmobile=+8613800138000 validateNo=012345 " +
			"companyType=0 productType=1 purpose=login expire=2019-08-24T14:15:22Z\n",
	} {
		out.Reset()
		if err := errOf((&Log{Out: &out, Format: format, Now: now}).Send(t.Context(), testMessage())); err != nil {
			t.Fatal(err)
		}
		if out.String() != want {
			t.Errorf("%s: %s", format, out.String())
		}
		if format == FormatJSON && !json.Valid(out.Bytes()) {
			t.Error("not JSON")
		}
	}
}

func TestLogFails(t *testing.T) {
	in, out := io.Pipe()
	_ = in.Close()
	err := errOf((&Log{Out: out, Now: time.Now}).Send(t.Context(), testMessage()))
	checkOutcome(t, err, unknown)
}

// TestLogMessages: the text is in the language of the message, and what cannot be logged is
// not shown either.
func TestLogMessages(t *testing.T) {
	at := time.Date(2019, 8, 24, 14, 10, 22, 0, time.UTC)
	var texts []string
	l := &Log{Out: io.Discard, Now: func() time.Time { return at }, OnMessage: func(m model.Message, text string, sent model.Time) {
		texts = append(texts, text)
		if m.Mobile.E164() != "+8613800138000" || sent != model.TimeOf(at) {
			t.Errorf("%s at %s", m.Mobile.E164(), sent)
		}
	}}
	for _, language := range []string{model.LanguageZhCN, model.LanguageEn} {
		m := testMessage()
		m.Language, m.Life = language, 5*time.Minute
		if _, err := l.Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	if len(texts) != 2 || !strings.Contains(texts[0], "验证码是 012345，5 分钟") || !strings.Contains(texts[1], "012345 is your code. It expires in 5 min") {
		t.Errorf("the texts are %q", texts)
	}
}
