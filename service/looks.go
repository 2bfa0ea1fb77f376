package service

import "sync/atomic"

// Looks counts the look-ups of a cache, for metrics. The nil Looks counts nothing.
type Looks struct{ hits, misses atomic.Uint64 }

// Hits is how many found what they can go by.
func (l *Looks) Hits() uint64 { return l.hits.Load() }

// Misses is how many did not.
func (l *Looks) Misses() uint64 { return l.misses.Load() }

func (l *Looks) note(hit bool) {
	switch {
	case l == nil:
	case hit:
		l.hits.Add(1)
	default:
		l.misses.Add(1)
	}
}
