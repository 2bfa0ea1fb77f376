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

// Times and texts of a stream.
const (
	heartbeatEvery = 15 * time.Second
	writeTime      = 10 * time.Second // for one write: a client that does not read is disconnected
	retryHint      = "retry: 3000\n\n"
	heartbeat      = ": heartbeat\n\n"
	maxDiscarded   = 16 << 10 // bytes that a client may send after its request
)

// streamConn is an open stream. One goroutine serves it, blocked in one read, to save
// memory: moving the read deadline wakes it, and a client that disconnects ends the
// read. The hub waits for open streams when the process stops.
type streamConn struct {
	service.Stream
	conn    net.Conn
	now     func() time.Time
	onError func(err error) // may be nil
	discard [64]byte        // read buffer for bytes that nothing uses
}

// signal is the reason why run goes on.
type signal int

const (
	signalDue   signal = iota // a heartbeat or a read of the session's state is due
	signalEnded               // the hub reported the end of the session
	signalClose               // the client has left, or the process stops
)

// wake ends the read in which run is blocked, and when the process stops the
// write too.
func (s *streamConn) wake() {
	past := time.Unix(1, 0)
	_ = s.conn.SetReadDeadline(past)
	if s.signal() == signalClose {
		_ = s.conn.SetWriteDeadline(past)
	}
}

// signal reads the hub's channels. Call it after setting a deadline: the hub
// closes a channel first and moves the deadline then, so no signal is missed.
func (s *streamConn) signal() signal {
	select {
	case <-s.Stopped:
		return signalClose
	default:
	}
	select {
	case <-s.Ended:
		return signalEnded
	default:
		return signalDue
	}
}

// open sends the head and, if the session has ended already, the event, also while the
// process stops; with headOnly it sends nothing else. It reports whether the stream stays
// open.
func (s *streamConn) open(header http.Header, headOnly bool) bool {
	header.Set("Content-Type", "text/event-stream; charset=utf-8")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Accel-Buffering", "no") // a proxy that buffers delays events
	header.Set("Date", s.now().UTC().Format(http.TimeFormat))
	var text bytes.Buffer
	// The body ends with the connection, which HTTP/1.0 supports too (RFC 9112 §6.3).
	head := http.Response{StatusCode: http.StatusOK, ProtoMajor: 1, ProtoMinor: 1, Header: header, ContentLength: -1, Close: true}
	if err := head.Write(&text); err != nil {
		return false
	}
	if !headOnly {
		text.WriteString(retryHint)
		if s.EndedBefore != nil {
			text.WriteString(endedEvent(*s.EndedBefore))
		}
	}
	if err := s.conn.SetWriteDeadline(s.now().Add(writeTime)); err != nil {
		return false
	}
	_, err := s.conn.Write(text.Bytes())
	return err == nil && s.EndedBefore == nil && !headOnly
}

func (s *streamConn) run(ctx context.Context) {
	defer s.close()
	s.OnWake(s.wake)
	now := s.now()
	beatAt, checkAt := now.Add(heartbeatEvery), now.Add(s.CheckIn)
	for {
		next := beatAt
		if checkAt.Before(beatAt) {
			next = checkAt
		}
		why := s.await(next)
		if why == signalClose {
			return
		}
		now = s.now()
		if why == signalDue && now.Before(checkAt) {
			if beatAt = now.Add(heartbeatEvery); !s.send(heartbeat) {
				return
			}
			continue
		}
		ended, left, err := s.State(ctx)
		if ended != nil {
			s.send(endedEvent(*ended))
			return
		}
		// The hub reported an end that the state does not confirm, or the state is
		// unknown: the client connects again and gets the end then. If no time is
		// left, the token has expired.
		if err != nil || why == signalEnded || left == 0 {
			return
		}
		checkAt = now.Add(left)
	}
}

// await waits for the given time or a signal. More than maxDiscarded bytes from the
// client close the stream.
func (s *streamConn) await(at time.Time) signal {
	if err := s.conn.SetReadDeadline(at); err != nil {
		return signalClose
	}
	for discarded := 0; discarded <= maxDiscarded; {
		if why := s.signal(); why != signalDue {
			return why
		}
		n, err := s.conn.Read(s.discard[:])
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return s.signal()
		}
		if err != nil {
			return signalClose
		}
		discarded += n
	}
	return signalClose
}

// send reports whether the text was written. It does not write while the process stops.
func (s *streamConn) send(text string) bool {
	if err := s.conn.SetWriteDeadline(s.now().Add(writeTime)); err != nil || s.signal() == signalClose {
		return false
	}
	_, err := io.WriteString(s.conn, text)
	return err == nil
}

// close ends the response. A panic ends this stream alone.
func (s *streamConn) close() {
	if recovered := recover(); recovered != nil && s.onError != nil {
		s.onError(fmt.Errorf("panic: %T\n%s", recovered, debug.Stack()))
	}
	_ = s.conn.Close()
	s.Leave()
}

func endedEvent(ended service.Ended) string {
	data, _ := json.Marshal(ended) // a reason and a time always marshal
	return "event: session.ended\ndata: " + string(data) + "\n\n"
}
