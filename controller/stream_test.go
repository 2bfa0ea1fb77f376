package controller_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"menshen/controller"
	"menshen/middleware"
	"menshen/model"
	"menshen/router"
	"menshen/service"
	"menshen/telemetry"
)

// testServer is the public API over sessions in memory, in a bubble of synctest: time
// passes while all goroutines are blocked. A token is the id of its session, "u1-a" is
// of user 1, and "u1-a+" its second generation; tokens live 15 minutes.
type testServer struct {
	t        *testing.T
	listener *pipes
	client   *http.Client
	hub      *service.Hub
	follower *service.Follower
	began    time.Time
	metrics  *telemetry.Metrics
	lines    *observer.ObservedLogs // of the access log

	mu       sync.Mutex
	sessions map[string]model.Session
	err      error
	log      []model.Event
	reports  []error
	panics   bool // whether reading a session panics
}

func newTestServer(t *testing.T) *testServer {
	s := &testServer{t: t, listener: &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}, hub: service.NewHub(), sessions: map[string]model.Session{}, began: time.Now()}
	server := &http.Server{Handler: s.handler(), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 15 * time.Second, IdleTimeout: time.Minute}
	go func() {
		if err := server.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	}()
	transport := &http.Transport{DialContext: s.listener.dial}
	s.client = &http.Client{Transport: transport}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		s.hub.Stop()
		if err := errors.Join(server.Close(), s.hub.Wait(context.Background())); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if n := s.hub.Streams(); n != 0 {
			t.Errorf("%d streams are left", n)
		}
	})
	return s
}

// handler is the program's public handler over the sessions in memory.
func (s *testServer) handler() http.Handler {
	sessions := &service.Sessions{Endings: &service.Endings{Tx: s, Store: sessionStore{server: s}, Events: s, Hub: s.hub, Now: time.Now}}
	s.follower = &service.Follower{Log: s, Hub: s.hub, Now: time.Now, OwnNow: time.Now}
	s.poll()
	report := func(err error) { s.locked(func() { s.reports = append(s.reports, err) }) }
	core, lines := observer.New(zap.InfoLevel)
	s.lines, s.metrics = lines, telemetry.NewMetrics("test")
	return router.Public{
		PublicHandlers: router.PublicHandlers{Session: controller.Session{Sessions: sessions, Now: time.Now, OnStreamError: report}},
		PublicGuards:   router.PublicGuards{Verify: s.verify, OwnShare: sessions.OwnShare}, CORSOrigins: []string{"https://app.example"},
		Edge: router.Edge{Envelope: &middleware.Envelope{Locale: "en", Log: zap.NewNop()}, Requests: s.metrics.Requests, AccessLog: telemetry.NewPlainAccessLog(zap.New(core)), Now: time.Now},
	}.Handler()
}

// pipes is a network without buffers: a write blocks until it is read.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case p.conns <- far:
		return near, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.conns:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// verify accepts the token of each session of login.
func (s *testServer) verify(raw string) (model.Claims, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := strings.TrimSuffix(raw, "+")
	session, ok := s.sessions[id]
	if !ok {
		return model.Claims{}, model.ErrToken
	}
	gen := int64(1 + len(raw) - len(id))
	return model.Claims{SessionID: id, UserID: session.UserID, Gen: gen, ExpiresAt: model.TimeOf(s.began.Add(15 * time.Minute))}, nil
}

// login adds an active session with a bound device and returns its token.
func (s *testServer) login(name string) string {
	user, _, _ := strings.Cut(strings.TrimPrefix(name, "u"), "-")
	id, err := strconv.ParseInt(user, 10, 64)
	if err != nil {
		s.t.Fatal(err)
	}
	end := model.TimeOf(s.began.Add(time.Hour))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sessions[name] = model.Session{ID: name, UserID: id, DeviceNumber: "d", Gen: 1, Confirmed: true, IdleUntil: end, EndsAt: end}
	return name
}

// endElsewhere ends sessions on another instance; this one reads the events.
func (s *testServer) endElsewhere(names ...string) {
	s.locked(func() {
		for _, name := range names {
			session := s.sessions[name]
			session.EndedAt, session.EndReason = 1, model.ReasonDisplaced
			s.sessions[name] = session
			s.log = append(s.log, model.Event{ID: int64(len(s.log)), At: model.TimeOf(time.Now()), SessionID: name})
		}
	})
	s.poll()
}

