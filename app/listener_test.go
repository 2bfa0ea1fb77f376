package app

import (
	"errors"
	"net"
	"runtime"
	"testing"
)

// TestFinishingListener: connections that clients have made when the listener ends are
// accepted, the next one is refused.
func TestFinishingListener(t *testing.T) {
	tcp, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := newFinishingListener(tcp)
	const clients = 20
	for range clients {
		conn, err := net.Dial("tcp", tcp.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
	}
	finished := make(chan struct{})
	go func() {
		l.finish()
		close(finished)
	}()
	for !l.ending.Load() { // the first Accept comes after the end was called for
		runtime.Gosched()
	}
	accepted := 0
	for {
		conn, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		accepted++
		_ = conn.Close()
	}
	<-finished
	if accepted != clients {
		t.Errorf("%d of %d connections are accepted", accepted, clients)
	}
	if conn, err := net.Dial("tcp", tcp.Addr().String()); err == nil {
		_ = conn.Close()
		t.Error("a connection after the end")
	}
	if err := l.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed again: %v", err)
	}
}
