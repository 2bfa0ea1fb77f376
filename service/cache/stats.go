// Package cache counts how often caches are hit.
package cache

import "sync/atomic"

// Stats counts the look-ups of a cache, for metrics. The nil Stats counts nothing.
type Stats struct{ hits, misses atomic.Uint64 }

// Hits is the number of look-ups that were answered from the cache.
func (s *Stats) Hits() uint64 { return s.hits.Load() }

// Misses is the number of look-ups that were not.
func (s *Stats) Misses() uint64 { return s.misses.Load() }

// Record counts one look-up.
func (s *Stats) Record(hit bool) {
	switch {
	case s == nil:
	case hit:
		s.hits.Add(1)
	default:
		s.misses.Add(1)
	}
}
