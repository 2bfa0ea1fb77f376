package main

import (
	"io"
	"sync"
	"time"
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
