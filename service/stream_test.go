package service

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"menshen/model"
	"menshen/repository/dbtest"
)

// readTime is how long a read takes, so that who reads without end ends.
const readTime = time.Millisecond

// waitStore is one session in memory: bubbles of synctest know no database.
type waitStore struct {
	SessionStore
	mu      sync.Mutex
	session model.Session
	err     error
	reads   int
}

func (s *waitStore) ByID(context.Context, string) (model.Session, error) {
	time.Sleep(readTime)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	return s.session, s.err
}

func (s *waitStore) Slot(context.Context, int64, string) (model.Slot, error) {
	return model.Slot{LoginAt: 77}, nil
}

func (s *waitStore) EndSeen(_ context.Context, _ model.Session, reason model.Reason, now model.Time) (bool, error) {
	s.set(func(session *model.Session, _ *error) { session.EndedAt, session.EndReason = now, reason })
	return true, nil
}

func (s *waitStore) Within(ctx context.Context, act func(ctx context.Context) error) error {
	return act(ctx)
}

func (s *waitStore) Append(context.Context, ...model.Event) error { return nil }

// set changes the session as another instance would: nobody is told.
func (s *waitStore) set(change func(session *model.Session, err *error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.session, &s.err)
}

func (s *waitStore) end() {
	s.set(func(session *model.Session, _ *error) { session.EndedAt, session.EndReason = 1, model.ReasonDisplaced })
}

// waiting is a client with a token of 15 minutes whose session lives.
type waiting struct {
	store    *waitStore
	sessions *Sessions
	claims   model.Claims
	began    time.Time
}

func newWaiting() *waiting {
	now := model.TimeOf(time.Now())
	store := &waitStore{session: model.Session{
		ID: "S", UserID: 7, ProductGroup: "app", DeviceNumber: "d", Gen: 1, Confirmed: true, IdleUntil: now.Add(time.Hour), EndsAt: now.Add(time.Hour),
	}}
	return &waiting{
		store: store, sessions: &Sessions{Tx: store, Store: store, Events: store, Hub: NewHub(), Now: time.Now}, began: time.Now(),
		claims: model.Claims{SessionID: "S", UserID: 7, Gen: 1, ExpiresAt: now.Second().Add(15 * time.Minute)},
	}
}

// check holds a check and gives its answer and how long it was held, reads apart.
func (w *waiting) check(ctx context.Context, wait time.Duration) (CheckResult, time.Duration, error) {
	began, reads := time.Now(), w.store.reads
	result, err := w.sessions.CheckAndWait(ctx, w.claims, "d", wait, nobody)
	result.Until = 0 // when to ask again is its own affair
	return result, time.Since(began) - time.Duration(w.store.reads-reads)*readTime, err
}

var (
	waitYes = CheckResult{IsLogin: true, State: StateActive}
	waitNo  = CheckResult{State: LoginState(model.ReasonDisplaced), LastLoginTime: 77}
)

// TestCheckLooksOnce: a check is one look at the sessions in memory, found or not,
// for the metrics of the cache.
func TestCheckLooksOnce(t *testing.T) {
	w := newWaiting()
	w.sessions.Live = NewLive(time.Now)
	w.sessions.Live.Followed(time.Now())
	for i, want := range []struct{ hits, misses uint64 }{{0, 1}, {1, 1}, {2, 1}} {
		if result, _, err := w.check(t.Context(), 0); result != waitYes || err != nil {
			t.Fatal(result, err)
		}
		if looks := w.sessions.Live.Looks(); looks.Hits() != want.hits || looks.Misses() != want.misses {
			t.Errorf("check %d: %d hits and %d misses, want %v", i+1, looks.Hits(), looks.Misses(), want)
		}
	}
}

