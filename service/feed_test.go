package service_test

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"menshen/model"
	"menshen/repository"
	"menshen/service"
)

// kick ends the client's session as an operator.
func (i *instance) kick(t testing.TB, p client) {
	t.Helper()
	if n, err := i.admin.Kick(t.Context(), service.Operator{Name: "root"}, p.user, service.KickTarget{SessionID: p.session}, "test"); n != 1 || err != nil {
		t.Fatalf("kicked %d, error %v", n, err)
	}
}

// reader is a back end that reads the feed of one instance after the other.
type reader struct {
	cursor string
	heard  []string // sessions, in the order of the feed's answers
}

func (r *reader) read(t testing.TB, i *instance) []model.Revocation {
	t.Helper()
	page, err := i.feed.Read(t.Context(), r.cursor, 0)
	if err != nil {
		t.Fatal(err)
	}
	r.cursor = page.Next
	for _, item := range page.Items {
		r.heard = append(r.heard, item.SessionID)
	}
	return page.Items
}

func (r *reader) wantHeard(t testing.TB, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, r.heard); diff != "" {
		t.Errorf("heard:\n%s", diff)
	}
}

// TestFeedHeldOpen: a transaction ends a session and is held open while later ends
// are committed and published. Once it is committed, a reader that has read those
// receives its end too, and once.
func TestFeedHeldOpen(t *testing.T) {
	eachDeployment(t, func(t *testing.T, d *deployment) {
		for _, held := range []time.Duration{0, tick, time.Second, 3 * time.Second, 5 * time.Second, service.LongWindow - time.Second} {
			t.Run(held.String(), func(t *testing.T) {
				d.clock.Advance(time.Hour) // earlier entries are of no interest
				here, there := d.start(0), d.start(0)
				r := &reader{}
				r.read(t, here)
				hidden, others := here.logIn(d.number(), onDevice(0, "d")), []client{}
				for range 4 {
					others = append(others, here.logIn(d.number(), onDevice(0, "d")))
				}
				var want []string
				tx, err := d.db.Pools()["write"].BeginTx(t.Context(), nil)
				if err != nil {
					t.Fatal(err)
				}
				endRaw(t, tx, hidden, model.TimeOf(d.clock.Now()))
				for n, other := range others {
					d.clock.Advance(held / time.Duration(len(others)))
					if d.db.Driver() == repository.MySQL { // SQLite has one writer
						there.kick(t, other)
						want = append(want, other.session)
					}
					r.read(t, []*instance{here, there}[n%2])
				}
				if err := tx.Commit(); err != nil {
					t.Fatal(err)
				}
				want = append(want, hidden.session)
				for range 3 {
					r.read(t, there)
				}
				r.wantHeard(t, want...)
			})
		}
	})
}

// TestFeedEntries: what an entry says, and that it goes when the last token of
// its session has expired, but never the cursor.
func TestFeedEntries(t *testing.T) {
	eachDeployment(t, func(t *testing.T, d *deployment) {
		i := d.start(0)
		long := i.logIn(d.number(), onDevice(0, "d"))
		i.sessions.AccessTTL = 2 * time.Minute
		if _, err := i.sessions.Refresh(t.Context(), long.access, long.refresh, model.Caller{}); err != nil {
			t.Fatal(err)
		}
		short := i.logIn(d.number(), onDevice(0, "d"))
		i.kick(t, short)
		d.clock.Advance(time.Minute)
		i.kick(t, long)
		r := &reader{}
		got := r.read(t, i)
		now := model.TimeOf(d.clock.Now())
		want := []model.Revocation{
			{Seq: 1, SessionID: short.session, UserID: short.user, Reason: model.ReasonKicked, EndedAt: now.Add(-time.Minute), Exp: short.claims.ExpiresAt},
			{Seq: 2, SessionID: long.session, UserID: long.user, Reason: model.ReasonKicked, EndedAt: now, Exp: long.claims.ExpiresAt},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("the feed is:\n%s", diff)
		}
		beginning := func() (heard []string) {
			late := &reader{}
			late.read(t, i)
			return late.heard
		}
		d.clock.Advance(time.Minute) // the first token has expired, the other one's predecessor has not
		if diff := cmp.Diff([]string{long.session}, beginning()); diff != "" {
			t.Errorf("after the end of a token:\n%s", diff)
		}
		d.clock.Advance(tokenTTL)
		if heard := beginning(); heard != nil {
			t.Errorf("after the end of all tokens: %q", heard)
		}
		if _, err := i.feed.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		next := i.logIn(d.number(), onDevice(0, "d"))
		i.kick(t, next)
		if r.read(t, d.start(0)); len(r.heard) != 3 || r.heard[2] != next.session || r.cursor != "3" {
			t.Errorf("heard %q, the cursor is %s", r.heard, r.cursor)
		}
	})
}