func (s *testServer) locked(act func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	act()
}

func (s *testServer) poll() {
	s.t.Helper()
	if err := s.follower.Poll(s.t.Context()); err != nil {
		s.t.Error(err)
	}
}

func (s *testServer) Ends(context.Context, model.Time) ([]model.Event, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log, nil
}

func (s *testServer) Append(context.Context, ...model.Event) error { return nil }

func (s *testServer) Within(ctx context.Context, act func(ctx context.Context) error) error {
	return act(ctx)
}

// sessionStore is the SessionStore of a testServer.
type sessionStore struct {
	service.SessionStore
	server *testServer
}

func (s sessionStore) ByID(_ context.Context, id string) (model.Session, error) {
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	if s.server.panics {
		panic("secret-of-a-panic")
	}
	return s.server.sessions[id], s.server.err
}

func (s sessionStore) LoginSequence(context.Context, int64, string) (model.LoginSequence, error) {
	return model.LoginSequence{LoginAt: 1_546_300_800_000}, nil
}

func (s sessionStore) EndSeen(_ context.Context, seen model.Session, reason model.Reason, now model.Time) (bool, error) {
	s.server.locked(func() {
		seen.EndedAt, seen.EndReason = now, reason
		s.server.sessions[seen.ID] = seen
	})
	return true, nil
}

// get sends a request with a token and more headers, names and values in turn.
func (s *testServer) get(ctx context.Context, path, token string, headers ...string) *http.Response {
	s.t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://site"+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	answer, err := s.client.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer
}

// stream is an open event stream.
type stream struct {
	*http.Response
	t     *testing.T
	lines *bufio.Reader
}

// openStream opens a stream, whose response must come at once.
func (s *testServer) openStream(token string, headers ...string) stream {
	s.t.Helper()
	began := time.Now()
	answer := s.get(s.t.Context(), "/app/auth/events", token, headers...)
	if answer.StatusCode != http.StatusOK || !time.Now().Equal(began) {
		s.t.Fatalf("status %d after %v", answer.StatusCode, time.Since(began))
	}
	opened := stream{answer, s.t, bufio.NewReader(answer.Body)}
	opened.want("retry: 3000\n\n")
	return opened
}

// want reads the text.
func (s stream) want(text string) {
	s.t.Helper()
	got := make([]byte, len(text))
	if n, err := io.ReadFull(s.lines, got); err != nil || string(got) != text {
		s.t.Errorf("read %q, error %v, want %q", got[:n], err, text)
	}
}

// wantEnd reads the end of the stream.
func (s stream) wantEnd() {
	s.t.Helper()
	if rest, err := io.ReadAll(s.lines); err != nil || len(rest) > 0 {
		s.t.Errorf("read %q, error %v, want the end", rest, err)
	}
	if err := s.Body.Close(); err != nil {
		s.t.Error(err)
	}
}

const (
	displaced = "event: session.ended\ndata: {\"reason\":\"displaced\",\"lastLoginTime\":\"2019-01-01T00:00:00Z\"}\n\n"
	expired   = "event: session.ended\ndata: {\"reason\":\"expired\",\"lastLoginTime\":\"2019-01-01T00:00:00Z\"}\n\n"
	heartbeat = ": heartbeat\n\n"
)

// wantCode reads the envelope of a failure.
func wantCode(t *testing.T, answer *http.Response, want int) {
	t.Helper()
	var envelope struct{ Code int }
	err := errors.Join(json.NewDecoder(answer.Body).Decode(&envelope), answer.Body.Close())
	if err != nil || envelope.Code != want || answer.StatusCode != want/100 {
		t.Errorf("status %d, code %d, error %v, want %d", answer.StatusCode, envelope.Code, err, want)
	}
}

func TestEventsSendTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestServer(t)
		one, two := s.openStream(s.login("u1-a")), s.openStream("u1-a")
		other := s.openStream(s.login("u1-b"))
		for name, want := range map[string]string{"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-store", "X-Accel-Buffering": "no"} {
			if got := one.Header.Get(name); got != want {
				t.Errorf("%s is %q, want %q", name, got, want)
			}
		}
		if one.Header.Get("X-Request-Id") == "" || one.Header.Get("Content-Length") != "" {
			t.Errorf("headers %v", one.Header)
		}
		time.Sleep(time.Second)
		ended := time.Now()
		s.endElsewhere("u1-a")
		for _, stream := range []stream{one, two} { // a second stream of one session
			stream.want(displaced)
			stream.wantEnd()
		}
		if late := time.Since(ended); late != 0 {
			t.Errorf("the end came after %v", late)
		}
		other.want(heartbeat)
		other.Body.Close()
	})
}

// TestEventsOfAnEndedSession: a client gets a missed end when it connects, whatever
// Last-Event-ID it sends.
func TestEventsOfAnEndedSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestServer(t)
		s.login("u1-a")
		s.endElsewhere("u1-a")
		for _, headers := range [][]string{nil, {"Last-Event-ID", "7"}, {"Last-Event-ID", "-1; DROP TABLE events"}, {"Last-Event-ID", strings.Repeat("é", 1000)}, {"Accept", "application/json"}} {
			late := s.openStream("u1-a", headers...)
			late.want(displaced)
			late.wantEnd()
		}
		time.Sleep(time.Hour) // now the token has expired
		late := s.openStream("u1-a")
		late.want(displaced)
		late.wantEnd()
	})
}

// TestEventsHeartbeat: the stream outlives the server's write deadline, and ends with
// the token, without an event.
func TestEventsHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestServer(t)
		began := time.Now()
		open := s.openStream(s.login("u1-a"), "Last-Event-ID", "\t☃ garbage")
		for beat := range 59 {
			open.want(heartbeat)
			if at := time.Since(began); at != time.Duration(beat+1)*15*time.Second {
				t.Fatalf("beat %d after %v", beat, at)
			}
		}
		rest, err := io.ReadAll(open.lines)
		if at := time.Since(began); err != nil || strings.ReplaceAll(string(rest), heartbeat, "") != "" || at < 15*time.Minute || at > 15*time.Minute+time.Second {
			t.Errorf("ended after %v with %q, error %v", at, rest, err)
		}
		wantCode(t, s.get(t.Context(), "/app/auth/events", "u1-a"), 40101)
	})
}

// TestEventsIdleEnd: the stream also sends the end of a session that expires, unless
// a refresh has moved the end.
func TestEventsIdleEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestServer(t)
		s.login("u1-a")
		idle := func(d time.Duration) {
			s.locked(func() {
				session := s.sessions["u1-a"]
				session.IdleUntil = model.TimeOf(s.began.Add(d))
				s.sessions["u1-a"] = session
			})
		}
		idle(20 * time.Second)
		open := s.openStream("u1-a")
		open.want(heartbeat)
		idle(40 * time.Second)
		open.want(heartbeat)
		open.want(expired)
		open.wantEnd()
		if at := time.Since(s.began); at < 40*time.Second || at > 41*time.Second {
			t.Errorf("the end came after %v", at)
		}
	})
}

// TestEventsRefused: no stream is opened, the response is an envelope.
func TestEventsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestServer(t)
		s.login("u1-a")
		for _, token := range []string{"", "forged", "u1-b", "eyJhbGciOiJub25lIn0.e30."} {
			wantCode(t, s.get(t.Context(), "/app/auth/events", token), 40100)
		}
		s.locked(func() { s.err = model.ErrUnavailable })
		wantCode(t, s.get(t.Context(), "/app/auth/events", "u1-a"), 50300)
	})
}

// TestEventsLimit: a user may have five streams, over all sessions; a stream that
// closes frees its place.
func TestEventsLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestServer(t)
		var open []stream
		ctx, leave := context.WithCancel(t.Context())
		s.login("u1-a")
		first := s.get(ctx, "/app/auth/events", "u1-a")
		for _, name := range []string{"u1-a", "u1-a", "u1-b", "u1-c"} {
			open = append(open, s.openStream(s.login(name)))
		}
		for range 3 {
			refused := s.get(t.Context(), "/app/auth/events", "u1-a")
			if refused.Header.Get("Retry-After") == "" {
				t.Error("refused without Retry-After")
			}
			wantCode(t, refused, 42900)
		}
		open = append(open, s.openStream(s.login("u2-a")))
		leave()
		first.Body.Close()
		synctest.Wait()
		open = append(open, s.openStream("u1-c"))
		s.endElsewhere("u1-a", "u1-b", "u1-c", "u2-a")
		for _, stream := range open {
			stream.want(displaced)
			stream.wantEnd()
		}
	})
}