// TestCheckAndWait: each row is a reason for an answer, with its time.
func TestCheckAndWait(t *testing.T) {
	for name, tt := range map[string]struct {
		wait    time.Duration
		happens func(w *waiting, hangUp func()) // after 5 s
		want    CheckResult
		held    time.Duration
		failure *model.Failure
	}{
		"not at all":       {0, func(*waiting, func()) {}, waitYes, 0, nil},
		"time-out":         {25 * time.Second, func(*waiting, func()) {}, waitYes, 25 * time.Second, nil},
		"the longest":      {30 * time.Second, func(*waiting, func()) {}, waitYes, 30 * time.Second, nil},
		"ended, told":      {25 * time.Second, func(w *waiting, _ func()) { w.store.end(); w.sessions.Hub.tell("S") }, waitNo, 5 * time.Second, nil},
		"ended, told all":  {25 * time.Second, func(w *waiting, _ func()) { w.store.end(); w.sessions.Hub.tellAll() }, waitNo, 5 * time.Second, nil},
		"ended, not told":  {25 * time.Second, func(w *waiting, _ func()) { w.store.end() }, waitNo, 25 * time.Second, nil},
		"told, yet alive":  {25 * time.Second, func(w *waiting, _ func()) { w.sessions.Hub.tell("S") }, waitYes, 5 * time.Second, nil},
		"all are told":     {25 * time.Second, func(w *waiting, _ func()) { w.sessions.Hub.tellAll() }, waitYes, 5 * time.Second, nil},
		"another's end":    {25 * time.Second, func(w *waiting, _ func()) { w.sessions.Hub.tell("T") }, waitYes, 25 * time.Second, nil},
		"the process ends": {25 * time.Second, func(w *waiting, _ func()) { w.sessions.Hub.Stop() }, waitYes, 5 * time.Second, nil},
		"the client left":  {25 * time.Second, func(_ *waiting, hangUp func()) { hangUp() }, waitYes, 5 * time.Second, nil},
		"storage away": {25 * time.Second, func(w *waiting, _ func()) {
			w.store.set(func(_ *model.Session, err *error) { *err = model.ErrUnavailable })
			w.sessions.Hub.tell("S")
		}, CheckResult{}, 5 * time.Second, model.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWaiting()
				ctx, hangUp := context.WithCancel(t.Context())
				defer hangUp()
				go func() {
					time.Sleep(5 * time.Second) // in the bubble: the hands of the clock
					tt.happens(w, hangUp)
				}()
				got, held, err := w.check(ctx, tt.wait)
				wantFailure(t, err, tt.failure)
				if late := held - tt.held; got != tt.want || late < -5*readTime || late > 5*readTime {
					t.Errorf("%+v after %v, want %+v after %v", got, held, tt.want, tt.held)
				}
				if w.store.reads > 4 {
					t.Errorf("the session was read %d times", w.store.reads)
				}
				time.Sleep(time.Minute)
				if len(w.sessions.Hub.listeners) != 0 {
					t.Error("somebody still listens")
				}
			})
		})
	}
}

// TestCheckAndWaitExpiry: a token that expires while the check is held answers
// 40101 then, and what has expired already is not held.
func TestCheckAndWaitExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWaiting()
		time.Sleep(15*time.Minute - 10*time.Second)
		left := w.claims.ExpiresAt.Sub(model.TimeOf(time.Now()))
		_, held, err := w.check(t.Context(), 25*time.Second)
		wantFailure(t, err, model.ErrTokenExpired)
		if held < left || held > left+2*time.Millisecond {
			t.Errorf("held for %v, the token expired after %v", held, left)
		}
		if _, held, err = w.check(t.Context(), 25*time.Second); held != 0 {
			t.Errorf("an expired token was held for %v", held)
		}
		wantFailure(t, err, model.ErrTokenExpired)
		w.store.end()
		got, held, err := w.check(t.Context(), 25*time.Second)
		wantFailure(t, err, nil)
		if got != waitNo || held != 0 {
			t.Errorf("of an ended session: %+v after %v", got, held)
		}
	})
}

// TestCheckAndWaitIdle: a session that comes to its end while a check is held
// turns then, unless a refresh has moved the end.
func TestCheckAndWaitIdle(t *testing.T) {
	for name, tt := range map[string]struct {
		moved bool
		want  CheckResult
		held  time.Duration
	}{
		"comes":    {false, CheckResult{State: LoginState(model.ReasonExpired), LastLoginTime: 77}, 10 * time.Second},
		"is moved": {true, waitYes, 25 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWaiting()
				w.store.session.IdleUntil = model.TimeOf(time.Now()).Add(10 * time.Second)
				go func() {
					time.Sleep(5 * time.Second)
					if tt.moved {
						w.store.set(func(s *model.Session, _ *error) { s.IdleUntil = s.EndsAt })
					}
				}()
				got, held, err := w.check(t.Context(), 25*time.Second)
				wantFailure(t, err, nil)
				if late := held - tt.held; got != tt.want || late < -5*readTime || late > 5*readTime || w.store.reads > 4 {
					t.Errorf("%+v after %v and %d reads, want %+v after %v", got, held, w.store.reads, tt.want, tt.held)
				}
			})
		})
	}
}

