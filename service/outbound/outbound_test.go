package outbound

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const yes = "HTTP/1.1 204 No Content\r\n\r\n"

// link is a connection as its server sees it.
type link struct {
	tcp    *net.TCPConn
	conn   net.Conn // tcp, or TLS over it
	reader *bufio.Reader
}

// request reads one request and returns its id, or "".
func (l link) request() string {
	r, err := http.ReadRequest(l.reader)
	if err != nil {
		return ""
	}
	_, _ = io.Copy(io.Discard, r.Body)
	return r.Header.Get("webhook-id")
}

func (l link) reset() { _ = l.tcp.SetLinger(0); _ = l.tcp.Close() }

// server takes requests. On its first connection it answers the first one and lets kept
// handle the next one. If kept is nil, the
// test closes that connection. It answers all others.
type server struct {
	url   string
	first chan link // the first connection
	mu    sync.Mutex
	ids   []string // of requests that were read to their end
	dials int
}

func (s *server) read(l link) bool {
	id := l.request()
	s.mu.Lock()
	defer s.mu.Unlock()
	if id != "" {
		s.ids = append(s.ids, id)
	}
	return id != ""
}

func serve(t *testing.T, secure *tls.Config, kept func(*server, link)) *server {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{url: "http://" + listener.Addr().String(), first: make(chan link, 1)}
	if secure != nil {
		s.url = "https://" + listener.Addr().String()
	}
	var wait sync.WaitGroup
	handle := func(l link, number int) {
		for s.read(l) {
			if number == 1 {
				s.first <- l
			}
			_, _ = io.WriteString(l.conn, yes)
			if number == 1 && kept == nil {
				return
			}
			if number == 1 {
				kept(s, l)
				break
			}
		}
		_ = l.conn.Close()
	}
	wait.Go(func() {
		for number := 1; ; number++ {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.dials++
			s.mu.Unlock()
			l := link{tcp: conn.(*net.TCPConn), conn: conn}
			if secure != nil {
				l.conn = tls.Server(conn, secure)
			}
			l.reader = bufio.NewReader(l.conn)
			wait.Go(func() { handle(l, number) })
		}
	})
	t.Cleanup(func() { _ = listener.Close(); wait.Wait() })
	return s
}

// certificate returns what a TLS server needs, and its authority.
func certificate(t *testing.T) (*tls.Config, *x509.CertPool) {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	server.StartTLS()
	defer server.Close()
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	return &tls.Config{Certificates: server.TLS.Certificates, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}, roots
}

func send(t *testing.T, transport *Transport, target, id string, hook func()) error {
	t.Helper()
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) {
		if hook != nil {
			hook()
			hook = nil
		}
	}})
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, target, strings.NewReader("one message"))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("webhook-id", id)
	response, err := transport.RoundTrip(request)
	if err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, response.Body)
	return response.Body.Close()
}

// oneByte waits for the request's first byte and leaves the others.
func oneByte(l link) { _, _ = l.tcp.Read(make([]byte, 1)) }

