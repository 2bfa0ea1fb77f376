package controller

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"time"

	"menshen/service"
)

// The stream's own times and texts.
const (
	heartbeatEvery = 15 * time.Second
	streamWrite    = 10 * time.Second // for one write: who does not read is dropped, and delays nobody
	retryHint      = "retry: 3000\n\n"
	heartbeat      = ": heartbeat\n\n"
	maxHeard       = 16 << 10 // bytes that a client may say after its request
)

// streamConn is an open stream on a connection of its own. It is one goroutine
// that waits in one read, for memory's sake: the read's deadline takes the place
// of timers, moving the deadline wakes it, and a client that leaves ends it at
// once. The hub waits for it when the process stops.
type streamConn struct {
	service.Stream
	conn   net.Conn
	now    func() time.Time
	report func(err error)
	heard  [64]byte
}

// signal says what a stream has to do next.
type signal int

const (
	signalTime signal = iota // nothing was told: a heartbeat, or reading the state, is due
	signalEnded
	signalOver // nobody wants to know any longer
)

// wake ends the read that run waits in, and at a stop the write too.
func (s *streamConn) wake() {
	past := time.Unix(1, 0)
	_ = s.conn.SetReadDeadline(past)
	if s.signal() == signalOver {
		_ = s.conn.SetWriteDeadline(past)
	}
}

// signal is what the channels say. It is to be asked after a deadline was set:
// wake closes first and moves the deadline then, so nothing is missed.
func (s *streamConn) signal() signal {
	select {
	case <-s.Stopped:
		return signalOver
	default:
	}
	select {
	case <-s.Ended:
		return signalEnded
	default:
		return signalTime
	}
}

// open sends the head of the answer, the hint when to come again and, of a
// session that had ended, the event. It reports whether there is more to come.
// It is sent also when the process stops: the request was accepted.
func (s *streamConn) open(header http.Header) bool {
	header.Set("Content-Type", "text/event-stream; charset=utf-8")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Accel-Buffering", "no") // a proxy that buffers tells late
	header.Set("Date", s.now().UTC().Format(http.TimeFormat))
	var text bytes.Buffer
	// The body ends with the connection, which HTTP/1.0 knows too (RFC 9112 §6.3).
	head := http.Response{StatusCode: http.StatusOK, ProtoMajor: 1, ProtoMinor: 1, Header: header, ContentLength: -1, Close: true}
	if err := head.Write(&text); err != nil {
		return false
	}
	text.WriteString(retryHint)
	if s.Was != nil {
		text.WriteString(endedEvent(*s.Was))
	}
	if err := s.conn.SetWriteDeadline(s.now().Add(streamWrite)); err != nil {
		return false
	}
	_, err := s.conn.Write(text.Bytes())
	return err == nil && s.Was == nil
}

// run writes until the session ends, the token expires, the client leaves or
// the process stops.
func (s *streamConn) run(ctx context.Context) {
	defer s.close()
	s.Rouse(s.wake)
	now := s.now()
	beat, turn := now.Add(heartbeatEvery), now.Add(s.Left)
	for {
		next := beat
		if turn.Before(beat) {
			next = turn
		}
		told := s.await(next)
		if told == signalOver {
			return
		}
		now = s.now()
		if told == signalTime && now.Before(turn) {
			if beat = now.Add(heartbeatEvery); !s.send(heartbeat) {
				return
			}
			continue
		}
		ended, left, err := s.State(ctx)
		if ended != nil {
			s.send(endedEvent(*ended))
			return
		}
		// Told, and yet alive or unknown: the client comes again and hears then.
		// Nothing left: the token has expired.
		if err != nil || told == signalEnded || left == 0 {
			return
		}
		turn = now.Add(left)
	}
}

// await waits until the time at, or until there is something to tell or nobody
// to tell it to. What the client says is not heard, and not for long.
func (s *streamConn) await(at time.Time) signal {
	if err := s.conn.SetReadDeadline(at); err != nil {
		return signalOver
	}
	for heard := 0; heard <= maxHeard; {
		if told := s.signal(); told != signalTime {
			return told
		}
		n, err := s.conn.Read(s.heard[:])
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return s.signal()
		}
		if err != nil {
			return signalOver
		}
		heard += n
	}
	return signalOver
}

// send writes unless the process stops.
func (s *streamConn) send(text string) bool {
	if err := s.conn.SetWriteDeadline(s.now().Add(streamWrite)); err != nil || s.signal() == signalOver {
		return false
	}
	_, err := io.WriteString(s.conn, text)
	return err == nil
}

// close ends the answer. A panic ends this stream and no more.
func (s *streamConn) close() {
	if recovered := recover(); recovered != nil {
		s.report(fmt.Errorf("panic: %T\n%s", recovered, debug.Stack()))
	}
	_ = s.conn.Close()
	s.Leave()
}

// endedEvent is the event that tells of the end.
func endedEvent(ended service.Ended) string {
	data, err := json.Marshal(ended)
	if err != nil {
		return "" // a reason and a time always marshal
	}
	return "event: session.ended\ndata: " + string(data) + "\n\n"
}