// TestCheckAndWaitAnswersAtOnce: whoever is not logged in is not made to wait,
// and neither is anybody once the process stops.
func TestCheckAndWaitAnswersAtOnce(t *testing.T) {
	for name, tt := range map[string]struct {
		before  func(w *waiting)
		want    CheckResult
		failure *model.Failure
	}{
		"ended":        {func(w *waiting) { w.store.end() }, waitNo, nil},
		"storage away": {func(w *waiting) { w.store.err = model.ErrUnavailable }, CheckResult{}, model.ErrUnavailable},
		"stopped":      {func(w *waiting) { w.sessions.Hub.Stop() }, waitYes, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWaiting()
				tt.before(w)
				got, held, err := w.check(t.Context(), 25*time.Second)
				wantFailure(t, err, tt.failure)
				if got != tt.want || held != 0 || w.store.reads > 2 {
					t.Errorf("%+v after %v and %d reads", got, held, w.store.reads)
				}
			})
		})
	}
}

// TestCheckAndWaitCrowd: of one session so many checks are held as there is room
// for; the others are answered at once, and as rightly.
func TestCheckAndWaitCrowd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWaiting()
		const crowd = 3 * heldPerSession
		held := make(chan time.Duration, crowd)
		for range crowd {
			go func() {
				began := time.Now()
				result, err := w.sessions.CheckAndWait(t.Context(), w.claims, "d", 25*time.Second, nobody)
				took := time.Since(began)
				if want := took <= readTime; result.IsLogin != want || err != nil {
					t.Errorf("%+v after %v, error %v", result, took, err)
				}
				held <- took
			}()
		}
		time.Sleep(5 * time.Second) // in the bubble: all that are not held have been answered
		if n := len(held); n != crowd-heldPerSession {
			t.Errorf("%d of %d were answered at once, want all but %d", n, crowd, heldPerSession)
		}
		w.store.end()
		if got, held, err := w.check(t.Context(), 25*time.Second); got != waitNo || held != 0 || err != nil {
			t.Errorf("one for which there is no room: %+v after %v, error %v", got, held, err)
		}
		w.sessions.Hub.tell("S")
		time.Sleep(time.Second)
		synctest.Wait()
		if len(held) != crowd || w.sessions.Hub.held != 0 || len(w.sessions.Hub.listeners) != 0 {
			t.Errorf("%d were answered, %d are held, %d are listened to", len(held), w.sessions.Hub.held, len(w.sessions.Hub.listeners))
		}
		if result, err := w.sessions.CheckAndWait(t.Context(), w.claims, "d", 25*time.Second, nobody); result.IsLogin || err != nil {
			t.Errorf("%+v, error %v", result, err)
		}
	})
}

// TestCheckAndWaitBound: a held check that bound the device says so, also when
// it is answered later.
func TestCheckAndWaitBound(t *testing.T) {
	f := newFleet(t, dbtest.OpenFast(t, "sqlite"))
	i := f.start(0)
	p := i.arrive(t, f.number(), 0, "")
	i.sessions.Hub.Stop() // nothing is to be waited for
	got, err := i.sessions.CheckAndWait(t.Context(), p.claims, "d", time.Second, nobody)
	if got.Until = 0; err != nil || got != (CheckResult{IsLogin: true, State: StateBound}) {
		t.Errorf("%+v, error %v", got, err)
	}
	got, err = i.sessions.CheckAndWait(t.Context(), p.claims, "d", time.Second, nobody)
	if got.Until = 0; err != nil || got != waitYes {
		t.Errorf("%+v, error %v", got, err)
	}
}

