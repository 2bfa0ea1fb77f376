package config

import (
	"context"
	"crypto/sha256"
	"errors"
	"io/fs"
	"sync/atomic"
	"time"

	"menshen/internal/loop"
)

// Watcher detects changes of a file by polling: notifications of the kernel do not work
// on network file systems and bind mounts, follow the old file when a new one is
// swapped in, and come before a write is complete.
type Watcher struct {
	path    string
	seen    content // last content that was reported
	pending content // content at the last poll
	gone    bool    // whether the file was missing at the last poll
	text    []byte  // content for Settled, while changed runs
	asked   atomic.Bool
}

// content is a file's SHA-256, or that of the reason why it cannot be read.
type content [sha256.Size]byte

// NewWatcher reads the current content. Call it before [Load] reads the file: then a
// change during the start of the program is detected too.
func NewWatcher(path string) *Watcher {
	w := &Watcher{path: path}
	w.seen, _, _ = read(path)
	w.pending = w.seen
	return w
}

// Run polls the file until ctx ends. It calls changed, in its own goroutine, once two
// polls in a row have found the same new content, since a writer may truncate and fill
// a file in two steps. A missing file is no change; one that cannot be read is a content
// of its own. A slow changed delays the next poll and loses no change. Run may be called
// once.
func (w *Watcher) Run(ctx context.Context, interval time.Duration, changed func()) {
	loop.Every(ctx, interval, func(ctx context.Context) error {
		if w.poll() && ctx.Err() == nil {
			changed()
		}
		w.text = nil // it may hold secrets
		return nil
	}, nil)
}

// Ask makes Run call changed once even if the content is the same, or the file is
// missing. It is safe for concurrent use.
func (w *Watcher) Ask() { w.asked.Store(true) }

// Settled is the new content while changed runs, nil at other times and for a file that
// is missing or cannot be read. The file itself may hold an incomplete content again.
func (w *Watcher) Settled() []byte { return w.text }

// poll reports whether a new content, or the one requested by Ask, has settled.
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
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return content{}, nil, false
	case err != nil:
		return sha256.Sum256([]byte("cannot read it: " + err.Error())), nil, true
	}
	return sha256.Sum256(text), text, true
}
