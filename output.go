package main

import (
	"io"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap/zapcore"
)

// Bounds of what waits in an output: in time, and in bytes.
const (
	outputWait = 100 * time.Millisecond
	outputRoom = 32 << 10
)

// lineOutput lets several loggers share one writer, line by line. What is written to
// it goes out at once, behind what was waiting; what is written to later waits a
// moment for more, because a system call a line is a good part of what a request
// costs. A process that is killed loses what waits.
type lineOutput struct {
	mu      sync.Mutex
	w       io.Writer
	waiting []byte
	timer   *time.Timer
}

// Write writes one line.
func (o *lineOutput) Write(line []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.waiting) == 0 {
		return o.w.Write(line)
	}
	o.waiting = append(o.waiting, line...)
	return len(line), o.empty()
}

// later is the output for lines that may wait.
func (o *lineOutput) later() io.Writer { return laterOutput{o} }

type laterOutput struct{ *lineOutput }

// Write keeps one line until there is reason to write.
func (l laterOutput) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.waiting) == 0 {
		l.wake()
	}
	l.waiting = append(l.waiting, line...)
	if len(l.waiting) >= outputRoom {
		return len(line), l.empty()
	}
	return len(line), nil
}

// wake has the waiting lines written when the time is over; mu is held.
func (o *lineOutput) wake() {
	if o.timer == nil {
		o.timer = time.AfterFunc(outputWait, o.flush)
		return
	}
	o.timer.Reset(outputWait)
}

// flush writes what waits.
func (o *lineOutput) flush() {
	o.mu.Lock()
	defer o.mu.Unlock()
	_ = o.empty() // who could be told?
}

// empty is flush with mu held.
func (o *lineOutput) empty() error {
	if o.timer != nil {
		o.timer.Stop()
	}
	if len(o.waiting) == 0 {
		return nil
	}
	_, err := o.w.Write(o.waiting)
	o.waiting = o.waiting[:0]
	return err
}

// stamps writes times as RFC 3339 says, with milliseconds. All lines of one
// millisecond share a text.
type stamps struct{ last atomic.Pointer[stamp] }

type stamp struct {
	ms   int64 // Unix
	text string
}

func (s *stamps) encode(t time.Time, to zapcore.PrimitiveArrayEncoder) {
	last := s.last.Load()
	if ms := t.UnixMilli(); last == nil || last.ms != ms {
		last = &stamp{ms, t.Format("2006-01-02T15:04:05.000Z07:00")}
		s.last.Store(last)
	}
	to.AppendString(last.text)
}
