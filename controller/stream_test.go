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
)

// site is the public API over sessions in memory, in a bubble of synctest: time
// passes when everybody waits. Token and session bear one name, "u1-a" is of
// user 1; tokens live 15 minutes.
type site struct {
	t        *testing.T
	listener *pipes
	client   *http.Client
	hub      *service.Hub
	follower *service.Follower
	began    time.Time
	metrics  *middleware.Metrics
	lines    *observer.ObservedLogs // of the access log

	mu       sync.Mutex
	sessions map[string]model.Session
	err      error
	log      []model.Event
	reports  []error
	panics   bool // when a session is read
}

func newSite(t *testing.T) *site {
	s := &site{t: t, listener: &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}, hub: service.NewHub(), sessions: map[string]model.Session{}, began: time.Now()}
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

// handler is the program's own public handler over the site.
func (s *site) handler() http.Handler {
	sessions := &service.Sessions{Tx: s, Store: siteStore{site: s}, Events: s, Hub: s.hub, Now: time.Now}
	s.follower = &service.Follower{Log: s, Hub: s.hub, Now: time.Now, Process: time.Now}
	s.poll()
	report := func(err error) { s.change(func() { s.reports = append(s.reports, err) }) }
	core, lines := observer.New(zap.InfoLevel)
	s.lines, s.metrics = lines, middleware.NewMetrics()
	return router.Public{
		Session: controller.Session{Sessions: sessions, Now: time.Now, Report: report}, Verify: s.verify, CORSOrigins: []string{"https://app.example"},
		Edge: router.Edge{Envelope: &middleware.Envelope{Locale: "en", Log: zap.NewNop()}, Metrics: s.metrics, Log: zap.New(core), Now: time.Now},
	}.Handler()
}

// pipes is a network without buffers: what nobody reads stays with the writer.
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

// verify knows every token that was opened here.
func (s *site) verify(raw string) (model.Claims, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	session, ok := s.sessions[raw]
	if !ok {
		return model.Claims{}, model.ErrToken
	}
	return model.Claims{SessionID: raw, UserID: session.UserID, Gen: 1, ExpiresAt: model.TimeOf(s.began.Add(15 * time.Minute))}, nil
}

// open makes a live session with a bound device.
func (s *site) open(name string) string {
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

// end ends sessions elsewhere, and lets this process read of it.
func (s *site) end(names ...string) {
	s.change(func() {
		for _, name := range names {
			session := s.sessions[name]
			session.EndedAt, session.EndReason = 1, model.ReasonDisplaced
			s.sessions[name] = session
			s.log = append(s.log, model.Event{ID: int64(len(s.log)), At: model.TimeOf(time.Now()), SessionID: name})
		}
	})
	s.poll()
}

func (s *site) change(act func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	act()
}

func (s *site) poll() {
	s.t.Helper()
	if err := s.follower.Poll(s.t.Context()); err != nil {
		s.t.Error(err)
	}
}

func (s *site) Ends(context.Context, model.Time) ([]model.Event, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log, nil
}

func (s *site) Append(context.Context, ...model.Event) error { return nil }

func (s *site) Within(ctx context.Context, act func(ctx context.Context) error) error {
	return act(ctx)
}

// siteStore is the SessionStore of a site.
type siteStore struct {
	service.SessionStore
	site *site
}

func (s siteStore) ByID(_ context.Context, id string) (model.Session, error) {
	s.site.mu.Lock()
	defer s.site.mu.Unlock()
	if s.site.panics {
		panic("secret-of-a-panic")
	}
	return s.site.sessions[id], s.site.err
}

func (s siteStore) Slot(context.Context, int64, string) (model.Slot, error) {
	return model.Slot{LoginAt: 1_546_300_800_000}, nil
}

func (s siteStore) EndSeen(_ context.Context, seen model.Session, reason model.Reason, now model.Time) (bool, error) {
	s.site.change(func() {
		seen.EndedAt, seen.EndReason = now, reason
		s.site.sessions[seen.ID] = seen
	})
	return true, nil
}

// get asks with a token and more headers, names and values in turn.
func (s *site) get(ctx context.Context, path, token string, headers ...string) *http.Response {
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

// stream is an open stream of events and when its lines came.
type stream struct {
	*http.Response
	t     *testing.T
	lines *bufio.Reader
}

// listen opens a stream, which must answer at once.
func (s *site) listen(token string, headers ...string) stream {
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

// want reads exactly text.
func (s stream) want(text string) {
	s.t.Helper()
	got := make([]byte, len(text))
	if n, err := io.ReadFull(s.lines, got); err != nil || string(got) != text {
		s.t.Errorf("read %q, error %v, want %q", got[:n], err, text)
	}
}

// wantEnd reads the end of the stream and nothing else.
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

// wantCode reads a failure's envelope.
func wantCode(t *testing.T, answer *http.Response, want int) {
	t.Helper()
	var envelope struct{ Code int }
	err := errors.Join(json.NewDecoder(answer.Body).Decode(&envelope), answer.Body.Close())
	if err != nil || envelope.Code != want || answer.StatusCode != want/100 {
		t.Errorf("status %d, code %d, error %v, want %d", answer.StatusCode, envelope.Code, err, want)
	}
}

func TestEventsTellTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		one, two := s.listen(s.open("u1-a")), s.listen("u1-a")
		other := s.listen(s.open("u1-b"))
		for name, want := range map[string]string{"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-store", "X-Accel-Buffering": "no"} {
			if got := one.Header.Get(name); got != want {
				t.Errorf("%s is %q, want %q", name, got, want)
			}
		}
		if one.Header.Get("X-Request-Id") == "" || one.Header.Get("Content-Length") != "" {
			t.Errorf("headers %v", one.Header)
		}
		time.Sleep(time.Second)
		told := time.Now()
		s.end("u1-a")
		for _, stream := range []stream{one, two} { // a second stream of one session
			stream.want(displaced)
			stream.wantEnd()
		}
		if late := time.Since(told); late != 0 {
			t.Errorf("told after %v", late)
		}
		other.want(heartbeat)
		other.Body.Close()
	})
}

