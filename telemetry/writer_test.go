package telemetry

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"

	"menshen/config"
)

// TestLogWriter writes lines that wait and lines that do not: the order stays, and
// nothing waits for longer than it may.
func TestLogWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text strings.Builder
		o := NewLogWriter(&text)
		later := o.Buffered()
		say := func(w interface{ Write([]byte) (int, error) }, line string) {
			if n, err := w.Write([]byte(line)); n != len(line) || err != nil {
				t.Errorf("%q: %d, %v", line, n, err)
			}
		}
		want := func(what string) {
			t.Helper()
			synctest.Wait() // for the timer's goroutine, if it is due
			if text.String() != what {
				t.Errorf("%q is out, want %q", text.String(), what)
			}
		}
		say(o, "1")
		want("1")
		say(later, "2")
		say(later, "3")
		want("1")
		say(o, "4")
		want("1234")
		say(later, "5")
		time.Sleep(bufferTime - 1)
		want("1234")
		say(later, "6")
		time.Sleep(2 * time.Nanosecond)
		want("123456")
		say(later, "7")
		o.Flush()
		want("1234567")
		time.Sleep(2 * bufferTime)
		want("1234567")
		say(later, strings.Repeat("x", batchSize-1))
		want("1234567")
		say(later, "y")
		synctest.Wait()
		if got := text.Len(); got != 7+batchSize {
			t.Errorf("%d bytes are out", got)
		}
	})
}

// TestLogWriterKeepsLinesWhole: loggers on both ends at once mix no lines and lose none.
func TestLogWriterKeepsLinesWhole(t *testing.T) {
	var text strings.Builder
	o := NewLogWriter(&text)
	const writers, lines = 8, 500
	done := make(chan struct{})
	for i := range writers {
		go func() {
			defer func() { done <- struct{}{} }()
			for n := range lines {
				w := o.Buffered()
				if n%7 == 0 {
					w = o
				}
				_, _ = fmt.Fprintf(w, "%d-%d-whole\n", i, n)
			}
		}()
	}
	for range writers {
		<-done
	}
	o.Flush()
	seen := map[string]bool{}
	for line := range strings.Lines(text.String()) {
		seen[line] = strings.HasSuffix(line, "-whole\n")
	}
	if len(seen) != writers*lines {
		t.Errorf("%d lines, want %d", len(seen), writers*lines)
	}
	for line, whole := range seen {
		if !whole {
			t.Errorf("mixed: %q", line)
		}
	}
}

func TestLogTimes(t *testing.T) {
	zone := time.FixedZone("", 8*3600)
	at := time.Date(2026, 11, 27, 1, 2, 3, 4_000_000, zone)
	var out bytes.Buffer
	log := NewLogger(config.Log{Level: "info", Format: "json"}, &out)
	clock := zap.WithClock(clockFunc(func() time.Time { return at }))
	want := []string{
		"2026-11-27T01:02:03.004+08:00", "2026-11-27T01:02:03.004+08:00", "2026-11-27T01:02:03.005+08:00", "2026-11-26T17:02:03.000Z",
	}
	for _, moment := range []time.Time{at, at.Add(999 * time.Microsecond), at.Add(time.Millisecond), at.UTC().Add(-4 * time.Millisecond)} {
		at = moment
		log.WithOptions(clock).Info("")
	}
	var got []string
	for line := range strings.Lines(out.String()) {
		var said struct{ TS string }
		if err := json.Unmarshal([]byte(line), &said); err != nil {
			t.Fatal(err)
		}
		got = append(got, said.TS)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("times:\n%s", diff)
	}
}

// clockFunc is a clock of lines of the log.
type clockFunc func() time.Time

func (c clockFunc) Now() time.Time { return c() }

func (clockFunc) NewTicker(d time.Duration) *time.Ticker { return time.NewTicker(d) }

// reader is a writer whose reader stalls until it goes on or away.
type reader struct {
	mu   sync.Mutex
	text []byte
	take chan error // what each write returns
}

func (r *reader) Write(text []byte) (int, error) {
	if err := <-r.take; err != nil {
		return 0, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.text = append(r.text, text...)
	return len(text), nil
}

func (r *reader) lines() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Split(strings.TrimSuffix(string(r.text), "\n"), "\n")
}

// TestLogWriterStalledReader: a reader that stalls holds up no line. Lines of successes are
// dropped first, each is counted, and the others come in order once it goes on.
func TestLogWriterStalledReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &reader{take: make(chan error)}
		l := NewLogWriter(r)
		want, dropped := []string{}, uint64(0)
		room := func(limit int) bool {
			return l.mu.TryLock() && func() bool { defer l.mu.Unlock(); return len(l.buffer)+100 <= limit }()
		}
		say := func(w io.Writer, n int, limit int) {
			line := fmt.Sprintf("%099d", n)
			if room(limit) {
				want = append(want, line)
			} else {
				dropped++
			}
			if wrote, err := fmt.Fprintln(w, line); wrote != 100 || err != nil {
				t.Fatalf("%d, %v", wrote, err)
			}
		}
		say(l, 0, bufferSize)
		synctest.Wait() // it is being written
		for n := range 2 * bufferSize / 100 {
			say(l.Buffered(), n, bufferSize/2)
		}
		if l.Dropped() == 0 || l.Dropped() != dropped {
			t.Errorf("dropped %d, counted %d", dropped, l.Dropped())
		}
		atFirst := dropped
		say(l, 1, bufferSize)
		if dropped != atFirst {
			t.Error("lines of successes leave no room for others")
		}
		for n := range bufferSize / 100 {
			say(l, n, bufferSize)
		}
		if dropped == atFirst || l.Dropped() != dropped {
			t.Errorf("dropped %d, counted %d", dropped, l.Dropped())
		}
		begin := time.Now()
		if l.Flush(); time.Since(begin) != lastChance {
			t.Errorf("a flush waited for %s", time.Since(begin))
		}
		close(r.take) // it goes on
		l.Flush()
		if diff := cmp.Diff(want, r.lines()); diff != "" {
			t.Errorf("lines:\n%.2000s", diff)
		}
		say(l, 2, bufferSize)
		if l.Flush(); r.lines()[len(want)-1] != want[len(want)-1] {
			t.Error("nothing is written after a stall")
		}
	})
}

// TestLogWriterWithoutReader: lines that cannot be written are counted, and are not tried
// again; those after them are written if there is a reader again.
func TestLogWriterWithoutReader(t *testing.T) {
	r := &reader{take: make(chan error, 2)}
	l := NewLogWriter(r)
	r.take <- io.ErrClosedPipe
	r.take <- nil
	_, _ = fmt.Fprint(l.Buffered(), "1\n")
	_, _ = fmt.Fprint(l.Buffered(), "2\n")
	l.Flush()
	_, _ = fmt.Fprint(l, "3\n")
	l.Flush()
	if diff := cmp.Diff([]string{"3"}, r.lines()); diff != "" || l.Dropped() != 2 {
		t.Errorf("%d lines dropped, and written:%s", l.Dropped(), diff)
	}
}
