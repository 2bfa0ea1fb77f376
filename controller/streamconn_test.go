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

// TestMain also checks that no stream outlives its test.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rawClient is a client that writes and reads the bytes of HTTP.
type rawClient struct {
	net.Conn
	t     *testing.T
	lines *bufio.Reader
}

// dialAndSend opens a connection and writes text to it.
func (s *testServer) dialAndSend(text string) rawClient {
	s.t.Helper()
	conn, err := s.listener.dial(s.t.Context(), "", "")
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.Close() })
	if _, err := io.WriteString(conn, text); err != nil {
		s.t.Fatal(err)
	}
	return rawClient{conn, s.t, bufio.NewReader(conn)}
}

const askEvents = "GET /app/auth/events HTTP/1.1\r\nHost: site\r\nAuthorization: Bearer u1-a\r\n\r\n"

// readHead reads the head of a response: its first line and its fields.
func (r rawClient) readHead() (status string, fields textproto.MIMEHeader) {
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

// readRest reads to the end of the connection.
func (r rawClient) readRest() string {
	r.t.Helper()
	text, err := io.ReadAll(r.lines)
	if err != nil {
		r.t.Error(err)
	}
	return string(text)
}

// TestStreamHead: the response is complete for each kind of client and has the headers
// of the middleware.
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
				s := newTestServer(t)
				s.login("u1-a")
				client := s.dialAndSend(request + "Authorization: Bearer u1-a\r\nOrigin: https://app.example\r\nX-Request-Id: my-id\r\n\r\n{}")
				status, fields := client.readHead()
				if status != "HTTP/1.1 200 OK" {
					t.Errorf("the first line is %q", status)
				}
				id := strings.Join(fields["X-Request-Id"], " and ")
				if len(id) != 26 {
					t.Errorf("the request's id is %q", id)
				}
				want := map[string]string{
					"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-store", "X-Accel-Buffering": "no", "Connection": "close",
					"Date": time.Now().UTC().Format(http.TimeFormat), "X-Request-Id": id, "X-Content-Type-Options": "nosniff", "Vary": "Origin",
					"Access-Control-Allow-Origin": "https://app.example", "Access-Control-Expose-Headers": "X-Login-State, X-Displaced, Retry-After, X-Request-Id, X-Code-Ticket, X-Device-Credential",
				}
				for field, value := range want {
					if got := fields[field]; len(got) != 1 || got[0] != value {
						t.Errorf("%s is %q, want %q", field, got, value)
					}
				}
				if len(fields) != len(want) { // neither a length nor chunks: the end of the connection is the end of the stream
					t.Errorf("the fields are %v", fields)
				}
				s.endElsewhere("u1-a")
				if got := client.readRest(); got != "retry: 3000\n\n"+displaced {
					t.Errorf("the body is %q", got)
				}
			})
		})
	}
}

// TestStreamHeadOnly: HEAD gets the head of a stream, of an ended session too, and the
// connection is closed at once.
func TestStreamHeadOnly(t *testing.T) {
	for _, ended := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := newTestServer(t)
			s.login("u1-a")
			if ended {
				s.endElsewhere("u1-a")
			}
			began := time.Now()
			client := s.dialAndSend(strings.Replace(askEvents, "GET", "HEAD", 1))
			status, fields := client.readHead()
			if status != "HTTP/1.1 200 OK" || fields.Get("Content-Type") != "text/event-stream; charset=utf-8" {
				t.Errorf("ended %v: %s with %v", ended, status, fields)
			}
			if rest := client.readRest(); rest != "" || time.Since(began) != 0 {
				t.Errorf("ended %v: after the head there is %q, after %s", ended, rest, time.Since(began))
			}
		})
	}
}

// TestStreamKeptAlive: a connection that has served other requests becomes a
// stream as well.
func TestStreamKeptAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestServer(t)
		s.login("u1-a")
		client := s.dialAndSend("GET /none HTTP/1.1\r\nHost: site\r\n\r\n")
		first, err := http.ReadResponse(client.lines, nil)
		if err != nil {
			t.Fatal(err)
		}
		wantCode(t, first, 40400)
		time.Sleep(20 * time.Second) // the deadlines of earlier requests must not apply to the stream
		if _, err := io.WriteString(client, askEvents); err != nil {
			t.Fatal(err)
		}
		client.readHead()
		(stream{t: t, lines: client.lines}).want("retry: 3000\n\n" + heartbeat + heartbeat)
		s.endElsewhere("u1-a")
		if got := client.readRest(); got != displaced {
			t.Errorf("the rest is %q", got)
		}
	})
}

// TestStreamPipelined: bytes that a client sends after its request, with it or later,
// are dropped. The end of the session and of the connection are still noticed.
func TestStreamPipelined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestServer(t)
		s.login("u1-a")
		const more = "GET /healthz HTTP/1.1\r\nHost: site\r\n\r\n"
		ended, leaves := s.dialAndSend(askEvents+more), s.dialAndSend(askEvents+more)
		for _, client := range []rawClient{ended, leaves} {
			client.readHead()
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
		s.endElsewhere("u1-a")
		if got := ended.readRest(); got != "retry: 3000\n\n"+displaced {
			t.Errorf("the rest is %q", got)
		}
	})
}