// TestEventsOfAnEndedSession: what the client missed it hears when it connects,
// whatever it says that it has heard before.
func TestEventsOfAnEndedSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.open("u1-a")
		s.end("u1-a")
		for _, headers := range [][]string{nil, {"Last-Event-ID", "7"}, {"Last-Event-ID", "-1; DROP TABLE events"}, {"Last-Event-ID", strings.Repeat("é", 1000)}, {"Accept", "application/json"}} {
			late := s.listen("u1-a", headers...)
			late.want(displaced)
			late.wantEnd()
		}
		time.Sleep(time.Hour) // and with a token that has expired
		late := s.listen("u1-a")
		late.want(displaced)
		late.wantEnd()
	})
}

// TestEventsHeartbeat: the stream outlasts the server's time for answers, and
// ends with the token, without an event.
func TestEventsHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		began := time.Now()
		open := s.listen(s.open("u1-a"), "Last-Event-ID", "\t☃ garbage")
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

// TestEventsIdleEnd: a session that comes to its end by itself is told of too,
// unless a refresh has moved the end.
func TestEventsIdleEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.open("u1-a")
		idle := func(d time.Duration) {
			s.change(func() {
				session := s.sessions["u1-a"]
				session.IdleUntil = model.TimeOf(s.began.Add(d))
				s.sessions["u1-a"] = session
			})
		}
		idle(20 * time.Second)
		open := s.listen("u1-a")
		open.want(heartbeat)
		idle(40 * time.Second)
		open.want(heartbeat)
		open.want(expired)
		open.wantEnd()
		if at := time.Since(s.began); at < 40*time.Second || at > 41*time.Second {
			t.Errorf("told after %v", at)
		}
	})
}

// TestEventsRefused: no stream is opened, the answer is an envelope.
func TestEventsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.open("u1-a")
		for _, token := range []string{"", "forged", "u1-b", "eyJhbGciOiJub25lIn0.e30."} {
			wantCode(t, s.get(t.Context(), "/app/auth/events", token), 40100)
		}
		s.change(func() { s.err = model.ErrUnavailable })
		wantCode(t, s.get(t.Context(), "/app/auth/events", "u1-a"), 50300)
	})
}