// TestFeedCursors: what was never given is refused.
func TestFeedCursors(t *testing.T) {
	eachDeployment(t, func(t *testing.T, d *deployment) {
		i := d.start(0)
		for n := range 3 {
			if page, err := i.feed.Read(t.Context(), "0", 0); err != nil || page.Next != strconv.Itoa(min(n, 1)) {
				t.Errorf("from the beginning: %+v, error %v", page, err)
			}
			for _, cursor := range []string{strconv.Itoa(min(n, 1) + 1), "9223372036854775807", "9223372036854775808", "-1", "+0", "00", "01", "1.0", "1e0", " 0", "x", "０"} {
				if page, err := i.feed.Read(t.Context(), cursor, time.Minute); !errors.Is(err, model.ErrMalformed) {
					t.Errorf("the cursor %q gives %+v, error %v", cursor, page, err)
				}
			}
			if n == 0 {
				i.kick(t, i.logIn(d.number(), onDevice(0, "d")))
			}
		}
	})
}

// TestFeedClockSetBack: an end is published although the clock was set back since
// the newest one.
func TestFeedClockSetBack(t *testing.T) {
	eachDeployment(t, func(t *testing.T, d *deployment) {
		i, r := d.start(0), &reader{}
		var want []string
		for range 3 {
			p := i.logIn(d.number(), onDevice(0, "d"))
			i.kick(t, p)
			want = append(want, p.session)
			r.read(t, i)
			d.clock.Advance(-time.Hour)
		}
		r.wantHeard(t, want...)
	})
}

// TestFeedRace: sessions end on several instances at once while back ends follow
// several. Each hears of every one, once, and all in the same order.
func TestFeedRace(t *testing.T) {
	eachDeployment(t, func(t *testing.T, d *deployment) {
		const sessions, readers = 24, 4
		instances := []*instance{d.start(0), d.start(0)}
		var clients []client
		for range sessions {
			clients = append(clients, instances[0].logIn(d.number(), onDevice(0, "d")))
		}
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		var followers sync.WaitGroup
		for _, i := range instances {
			followers.Go(func() { i.follower.Run(ctx, service.FollowInterval/10) })
		}
		heard := make([]reader, readers)
		together(readers+sessions, func(n int) {
			if n >= readers {
				instances[n%2].kick(t, clients[n-readers])
				return
			}
			for r := &heard[n]; len(r.heard) < sessions; {
				page, err := instances[n%2].feed.Read(t.Context(), r.cursor, 20*time.Second)
				if err != nil || len(page.Items) == 0 {
					t.Errorf("%+v, error %v", page, err)
					return
				}
				r.cursor = page.Next
				for _, item := range page.Items {
					r.heard = append(r.heard, item.SessionID)
				}
			}
		})
		stop()
		followers.Wait()
		for n := range heard {
			heard[n].wantHeard(t, heard[0].heard...)
			if last := strconv.Itoa(sessions); heard[n].cursor != last {
				t.Errorf("the cursor is %s, want %s", heard[n].cursor, last)
			}
		}
		once := map[string]bool{}
		for _, id := range heard[0].heard {
			once[id] = true
		}
		if len(once) != sessions {
			t.Errorf("%d of %d sessions were told", len(once), sessions)
		}
	})
}

// feedStore is a feed in memory that counts its reads. An end is in the feed once
// a look has published it.
// readTime is how long a read takes, so that a loop of reads comes to an end.
const readTime = time.Millisecond

type feedStore struct {
	service.FeedStore
	mu                      sync.Mutex
	ended                   []model.Session
	told                    []model.Revocation
	newest, looked, fetched int
	fail                    error
}

func (s *feedStore) Within(ctx context.Context, act func(ctx context.Context) error) error {
	return act(ctx)
}

func (s *feedStore) Gate(context.Context, []byte, model.Time) error { return nil }

func (s *feedStore) Newest(context.Context) (model.Revocation, error) {
	time.Sleep(readTime)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.newest++
	if len(s.told) == 0 {
		return model.Revocation{}, model.ErrNotFound
	}
	return s.told[len(s.told)-1], nil
}

