package code

import (
	"sync"
	"time"

	"github.com/maypok86/otter/v2"

	"menshen/model"
)

// Guesses limits how often one address gets model.ErrCode for one number, whether or not
// a code lives there. Attempts with a good ticket neither count nor are refused. It
// protects the instance and its log from load; what a stranger can gain is limited by the
// counts of attempts in the database. The nil Guesses passes every attempt. Safe for
// concurrent use.
type Guesses struct {
	most    int
	windows *otter.Cache[guess, *guessWindow]
}

// guess is an address and a number, by their keys.
type guess struct{ address, number string }

// guessWindow holds the times of the newest answers.
type guessWindow struct {
	mu    sync.Mutex
	times []model.Time // oldest first, at most Guesses.most
}

const (
	guessTime = 10 * time.Minute // rolling
	// maxGuessPairs bounds the memory. A pair that is evicted starts with no answers.
	maxGuessPairs = 100_000
)

// NewGuesses returns a limit of most answers to one address for one number in guessTime,
// nil if most is 0.
func NewGuesses(most int) *Guesses {
	if most == 0 {
		return nil
	}
	return &Guesses{most: most, windows: otter.Must(&otter.Options[guess, *guessWindow]{MaximumSize: maxGuessPairs})}
}

func (t target) guess() guess {
	return guess{model.AddressKey(t.Caller.IP), string(t.numberKey)}
}

// wait returns how long until the attempt may be judged.
func (g *Guesses) wait(t target, now model.Time) time.Duration {
	if g == nil {
		return 0
	}
	window, ok := g.windows.GetIfPresent(t.guess())
	if !ok {
		return 0
	}
	window.mu.Lock()
	defer window.mu.Unlock()
	return g.waitIn(window, now)
}

func (g *Guesses) waitIn(window *guessWindow, now model.Time) time.Duration {
	if len(window.times) < g.most {
		return 0
	}
	return min(guessTime, window.times[0].Add(guessTime).Sub(now))
}

// add counts one answer. If attempts at the same time were first, so that there must be no
// more, it counts none and returns how long until there may be.
func (g *Guesses) add(t target, now model.Time) time.Duration {
	if g == nil {
		return 0
	}
	window, ok := g.windows.GetIfPresent(t.guess())
	if !ok {
		window, _ = g.windows.SetIfAbsent(t.guess(), &guessWindow{})
	}
	window.mu.Lock()
	defer window.mu.Unlock()
	if wait := g.waitIn(window, now); wait > 0 {
		return wait
	}
	if len(window.times) == g.most {
		window.times = window.times[1:]
	}
	window.times = append(window.times, now)
	return 0
}