// TestCheckAndWaitTurns: a held check turns when the session ends on the same
// instance, at once, and on another, by the log.
func TestCheckAndWaitTurns(t *testing.T) {
	eachFleet(t, func(t *testing.T, f *fleet) {
		for _, where := range []string{"here", "there"} {
			t.Run(where, func(t *testing.T) {
				here, there := f.start(0), f.start(0)
				number := f.number()
				p := here.arrive(t, number, 0, "d")
				here.poll(t)
				here.wantState(t, p, "d", StateActive) // from now on it is remembered
				answered := make(chan CheckResult)
				go func() {
					result, err := here.sessions.CheckAndWait(t.Context(), p.claims, "d", 30*time.Second, nobody)
					if err != nil {
						t.Error(err)
					}
					answered <- result
				}()
				here.awaitListener(p.session)
				if where == "here" {
					here.arrive(t, number, 0, "other")
				} else {
					there.arrive(t, number, 0, "other")
					select {
					case result := <-answered:
						t.Fatalf("answered without the log: %+v", result)
					default:
					}
					here.poll(t)
				}
				if result := <-answered; result.IsLogin || result.State != LoginState(model.ReasonDisplaced) || result.LastLoginTime == 0 {
					t.Errorf("%+v", result)
				}
			})
		}
	})
}

// awaitListener waits until somebody listens for the end of the session.
func (i *instance) awaitListener(session string) {
	h := i.sessions.Hub
	for listening := false; !listening; {
		h.mu.Lock()
		listening = len(h.listeners[session]) > 0
		h.mu.Unlock()
	}
}

// TestFollow: what a stream is opened on, and what it is told.
func TestFollow(t *testing.T) {
	const tokenLife = 4 * time.Minute // of product 2, shorter than fleetIdle
	eachFleet(t, func(t *testing.T, f *fleet) {
		i := f.start(0)
		p := i.arrive(t, f.number(), 2, "d")
		s := i.sessions
		since := model.TimeOf(f.clock.Now())

		stream, err := s.Follow(t.Context(), p.claims)
		if err != nil {
			t.Fatal(err)
		}
		wantEnding(t, stream, nil)
		if _, left, err := stream.State(t.Context()); left != tokenLife-678*time.Millisecond+time.Millisecond {
			t.Errorf("the state is to be read again after %v, error %v, want the token's end", left, err)
		}
		if stream.Was != nil || stream.Left != tokenLife-678*time.Millisecond+time.Millisecond {
			t.Errorf("opened with %+v and %v left", stream.Was, stream.Left)
		}
		if closed(stream.Ended) || closed(stream.Stopped) || s.Hub.Streams() != 1 {
			t.Errorf("ended: %v, stopped: %v, %d streams", closed(stream.Ended), closed(stream.Stopped), s.Hub.Streams())
		}
		if f.count(t, "SELECT COUNT(*) FROM sessions WHERE confirmed = 1") != 1 {
			t.Error("to open a stream is no use of the token")
		}

		f.clock.Advance(tokenLife)
		if _, left, err := stream.State(t.Context()); left != 0 || err != nil {
			t.Errorf("with an expired token: %v left, error %v", left, err)
		}
		_, err = s.Follow(t.Context(), p.claims)
		wantFailure(t, err, model.ErrTokenExpired)

		f.clock.Advance(-tokenLife)
		mustEnd(t, 1)(i.operators.Kick(t.Context(), root, p.user, KickTarget{}, "x"))
		want := &Ended{Reason: model.ReasonKicked, LastLoginTime: since}
		if !closed(stream.Ended) {
			t.Error("the stream was not told")
		}
		wantEnding(t, stream, want)
		stream.Leave()

		f.clock.Advance(tokenLife) // with an expired token too
		late, err := s.Follow(t.Context(), p.claims)
		if err != nil {
			t.Fatal(err)
		}
		wantEnding(t, late, want)
		if late.Was == nil || *late.Was != *want {
			t.Errorf("opened with %+v, want %+v", late.Was, want)
		}
		late.Leave()

		q := i.arrive(t, f.number(), 2, "e")
		foreign := q.claims
		foreign.UserID++
		gone, err := s.Follow(t.Context(), foreign) // signed, yet the row says otherwise
		if err != nil {
			t.Fatal(err)
		}
		wantEnding(t, gone, &Ended{Reason: model.ReasonExpired})
		gone.Leave()

		s.Hub.Stop()
		stopped, err := s.Follow(t.Context(), q.claims)
		if err != nil || !closed(stopped.Stopped) {
			t.Errorf("after the stop: error %v", err)
		}
		stopped.Leave()
		if s.Hub.Streams() != 0 || len(s.Hub.listeners) != 0 {
			t.Errorf("%d streams and %d sessions are left", s.Hub.Streams(), len(s.Hub.listeners))
		}
	})
}

