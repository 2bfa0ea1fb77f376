package repository_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"menshen/model"
	"menshen/repository"
	"menshen/repository/dbtest"
)

// rotated returns the session as the n-th rotation leaves it.
func rotated(seen model.Session, n int) model.Session {
	next := seen
	next.PrevGen, next.Gen = seen.Gen, seen.Gen+1
	next.CurJTI, next.CurIat, next.CurExp = testID(5000+n), t0.Second()+1000, t0.Second()+950000
	next.MaxExp, next.MintedAt, next.Confirmed = next.CurExp, t0+1234, false
	next.IdleUntil, next.LastSeenAt = seen.IdleUntil+1234, t0+1234
	return next
}

func TestSessionsRotate(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		sessions := repository.Sessions{DB: db}
		first := aSession(1, 7, 0)
		insertSessions(t, db, first, aSession(2, 7, 1))
		second := rotated(first, 1)
		must(t, sessions.Rotate(t.Context(), first, second))
		if diff := cmp.Diff(second, sessionByID(t, db, first.ID)); diff != "" {
			t.Errorf("the row differs:\n%s", diff)
		}
		must(t, sessions.Confirm(t.Context(), first.ID, second.Gen, t0))
		confirmed := second
		confirmed.Confirmed = true
		ended := aSession(2, 7, 1)
		_, err := sessions.End(t.Context(), ended.ID, model.ReasonKicked, "", t0)
		must(t, err)
		older, unknown := confirmed, aSession(9, 7, 0)
		older.Gen--
		for what, seen := range map[string]model.Session{
			"the generation moved": older, "the confirmation moved": second, "the session ended": ended, "no such session": unknown,
		} {
			before := sessionByID(t, db, first.ID)
			wantError(t, sessions.Rotate(t.Context(), seen, rotated(seen, 2)), model.ErrStalePair)
			if diff := cmp.Diff(before, sessionByID(t, db, first.ID)); diff != "" {
				t.Errorf("%s, and yet the row changed:\n%s", what, diff)
			}
		}
		must(t, sessions.Rotate(t.Context(), confirmed, rotated(confirmed, 3)))
		if s := sessionByID(t, db, first.ID); s.Confirmed || s.Gen != 3 {
			t.Errorf("after the second rotation: %+v", s)
		}
	})
}

func TestSessionsRotateHasOneWinner(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		first := aSession(1, 7, 0)
		insertSessions(t, db, first)
		errs := raceErrors(32, func(i int) error {
			next := rotated(first, i)
			if i%2 == 0 {
				return repository.Sessions{DB: db}.Rotate(t.Context(), first, next)
			}
			return db.Within(t.Context(), func(ctx context.Context) error {
				return repository.Sessions{DB: db}.Rotate(ctx, first, next)
			})
		})
		wantOne(t, errs, model.ErrStalePair)
		kept := sessionByID(t, db, first.ID)
		for i, err := range errs {
			if err == nil && kept.CurJTI != testID(5000+i) {
				t.Errorf("caller %d won, but the row has the token %s", i, kept.CurJTI)
			}
		}
	})
}

// TestSessionsFastRotate: the row stays as it is if any part of the condition fails.
func TestSessionsFastRotate(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		sessions := repository.Sessions{DB: db}
		first, ended, short := aSession(1, 7, 0), aSession(2, 7, 1), aSession(3, 7, 2)
		first.IdleUntil, first.EndsAt = t0+955000, t0.Second()+960000 // as far as rotated goes, and a little more
		short.IdleUntil, short.EndsAt = t0+970000, t0.Second()+960000
		insertSessions(t, db, first, ended, short)
		_, err := sessions.End(t.Context(), ended.ID, model.ReasonKicked, "", t0)
		must(t, err)
		next := rotated(first, 2)
		for what, change := range map[string]func(s *model.Session){
			"no such session":            func(s *model.Session) { s.ID = testID(9) },
			"another user's":             func(s *model.Session) { s.UserID++ },
			"another refresh token":      func(s *model.Session) { s.RefreshHash = key(0xed) },
			"no refresh token":           func(s *model.Session) { s.RefreshHash = nil },
			"an older generation":        func(s *model.Session) { s.PrevGen-- },
			"a newer generation":         func(s *model.Session) { s.PrevGen++ },
			"the session ended":          func(s *model.Session) { s.ID = ended.ID },
			"at its idle end":            func(s *model.Session) { s.MintedAt, s.CurExp = first.IdleUntil, 0 },
			"at its absolute end":        func(s *model.Session) { s.ID, s.MintedAt, s.CurExp = short.ID, short.EndsAt, 0 },
			"the token would outlive it": func(s *model.Session) { s.CurExp = first.EndsAt + 1 },
		} {
			other := next
			change(&other)
			renewed, err := sessions.FastRotate(t.Context(), other)
			if diff := cmp.Diff(first, sessionByID(t, db, first.ID)); diff != "" || renewed || err != nil {
				t.Errorf("%s: renewed %t, error %v, the row:\n%s", what, renewed, err, diff)
			}
		}
		for _, s := range []model.Session{ended, short} {
			if sessionByID(t, db, s.ID).Gen != s.Gen {
				t.Errorf("the token of session %s was renewed", s.ID)
			}
		}
		next.CurExp, next.MaxExp = first.EndsAt, first.EndsAt // to the very end
		if renewed, err := sessions.FastRotate(t.Context(), next); !renewed || err != nil {
			t.Errorf("renewed %t, error %v", renewed, err)
		}
		if diff := cmp.Diff(next, sessionByID(t, db, first.ID)); diff != "" {
			t.Errorf("the row differs:\n%s", diff)
		}
		must(t, sessions.Confirm(t.Context(), next.ID, next.Gen, t0))
		shorter := rotated(next, 3)
		shorter.CurExp = t0.Second() + 1000
		if renewed, err := sessions.FastRotate(t.Context(), shorter); !renewed || err != nil {
			t.Errorf("renewed %t, error %v", renewed, err)
		}
		shorter.MaxExp = next.MaxExp // the latest that was ever minted stays
		if diff := cmp.Diff(shorter, sessionByID(t, db, first.ID)); diff != "" {
			t.Errorf("the row differs:\n%s", diff)
		}
	})
}

