package config_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"menshen/config"
)

const poll = 500 * time.Millisecond

// watched is a file under a Watcher in a bubble of synctest, where time passes only
// while all goroutines are blocked.
type watched struct {
	t       *testing.T
	path    string
	changes atomic.Int64
	start   time.Time
	ask     func()
}

// watch calls act while a Watcher runs, and waits for its end.
func watch(t *testing.T, before string, act func(w *watched)) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	if before != "" {
		writeFile(t, path, before)
	}
	synctest.Test(t, func(t *testing.T) {
		w := &watched{t: t, path: path, start: time.Now()}
		watcher := config.NewWatcher(path)
		w.ask = watcher.Ask
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			watcher.Run(ctx, poll, func() { w.changes.Add(1) })
		}()
		act(w)
		stop()
		<-done
	})
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (w *watched) write(text string) { w.t.Helper(); writeFile(w.t, w.path, text) }

func (w *watched) remove() {
	w.t.Helper()
	if err := os.Remove(w.path); err != nil {
		w.t.Fatal(err)
	}
}

// wantChanges waits for the polls and compares the number of all reported changes.
func (w *watched) wantChanges(polls int, want int64) {
	w.t.Helper()
	time.Sleep(time.Duration(polls) * poll)
	synctest.Wait()
	if changes := w.changes.Load(); changes != want {
		w.t.Errorf("%s after the start: %d changes, want %d", time.Since(w.start), changes, want)
	}
}

// histories start with a file that holds "a".
var histories = map[string]func(w *watched){
	"nothing happens": func(w *watched) { w.wantChanges(10, 0) },
	"one change, reported once and in time": func(w *watched) {
		w.write("b")
		w.wantChanges(2, 1)
		w.wantChanges(10, 1)
	},
	"written anew with the same content": func(w *watched) {
		w.write("a")
		w.wantChanges(5, 0)
	},
	"change and change back": func(w *watched) {
		w.write("b")
		w.wantChanges(2, 1)
		w.write("a")
		w.wantChanges(2, 2)
	},
	"change back before it settled": func(w *watched) {
		w.write("b")
		w.wantChanges(1, 0)
		w.write("a")
		w.wantChanges(5, 0)
	},
	"half-way replaced": func(w *watched) {
		w.write("")
		w.wantChanges(1, 0)
		w.write("a and")
		w.wantChanges(1, 0)
		w.write("a and b")
		w.wantChanges(1, 0)
		w.wantChanges(1, 1)
		w.wantChanges(5, 1)
	},
	"gone for good": func(w *watched) {
		w.remove()
		w.wantChanges(10, 0)
	},
	"gone and back": func(w *watched) {
		w.remove()
		w.wantChanges(3, 0)
		w.write("a")
		w.wantChanges(5, 0)
	},
	"gone and back with another content": func(w *watched) {
		w.remove()
		w.wantChanges(3, 0)
		w.write("b")
		w.wantChanges(2, 1)
	},
	"written in halves": func(w *watched) {
		w.write("b and")
		w.wantChanges(1, 0)
		w.write("b and c")
		w.wantChanges(2, 1)
		w.wantChanges(5, 1)
	},
	"another link, as Kubernetes swaps them": func(w *watched) {
		folders := []string{w.path + ".1", w.path + ".2"}
		for i, text := range []string{"a", "b"} {
			if err := os.Mkdir(folders[i], 0o700); err != nil {
				w.t.Fatal(err)
			}
			writeFile(w.t, filepath.Join(folders[i], "config.yaml"), text)
		}
		link := func(to string) {
			w.t.Helper()
			if err := errors.Join(os.Symlink(to, w.path+".tmp"), os.Rename(w.path+".tmp", w.path)); err != nil {
				w.t.Fatal(err)
			}
		}
		link(filepath.Join(folders[0], "config.yaml"))
		w.wantChanges(3, 0)
		link(filepath.Join(folders[1], "config.yaml"))
		w.wantChanges(2, 1)
		link(filepath.Join(w.path+".3", "config.yaml")) // which does not exist yet
		w.wantChanges(5, 1)
	},
	"asked for without a change": func(w *watched) {
		w.wantChanges(3, 0)
		w.ask()
		w.wantChanges(1, 1)
		w.wantChanges(5, 1)
		w.ask()
		w.ask()
		w.wantChanges(1, 2)
		w.wantChanges(5, 2)
	},
	"asked for while it is written": func(w *watched) {
		w.write("b and")
		w.ask()
		w.wantChanges(1, 0)
		w.write("b and c")
		w.wantChanges(1, 0)
		w.wantChanges(1, 1)
		w.wantChanges(5, 1)
	},
	"asked for, and back before it settled": func(w *watched) {
		w.write("b")
		w.ask()
		w.wantChanges(1, 0)
		w.write("a")
		w.wantChanges(1, 0)
		w.wantChanges(1, 1)
		w.wantChanges(5, 1)
	},
	"asked for when it is gone": func(w *watched) {
		w.remove()
		w.ask()
		w.wantChanges(1, 0)
		w.wantChanges(1, 1)
		w.wantChanges(5, 1)
	},
	"asked for while it is replaced": func(w *watched) {
		w.remove()
		w.ask()
		w.wantChanges(1, 0)
		w.write("b")
		w.wantChanges(1, 0)
		w.wantChanges(1, 1)
		w.wantChanges(5, 1)
	},
	"a folder in its place": func(w *watched) {
		w.remove()
		if err := os.Mkdir(w.path, 0o700); err != nil {
			w.t.Fatal(err)
		}
		w.wantChanges(2, 1)
		w.wantChanges(5, 1)
		w.remove()
		w.write("a")
		w.wantChanges(2, 2)
	},
	"renamed over": func(w *watched) {
		writeFile(w.t, w.path+".new", "b")
		if err := os.Rename(w.path+".new", w.path); err != nil {
			w.t.Fatal(err)
		}
		w.wantChanges(2, 1)
	},
}

