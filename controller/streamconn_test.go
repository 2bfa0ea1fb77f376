package controller_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"menshen/model"
	"menshen/service"
)

// TestMain also proves that no stream outlives its test.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// raw is a client that speaks HTTP by itself.
type raw struct {
	net.Conn
	t     *testing.T
	lines *bufio.Reader
}

// say opens a connection and writes text to it.
func (s *site) say(text string) raw {
	s.t.Helper()
	conn, err := s.listener.dial(s.t.Context(), "", "")
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.Close() })
	if _, err := io.WriteString(conn, text); err != nil {
		s.t.Fatal(err)
	}
	return raw{conn, s.t, bufio.NewReader(conn)}
}

const askEvents = "GET /app/auth/events HTTP/1.1\r\nHost: site\r\nAuthorization: Bearer u1-a\r\n\r\n"

// head reads the head of an answer: its first line, and its fields in the order
// in which they came.
func (r raw) head() (status string, fields textproto.MIMEHeader) {
	r.t.Helper()
	text := textproto.NewReader(r.lines)
	status, err := text.ReadLine()
	if err != nil {
		r.t.Fatal(err)
	}
	fields, err = text.ReadMIMEHeader()
	if err != nil {
		r.t.Fatal(err)
	}
	return status, fields
}

// rest reads to the end of the connection.
func (r raw) rest() string {
	r.t.Helper()
	text, err := io.ReadAll(r.lines)
	if err != nil {
		r.t.Error(err)
	}
	return string(text)
}

// TestStreamHead: the answer is whole, as each kind of client is to read it, and
// bears what the guards before it set.
func TestStreamHead(t *testing.T) {
	for name, request := range map[string]string{
		"HTTP/1.1":          "GET /app/auth/events HTTP/1.1\r\nHost: site\r\n",
		"HTTP/1.0":          "GET /app/auth/events HTTP/1.0\r\n",
		"HTTP/1.0, a proxy": "GET /app/auth/events HTTP/1.0\r\nHost: site\r\nConnection: keep-alive\r\n",
		"to be closed":      "GET /app/auth/events HTTP/1.1\r\nHost: site\r\nConnection: close\r\n",
		"with a body":       "GET /app/auth/events HTTP/1.1\r\nHost: site\r\nContent-Length: 2\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t)
				s.open("u1-a")
				client := s.say(request + "Authorization: Bearer u1-a\r\nOrigin: https://app.example\r\nX-Request-Id: my-id\r\n\r\n{}")
				status, fields := client.head()
				if status != "HTTP/1.1 200 OK" {
					t.Errorf("the first line is %q", status)
				}
				want := map[string]string{
					"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-store", "X-Accel-Buffering": "no", "Connection": "close",
					"Date": time.Now().UTC().Format(http.TimeFormat), "X-Request-Id": "my-id", "X-Content-Type-Options": "nosniff", "Vary": "Origin",
					"Access-Control-Allow-Origin": "https://app.example", "Access-Control-Expose-Headers": "X-Login-State, X-Displaced, Retry-After, X-Request-Id",
				}
				for field, value := range want {
					if got := fields[field]; len(got) != 1 || got[0] != value {
						t.Errorf("%s is %q, want %q", field, got, value)
					}
				}
				if len(fields) != len(want) { // neither a length nor chunks: the end of the connection is the end of the stream
					t.Errorf("the fields are %v", fields)
				}
				s.end("u1-a")
				if got := client.rest(); got != "retry: 3000\n\n"+displaced {
					t.Errorf("the body is %q", got)
				}
			})
		})
	}
}

// TestStreamKeptAlive: a connection that has served other requests becomes a
// stream as well.
func TestStreamKeptAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.open("u1-a")
		client := s.say("GET /none HTTP/1.1\r\nHost: site\r\n\r\n")
		first, err := http.ReadResponse(client.lines, nil)
		if err != nil {
			t.Fatal(err)
		}
		wantCode(t, first, 40400)
		time.Sleep(20 * time.Second) // the deadlines of the requests before are none of the stream's
		if _, err := io.WriteString(client, askEvents); err != nil {
			t.Fatal(err)
		}
		client.head()
		(stream{t: t, lines: client.lines}).want("retry: 3000\n\n" + heartbeat + heartbeat)
		s.end("u1-a")
		if got := client.rest(); got != displaced {
			t.Errorf("the rest is %q", got)
		}
	})
}

// TestStreamPipelined: what a client sends after its request is dropped, with
// the request and later, and does not keep its end from being noticed.
func TestStreamPipelined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.open("u1-a")
		const more = "GET /healthz HTTP/1.1\r\nHost: site\r\n\r\n"
		told, leaves := s.say(askEvents+more), s.say(askEvents+more)
		for _, client := range []raw{told, leaves} {
			client.head()
			if _, err := io.WriteString(client, more+strings.Repeat("\x00", 1000)); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if n := s.hub.Streams(); n != 2 {
			t.Fatalf("%d streams are open", n)
		}
		_ = leaves.Close()
		synctest.Wait()
		if n := s.hub.Streams(); n != 1 {
			t.Errorf("%d streams are open after one left", n)
		}
		s.end("u1-a")
		if got := told.rest(); got != "retry: 3000\n\n"+displaced {
			t.Errorf("the rest is %q", got)
		}
	})
}