func TestSessionsRenewHasOneWinner(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		first := aSession(1, 7, 0)
		insertSessions(t, db, first)
		next := rotated(first, 2)
		next.CurExp = t0.Second() + 1000
		wins := make([]bool, 32)
		race(len(wins), func(i int) {
			var err error
			wins[i], err = repository.Sessions{DB: db}.FastRotate(t.Context(), next)
			if err != nil {
				t.Error(err)
			}
		})
		won := 0
		for _, win := range wins {
			if win {
				won++
			}
		}
		if won != 1 {
			t.Errorf("%d won, want one", won)
		}
	})
}

func TestSessionsConfirm(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		sessions := repository.Sessions{DB: db}
		first := aSession(1, 7, 0)
		insertSessions(t, db, first)
		for _, gen := range []int64{0, 2, -1} { // not the current generation: too late, or ahead
			must(t, sessions.Confirm(t.Context(), first.ID, gen, t0+5))
			if diff := cmp.Diff(first, sessionByID(t, db, first.ID)); diff != "" {
				t.Errorf("generation %d changed the row:\n%s", gen, diff)
			}
		}
		must(t, sessions.Confirm(t.Context(), first.ID, 1, t0+5))
		want := first
		want.Confirmed, want.LastSeenAt = true, t0+5
		must(t, sessions.Confirm(t.Context(), first.ID, 1, t0+99)) // the second changes nothing
		if diff := cmp.Diff(want, sessionByID(t, db, first.ID)); diff != "" {
			t.Errorf("the row differs:\n%s", diff)
		}
		ended := aSession(2, 7, 1)
		insertSessions(t, db, ended)
		_, err := sessions.End(t.Context(), ended.ID, model.ReasonKicked, "", t0)
		must(t, err)
		must(t, sessions.Confirm(t.Context(), ended.ID, 1, t0+5))
		if s := sessionByID(t, db, ended.ID); s.Confirmed {
			t.Error("the token of an ended session was confirmed")
		}
	})
}

func TestSessionsEndSeen(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		sessions := repository.Sessions{DB: db}
		seen := aSession(1, 7, 0)
		insertSessions(t, db, seen)
		older, confirmed := seen, seen
		older.Gen--
		confirmed.Confirmed = true
		meanwhile := aSession(2, 8, 0)
		insertSessions(t, db, meanwhile)
		must(t, sessions.Confirm(t.Context(), meanwhile.ID, meanwhile.Gen, t0))
		tests := []struct {
			name string
			seen model.Session
			want bool
		}{
			{"the generation moved", older, false},
			{"confirmed meanwhile", meanwhile, false},
			{"the confirmation moved", confirmed, false},
			{"no such session", aSession(9, 7, 0), false},
			{"as it was read", seen, true},
			{"ended already", seen, false},
		}
		for _, tt := range tests {
			ended, err := sessions.EndSeen(t.Context(), tt.seen, model.ReasonReuse, t0+9)
			if err != nil || ended != tt.want {
				t.Errorf("%s: ended %v, error %v", tt.name, ended, err)
			}
		}
		if s := sessionByID(t, db, seen.ID); s.EndReason != model.ReasonReuse || s.EndedAt != t0+9 || s.Seat != nil {
			t.Errorf("the row is %+v", s)
		}
	})
}