// TestEventsOldToken: the holder of an old token does not keep the owner of the session
// out. The stream that makes room closes without an event.
func TestEventsOldToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestServer(t)
		s.login("u1-a")
		var thief, owner []stream
		for range 5 {
			thief = append(thief, s.openStream("u1-a"))
		}
		s.locked(func() {
			session := s.sessions["u1-a"]
			session.Gen = 2
			s.sessions["u1-a"] = session
		})
		for range 5 {
			wantCode(t, s.get(t.Context(), "/app/auth/events", "u1-a"), 42900)
			owner = append(owner, s.openStream("u1-a+"))
		}
		wantCode(t, s.get(t.Context(), "/app/auth/events", "u1-a+"), 42900)
		for _, stream := range thief {
			stream.wantEnd()
		}
		synctest.Wait()
		if got := s.hub.Streams(); got != 5 {
			t.Errorf("%d streams are open", got)
		}
		s.endElsewhere("u1-a")
		for _, stream := range owner {
			stream.want(displaced)
			stream.wantEnd()
		}
	})
}

// TestEventsStop: when the process stops, streams close without an event.
func TestEventsStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestServer(t)
		open := s.openStream(s.login("u1-a"))
		began := time.Now()
		s.hub.Stop()
		open.wantEnd()
		late := s.openStream("u1-a")
		late.wantEnd()
		if at := time.Since(began); at != 0 {
			t.Errorf("ended after %v", at)
		}
	})
}

// TestEventsWithoutStorage: if the end cannot be read, the stream closes without an
// event, and the client connects again.
func TestEventsWithoutStorage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestServer(t)
		open := s.openStream(s.login("u1-a"))
		s.locked(func() { s.err = model.ErrUnavailable })
		s.endElsewhere("u1-a")
		open.wantEnd()
	})
}

// TestEventsFalseWake: a stream that is notified although the session is active
// closes instead of reading the state again and again; the client connects again.
func TestEventsFalseWake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestServer(t)
		open := s.openStream(s.login("u1-a"))
		s.log = append(s.log, model.Event{ID: 99, At: model.TimeOf(time.Now()), SessionID: "u1-a"})
		s.poll()
		open.wantEnd()
	})
}

// TestEventsStuckReaders: clients that do not read, from the start or after the
// reconnection time, delay none of a hundred others, and are disconnected.
func TestEventsStuckReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestServer(t)
		names := []string{s.login("u99-a")}
		for i := range 3 { // two never read at all
			conn, err := s.listener.dial(t.Context(), "", "")
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := io.WriteString(conn, "GET /app/auth/events HTTP/1.1\r\nHost: site\r\nAuthorization: Bearer u99-a\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			if i == 2 { // this one reads the reconnection time, chunked
				lines := bufio.NewReader(conn)
				for line := ""; !strings.HasPrefix(line, "retry:"); {
					if line, err = lines.ReadString('\n'); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		var readers []stream
		for i := range 100 {
			name := "u" + strconv.Itoa(i/5) + "-a"
			if i%5 == 0 {
				names = append(names, s.login(name))
			}
			readers = append(readers, s.openStream(name))
		}
		synctest.Wait()
		if got := s.hub.Streams(); got != 103 {
			t.Fatalf("%d streams are open", got)
		}
		began := time.Now()
		s.endElsewhere(names...)
		for _, reader := range readers {
			reader.want(displaced)
			reader.wantEnd()
		}
		if late := time.Since(began); late != 0 {
			t.Errorf("the last of a hundred got the end after %v", late)
		}
		synctest.Wait() // the stream ends a moment after its connection
		if got := s.hub.Streams(); got != 3 {
			t.Errorf("%d streams are open, want the stuck ones", got)
		}
		time.Sleep(10*time.Second + time.Millisecond)
		synctest.Wait()
		if got := s.hub.Streams(); got != 0 {
			t.Errorf("%d stuck streams were not dropped", got)
		}
	})
}