func TestWatch(t *testing.T) {
	for name, act := range histories {
		t.Run(name, func(t *testing.T) { watch(t, "a", act) })
	}
	t.Run("appears", func(t *testing.T) {
		watch(t, "", func(w *watched) {
			w.wantChanges(3, 0)
			w.write("a")
			w.wantChanges(2, 1)
		})
	})
}

func TestWatchFindsChangesDuringStart(t *testing.T) {
	path := write(t, "config.yaml", "a")
	synctest.Test(t, func(t *testing.T) {
		watcher := config.NewWatcher(path)
		writeFile(t, path, "b") // during the start of the program
		ctx, stop := context.WithCancel(t.Context())
		watcher.Run(ctx, poll, stop) // ends only if the change is reported
	})
}

// TestWatchSettled: Settled is the content that was found twice, whatever the file
// holds meanwhile. After changed it is nil.
func TestWatchSettled(t *testing.T) {
	path := write(t, "config.yaml", "a")
	synctest.Test(t, func(t *testing.T) {
		watcher := config.NewWatcher(path)
		writeFile(t, path, "b")
		ctx, stop := context.WithCancel(t.Context())
		changes := 0
		watcher.Run(ctx, poll, func() {
			if changes++; changes == 2 {
				stop()
			}
			writeFile(t, path, "half of") // another writer has just begun
			if got, want := string(watcher.Settled()), []string{"b", "half of"}[changes-1]; got != want {
				t.Errorf("settled is %q, want %q", got, want)
			}
		})
		if watcher.Settled() != nil {
			t.Error("the text is kept")
		}
	})
}

func TestLoadTakesTheSettledText(t *testing.T) {
	path := write(t, "config.yaml", "server: {locale: ")
	options := config.Options{Defaults: shipped(t), File: path, FileText: []byte("server: {locale: en}\n"), FileRequired: true}
	if cfg, _, err := config.Load(options); err != nil || cfg.Server.Locale != "en" {
		t.Errorf("Load: %v", err)
	}
	options.FileText = []byte{}
	if cfg, _, err := config.Load(options); err != nil || cfg.Server.Locale != "zh-CN" {
		t.Errorf("Load of an empty text: %v", err)
	}
}

func TestWatchEndsWithItsContext(t *testing.T) {
	path := write(t, "config.yaml", "a")
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithTimeout(t.Context(), 3*poll/2)
		defer stop()
		config.NewWatcher(path).Run(ctx, poll, func() { t.Error("changed was called without a change") })
	})
}
