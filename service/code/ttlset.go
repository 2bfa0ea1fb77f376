package code

import (
	"sync"
	"time"

	"menshen/model"
)

// ttlSet is a set whose members expire. It keeps findings that other instances need not
// know. A full set is cleared. The zero value is ready for use and safe for concurrent
// use.
type ttlSet[K comparable] struct {
	mu      sync.Mutex
	entries map[K]span
}

// span is the time for which a key is a member.
type span struct{ from, until model.Time }

// maxEntries bounds the memory, at about 100 bytes per entry.
const maxEntries = 10_000

// Has reports whether key is a member. An entry from the future, after a clock was set
// back, is not.
func (s *ttlSet[K]) Has(key K, now model.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	span, ok := s.entries[key]
	return ok && span.from <= now && now < span.until
}

// Add makes key a member for ttl, to the millisecond.
func (s *ttlSet[K]) Add(key K, now model.Time, ttl time.Duration) {
	if ttl < time.Millisecond {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.entries == nil || len(s.entries) >= maxEntries {
		s.entries = make(map[K]span)
	}
	s.entries[key] = span{now, now.Add(ttl)}
}
