package app

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// A listener that is closed resets the connections that clients have made and the program
// has not accepted yet. On a busy machine there are some, and their requests are lost.
const (
	lastWait   = 2 * time.Millisecond   // without a connection, after which none is expected
	lastAccept = 100 * time.Millisecond // for which connections are accepted before the end
)

// finishingListener is a listener that can end once it has accepted what waits.
type finishingListener struct {
	net.Listener // of TCP
	now          func() time.Time
	end          atomic.Pointer[time.Time] // nil until finish
	closed       chan struct{}
	close        func() // closes closed
}

func newFinishingListener(l net.Listener, now func() time.Time) *finishingListener {
	closed := make(chan struct{})
	return &finishingListener{Listener: l, now: now, closed: closed, close: sync.OnceFunc(func() { close(closed) })}
}

// finish ends the listener. It returns once Accept, which must be running, has accepted
// the connections that wait.
func (l *finishingListener) finish() {
	end := l.now().Add(lastAccept)
	l.end.Store(&end)
	l.wake(time.Unix(1, 0))
	<-l.closed
}

// wake makes Accept return at the deadline.
func (l *finishingListener) wake(deadline time.Time) {
	if tcp, is := l.Listener.(*net.TCPListener); is {
		_ = tcp.SetDeadline(deadline)
	}
}

// Accept returns the next connection. After finish it closes the listener when no
// connection waits, and returns net.ErrClosed.
func (l *finishingListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if end := l.end.Load(); end != nil && errors.Is(err, os.ErrDeadlineExceeded) && l.now().Before(*end) {
		l.wake(l.now().Add(lastWait))
		conn, err = l.Listener.Accept()
		l.wake(time.Unix(1, 0)) // the next call comes here at once
	}
	if err != nil && l.end.Load() != nil {
		_ = l.Close()
		return nil, net.ErrClosed
	}
	return conn, err
}

// Close closes the listener at once.
func (l *finishingListener) Close() error {
	defer l.close()
	return l.Listener.Close()
}
