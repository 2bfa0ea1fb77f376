package service

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"menshen/model"
)

// readTime is how long a read takes, so that who reads without end ends.
const readTime = time.Millisecond

// waitStore is one session in memory, or two: bubbles of synctest know no database.
type waitStore struct {
	SessionStore
	mu      sync.Mutex
	session model.Session
	other   model.Session // a second one
	err     error
	reads   int
}

func (s *waitStore) ByID(_ context.Context, id string) (model.Session, error) {
	time.Sleep(readTime)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	if id != "" && id == s.other.ID {
		return s.other, s.err
	}
	return s.session, s.err
}

func (s *waitStore) LoginSequence(context.Context, int64, string) (model.LoginSequence, error) {
	return model.LoginSequence{LoginAt: 77}, nil
}

func (s *waitStore) EndSeen(_ context.Context, _ model.Session, reason model.Reason, now model.Time) (bool, error) {
	s.set(func(session *model.Session, _ *error) { session.EndedAt, session.EndReason = now, reason })
	return true, nil
}

func (s *waitStore) Within(ctx context.Context, act func(ctx context.Context) error) error {
	return act(ctx)
}

func (s *waitStore) Append(context.Context, ...model.Event) error { return nil }

// set changes the session as another instance would: no listener is notified.
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
		store: store, sessions: &Sessions{Endings: &Endings{Tx: store, Store: store, Events: store, Hub: NewHub(), Now: time.Now}}, began: time.Now(),
		claims: model.Claims{SessionID: "S", UserID: 7, Gen: 1, ExpiresAt: now.Second().Add(15 * time.Minute)},
	}
}

// check holds a check and gives its answer and how long it was held, reads apart.
func (w *waiting) check(ctx context.Context, wait time.Duration) (CheckResult, time.Duration, error) {
	began, reads := time.Now(), w.store.reads
	result, err := w.sessions.CheckAndWait(ctx, w.claims, "d", wait, unknownCaller)
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
	w.sessions.Cache = NewSessionCache(time.Now)
	w.sessions.Cache.Followed(time.Now())
	for i, want := range []struct{ hits, misses uint64 }{{0, 1}, {1, 1}, {2, 1}} {
		if result, _, err := w.check(t.Context(), 0); result != waitYes || err != nil {
			t.Fatal(result, err)
		}
		if looks := w.sessions.Cache.Stats(); looks.Hits() != want.hits || looks.Misses() != want.misses {
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
		"ended, told":      {25 * time.Second, func(w *waiting, _ func()) { w.store.end(); w.sessions.Hub.Notify("S") }, waitNo, 5 * time.Second, nil},
		"ended, told all":  {25 * time.Second, func(w *waiting, _ func()) { w.store.end(); w.sessions.Hub.NotifyAll() }, waitNo, 5 * time.Second, nil},
		"ended, not told":  {25 * time.Second, func(w *waiting, _ func()) { w.store.end() }, waitNo, 25 * time.Second, nil},
		"told, yet alive":  {25 * time.Second, func(w *waiting, _ func()) { w.sessions.Hub.Notify("S") }, waitYes, 5 * time.Second, nil},
		"all are told":     {25 * time.Second, func(w *waiting, _ func()) { w.sessions.Hub.NotifyAll() }, waitYes, 5 * time.Second, nil},
		"another's end":    {25 * time.Second, func(w *waiting, _ func()) { w.sessions.Hub.Notify("T") }, waitYes, 25 * time.Second, nil},
		"the process ends": {25 * time.Second, func(w *waiting, _ func()) { w.sessions.Hub.Stop() }, waitYes, 5 * time.Second, nil},
		"the client left":  {25 * time.Second, func(_ *waiting, hangUp func()) { hangUp() }, waitYes, 5 * time.Second, nil},
		"storage away": {25 * time.Second, func(w *waiting, _ func()) {
			w.store.set(func(_ *model.Session, err *error) { *err = model.ErrUnavailable })
			w.sessions.Hub.Notify("S")
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
				WantFailure(t, err, tt.failure)
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
		WantFailure(t, err, model.ErrTokenExpired)
		if held < left || held > left+2*time.Millisecond {
			t.Errorf("held for %v, the token expired after %v", held, left)
		}
		if _, held, err = w.check(t.Context(), 25*time.Second); held != 0 {
			t.Errorf("an expired token was held for %v", held)
		}
		WantFailure(t, err, model.ErrTokenExpired)
		w.store.end()
		got, held, err := w.check(t.Context(), 25*time.Second)
		WantFailure(t, err, nil)
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
				WantFailure(t, err, nil)
				if late := held - tt.held; got != tt.want || late < -5*readTime || late > 5*readTime || w.store.reads > 4 {
					t.Errorf("%+v after %v and %d reads, want %+v after %v", got, held, w.store.reads, tt.want, tt.held)
				}
			})
		})
	}
}