// TestStreamFlooded: who talks without end is let go; who says a little now and
// then is not.
func TestStreamFlooded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.open("u1-a")
		floods, chats := s.say(askEvents), s.say(askEvents)
		for _, client := range []raw{floods, chats} {
			client.head()
			(stream{t: t, lines: client.lines}).want("retry: 3000\n\n")
		}
		if n, err := io.WriteString(floods, strings.Repeat("x", 1<<20)); err == nil || n < 16<<10 || n > 17<<10 {
			t.Errorf("said %d bytes, error %v", n, err)
		}
		for range 10 {
			if _, err := io.WriteString(chats, strings.Repeat("x", 4<<10)); err != nil {
				t.Fatal(err)
			}
			(stream{t: t, lines: chats.lines}).want(heartbeat)
		}
		if n := s.hub.Streams(); n != 1 {
			t.Errorf("%d streams are open", n)
		}
	})
}

// TestStreamLeft: over a real network too, a client that leaves is noticed at
// once, however it leaves.
func TestStreamLeft(t *testing.T) {
	for name, leave := range map[string]func(conn *net.TCPConn) error{
		"closed":      (*net.TCPConn).Close,
		"half closed": (*net.TCPConn).CloseWrite,
		"reset":       func(conn *net.TCPConn) error { return errors.Join(conn.SetLinger(0), conn.Close()) },
	} {
		t.Run(name, func(t *testing.T) {
			s := &site{t: t, hub: service.NewHub(), sessions: map[string]model.Session{}, began: time.Now()}
			server := httptest.NewServer(s.handler())
			t.Cleanup(server.Close)
			s.open("u1-a")
			conn, err := net.Dial("tcp", server.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = conn.Close() })
			if _, err := io.WriteString(conn, askEvents); err != nil {
				t.Fatal(err)
			}
			client := raw{conn, t, bufio.NewReader(conn)}
			client.head()
			if n := s.hub.Streams(); n != 1 {
				t.Fatalf("%d streams are open", n)
			}
			if err := leave(conn.(*net.TCPConn)); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second) // less than a heartbeat
			defer cancel()
			if err := s.hub.Wait(ctx); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestStreamsStop: at a stop the streams end at once, those whose clients are
// stuck too, and no goroutine of theirs is left when the hub has been waited for.
func TestStreamsStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.open("u1-a")
		stuck, reads := s.say(askEvents), s.say(askEvents)
		for _, client := range []raw{stuck, reads} {
			client.head()
			(stream{t: t, lines: client.lines}).want("retry: 3000\n\n")
		}
		time.Sleep(15 * time.Second) // now a heartbeat waits for each of them
		(stream{t: t, lines: reads.lines}).want(heartbeat)
		synctest.Wait()
		began := time.Now()
		expired, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.hub.Wait(expired); !errors.Is(err, context.Canceled) {
			t.Errorf("two streams are open, waited: %v", err)
		}
		s.hub.Stop()
		if err := s.hub.Wait(t.Context()); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("stopped after %v", took)
		}
		for _, client := range []raw{stuck, reads} {
			if got := client.rest(); got != "" {
				t.Errorf("the rest is %q", got)
			}
		}
	})
}

// TestStreamIsLogged: the request is over, logged and counted when its stream is
// open: as a success, under its route and its id.
func TestStreamIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		open := s.listen(s.open("u1-a"), "X-Request-Id", "my-id")
		synctest.Wait()
		for range 2 { // while it is open, and after it ended: once
			lines := s.lines.FilterMessage("request").All()
			if len(lines) != 1 {
				t.Fatalf("%d lines", len(lines))
			}
			got := lines[0].ContextMap()
			if got["requestId"] != "my-id" || got["status"] != int64(200) || got["code"] != int32(0) || got["route"] != "/app/auth/events" || got["method"] != "GET" || got["cause"] != nil {
				t.Errorf("the line is %v", got)
			}
			recorder := httptest.NewRecorder()
			s.metrics.Handler().ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/metrics", nil))
			if want := `menshen_requests_total{code="0",method="GET",route="/app/auth/events",status="200"} 1`; !strings.Contains(recorder.Body.String(), want) {
				t.Errorf("%s is not in the metrics", want)
			}
			if s.end("u1-a"); s.hub.Streams() == 1 {
				open.want(displaced)
				open.wantEnd()
			}
		}
	})
}

// TestStreamPanic: a panic in a stream ends it and nothing else, and is reported
// without its value.
func TestStreamPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		open, other := s.listen(s.open("u1-a")), s.listen(s.open("u1-b"))
		s.change(func() { s.panics = true })
		s.end("u1-a")
		open.wantEnd()
		s.change(func() { s.panics = false })
		s.end("u1-b")
		other.want(displaced)
		other.wantEnd()
		if len(s.reports) != 1 || !strings.Contains(s.reports[0].Error(), "panic: string\n") || !strings.Contains(s.reports[0].Error(), "streamConn") ||
			strings.Contains(s.reports[0].Error(), "secret-of-a-panic") {
			t.Errorf("reported: %v", s.reports)
		}
	})
}

// TestStreamNotToBeTaken: where the connection cannot be taken over there is no
// stream, and nothing of it stays.
func TestStreamNotToBeTaken(t *testing.T) {
	s := &site{t: t, hub: service.NewHub(), sessions: map[string]model.Session{}, began: time.Now()}
	handler := s.handler()
	r := httptest.NewRequest(http.MethodGet, "/app/auth/events", nil)
	r.Header.Set("Authorization", "Bearer "+s.open("u1-a"))
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, r)
	wantCode(t, recorder.Result(), 50000)
	if n := s.hub.Streams(); n != 0 {
		t.Errorf("%d streams are open", n)
	}
}
