package service

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"menshen/model"
	"menshen/service/random"
)

// liveScene is a cache that follows the log, and a session that it remembers.
func liveScene() (*SessionCache, *FakeClock, model.Session, model.Claims) {
	clock := NewFakeClock()
	now := model.TimeOf(clock.Now())
	live := NewSessionCache(clock.Now)
	live.Followed(clock.Now())
	s := model.Session{
		ID: "S", UserID: 7, CompanyType: 3, ProductType: 2, ProductGroup: "pad", DeviceNumber: "d", Gen: 5, PrevGen: 4, Confirmed: true,
		IdleUntil: now.Add(time.Hour), EndsAt: now.Add(2 * time.Hour),
	}
	live.put(s)
	return live, clock, s, model.Claims{SessionID: "S", UserID: 7, CompanyType: 3, Gen: 5, ExpiresAt: now.Add(30 * time.Minute)}
}

// follow lets d pass while the log is being read.
func follow(live *SessionCache, clock *FakeClock, d time.Duration) {
	clock.Advance(d)
	live.Followed(clock.Now())
}

func TestLiveRemembers(t *testing.T) {
	live, clock, s, claims := liveScene()
	got, ok := live.session(claims, model.TimeOf(clock.Now()))
	want := s
	want.PrevGen = 0 // a guard needs no more than this
	if diff := cmp.Diff(want, got); !ok || diff != "" {
		t.Errorf("found: %v, differs:\n%s", ok, diff)
	}
	if live.Size() != 1 || live.Lag() != 0 {
		t.Errorf("%d sessions, lag %v", live.Size(), live.Lag())
	}
	live.removeAll()
	if _, ok := live.session(claims, model.TimeOf(clock.Now())); ok {
		t.Error("found what was to be forgotten")
	}
}

// TestLiveDoubts: each row is a reason to ask the database.
func TestLiveDoubts(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(live *SessionCache, clock *FakeClock, s *model.Session, c *model.Claims)
		want   bool
	}{
		"nothing":              {func(*SessionCache, *FakeClock, *model.Session, *model.Claims) {}, true},
		"unknown session":      {func(_ *SessionCache, _ *FakeClock, _ *model.Session, c *model.Claims) { c.SessionID = "T" }, false},
		"another user":         {func(_ *SessionCache, _ *FakeClock, _ *model.Session, c *model.Claims) { c.UserID = 8 }, false},
		"an older token":       {func(_ *SessionCache, _ *FakeClock, _ *model.Session, c *model.Claims) { c.Gen = 1 }, true},
		"a newer token":        {func(_ *SessionCache, _ *FakeClock, _ *model.Session, c *model.Claims) { c.Gen = 6 }, false},
		"an unconfirmed token": {func(_ *SessionCache, _ *FakeClock, s *model.Session, _ *model.Claims) { s.Confirmed = false }, false},
		"its predecessor":      {func(_ *SessionCache, _ *FakeClock, s *model.Session, c *model.Claims) { s.Confirmed, c.Gen = false, 4 }, true},
		"before the token's end": {func(_ *SessionCache, clock *FakeClock, _ *model.Session, c *model.Claims) {
			c.ExpiresAt = model.TimeOf(clock.Now()) + 1
		}, true},
		"at the token's end": {func(_ *SessionCache, clock *FakeClock, _ *model.Session, c *model.Claims) {
			c.ExpiresAt = model.TimeOf(clock.Now())
		}, false},
		"before the idle end": {func(_ *SessionCache, clock *FakeClock, s *model.Session, _ *model.Claims) {
			s.IdleUntil = model.TimeOf(clock.Now()) + 1
		}, true},
		"at the idle end": {func(_ *SessionCache, clock *FakeClock, s *model.Session, _ *model.Claims) {
			s.IdleUntil = model.TimeOf(clock.Now())
		}, false},
		"before the absolute end": {func(_ *SessionCache, clock *FakeClock, s *model.Session, _ *model.Claims) {
			s.EndsAt = model.TimeOf(clock.Now()) + 1
		}, true},
		"at the absolute end": {func(_ *SessionCache, clock *FakeClock, s *model.Session, _ *model.Claims) {
			s.EndsAt = model.TimeOf(clock.Now())
		}, false},
		"an ended session": {func(live *SessionCache, _ *FakeClock, s *model.Session, _ *model.Claims) {
			live.remove("S")
			s.EndedAt = 1
		}, false},
		"just followed": {func(_ *SessionCache, clock *FakeClock, _ *model.Session, _ *model.Claims) {
			clock.Advance(followLimit - 1)
		}, true},
		"not followed for too long": {func(_ *SessionCache, clock *FakeClock, _ *model.Session, _ *model.Claims) { clock.Advance(followLimit) }, false},
		"never followed":            {func(live *SessionCache, _ *FakeClock, _ *model.Session, _ *model.Claims) { live.followed.Store(0) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			live, clock, s, claims := liveScene()
			tt.change(live, clock, &s, &claims)
			live.put(s)
			if _, ok := live.session(claims, model.TimeOf(clock.Now())); ok != tt.want {
				t.Errorf("found: %v, want %v", ok, tt.want)
			}
		})
	}
}