// TestCheckAndWaitAnswersAtOnce: a client that is not logged in is not made to
// wait, and no client is once the process stops.
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
				WantFailure(t, err, tt.failure)
				if got != tt.want || held != 0 || w.store.reads > 2 {
					t.Errorf("%+v after %v and %d reads", got, held, w.store.reads)
				}
			})
		})
	}
}

// TestCheckAndWaitCrowd: at most heldPerSession checks of one session are held. The
// others are answered at once, and just as correctly.
func TestCheckAndWaitCrowd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWaiting()
		const crowd = 3 * heldPerSession
		held := make(chan time.Duration, crowd)
		for range crowd {
			go func() {
				began := time.Now()
				result, err := w.sessions.CheckAndWait(t.Context(), w.claims, "d", 25*time.Second, unknownCaller)
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
		w.sessions.Hub.Notify("S")
		time.Sleep(time.Second)
		synctest.Wait()
		if len(held) != crowd || w.sessions.Hub.held != 0 || len(w.sessions.Hub.listeners) != 0 {
			t.Errorf("%d were answered, %d are held, %d are listened to", len(held), w.sessions.Hub.held, len(w.sessions.Hub.listeners))
		}
		if result, err := w.sessions.CheckAndWait(t.Context(), w.claims, "d", 25*time.Second, unknownCaller); result.IsLogin || err != nil {
			t.Errorf("%+v, error %v", result, err)
		}
	})
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
		WantFailure(t, err, model.ErrTooMany)
	}
	if got := len(w.sessions.Hub.listeners["S"]); got != streamsPerUser {
		t.Errorf("%d listen, want %d", got, streamsPerUser)
	}
	open[0].Leave()
	if _, err := w.sessions.Follow(t.Context(), w.claims); err != nil {
		t.Error(err)
	}
	w.store.end()
	late, err := w.sessions.Follow(t.Context(), w.claims) // the end is returned at once: a refused client would never receive it
	if err != nil || late.EndedBefore == nil || w.sessions.Hub.Streams() != streamsPerUser+1 {
		t.Errorf("%+v, error %v, %d streams", late.EndedBefore, err, w.sessions.Hub.Streams())
	}
	late.Leave()
	w.store.err = model.ErrUnavailable
	_, err = w.sessions.Follow(t.Context(), model.Claims{SessionID: "T", UserID: 8})
	WantFailure(t, err, model.ErrUnavailable)
	if w.sessions.Hub.Streams() != streamsPerUser || len(w.sessions.Hub.listeners) != 1 {
		t.Errorf("%d streams, %d sessions", w.sessions.Hub.Streams(), len(w.sessions.Hub.listeners))
	}
}

// withGen is the client with the session's token of a generation.
func (w *waiting) withGen(gen int64) model.Claims {
	claims := w.claims
	claims.Gen = gen
	return claims
}

// rotate is a refresh of the session elsewhere.
func (w *waiting) rotate() { w.store.set(func(s *model.Session, _ *error) { s.Gen++ }) }