func TestSessionsBind(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		sessions := repository.Sessions{DB: db}
		insertSessions(t, db, aSession(1, 7, 0), aSession(2, 7, 1))
		for _, step := range []struct {
			number string
			want   bool
		}{{"Dev-1", true}, {"Dev-1", false}, {"Dev-2", false}, {"", false}} {
			bound, err := sessions.Bind(t.Context(), testID(1), step.number)
			if err != nil || bound != step.want {
				t.Errorf("%q: bound %v, error %v", step.number, bound, err)
			}
		}
		if s := sessionByID(t, db, testID(1)); s.DeviceNumber != "Dev-1" {
			t.Errorf("the first number did not stay: %q", s.DeviceNumber)
		}
		_, err := sessions.End(t.Context(), testID(2), model.ReasonKicked, "", t0)
		must(t, err)
		for _, id := range []string{testID(2), testID(9), ""} { // ended, unknown
			if bound, err := sessions.Bind(t.Context(), id, "Dev-3"); err != nil || bound {
				t.Errorf("%q: bound %v, error %v", id, bound, err)
			}
		}
	})
}

// deviceNumbers differ, but are equal to some collations (security V11).
var deviceNumbers = []string{
	"abc1", "ABC1", "abc1 ", " abc1", "abc１", "abc١", "àbc1", "a\u0300bc1", "abc1\u200b", "ab\u00adc1", "ß", "ss", "ſs",
	"é", "e\u0301", "K", "\u212a", "0", "00", "1e0", "１", " ", "%", "_", "\\",
}

// TestDeviceNumbersAreBytes: every number is stored unchanged, and SQL finds each one
// alone.
func TestDeviceNumbersAreBytes(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		sessions := repository.Sessions{DB: db}
		for i, number := range deviceNumbers {
			insertSessions(t, db, aSession(i, 7, int32(i)))
			if bound, err := sessions.Bind(t.Context(), testID(i), number); err != nil || !bound {
				t.Errorf("%q: bound %v, error %v", number, bound, err)
			}
		}
		for i, number := range deviceNumbers {
			if got := sessionByID(t, db, testID(i)).DeviceNumber; got != number {
				t.Errorf("%q came back as %q", number, got)
			}
			if n := queryCount(t, db, "SELECT COUNT(*) FROM sessions WHERE device_number = ?", number); n != 1 {
				t.Errorf("%q equals %d numbers in SQL", number, n)
			}
		}
	})
}

func TestSessionsBindHasOneWinner(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		insertSessions(t, db, aSession(1, 7, 0))
		var winner atomic.Int32
		errs := raceErrors(48, func(i int) error {
			bound, err := repository.Sessions{DB: db}.Bind(t.Context(), testID(1), testID(i))
			if err == nil && !bound {
				return model.ErrNotFound
			}
			winner.Store(int32(i))
			return err
		})
		wantOne(t, errs, model.ErrNotFound)
		if got := sessionByID(t, db, testID(1)).DeviceNumber; got != testID(int(winner.Load())) {
			t.Errorf("bound to %s, but %d won", got, winner.Load())
		}
	})
}

// TestSessionsRefreshAgainstEnd: a rotation and an end of one row race. The
// second one fails, and the row is never both rotated and ended.
func TestSessionsRefreshAgainstEnd(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		sessions := repository.Sessions{DB: db}
		for n := range 24 {
			first := aSession(n, int64(n+1), 0)
			insertSessions(t, db, first)
			errs := raceErrors(2, func(i int) error {
				if i == 0 {
					return sessions.Rotate(t.Context(), first, rotated(first, n))
				}
				ended, err := sessions.End(t.Context(), first.ID, model.ReasonKicked, "", t0)
				if err == nil && !ended {
					return errors.New("the end was lost")
				}
				return err
			})
			must(t, errs[1])
			s := sessionByID(t, db, first.ID)
			if s.EndedAt == 0 || (errs[0] == nil) != (s.Gen == 2) {
				t.Errorf("the rotation answered %v, the row is %+v", errs[0], s)
			}
		}
	})
}

func TestSessionsLockLoginSequence(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *repository.DB) {
		sessions := repository.Sessions{DB: db}
		advance := func(ctx context.Context) error {
			_, _, err := sessions.Advance(ctx, model.LoginSequence{UserID: 1, ProductGroup: "app", LoginAt: t0, SessionID: testID(1)})
			return err
		}
		must(t, db.Within(t.Context(), advance))
		var inside, most atomic.Int32
		for _, err := range raceErrors(24, func(i int) error {
			return db.Within(t.Context(), func(ctx context.Context) error {
				lock := func(ctx context.Context) error { return sessions.LockLoginSequence(ctx, 1, "app") }
				if i%3 == 0 {
					lock = advance
				}
				if err := lock(ctx); err != nil {
					return err
				}
				most.Store(max(most.Load(), inside.Add(1)))
				defer inside.Add(-1)
				_, err := sessions.LoginSequence(ctx, 1, "app")
				return err
			})
		}) {
			must(t, err)
		}
		if most.Load() != 1 {
			t.Errorf("%d transactions held one slot", most.Load())
		}
		must(t, db.Within(t.Context(), func(ctx context.Context) error { return sessions.LockLoginSequence(ctx, 99, "app") })) // none there
	})
}
