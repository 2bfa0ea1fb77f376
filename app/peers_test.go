package app

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"menshen/config"
)

// limited is an HTTP server on loopback that limits all peers but 127.0.0.9, as the
// public listener limits those of other machines. A request for /stream is hijacked.
type limited struct {
	address string
	rules   atomic.Pointer[peerRules]
	refused atomic.Int32
	streams chan net.Conn
}

func newLimited(t *testing.T, most int) *limited {
	t.Helper()
	l := &limited{streams: make(chan net.Conn, 1)}
	l.limit(most)
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.address = listener.Addr().String()
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/stream" {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
			}
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			l.streams <- conn
		}
	})}
	counting := &peerListener{Listener: listener, rules: &l.rules, held: map[string]int{}, refused: func(string) { l.refused.Add(1) }}
	go func() { _ = server.Serve(counting) }()
	t.Cleanup(func() { _ = server.Close() })
	return l
}

func (l *limited) limit(most int) {
	l.rules.Store(&peerRules{most: most, mostOfBlock: 1000, exempt: func(peer netip.Addr) bool { return peer == netip.MustParseAddr("127.0.0.9") }})
}

// ask opens a connection from an address and reports whether a request on it is answered.
func (l *limited) ask(t *testing.T, from, path string) (net.Conn, bool) {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: 5 * time.Second}
	conn, err := dialer.DialContext(t.Context(), "tcp", l.address)
	if err != nil {
		return nil, false // the reset came first
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	_, _ = io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: menshen\r\n\r\n")
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return conn, false
	}
	_ = response.Body.Close()
	return conn, true
}

func (l *limited) wants(t *testing.T, from string, served bool) net.Conn {
	t.Helper()
	conn, got := l.ask(t, from, "/")
	if got != served {
		t.Errorf("a connection of %s is served: %v", from, got)
	}
	return conn
}

// again waits until the server has noticed that a connection ended.
func (l *limited) again(t *testing.T, from string) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if _, served := l.ask(t, from, "/"); served {
			return
		}
	}
	t.Errorf("%s is refused for ever", from)
}

// TestPeers: an address that holds all the connections it may gets no more, closed at
// once, and others do; what it closes counts no longer, be it taken over or not.
func TestPeers(t *testing.T) {
	l := newLimited(t, 3)
	first := l.wants(t, "127.0.0.2", true)
	l.wants(t, "127.0.0.2", true)
	if _, served := l.ask(t, "127.0.0.2", "/stream"); !served {
		t.Fatal("no stream")
	}
	stream := <-l.streams
	l.wants(t, "127.0.0.2", false)
	l.wants(t, "127.0.0.3", true)
	for range 10 {
		l.wants(t, "127.0.0.9", true)
	}
	_ = first.Close()
	l.again(t, "127.0.0.2")
	l.wants(t, "127.0.0.2", false)
	_ = stream.Close()
	_ = stream.Close() // counts once
	l.again(t, "127.0.0.2")
	l.wants(t, "127.0.0.2", false)

	l.limit(0)
	l.wants(t, "127.0.0.2", true)
	l.wants(t, "127.0.0.2", true)
	l.limit(3) // what was opened without a limit counts
	l.wants(t, "127.0.0.2", false)
	l.limit(6)
	l.wants(t, "127.0.0.2", true)
	l.wants(t, "127.0.0.2", false)
}

// TestBlocksOfPeers: the addresses of one block hold together no more than half of the
// descriptors, and others do.
func TestBlocksOfPeers(t *testing.T) {
	rules, err := newPeerRules(config.Server{MaxConnsPerIP: 3}, 8)
	if err != nil {
		t.Fatal(err)
	}
	l := peerListener{held: map[string]int{}}
	enter := func(text string) bool {
		peer := netip.MustParseAddr(text)
		return l.enter(addressOf(peer), blockOf(peer), rules.most, rules.mostOfBlock)
	}
	for _, tt := range []struct {
		peer string
		want bool
	}{
		{"2001:db8:1:1::1", true}, {"2001:db8:1:2::1", true}, {"2001:db8:1:3::1", true}, {"2001:db8:1:4::1", true},
		{"2001:db8:1:5::1", false}, {"2001:db8:2:1::1", true}, {"192.0.2.1", true},
	} {
		if got := enter(tt.peer); got != tt.want {
			t.Errorf("a connection of %s is taken: %v", tt.peer, got)
		}
	}
	first := netip.MustParseAddr("2001:db8:1:1::1")
	l.leave(addressOf(first), blockOf(first))
	if !enter("2001:db8:1:5::1") || enter("2001:db8:1:6::1") {
		t.Error("one connection fewer of the block is not one place more")
	}
}