func wantEnding(t *testing.T, stream Stream, want *Ended) {
	t.Helper()
	got, _, err := stream.State(t.Context())
	if err != nil || (got == nil) != (want == nil) || got != nil && *got != *want {
		t.Errorf("the state is %+v, error %v, want %+v", got, err, want)
	}
}

// TestFollowLimits: a user has five streams, of one session or of several; who
// is refused leaves nothing behind.
func TestFollowLimits(t *testing.T) {
	w := newWaiting()
	var open []Stream
	for range streamsPerUser {
		stream, err := w.sessions.Follow(t.Context(), w.claims)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, stream)
	}
	for range 40 - streamsPerUser {
		_, err := w.sessions.Follow(t.Context(), w.claims)
		wantFailure(t, err, model.ErrTooMany)
	}
	if got := len(w.sessions.Hub.listeners["S"]); got != streamsPerUser {
		t.Errorf("%d listen, want %d", got, streamsPerUser)
	}
	open[0].Leave()
	if _, err := w.sessions.Follow(t.Context(), w.claims); err != nil {
		t.Error(err)
	}
	w.store.end()
	late, err := w.sessions.Follow(t.Context(), w.claims) // is told at once: refused, it would never hear
	if err != nil || late.Was == nil || w.sessions.Hub.Streams() != streamsPerUser+1 {
		t.Errorf("%+v, error %v, %d streams", late.Was, err, w.sessions.Hub.Streams())
	}
	late.Leave()
	w.store.err = model.ErrUnavailable
	_, err = w.sessions.Follow(t.Context(), model.Claims{SessionID: "T", UserID: 8})
	wantFailure(t, err, model.ErrUnavailable)
	if w.sessions.Hub.Streams() != streamsPerUser || len(w.sessions.Hub.listeners) != 1 {
		t.Errorf("%d streams, %d sessions", w.sessions.Hub.Streams(), len(w.sessions.Hub.listeners))
	}
}

// TestAtomicallyTellsWhatWasCommitted: of a transaction that is undone nobody is
// told, of one that ran twice only what its last run did.
func TestAtomicallyTellsWhatWasCommitted(t *testing.T) {
	f := newFleet(t, dbtest.OpenFast(t, "sqlite"))
	i := f.start(0)
	s := i.sessions
	no := errors.New("no")
	undone, again, done := newWatch(s.Hub, "UNDONE"), newWatch(s.Hub, "AGAIN"), newWatch(s.Hub, "DONE")
	err := s.atomically(t.Context(), func(ctx context.Context) error { return errors.Join(willTell(ctx, "UNDONE"), no) })
	if !errors.Is(err, no) {
		t.Errorf("error %v", err)
	}
	s.Tx = twice{s.Tx}
	runs := 0
	err = s.atomically(t.Context(), func(ctx context.Context) error {
		if runs++; runs == 1 {
			return willTell(ctx, "AGAIN")
		}
		return willTell(ctx, "DONE")
	})
	if err != nil || undone.count() != 0 || again.count() != 0 || done.count() != 1 {
		t.Errorf("error %v; told: %d undone, %d again, %d done", err, undone.count(), again.count(), done.count())
	}
	if willTell(t.Context(), "S") == nil {
		t.Error("an end outside of atomically passed")
	}
}

// twice runs each act twice, as after a lost race.
type twice struct{ Tx }

func (t twice) Within(ctx context.Context, act func(ctx context.Context) error) error {
	return t.Tx.Within(ctx, func(ctx context.Context) error {
		if err := act(ctx); err != nil {
			return err
		}
		return act(ctx)
	})
}

// nobody is a caller that tells nothing of itself.
func nobody() Caller { return Caller{} }