// TestLiveSpread: sessions that were read at once are read again over ten seconds, and
// none later than after a minute.
func TestLiveSpread(t *testing.T) {
	perSecond := map[time.Duration]int{}
	for range 10_000 {
		early := time.Duration(jitterOf(random.TextID())) * time.Millisecond
		if early >= maxJitter {
			t.Fatalf("%v earlier", early)
		}
		perSecond[early/time.Second]++
	}
	for second, n := range perSecond {
		if n < 800 || n > 1200 {
			t.Errorf("%d of 10,000 in second %d", n, second)
		}
	}
}

// TestLiveReadsAgain: an entry is read again after a minute, less its spread, event or
// none.
func TestLiveReadsAgain(t *testing.T) {
	live, clock, s, claims := liveScene()
	found := func() bool {
		_, ok := live.session(claims, model.TimeOf(clock.Now()))
		return ok
	}
	follow(live, clock, maxAge-time.Duration(jitterOf(s.ID))*time.Millisecond-1)
	if !found() {
		t.Error("forgotten before a minute was over")
	}
	follow(live, clock, 1)
	if found() {
		t.Error("remembered for more than a minute")
	}
	live.put(s)
	if !found() {
		t.Error("not remembered after it was read again")
	}
}

// TestLiveSweep: a sweep removes what is too old to answer, and nothing else.
func TestLiveSweep(t *testing.T) {
	live, clock, s, claims := liveScene()
	left := func() int {
		live.Sweep()
		live.entries.CleanUp()
		return live.Size()
	}
	follow(live, clock, maxAge-time.Duration(jitterOf(s.ID))*time.Millisecond-1)
	other := s
	other.ID = "T"
	live.put(other)
	if got := left(); got != 2 {
		t.Errorf("%d sessions, want 2", got)
	}
	follow(live, clock, 1)
	if got := left(); got != 1 {
		t.Errorf("%d sessions, want the younger one", got)
	}
	claims.SessionID = "T"
	if _, ok := live.session(claims, model.TimeOf(clock.Now())); !ok {
		t.Error("the younger one is forgotten")
	}
}

// TestLiveClockSetBack: when the process's clock is set back, it is unknown how
// long ago the log was read; once it is read again all is well, save what seems
// to have been remembered in the future.
func TestLiveClockSetBack(t *testing.T) {
	live, clock, s, claims := liveScene()
	found := func() bool {
		_, ok := live.session(claims, model.TimeOf(clock.Now()))
		return ok
	}
	clock.Advance(-time.Millisecond)
	if found() {
		t.Error("followed, says a clock that was set back")
	}
	live.Followed(clock.Now())
	if found() {
		t.Error("remembered since a moment that has not come yet")
	}
	live.put(s)
	if !found() {
		t.Error("the clock counts no more once it was set back")
	}
}

// TestLiveRace: a read of the database that began before the end of the session
// does not revive it in memory, however late it comes back; the next login is
// another session.
func TestLiveRace(t *testing.T) {
	live, clock, s, claims := liveScene()
	live.markEnded("S")
	for _, later := range []time.Duration{0, time.Second, endedFor - time.Second} {
		follow(live, clock, later)
		live.put(s)
		if _, ok := live.session(claims, model.TimeOf(clock.Now())); ok {
			t.Fatal("a session that has ended is remembered")
		}
	}
	other := s
	other.ID = "T"
	live.put(other)
	claims.SessionID = "T"
	if _, ok := live.session(claims, model.TimeOf(clock.Now())); !ok {
		t.Error("another session is not remembered")
	}
	follow(live, clock, 0) // exactly endedFor after the end
	if len(live.ended) != 1 {
		t.Error("the end was forgotten while a read from before may be under way")
	}
	follow(live, clock, time.Millisecond)
	if len(live.ended) != 0 {
		t.Error("ends are kept for ever")
	}
}

// TestLiveBounds: the memory is bounded by bytes, texts included.
func TestLiveBounds(t *testing.T) {
	live, _, s, _ := liveScene()
	if live.entries.GetMaximum() != cacheBytes || !live.entries.IsWeighted() {
		t.Fatalf("the bound is %d, weighted: %v", live.entries.GetMaximum(), live.entries.IsWeighted())
	}
	const bound = 100_000
	live.removeAll()
	live.entries.SetMaximum(bound)
	s.DeviceNumber = strings.Repeat("d", 128)
	for i := range 5000 {
		s.ID = fmt.Sprintf("SESSION%019d", i)
		live.put(s)
	}
	live.entries.CleanUp()
	most := bound / (128 + 26)
	if got := live.Size(); got == 0 || got > most {
		t.Errorf("%d sessions in %d bytes", got, bound)
	}
	if got := live.entries.WeightedSize(); got < uint64(live.Size()*(128+26+int(entrySize))) || got > bound {
		t.Errorf("%d sessions weigh %d", live.Size(), got)
	}
}

// entrySize is what an entry takes without its texts, at the very least.
const entrySize = 96

// TestLiveNil: without a cache nothing is known and nothing breaks.
func TestLiveNil(t *testing.T) {
	var live *SessionCache
	live.Followed(time.Time{})
	live.put(model.Session{ID: "S"})
	live.remove("S")
	live.markEnded("S")
	live.removeAll()
	if _, ok := live.session(model.Claims{SessionID: "S", ExpiresAt: 1}, 0); ok {
		t.Error("the nil cache knows a session")
	}
}