// TestRefusedPeersCostNothing: refused connections leave no goroutine, however many.
func TestRefusedPeersCostNothing(t *testing.T) {
	l := newLimited(t, 1)
	l.wants(t, "127.0.0.2", true)
	before := runtime.NumGoroutine()
	refused := l.refused.Load()
	for range 200 {
		l.wants(t, "127.0.0.2", false)
	}
	if n := runtime.NumGoroutine(); n > before+5 {
		t.Errorf("%d goroutines, %d before", n, before)
	}
	if n := l.refused.Load() - refused; n != 200 {
		t.Errorf("%d connections were refused", n)
	}
}

// TestPublicListenerCountsPeers: the rules in force bound the peers of the public listener
// alone.
func TestPublicListenerCountsPeers(t *testing.T) {
	s := &server{App: &App{Config: &config.Config{}}}
	public, admin := &listening{}, &listening{}
	counted, plain := 0, 0
	for _, listener := range s.newServers(public, admin) {
		switch peers, counts := listener.(*peerListener); {
		case counts && peers.Listener == public && peers.rules == &s.peers:
			counted++
		case listener == admin:
			plain++
		}
	}
	if counted != 1 || plain != 1 {
		t.Errorf("%d listeners count peers, %d do not", counted, plain)
	}
}

func TestPeerRules(t *testing.T) {
	rules, err := newPeerRules(config.Server{MaxConnsPerIP: 2000, TrustedProxies: []string{"192.0.2.0/24"}}, 65536)
	if err != nil || rules.most != 2000 {
		t.Fatalf("%+v, error %v", rules, err)
	}
	for text, exempt := range map[string]bool{
		"127.0.0.1": true, "127.1.2.3": true, "::1": true, "192.0.2.7": true, "::ffff:192.0.2.7": true,
		"192.0.3.7": false, "10.0.0.1": false, "2001:db8::1": false,
	} {
		if got := rules.exempt(netip.MustParseAddr(text)); got != exempt {
			t.Errorf("%s is exempt: %v", text, got)
		}
	}
	for _, tt := range []struct{ configured, descriptors, want int }{{2000, 256, 128}, {0, 256, 0}, {100, 256, 100}} {
		rules, err := newPeerRules(config.Server{MaxConnsPerIP: tt.configured}, tt.descriptors)
		if err != nil || rules.most != tt.want {
			t.Errorf("%+v: %+v, error %v", tt, rules, err)
		}
	}
	if n := descriptors(); n < 64 {
		t.Errorf("%d descriptors", n)
	}
}

// TestPeersByNetwork: the addresses of an IPv6 /64 are one.
func TestPeersByNetwork(t *testing.T) {
	for text, address := range map[string]string{
		"[2001:db8:1:2::7]:80": "2001:db8:1:2::/64", "[2001:db8:1:2:ffff::%eth0]:80": "2001:db8:1:2::/64", "[2001:db8:1:3::7]:80": "2001:db8:1:3::/64",
		"[::ffff:192.0.2.7]:80": "192.0.2.7", "192.0.2.7:80": "192.0.2.7",
	} {
		peer := net.TCPAddrFromAddrPort(netip.MustParseAddrPort(text))
		if got := addressOf(peerOf(peer)); got != address {
			t.Errorf("%s counts for %s, want %s", text, got, address)
		}
	}
}

// TestRefusals: refused connections are counted, and logged once a minute.
func TestRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, lines := observer.New(zap.WarnLevel)
		log := zap.New(core)
		r := refusals{log: func() *zap.Logger { return log }, now: time.Now}
		for range 3000 { // for five minutes
			r.add("192.0.2.7")
			time.Sleep(100 * time.Millisecond)
		}
		if r.count.Load() != 3000 || lines.Len() != 5 {
			t.Fatalf("%d were counted, %d lines", r.count.Load(), lines.Len())
		}
		if fields := lines.All()[1].ContextMap(); fields["refused"] != uint64(600) || fields["ip"] != "192.0.2.7" {
			t.Errorf("the second line has %v", fields)
		}
	})
}
