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

// watched is a file under a Watcher in a bubble of synctest, where time passes
// only while everybody waits.
type watched struct {
	t     *testing.T
	path  string
	told  atomic.Int64
	start time.Time
	ask   func()
}

// watch runs act while a Watcher runs, and then demands that it ends.
func watch(t *testing.T, before string, act func(w *watched)) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	if before != "" {
		put(t, path, before)
	}
	synctest.Test(t, func(t *testing.T) {
		w := &watched{t: t, path: path, start: time.Now()}
		watcher := config.NewWatcher(path)
		w.ask = watcher.Ask
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			watcher.Run(ctx, poll, func() { w.told.Add(1) })
		}()
		act(w)
		stop()
		<-done
	})
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (w *watched) put(text string) { w.t.Helper(); put(w.t, w.path, text) }

func (w *watched) remove() {
	w.t.Helper()
	if err := os.Remove(w.path); err != nil {
		w.t.Fatal(err)
	}
}

// after lets n polls happen and compares how often a change was told in all.
func (w *watched) after(polls int, want int64) {
	w.t.Helper()
	time.Sleep(time.Duration(polls) * poll)
	synctest.Wait()
	if told := w.told.Load(); told != want {
		w.t.Errorf("%s after the start: told %d times, want %d", time.Since(w.start), told, want)
	}
}

// histories begin with a file that holds "a".
var histories = map[string]func(w *watched){
	"nothing happens": func(w *watched) { w.after(10, 0) },
	"one change, told once and in time": func(w *watched) {
		w.put("b")
		w.after(2, 1)
		w.after(10, 1)
	},
	"written anew with the same content": func(w *watched) {
		w.put("a")
		w.after(5, 0)
	},
	"change and change back": func(w *watched) {
		w.put("b")
		w.after(2, 1)
		w.put("a")
		w.after(2, 2)
	},
	"change back before it settled": func(w *watched) {
		w.put("b")
		w.after(1, 0)
		w.put("a")
		w.after(5, 0)
	},
	"half-way replaced": func(w *watched) {
		w.put("")
		w.after(1, 0)
		w.put("a and")
		w.after(1, 0)
		w.put("a and b")
		w.after(1, 0)
		w.after(1, 1)
		w.after(5, 1)
	},
	"gone for good": func(w *watched) {
		w.remove()
		w.after(10, 0)
	},
	"gone and back": func(w *watched) {
		w.remove()
		w.after(3, 0)
		w.put("a")
		w.after(5, 0)
	},
	"gone and back with another content": func(w *watched) {
		w.remove()
		w.after(3, 0)
		w.put("b")
		w.after(2, 1)
	},
	"written in halves": func(w *watched) {
		w.put("b and")
		w.after(1, 0)
		w.put("b and c")
		w.after(2, 1)
		w.after(5, 1)
	},
	"another link, as Kubernetes swaps them": func(w *watched) {
		folders := []string{w.path + ".1", w.path + ".2"}
		for i, text := range []string{"a", "b"} {
			if err := os.Mkdir(folders[i], 0o700); err != nil {
				w.t.Fatal(err)
			}
			put(w.t, filepath.Join(folders[i], "config.yaml"), text)
		}
		link := func(to string) {
			w.t.Helper()
			if err := errors.Join(os.Symlink(to, w.path+".tmp"), os.Rename(w.path+".tmp", w.path)); err != nil {
				w.t.Fatal(err)
			}
		}
		link(filepath.Join(folders[0], "config.yaml"))
		w.after(3, 0)
		link(filepath.Join(folders[1], "config.yaml"))
		w.after(2, 1)
		link(filepath.Join(w.path+".3", "config.yaml")) // which is not there yet
		w.after(5, 1)
	},
	"asked for without a change": func(w *watched) {
		w.after(3, 0)
		w.ask()
		w.after(1, 1)
		w.after(5, 1)
		w.ask()
		w.ask()
		w.after(1, 2)
		w.after(5, 2)
	},
	"asked for while it is written": func(w *watched) {
		w.put("b and")
		w.ask()
		w.after(1, 0)
		w.put("b and c")
		w.after(1, 0)
		w.after(1, 1)
		w.after(5, 1)
	},
	"asked for, and back before it settled": func(w *watched) {
		w.put("b")
		w.ask()
		w.after(1, 0)
		w.put("a")
		w.after(1, 0)
		w.after(1, 1)
		w.after(5, 1)
	},
	"asked for when it is gone": func(w *watched) {
		w.remove()
		w.ask()
		w.after(1, 0)
		w.after(1, 1)
		w.after(5, 1)
	},
	"asked for while it is replaced": func(w *watched) {
		w.remove()
		w.ask()
		w.after(1, 0)
		w.put("b")
		w.after(1, 0)
		w.after(1, 1)
		w.after(5, 1)
	},
	"renamed over": func(w *watched) {
		put(w.t, w.path+".new", "b")
		if err := os.Rename(w.path+".new", w.path); err != nil {
			w.t.Fatal(err)
		}
		w.after(2, 1)
	},
}

func TestWatch(t *testing.T) {
	for name, act := range histories {
		t.Run(name, func(t *testing.T) { watch(t, "a", act) })
	}
	t.Run("appears", func(t *testing.T) {
		watch(t, "", func(w *watched) {
			w.after(3, 0)
			w.put("a")
			w.after(2, 1)
		})
	})
}

func TestWatchKnowsWhatLoadRead(t *testing.T) {
	path := write(t, "config.yaml", "a")
	synctest.Test(t, func(t *testing.T) {
		watcher := config.NewWatcher(path)
		put(t, path, "b") // while the program starts
		ctx, stop := context.WithCancel(t.Context())
		watcher.Run(ctx, poll, stop) // ends only if the change is told
	})
}

// TestWatchSettled: the text that is told of is the one that has settled,
// whatever the file holds by then; afterwards it is forgotten.
func TestWatchSettled(t *testing.T) {
	path := write(t, "config.yaml", "a")
	synctest.Test(t, func(t *testing.T) {
		watcher := config.NewWatcher(path)
		put(t, path, "b")
		ctx, stop := context.WithCancel(t.Context())
		told := 0
		watcher.Run(ctx, poll, func() {
			if told++; told == 2 {
				stop()
			}
			put(t, path, "half of") // the next writer has just begun
			if got, want := string(watcher.Settled()), []string{"b", "half of"}[told-1]; got != want {
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
		config.Watch(ctx, path, poll, func() { t.Error("told without a change") })
	})
}