// TestCheckAndWaitOldToken: checks with an old token, or an expired one, take no place from
// those with a newer one.
func TestCheckAndWaitOldToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWaiting()
		took := make(chan time.Duration, 3*heldPerSession)
		hold := func(claims model.Claims) {
			began := time.Now()
			result, err := w.sessions.CheckAndWait(t.Context(), claims, "d", 25*time.Second, unknownCaller)
			if result.Until = 0; result != waitYes || err != nil {
				t.Errorf("%+v, error %v", result, err)
			}
			took <- time.Since(began)
		}
		for range heldPerSession { // a thief
			go hold(w.withGen(1))
		}
		time.Sleep(time.Second)
		w.rotate()
		for n := 1; n <= heldPerSession; n++ { // the owner
			go hold(w.withGen(2))
			time.Sleep(100 * time.Millisecond)
			if len(took) != n {
				t.Fatalf("%d checks of the old token were answered for %d of the new one", len(took), n)
			}
		}
		for range heldPerSession { // the thief again, and one check too many of the owner
			hold(w.withGen(1))
		}
		hold(w.withGen(2))
		for range 2*heldPerSession + 1 {
			if held := <-took; held > 3*time.Second {
				t.Errorf("held for %v", held)
			}
		}
		for range heldPerSession {
			if held := <-took; held < 25*time.Second {
				t.Errorf("the owner's check was held for %v", held)
			}
		}
		if w.sessions.Hub.Held() != 0 || len(w.sessions.Hub.listeners) != 0 {
			t.Errorf("%d are held, %d listened to", w.sessions.Hub.Held(), len(w.sessions.Hub.listeners))
		}
	})
}

// TestFollowOldToken: a stream whose token was replaced makes room for one whose token was
// not, of the same session or another one of the user.
func TestFollowOldToken(t *testing.T) {
	for name, newcomer := range map[string]model.Claims{
		"same session": {SessionID: "S", UserID: 7, Gen: 2}, "another session": {SessionID: "T", UserID: 7, Gen: 5},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWaiting()
			w.store.other = w.store.session
			w.store.other.ID, w.store.other.Gen = "T", 5
			newcomer.ExpiresAt = w.claims.ExpiresAt
			open := func(claims model.Claims, want *model.Failure) Stream {
				t.Helper()
				stream, err := w.sessions.Follow(t.Context(), claims)
				WantFailure(t, err, want)
				return stream
			}
			var thief, owner []Stream
			for range streamsPerUser {
				thief = append(thief, open(w.withGen(1), nil))
			}
			if newcomer.SessionID == "T" {
				open(newcomer, model.ErrTooMany) // no token was replaced yet
			}
			w.rotate()
			open(w.withGen(1), model.ErrTooMany)
			open(model.Claims{SessionID: "T", UserID: 7, Gen: 4, ExpiresAt: newcomer.ExpiresAt}, model.ErrTooMany) // replaced as well
			for range streamsPerUser {
				owner = append(owner, open(newcomer, nil))
				ended := 0
				for _, stream := range thief {
					if closed(stream.Ended) {
						ended++
					}
				}
				if ended != len(owner) {
					t.Fatalf("%d streams of the thief ended for %d of the owner", ended, len(owner))
				}
			}
			open(w.withGen(1), model.ErrTooMany)
			open(newcomer, model.ErrTooMany)
			for _, stream := range thief {
				stream.Leave() // frees no place: it has none
			}
			open(newcomer, model.ErrTooMany)
			if got := w.sessions.Hub.Streams(); got != streamsPerUser {
				t.Errorf("%d streams are open", got)
			}
			for _, stream := range owner {
				if closed(stream.Ended) {
					t.Error("a stream of the owner ended")
				}
				stream.Leave()
			}
			open(w.withGen(1), nil) // good until its own end
			if hub := w.sessions.Hub; len(hub.listeners) != 1 || len(hub.streams) != 1 || hub.Streams() != 1 {
				t.Errorf("%d sessions, %d users, %d streams", len(hub.listeners), len(hub.streams), hub.Streams())
			}
		})
	}
}

// TestFollowEndedTakesNoPlace: a stream that only sends the end of its session keeps no
// other stream of the user out.
func TestFollowEndedTakesNoPlace(t *testing.T) {
	w := newWaiting()
	w.store.other = w.store.session
	w.store.other.ID, w.store.other.EndedAt = "T", 1
	for range 2 * streamsPerUser {
		if _, err := w.sessions.Follow(t.Context(), model.Claims{SessionID: "T", UserID: 7}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.sessions.Follow(t.Context(), w.claims); err != nil {
		t.Error(err)
	}
}

// An unknown caller: all fields are empty.
func unknownCaller() model.Caller { return model.Caller{} }
