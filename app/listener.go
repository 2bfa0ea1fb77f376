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

// finishingListener is a listener that can end once it has accepted what waits. It waits by
// timers, not by the program's clock, which the system's sockets do not know.
type finishingListener struct {
	net.Listener // of TCP
	ending, over atomic.Bool
	closed       chan struct{}
	close        func() // closes closed
}

func newFinishingListener(l net.Listener) *finishingListener {
	closed := make(chan struct{})
	return &finishingListener{Listener: l, closed: closed, close: sync.OnceFunc(func() { close(closed) })}
}

// finish ends the listener. It returns once Accept, which must be running, has accepted
// the connections that wait.
func (l *finishingListener) finish() {
	l.ending.Store(true)
	defer time.AfterFunc(lastAccept, func() { l.over.Store(true) }).Stop()
	l.setDeadline(past)
	<-l.closed
}

var past = time.Unix(1, 0)

// setDeadline makes Accept return at the deadline, with the zero time never.
func (l *finishingListener) setDeadline(deadline time.Time) {
	if tcp, is := l.Listener.(*net.TCPListener); is {
		_ = tcp.SetDeadline(deadline)
	}
}

// Accept returns the next connection. After finish it closes the listener when no
// connection waits, and returns net.ErrClosed.
func (l *finishingListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if l.ending.Load() && !l.over.Load() && errors.Is(err, os.ErrDeadlineExceeded) {
		l.setDeadline(time.Time{})
		timer := time.AfterFunc(lastWait, func() { l.setDeadline(past) })
		conn, err = l.Listener.Accept()
		timer.Stop()
		l.setDeadline(past) // the next call comes here at once
		if tcp, is := l.Listener.(*net.TCPListener); is && err != nil {
			if last := acceptNow(tcp); last != nil { // made since the timer fired, on a busy machine
				return last, nil
			}
		}
	}
	if err != nil && l.ending.Load() {
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
