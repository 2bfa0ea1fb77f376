package telemetry

import (
	"bytes"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of what a LogWriter buffers: in time, and in bytes.
const (
	bufferTime = 100 * time.Millisecond
	// batchSize of bytes are written at once, even if they may wait.
	batchSize = 32 << 10
	// bufferSize bounds what waits for a reader that stalls, without the batch that is
	// being written. Lines of successes may fill half of it.
	bufferSize = 256 << 10
	// lastChance bounds how long Flush waits for a reader that stalls.
	lastChance = time.Second
)

// LogWriter lets several loggers share one writer, whose reader may stall or go away: no
// method but Flush waits for it. One goroutine writes; while it is held up, lines are
// buffered, and those that do not fit are dropped and counted. A line written to
// Buffered waits up to bufferTime for more, because a system call for each line is a
// considerable part of the cost of a request; a process that is killed loses it. Other
// lines are written at once, and the waiting ones with them. A LogWriter is safe for
// concurrent use.
type LogWriter struct {
	w       io.Writer
	dropped atomic.Uint64

	mu     sync.Mutex
	buffer []byte
	spare  []byte        // the memory of the batch before
	due    bool          // buffer is to be written now
	idle   chan struct{} // nil if no goroutine writes, else closed when it ends
	timer  *time.Timer
}

// NewLogWriter returns a LogWriter that writes to w.
func NewLogWriter(w io.Writer) *LogWriter {
	l := &LogWriter{w: w}
	l.timer = time.AfterFunc(bufferTime, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.writeLocked()
	})
	return l
}

// Write starts the writing of a line at once. It returns no error.
func (l *LogWriter) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.addLocked(line, bufferSize) {
		l.writeLocked()
	}
	return len(line), nil
}

// Buffered returns the writer for lines that may wait and may be lost.
func (l *LogWriter) Buffered() io.Writer { return bufferedWriter{l} }

type bufferedWriter struct{ *LogWriter }

// Write buffers one line. It returns no error.
func (b bufferedWriter) Write(line []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	first := len(b.buffer) == 0
	switch {
	case !b.addLocked(line, bufferSize/2):
	case len(b.buffer) >= batchSize:
		b.writeLocked()
	case first:
		b.timer.Reset(bufferTime)
	}
	return len(line), nil
}

// Dropped returns the number of lines that were not written.
func (l *LogWriter) Dropped() uint64 { return l.dropped.Load() }

// Flush waits until the buffered lines are written, at most lastChance.
func (l *LogWriter) Flush() {
	l.mu.Lock()
	l.writeLocked()
	idle := l.idle
	l.mu.Unlock()
	if idle == nil {
		return
	}
	patience := time.NewTimer(lastChance)
	defer patience.Stop()
	select {
	case <-idle:
	case <-patience.C:
	}
}

// addLocked buffers a line if the buffer then has at most limit bytes, and counts it
// otherwise. An empty buffer takes every line. mu must be held.
func (l *LogWriter) addLocked(line []byte, limit int) bool {
	if len(l.buffer) > 0 && len(l.buffer)+len(line) > limit {
		l.dropped.Add(1)
		return false
	}
	l.buffer = append(l.buffer, line...)
	return true
}

// writeLocked starts the goroutine that writes the buffer, or keeps it going. mu must be held.
func (l *LogWriter) writeLocked() {
	if len(l.buffer) == 0 {
		return
	}
	l.due = true
	if l.idle == nil {
		l.idle = make(chan struct{})
		go l.run()
	}
}

// run writes the buffer until no line is due.
func (l *LogWriter) run() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.due {
		batch := l.buffer
		l.buffer, l.spare, l.due = l.spare[:0], nil, false
		l.timer.Stop()
		l.mu.Unlock()
		n, err := l.w.Write(batch)
		if err != nil { // an error of the log cannot be logged
			l.dropped.Add(uint64(bytes.Count(batch[n:], []byte("\n"))))
		}
		l.mu.Lock()
		l.spare = batch
	}
	close(l.idle)
	l.idle = nil
}
