package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"

	"menshen/config"
)

// TestLineOutput writes lines that wait and lines that do not: the order stays, and
// nothing waits for longer than it may.
func TestLineOutput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text strings.Builder
		o := &lineOutput{w: &text}
		later := o.later()
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
		time.Sleep(outputWait - 1)
		want("1234")
		say(later, "6")
		time.Sleep(2 * time.Nanosecond)
		want("123456")
		say(later, "7")
		o.flush()
		want("1234567")
		time.Sleep(2 * outputWait)
		want("1234567")
		say(later, strings.Repeat("x", outputRoom-1))
		want("1234567")
		say(later, "y")
		if got := text.Len(); got != 7+outputRoom {
			t.Errorf("%d bytes are out", got)
		}
	})
}

// TestLineOutputKeepsLinesWhole: loggers on both ends at once mix no lines and lose none.
func TestLineOutputKeepsLinesWhole(t *testing.T) {
	var text strings.Builder
	o := &lineOutput{w: &text}
	const writers, lines = 8, 500
	done := make(chan struct{})
	for i := range writers {
		go func() {
			defer func() { done <- struct{}{} }()
			for n := range lines {
				w := o.later()
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
	o.flush()
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

func TestStamps(t *testing.T) {
	zone := time.FixedZone("", 8*3600)
	at := time.Date(2026, 11, 27, 1, 2, 3, 4_000_000, zone)
	var out bytes.Buffer
	log := newLogger(config.Log{Level: "info", Format: "json"}, &out)
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
		t.Errorf("stamps:\n%s", diff)
	}
}

// clockFunc is a clock of lines of the log.
type clockFunc func() time.Time

func (c clockFunc) Now() time.Time { return c() }

func (clockFunc) NewTicker(d time.Duration) *time.Ticker { return time.NewTicker(d) }