// keptEnds are the ways in which a kept connection ends as the second message is written.
var keptEnds = []struct {
	name string
	idle func(link)          // before the message is written; nil: nothing
	kept func(*server, link) // afterwards
	ok   bool
	ids  string // of the requests that the server read, after the first one
}{
	{"closed while idle", func(l link) {
		_ = l.tcp.CloseWrite()
		_, _ = io.Copy(io.Discard, l.tcp) // until the client has noticed
	}, nil, true, "2"},
	{"reset while idle", link.reset, nil, true, "2"},
	{"timed out while idle", func(l link) {
		_, _ = io.WriteString(l.conn, "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
		_ = l.tcp.CloseWrite()
		_, _ = io.Copy(io.Discard, l.tcp)
	}, nil, true, "2"},
	{"closed with the request unread", nil, func(_ *server, l link) { oneByte(l); _ = l.tcp.Close() }, true, "2"},
	{"reset before the request is read", nil, func(_ *server, l link) { oneByte(l); l.reset() }, true, "2"},
	{"reset after the request is read", nil, func(s *server, l link) { s.read(l); l.reset() }, true, "2 2"},
	{"closed after the request is read", nil, func(s *server, l link) { s.read(l); _ = l.conn.Close() }, false, "2"},
	{"closed below TLS after the request is read", nil, func(s *server, l link) { s.read(l); _ = l.tcp.Close() }, false, "2"},
	{"reset within the answer", nil, func(s *server, l link) { s.read(l); _, _ = io.WriteString(l.conn, "HTTP/1.1 2"); l.reset() }, false, "2"},
	{"reset within the header", nil, func(s *server, l link) {
		s.read(l)
		_, _ = io.WriteString(l.conn, "HTTP/1.1 204 X\r\nX: 1\r\n")
		l.reset()
	}, false, "2"},
	{"closed within the answer", nil, func(s *server, l link) { s.read(l); _, _ = io.WriteString(l.conn, "HTTP/1.1 2") }, false, "2"},
}

// TestKeptConnections: a kept connection that is reset costs no message, and one that is
// closed in order is never a reason to send a message twice.
func TestKeptConnections(t *testing.T) {
	secure, roots := certificate(t)
	for _, row := range keptEnds {
		for _, scheme := range []string{"http", "https"} {
			t.Run(row.name+" "+scheme, func(t *testing.T) {
				var s *server
				if scheme == "https" {
					s = serve(t, secure, row.kept)
				} else {
					s = serve(t, nil, row.kept)
				}
				transport := NewKeepingTransport(4)
				transport.fresh.TLSClientConfig.RootCAs = roots
				transport.first.TLSClientConfig.RootCAs = roots
				defer transport.CloseIdleConnections()
				defer transport.fresh.CloseIdleConnections() // it keeps none
				if err := send(t, transport, s.url, "1", nil); err != nil {
					t.Fatal(err)
				}
				var idle func()
				if row.idle != nil {
					idle = func() {
						l := <-s.first
						row.idle(l)
						_ = l.tcp.Close()
					}
				}
				err := send(t, transport, s.url, "2", idle)
				if (err == nil) != row.ok || errors.Is(err, ErrUnsent) || err != nil && !errors.Is(err, errBroken) && !errors.Is(err, errForm) {
					t.Errorf("error %v", err)
				}
				s.mu.Lock()
				defer s.mu.Unlock()
				if got := strings.Join(s.ids[1:], " "); got != row.ids {
					t.Errorf("the server read %q, want %q", got, row.ids)
				}
			})
		}
	}
}

// TestNewConnections: without kept connections none of their ends can be met. TLS is
// resumed, and HTTP/2, which would keep one, is not spoken.
func TestNewConnections(t *testing.T) {
	secure, roots := certificate(t)
	var resumed, protocols []string
	secure.VerifyConnection = func(state tls.ConnectionState) error {
		resumed, protocols = append(resumed, fmt.Sprint(state.DidResume)), append(protocols, state.NegotiatedProtocol)
		return nil
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		secure.MaxVersion, resumed = version, nil
		s := serve(t, secure, func(s *server, l link) { s.read(l) })
		transport := NewTransport()
		defer transport.CloseIdleConnections()
		transport.fresh.TLSClientConfig.RootCAs = roots
		for i := range 3 {
			if err := send(t, transport, s.url, fmt.Sprint(i), nil); err != nil {
				t.Error(err)
			}
		}
		if s.dials != 3 || fmt.Sprint(resumed) != "[false true true]" || strings.Trim(fmt.Sprint(protocols), "[htp/1. ]") != "" {
			t.Errorf("%d connections, resumed %v, protocols %v", s.dials, resumed, protocols)
		}
	}
}

// TestFirstConnections: what happens on a connection's first request is never repeated.
func TestFirstConnections(t *testing.T) {
	for name, transport := range map[string]*Transport{"new": NewTransport(), "keeping": NewKeepingTransport(1)} {
		for _, end := range []func(link){link.reset, func(l link) { _ = l.conn.Close() }} {
			var dials int
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
					dials++
					l := link{conn.(*net.TCPConn), conn, bufio.NewReader(conn)}
					l.request()
					end(l)
				}
			})
			err = send(t, transport, "http://"+listener.Addr().String(), "1", nil)
			_ = listener.Close()
			wait.Wait()
			if !errors.Is(err, errBroken) || dials != 1 {
				t.Errorf("%s: %d connections, error %v", name, dials, err)
			}
		}
	}
}

