package service

import (
	"sync"
	"time"

	"menshen/model"
)

// believed holds findings that stay true for a while, so that what they cost is
// not paid for every request. Every instance finds for itself; what is decided by
// a finding must be right even when the others act meanwhile. When it is full it
// forgets all. The zero value is ready.
type believed[K comparable] struct {
	mu       sync.Mutex
	findings map[K]belief
}

// belief is the time for which a finding is true.
type belief struct{ from, until model.Time }

// mostBeliefs bounds the memory: some 100 bytes each.
const mostBeliefs = 10_000

// holds reports whether the finding is true still. One that a clock set back has
// put into the future is none.
func (b *believed[K]) holds(finding K, now model.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	belief, ok := b.findings[finding]
	return ok && belief.from <= now && now < belief.until
}

// keep notes that the finding is true for so long, by the millisecond.
func (b *believed[K]) keep(finding K, now model.Time, lasts time.Duration) {
	if lasts < time.Millisecond {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.findings == nil || len(b.findings) >= mostBeliefs {
		b.findings = make(map[K]belief)
	}
	b.findings[finding] = belief{now, now.Add(lasts)}
}