// TestStreamFlooded: a client that sends without end is disconnected; one that sends
// a little now and then is not.
func TestStreamFlooded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestServer(t)
		s.login("u1-a")
		floods, chats := s.dialAndSend(askEvents), s.dialAndSend(askEvents)
		for _, client := range []rawClient{floods, chats} {
			client.readHead()
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

// TestStreamClientDisconnects: on a real network, a disconnect is noticed at once,
// however the client closes the connection.
func TestStreamClientDisconnects(t *testing.T) {
	for name, leave := range map[string]func(conn *net.TCPConn) error{
		"closed":      (*net.TCPConn).Close,
		"half closed": (*net.TCPConn).CloseWrite,
		"reset":       func(conn *net.TCPConn) error { return errors.Join(conn.SetLinger(0), conn.Close()) },
	} {
		t.Run(name, func(t *testing.T) {
			s := &testServer{t: t, hub: service.NewHub(), sessions: map[string]model.Session{}, began: time.Now()}
			server := httptest.NewServer(s.handler())
			t.Cleanup(server.Close)
			s.login("u1-a")
			conn, err := net.Dial("tcp", server.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = conn.Close() })
			if _, err := io.WriteString(conn, askEvents); err != nil {
				t.Fatal(err)
			}
			client := rawClient{conn, t, bufio.NewReader(conn)}
			client.readHead()
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

// TestStreamsStop: when the process stops, all streams close at once, also those of
// clients that do not read. After Hub.Wait none of their goroutines is left.
func TestStreamsStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestServer(t)
		s.login("u1-a")
		stuck, reads := s.dialAndSend(askEvents), s.dialAndSend(askEvents)
		for _, client := range []rawClient{stuck, reads} {
			client.readHead()
			(stream{t: t, lines: client.lines}).want("retry: 3000\n\n")
		}
		time.Sleep(15 * time.Second) // now each of them has a heartbeat to read
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
		for _, client := range []rawClient{stuck, reads} {
			if got := client.readRest(); got != "" {
				t.Errorf("the rest is %q", got)
			}
		}
	})
}

// TestStreamIsLogged: once the stream is open, the request is complete: it is logged
// and counted once, as a success, with its route and id.
func TestStreamIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestServer(t)
		open := s.openStream(s.login("u1-a"), "X-Request-Id", "my-id")
		synctest.Wait()
		for range 2 { // while it is open, and after it has closed
			lines := s.lines.FilterMessage("request").All()
			if len(lines) != 1 {
				t.Fatalf("%d lines", len(lines))
			}
			got := lines[0].ContextMap()
			if got["clientRequestId"] != "my-id" || got["status"] != int64(200) || got["code"] != int32(0) || got["route"] != "/app/auth/events" || got["method"] != "GET" || got["cause"] != nil {
				t.Errorf("the line is %v", got)
			}
			recorder := httptest.NewRecorder()
			s.metrics.Handler().ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/metrics", nil))
			if want := `menshen_requests_total{code="0",method="GET",route="/app/auth/events",status="200"} 1`; !strings.Contains(recorder.Body.String(), want) {
				t.Errorf("%s is not in the metrics", want)
			}
			if s.endElsewhere("u1-a"); s.hub.Streams() == 1 {
				open.want(displaced)
				open.wantEnd()
			}
		}
	})
}

// TestStreamPanic: a panic in a stream closes this stream alone and is reported without
// its value.
func TestStreamPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestServer(t)
		open, other := s.openStream(s.login("u1-a")), s.openStream(s.login("u1-b"))
		s.locked(func() { s.panics = true })
		s.endElsewhere("u1-a")
		open.wantEnd()
		s.locked(func() { s.panics = false })
		s.endElsewhere("u1-b")
		other.want(displaced)
		other.wantEnd()
		if len(s.reports) != 1 || !strings.Contains(s.reports[0].Error(), "panic: string\n") || !strings.Contains(s.reports[0].Error(), "streamConn") ||
			strings.Contains(s.reports[0].Error(), "secret-of-a-panic") {
			t.Errorf("reported: %v", s.reports)
		}
	})
}

// TestStreamWithoutHijack: if the connection cannot be taken over, no stream is opened
// and none is left in the hub.
func TestStreamWithoutHijack(t *testing.T) {
	s := &testServer{t: t, hub: service.NewHub(), sessions: map[string]model.Session{}, began: time.Now()}
	handler := s.handler()
	r := httptest.NewRequest(http.MethodGet, "/app/auth/events", nil)
	r.Header.Set("Authorization", "Bearer "+s.login("u1-a"))
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, r)
	wantCode(t, recorder.Result(), 50000)
	if n := s.hub.Streams(); n != 0 {
		t.Errorf("%d streams are open", n)
	}
}
