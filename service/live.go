package service

import (
	"hash/fnv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"

	"menshen/model"
)

// Live remembers sessions that were active when they were last read, so that
// the hot check needs no database. It may say yes alone, and only while the log
// of events is being followed; every other answer is read from the database.
// The nil Live knows nothing.
type Live struct {
	now     func() time.Time // of this process: it only measures durations
	entries *otter.Cache[string, liveEntry]

	followed atomic.Int64 // when the log was last read, in Unix nanoseconds
	looks    Looks

	mu     sync.Mutex
	recent map[string]time.Time // sessions that ended a moment ago: a read from before must not revive them
}

// liveEntry is what an answer of yes depends on.
type liveEntry struct {
	userID       int64
	gen          int64
	idleUntil    model.Time
	endsAt       model.Time
	loadedAt     int64 // Unix nanoseconds
	deviceNumber string
	group        string
	productType  int32
	confirmed    bool
	early        uint16 // by how much sooner than after liveFor it is read again, in ms
}

const (
	// liveBytes bounds the memory of the cache; entryBytes is what an entry
	// takes beside its texts.
	liveBytes  = 256 << 20
	entryBytes = 200
	// followLimit is how old the last read of the log may be; liveFor is after
	// how long an entry is read again, event or none, or up to liveSpread sooner.
	followLimit = time.Second
	liveFor     = time.Minute
	liveSpread  = 10 * time.Second
	// recentFor outlasts every read of the database.
	recentFor = 30 * time.Second
)

// NewLive takes the clock of the process.
func NewLive(now func() time.Time) *Live {
	return &Live{
		now:    now,
		recent: map[string]time.Time{},
		entries: otter.Must(&otter.Options[string, liveEntry]{
			MaximumWeight: liveBytes,
			Weigher: func(id string, e liveEntry) uint32 {
				return uint32(entryBytes + len(id) + len(e.deviceNumber)) //nolint:gosec // both are short
			},
		}),
	}
}

// Followed notes that the log was read completely as it stood at the time at.
func (l *Live) Followed(at time.Time) {
	if l == nil {
		return
	}
	l.followed.Store(at.UnixNano())
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, ended := range l.recent {
		if at.Sub(ended) > recentFor {
			delete(l.recent, id)
		}
	}
}

// find is the entry of a session, while it may be believed.
func (l *Live) find(id string) (liveEntry, bool) {
	if l == nil {
		return liveEntry{}, false
	}
	now := l.now().UnixNano()
	if !within(now, l.followed.Load(), followLimit) {
		return liveEntry{}, false
	}
	entry, ok := l.entries.GetIfPresent(id)
	return entry, ok && within(now, entry.loadedAt, liveFor-time.Duration(entry.early)*time.Millisecond)
}

// within reports whether at is less than d ago. A clock that was set back makes
// it lie ahead: then nobody knows how long ago it is.
func within(now, at int64, d time.Duration) bool {
	ago := now - at
	return 0 <= ago && ago < int64(d)
}

// look is what is remembered of the session of verified claims if it certainly
// lives, the token is not newer than the entry, and nothing is left to confirm.
func (l *Live) look(claims model.Claims, now model.Time) (liveEntry, bool) {
	entry, ok := l.find(claims.SessionID)
	if !ok || entry.userID != claims.UserID || claims.Expired(now) || now >= entry.idleUntil || now >= entry.endsAt ||
		claims.Gen > entry.gen || claims.Gen == entry.gen && !entry.confirmed {
		ok = false
	}
	if l != nil {
		l.looks.note(ok)
	}
	return entry, ok
}

// session is look for callers that need more of the session.
func (l *Live) session(claims model.Claims, now model.Time) (model.Session, bool) {
	entry, ok := l.look(claims, now)
	if !ok {
		return model.Session{}, false
	}
	return model.Session{
		ID: claims.SessionID, UserID: entry.userID, ProductType: entry.productType, ProductGroup: entry.group,
		DeviceNumber: entry.deviceNumber, Gen: entry.gen, Confirmed: entry.confirmed, IdleUntil: entry.idleUntil, EndsAt: entry.endsAt,
	}, true
}

// spread is liveEntry.early, another for each session: many that were read at once,
// after a start, would be read again at once each minute, and keep all others waiting.
func spread(id string) uint16 {
	sum := fnv.New32a()
	_, _ = sum.Write([]byte(id))                                   // never fails
	return uint16(sum.Sum32() % uint32(liveSpread.Milliseconds())) //nolint:gosec // at most 10,000
}

// keep remembers an active session as it was read.
func (l *Live) keep(s model.Session) {
	if l == nil || s.EndedAt != 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ended := l.recent[s.ID]; ended {
		return
	}
	l.entries.Set(s.ID, liveEntry{
		userID: s.UserID, gen: s.Gen, idleUntil: s.IdleUntil, endsAt: s.EndsAt, loadedAt: l.now().UnixNano(), early: spread(s.ID),
		deviceNumber: s.DeviceNumber, group: s.ProductGroup, productType: s.ProductType, confirmed: s.Confirmed,
	})
}

// drop forgets a session that changed.
func (l *Live) drop(id string) {
	if l != nil {
		l.entries.Invalidate(id)
	}
}

// forget gives up everything that is remembered.
func (l *Live) forget() {
	if l != nil {
		l.entries.InvalidateAll()
	}
}

// end forgets a session that has ended, and refuses to remember it again from a
// read that began before.
func (l *Live) end(id string) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.recent[id] = l.now()
	l.entries.Invalidate(id)
}

// Size is the number of sessions in the cache, for metrics.
func (l *Live) Size() int { return l.entries.EstimatedSize() }

// Looks are the look-ups by checks and calls, for metrics.
func (l *Live) Looks() *Looks { return &l.looks }

// Lag is the age of the last complete read of the log, for metrics.
func (l *Live) Lag() time.Duration { return time.Duration(l.now().UnixNano() - l.followed.Load()) }
