package service

import (
	"hash/fnv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"

	"menshen/model"
	"menshen/service/cache"
)

// SessionCache holds sessions that were active when they were last read. It may only
// answer yes, and only while the event log is being followed; every other answer is read
// from the database. A nil SessionCache is empty. It is safe for concurrent use.
type SessionCache struct {
	now     func() time.Time // of this process: it only measures durations
	entries *otter.Cache[string, cacheEntry]

	followed atomic.Int64 // when the log was last read, in Unix nanoseconds
	stats    cache.Stats

	mu    sync.Mutex
	ended map[string]time.Time // sessions that ended a moment ago: a read that began before must not put them back
}

// cacheEntry is what an answer of yes depends on.
type cacheEntry struct {
	userID       int64
	gen          int64
	idleUntil    model.Time
	endsAt       model.Time
	loadedAt     int64 // Unix nanoseconds
	deviceNumber string
	group        string
	productType  int32
	confirmed    bool
	jitter       uint16 // subtracted from maxAge, in ms
}

const (
	// cacheBytes bounds the memory of the cache; entryBytes is what an entry takes
	// beside its texts.
	cacheBytes = 256 << 20
	entryBytes = 200
	// followLimit is the greatest age of the last read of the log. maxAge is that of
	// an entry, less a jitter of up to maxJitter.
	followLimit = time.Second
	maxAge      = time.Minute
	maxJitter   = 10 * time.Second
	// endedFor outlasts every read of the database.
	endedFor = 30 * time.Second
)

// NewSessionCache returns an empty cache. now is the clock of the process.
func NewSessionCache(now func() time.Time) *SessionCache {
	return &SessionCache{
		now:   now,
		ended: map[string]time.Time{},
		entries: otter.Must(&otter.Options[string, cacheEntry]{
			MaximumWeight: cacheBytes,
			Weigher: func(id string, e cacheEntry) uint32 {
				return uint32(entryBytes + len(id) + len(e.deviceNumber)) //nolint:gosec // both are short
			},
		}),
	}
}

// Followed notes that the log was read completely as it stood at the time at.
func (c *SessionCache) Followed(at time.Time) {
	if c == nil {
		return
	}
	c.followed.Store(at.UnixNano())
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, ended := range c.ended {
		if at.Sub(ended) > endedFor {
			delete(c.ended, id)
		}
	}
}

// get returns the entry of a session while it is fresh and the log is followed.
func (c *SessionCache) get(id string) (cacheEntry, bool) {
	if c == nil {
		return cacheEntry{}, false
	}
	now := c.now().UnixNano()
	if !youngerThan(now, c.followed.Load(), followLimit) {
		return cacheEntry{}, false
	}
	entry, ok := c.entries.GetIfPresent(id)
	return entry, ok && entry.freshAt(now)
}

func (e cacheEntry) freshAt(now int64) bool {
	return youngerThan(now, e.loadedAt, maxAge-time.Duration(e.jitter)*time.Millisecond)
}

// Sweep removes the entries that are too old to answer. Without it they stay until the
// cache is full.
func (c *SessionCache) Sweep() {
	now := c.now().UnixNano()
	for id, entry := range c.entries.All() {
		if !entry.freshAt(now) {
			c.entries.Invalidate(id)
		}
	}
}

// youngerThan reports whether at is less than d ago. If at lies in the future, because a
// clock was set back, the age is unknown and the answer false.
func youngerThan(now, at int64, d time.Duration) bool {
	ago := now - at
	return 0 <= ago && ago < int64(d)
}

// lookup returns the cached session if it is valid for the claims: not expired, same
// user, token not newer than the entry, already confirmed.
func (c *SessionCache) lookup(claims model.Claims, now model.Time) (cacheEntry, bool) {
	entry, ok := c.get(claims.SessionID)
	if !ok || entry.userID != claims.UserID || claims.Expired(now) || now >= entry.idleUntil || now >= entry.endsAt ||
		claims.Gen > entry.gen || claims.Gen == entry.gen && !entry.confirmed {
		ok = false
	}
	if c != nil {
		c.stats.Record(ok)
	}
	return entry, ok
}

// session is lookup for callers that need more of the session.
func (c *SessionCache) session(claims model.Claims, now model.Time) (model.Session, bool) {
	entry, ok := c.lookup(claims, now)
	if !ok {
		return model.Session{}, false
	}
	return model.Session{
		ID: claims.SessionID, UserID: entry.userID, CompanyType: claims.CompanyType, ProductType: entry.productType, ProductGroup: entry.group,
		DeviceNumber: entry.deviceNumber, Gen: entry.gen, Confirmed: entry.confirmed, IdleUntil: entry.idleUntil, EndsAt: entry.endsAt,
	}, true
}

// replaced reports whether the token of the claims is known to have been replaced. That
// stays true, so the age of the entry does not matter.
func (c *SessionCache) replaced(claims model.Claims) bool {
	if c == nil {
		return false
	}
	entry, ok := c.entries.GetIfPresent(claims.SessionID)
	return ok && claims.Gen < entry.gen
}

// jitterOf is cacheEntry.jitter, derived from the id: sessions that are first read
// together, after a start, do not expire together each minute.
func jitterOf(id string) uint16 {
	sum := fnv.New32a()
	_, _ = sum.Write([]byte(id))                                  // never fails
	return uint16(sum.Sum32() % uint32(maxJitter.Milliseconds())) //nolint:gosec // at most 10,000
}

// put caches an active session as it was read.
func (c *SessionCache) put(s model.Session) {
	if c == nil || s.EndedAt != 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ended := c.ended[s.ID]; ended {
		return
	}
	c.entries.Set(s.ID, cacheEntry{
		userID: s.UserID, gen: s.Gen, idleUntil: s.IdleUntil, endsAt: s.EndsAt, loadedAt: c.now().UnixNano(), jitter: jitterOf(s.ID),
		deviceNumber: s.DeviceNumber, group: s.ProductGroup, productType: s.ProductType, confirmed: s.Confirmed,
	})
}

// remove removes a session that has changed.
func (c *SessionCache) remove(id string) {
	if c != nil {
		c.entries.Invalidate(id)
	}
}

// removeAll removes all entries.
func (c *SessionCache) removeAll() {
	if c != nil {
		c.entries.InvalidateAll()
	}
}

// markEnded removes a session that has ended, and keeps a read that began before from
// putting it back.
func (c *SessionCache) markEnded(id string) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended[id] = c.now()
	c.entries.Invalidate(id)
}

// Size is the number of sessions in the cache, for metrics.
func (c *SessionCache) Size() int { return c.entries.EstimatedSize() }

// Stats are the look-ups by checks and calls, for metrics.
func (c *SessionCache) Stats() *cache.Stats { return &c.stats }

// Lag is the age of the last complete read of the log, for metrics.
func (c *SessionCache) Lag() time.Duration {
	return time.Duration(c.now().UnixNano() - c.followed.Load())
}