func (s *feedStore) Unpublished(context.Context, model.Time, model.Time, int) ([]model.Session, error) {
	time.Sleep(readTime)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.looked++
	return s.ended[len(s.told):], s.fail
}

func (s *feedStore) Publish(_ context.Context, revocations []model.Revocation) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told = append(s.told, revocations...)
	return nil
}

func (s *feedStore) After(_ context.Context, seq int64, _ model.Time, _ int) ([]model.Revocation, error) {
	time.Sleep(readTime)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fetched++
	return s.told[seq:], nil
}

func (s *feedStore) end(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = append(s.ended, model.Session{ID: id, EndReason: model.ReasonKicked})
}

// TestFeedWait: each row is a reason for a held answer, with its time. However
// many readers wait, they share each look, and none looks while no session ends.
func TestFeedWait(t *testing.T) {
	const readers = 50
	for name, tt := range map[string]struct {
		wait    time.Duration
		happens func(s *feedStore, h *service.Hub, hangUp func()) // after 5 s
		want    string                                            // heard
		held    time.Duration
		looks   int
		failure *model.Failure
	}{
		"not at all":                 {0, func(*feedStore, *service.Hub, func()) {}, "", 0, 2, nil},
		"time-out":                   {30 * time.Second, func(*feedStore, *service.Hub, func()) {}, "", 30 * time.Second, 4, nil},
		"an end":                     {30 * time.Second, func(s *feedStore, h *service.Hub, _ func()) { s.end("S"); h.Notify("S") }, "S", 5 * time.Second, 5, nil},
		"told all":                   {30 * time.Second, func(s *feedStore, h *service.Hub, _ func()) { s.end("S"); h.NotifyAll() }, "S", 5 * time.Second, 5, nil},
		"of no interest":             {30 * time.Second, func(_ *feedStore, h *service.Hub, _ func()) { h.Notify("S") }, "", 30 * time.Second, 6, nil},
		"an end that nobody told of": {30 * time.Second, func(s *feedStore, _ *service.Hub, _ func()) { s.end("S") }, "S", 30 * time.Second, 5, nil},
		"the process ends":           {30 * time.Second, func(_ *feedStore, h *service.Hub, _ func()) { h.Stop() }, "", 5 * time.Second, 2, nil},
		"the client left":            {30 * time.Second, func(_ *feedStore, _ *service.Hub, hangUp func()) { hangUp() }, "", 5 * time.Second, 2, nil},
		"many of no interest, one that is": {30 * time.Second, func(s *feedStore, h *service.Hub, _ func()) {
			for n := range 100 {
				h.Notify(strconv.Itoa(n))
				time.Sleep(time.Millisecond)
			}
			s.end("S")
			h.Notify("S")
		}, "S", 5*time.Second + service.FeedEvery, 7, nil},
		"storage away": {30 * time.Second, func(s *feedStore, h *service.Hub, _ func()) {
			s.mu.Lock()
			s.fail = model.ErrUnavailable
			s.mu.Unlock()
			h.Notify("S")
		}, "", 5 * time.Second, 2 + readers, model.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store, hub := &feedStore{}, service.NewHub()
				feed := &service.Feed{Tx: store, Store: store, Gates: store, Hub: hub, Now: time.Now}
				ctx, hangUp := context.WithCancel(t.Context())
				defer hangUp()
				go func() {
					time.Sleep(5 * time.Second) // in the bubble: the hands of the clock
					tt.happens(store, hub, hangUp)
				}()
				var all sync.WaitGroup
				for range readers {
					all.Go(func() {
						began := time.Now()
						page, err := feed.Read(ctx, "", tt.wait)
						wantFailure(t, err, tt.failure)
						heard := ""
						for _, item := range page.Items {
							heard += item.SessionID
						}
						reads := (2*readers + 10) * readTime // those of all, one after the other
						if late := time.Since(began) - tt.held; heard != tt.want || late < -reads || late > reads {
							t.Errorf("%q after %v, want %q after %v", heard, time.Since(began), tt.want, tt.held)
						}
					})
				}
				all.Wait()
				if store.looked > tt.looks || store.fetched > 4*readers {
					t.Errorf("looked %d times, want at most %d; fetched %d times", store.looked, tt.looks, store.fetched)
				}
				time.Sleep(time.Minute)
			})
		})
	}
}