// TestEventsLimit: five streams for a user, over all sessions; who leaves makes room.
func TestEventsLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		var open []stream
		ctx, leave := context.WithCancel(t.Context())
		s.open("u1-a")
		first := s.get(ctx, "/app/auth/events", "u1-a")
		for _, name := range []string{"u1-a", "u1-a", "u1-b", "u1-c"} {
			open = append(open, s.listen(s.open(name)))
		}
		for range 3 {
			refused := s.get(t.Context(), "/app/auth/events", "u1-a")
			if refused.Header.Get("Retry-After") == "" {
				t.Error("refused without Retry-After")
			}
			wantCode(t, refused, 42900)
		}
		open = append(open, s.listen(s.open("u2-a")))
		leave()
		first.Body.Close()
		synctest.Wait()
		open = append(open, s.listen("u1-c"))
		s.end("u1-a", "u1-b", "u1-c", "u2-a")
		for _, stream := range open {
			stream.want(displaced)
			stream.wantEnd()
		}
	})
}

// TestEventsStop: when the process stops, streams end without an event.
func TestEventsStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		open := s.listen(s.open("u1-a"))
		began := time.Now()
		s.hub.Stop()
		open.wantEnd()
		late := s.listen("u1-a")
		late.wantEnd()
		if at := time.Since(began); at != 0 {
			t.Errorf("ended after %v", at)
		}
	})
}

// TestEventsWithoutStorage: an end that cannot be read is told to nobody as
// something else; the client comes again.
func TestEventsWithoutStorage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		open := s.listen(s.open("u1-a"))
		s.change(func() { s.err = model.ErrUnavailable })
		s.end("u1-a")
		open.wantEnd()
	})
}

// TestEventsToldYetAlive: whoever is woken for nothing is let go and comes
// again; nobody reads the state over and over.
func TestEventsToldYetAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		open := s.listen(s.open("u1-a"))
		s.log = append(s.log, model.Event{ID: 99, At: model.TimeOf(time.Now()), SessionID: "u1-a"})
		s.poll()
		open.wantEnd()
	})
}

// TestEventsStuckReaders: clients that do not read, from the start or after the
// hint, delay none of a hundred others, and are dropped.
func TestEventsStuckReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		names := []string{s.open("u99-a")}
		for i := range 3 { // two never read at all
			conn, err := s.listener.dial(t.Context(), "", "")
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := io.WriteString(conn, "GET /app/auth/events HTTP/1.1\r\nHost: site\r\nAuthorization: Bearer u99-a\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			if i == 2 { // this one reads the hint, chunked
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
				names = append(names, s.open(name))
			}
			readers = append(readers, s.listen(name))
		}
		synctest.Wait()
		if got := s.hub.Streams(); got != 103 {
			t.Fatalf("%d streams are open", got)
		}
		began := time.Now()
		s.end(names...)
		for _, reader := range readers {
			reader.want(displaced)
			reader.wantEnd()
		}
		if late := time.Since(began); late != 0 {
			t.Errorf("the last of a hundred was told after %v", late)
		}
		synctest.Wait() // a stream is over a moment after its connection
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

// TestEventsOverTCP: on a real network and clock, a hundred readers hear of an
// end within a second although another client reads nothing.
func TestEventsOverTCP(t *testing.T) {
	s := &site{t: t, hub: service.NewHub(), sessions: map[string]model.Session{}, began: time.Now()}
	server := httptest.NewServer(s.handler())
	t.Cleanup(server.Close)
	s.client = server.Client()
	names := []string{s.open("u99-a")}
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
			names = append(names, s.open(name))
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
	s.end(names...)
	for _, reader := range readers {
		reader.want(displaced)
		reader.wantEnd()
	}
	if late := time.Since(began); late > time.Second {
		t.Errorf("the last of a hundred was told after %v", late)
	}
}

// TestCheckWait: how long a check may be asked to be held.
func TestCheckWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.open("u1-a")
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

// wantChecked reads the answer of a check.
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

// TestCheckWaitTurns: a held check is answered when the session ends, and when
// the process stops.
func TestCheckWaitTurns(t *testing.T) {
	for name, tt := range map[string]struct {
		happens func(s *site)
		state   string
		yes     bool
	}{
		"end":  {func(s *site) { s.end("u1-a") }, "displaced", false},
		"stop": {func(s *site) { s.hub.Stop() }, "active", true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t)
				s.open("u1-a")
				began := time.Now()
				go func() {
					time.Sleep(20 * time.Second) // longer than answers may take that come at once
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