// TestKeptConnectionToNowhere: a message of which nothing was written was not sent, and
// one that may have been read stays open, although its repetition meets no server.
func TestKeptConnectionToNowhere(t *testing.T) {
	for _, read := range []bool{false, true} {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		taken := make(chan link, 1)
		var wait sync.WaitGroup
		wait.Go(func() {
			conn, err := listener.Accept()
			_ = listener.Close()
			if err != nil {
				return
			}
			l := link{conn.(*net.TCPConn), conn, bufio.NewReader(conn)}
			l.request()
			_, _ = io.WriteString(conn, yes)
			if read {
				l.request()
				l.reset()
			}
			taken <- l
		})
		transport := NewKeepingTransport(1)
		target := "http://" + listener.Addr().String()
		if err := send(t, transport, target, "1", nil); err != nil {
			t.Fatal(err)
		}
		var idle func()
		if !read {
			idle = func() {
				l := <-taken
				_ = l.tcp.CloseWrite()
				_, _ = io.Copy(io.Discard, l.tcp)
				_ = l.tcp.Close()
			}
		}
		err = send(t, transport, target, "2", idle)
		if errors.Is(err, ErrUnsent) == read || err == nil {
			t.Errorf("read %t: error %v", read, err)
		}
		wait.Wait()
	}
}

// TestUpgrade: a response that switches protocols has a body without an end.
func TestUpgrade(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	wait.Go(func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		l := link{conn.(*net.TCPConn), conn, bufio.NewReader(conn)}
		l.request()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
		_, _ = io.Copy(io.Discard, conn) // until the client leaves
		_ = conn.Close()
	})
	if err := send(t, NewTransport(), "http://"+listener.Addr().String(), "1", nil); err != nil {
		t.Error(err)
	}
	_ = listener.Close()
	wait.Wait()
}

func TestCause(t *testing.T) {
	gone, leave := context.WithCancel(t.Context())
	leave()
	for _, row := range []struct {
		ctx  context.Context
		err  error
		want error
	}{
		{t.Context(), errors.New("malformed HTTP response \"hush\""), errForm},
		{t.Context(), fmt.Errorf("read: %w", io.EOF), errBroken},
		{t.Context(), io.ErrUnexpectedEOF, errBroken},
		{t.Context(), errors.New(closedIdle), errBroken},
		{t.Context(), &net.OpError{Op: "read", Err: errors.New("hush")}, errBroken},
		{t.Context(), &net.DNSError{IsTimeout: true, Name: "hush"}, context.DeadlineExceeded},
		{gone, io.EOF, context.Canceled},
	} {
		if got := Cause(row.ctx, row.err); !errors.Is(got, row.want) || strings.Contains(got.Error(), "hush") {
			t.Errorf("%v: %v", row.err, got)
		}
	}
}

// TestStalledHandshake: a server that accepts connections and says nothing holds none of
// them for long after their request has ended.
func TestStalledHandshake(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	left := make(chan error, 1)
	go func() {
		conn, err := listener.Accept()
		if err == nil {
			_, err = io.Copy(io.Discard, conn) // until the client closes it
		}
		left <- err
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+listener.Addr().String(), http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if response, err := NewTransport().RoundTrip(request); err == nil {
		_ = response.Body.Close()
		t.Error("a response")
	}
	select {
	case <-left:
	case <-time.After(10 * dialTime):
		t.Error("the connection is still open")
	}
}