// TestEventsOverTCP: on a real network and clock, a hundred clients get the end within
// a second although another client reads nothing.
func TestEventsOverTCP(t *testing.T) {
	s := &testServer{t: t, hub: service.NewHub(), sessions: map[string]model.Session{}, began: time.Now()}
	server := httptest.NewServer(s.handler())
	t.Cleanup(server.Close)
	s.client = server.Client()
	names := []string{s.login("u99-a")}
	stuck, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer stuck.Close()
	if _, err := io.WriteString(stuck, "GET /app/auth/events HTTP/1.1\r\nHost: site\r\nAuthorization: Bearer u99-a\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	var readers []stream
	for i := range 100 {
		name := "u" + strconv.Itoa(i/5) + "-a"
		if i%5 == 0 {
			names = append(names, s.login(name))
		}
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/app/auth/events", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+name)
		opened, err := s.client.Do(request)
		if err != nil || opened.StatusCode != http.StatusOK {
			t.Fatalf("%+v, error %v", opened, err)
		}
		readers = append(readers, stream{opened, t, bufio.NewReader(opened.Body)})
		readers[i].want("retry: 3000\n\n")
	}
	began := time.Now()
	s.endElsewhere(names...)
	for _, reader := range readers {
		reader.want(displaced)
		reader.wantEnd()
	}
	if late := time.Since(began); late > 10*time.Second {
		t.Errorf("the last of a hundred got the end after %v", late)
	}
}

// TestCheckWait: the legal values of wait.
func TestCheckWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestServer(t)
		s.login("u1-a")
		const path = "/wx/pc/check-login-status?deviceNumber=d"
		for _, query := range []string{
			"&wait=-1", "&wait=31", "&wait=abc", "&wait=1.5", "&wait=", "&wait", "&wait=5&wait=5", "&wait=1&wait=2", "&wait=+5", "&wait=%2B5", "&wait=030", "&wait=000",
			"&wait=5s", "&wait=1e1", "&wait=0x1", "&wait=%205", "&wait=5%20", "&wait=99999999999999999999", "&wait=NaN", "&wait=null", "&wait=٣", "&wait=１", "&wait=1_0", "&wait=5;wait=6", "&wait=%zz",
		} {
			began := time.Now()
			wantCode(t, s.get(t.Context(), path+query, "u1-a"), 40000)
			if !time.Now().Equal(began) {
				t.Errorf("%s was held for %v", query, time.Since(began))
			}
		}
		for query, want := range map[string]time.Duration{"": 0, "&wait=0": 0, "&wait=1": time.Second, "&wait=25": 25 * time.Second, "&wait=30": 30 * time.Second} {
			began := time.Now()
			answer := s.get(t.Context(), path+query, "u1-a")
			wantChecked(t, answer, "active", true)
			if got := time.Since(began); got != want {
				t.Errorf("%q was held for %v", query, got)
			}
		}
	})
}

// wantChecked reads the response of a check.
func wantChecked(t *testing.T, answer *http.Response, state string, yes bool) {
	t.Helper()
	var envelope struct {
		Code int
		Data struct{ IsLogin bool }
	}
	err := errors.Join(json.NewDecoder(answer.Body).Decode(&envelope), answer.Body.Close())
	if err != nil || envelope.Code != 0 || envelope.Data.IsLogin != yes || answer.Header.Get("X-Login-State") != state {
		t.Errorf("%+v, state %q, error %v, want %v, %q", envelope, answer.Header.Get("X-Login-State"), err, yes, state)
	}
}

// TestHeldCheckReturns: a held check returns when the session ends, and when the
// process stops.
func TestHeldCheckReturns(t *testing.T) {
	for name, tt := range map[string]struct {
		happens func(s *testServer)
		state   string
		yes     bool
	}{
		"end":  {func(s *testServer) { s.endElsewhere("u1-a") }, "displaced", false},
		"stop": {func(s *testServer) { s.hub.Stop() }, "active", true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newTestServer(t)
				s.login("u1-a")
				began := time.Now()
				go func() {
					time.Sleep(20 * time.Second) // longer than the server's write deadline
					tt.happens(s)
				}()
				answer := s.get(t.Context(), "/wx/pc/check-login-status/d?wait=30", "u1-a")
				wantChecked(t, answer, tt.state, tt.yes)
				if at := time.Since(began); at != 20*time.Second {
					t.Errorf("answered after %v", at)
				}
			})
		})
	}
}
