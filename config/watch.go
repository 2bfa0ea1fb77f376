package config

import (
	"context"
	"crypto/sha256"
	"sync/atomic"
	"time"
)

// Watcher notices changes of a file's content by polling. It does without the
// kernel's notices, which do not come through network file systems and bind
// mounts, follow the old file when an editor or Kubernetes swaps a new one in,
// and fire before a write is complete.
type Watcher struct {
	path    string
	seen    content // what the program knows of
	pending content // what the last poll saw, if it differs
	gone    bool    // the last poll saw no file
	text    []byte  // what the change under way is about
	asked   atomic.Bool
}

// content is a file's SHA-256, or zero for no file.
type content [sha256.Size]byte

// NewWatcher remembers what the file holds now. Make it before [Load] reads the
// file: then a change that comes while the program starts is noticed too.
func NewWatcher(path string) *Watcher {
	w := &Watcher{path: path}
	w.seen, _, _ = read(path)
	w.pending = w.seen
	return w
}

// Watch is NewWatcher and [Watcher.Run] in one, for callers to whom changes
// before the call are of no interest.
func Watch(ctx context.Context, path string, interval time.Duration, changed func()) {
	NewWatcher(path).Run(ctx, interval, changed)
}

// Run polls the file until ctx ends, and calls changed in its own goroutine
// after the content became another one. One writer may truncate and fill a file
// in two steps, so a new content counts when two polls in a row have seen it:
// a change is told between one and two intervals after it, 500 ms keeps it well
// under the promised 2 s. A file that is missing or unreadable is no change;
// neither is one that comes back as it was. A content that changed twice between
// two polls is told once, and a slow changed delays the next poll but loses
// nothing. One Watcher runs once.
func (w *Watcher) Run(ctx context.Context, interval time.Duration, changed func()) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if w.poll() && ctx.Err() == nil {
			changed()
		}
		w.text = nil // it may hold secrets
	}
}

// Ask makes the next content that two polls in a row have seen a change, although
// it may be the known one: what else a configuration is made of may have changed.
// So is then a file that is missing. It may be called at any time.
func (w *Watcher) Ask() { w.asked.Store(true) }

// Settled is the text that changed is told of, while changed runs: to read the
// file once more could meet the next writer half-way. Outside of it, and of a file that is
// missing, nil.
func (w *Watcher) Settled() []byte { return w.text }

// poll tells whether a new content has settled, or the one that was asked for.
func (w *Watcher) poll() bool {
	now, text, ok := read(w.path)
	asked, gone := w.asked.Load(), w.gone
	w.gone = !ok
	settled := ok && now == w.pending && (now != w.seen || asked) || !ok && gone && asked
	if ok {
		w.pending = now
	}
	if !settled {
		return false
	}
	w.asked.Store(false)
	if ok {
		w.seen, w.text = now, text
	}
	return true
}

func read(path string) (sum content, text []byte, ok bool) {
	text, err := readFile(path)
	if err != nil {
		return content{}, nil, false
	}
	return sha256.Sum256(text), text, true
}
