package service_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"menshen/model"
	"menshen/repository"
	"menshen/service"
)

func (w *world) janitor() *service.Janitor {
	feed := &service.Feed{Tx: w.db, Store: repository.Feed{DB: w.db}, Gates: repository.Codes{DB: w.db}, Now: w.clock.Now}
	return &service.Janitor{
		Store: repository.Janitor{DB: w.db}, Feed: feed, Sessions: w.sessions, Now: w.clock.Now,
		Seals: &service.Resealer{Vault: w.vault}, Report: func(err error) { w.t.Error(err) },
	}
}

func (w *world) sweep(j *service.Janitor) {
	w.t.Helper()
	if err := j.Sweep(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

// rows counts the rows of the tables that a janitor clears.
func (w *world) rows() map[string]int64 {
	w.t.Helper()
	rows := map[string]int64{}
	for _, table := range []string{"codes", "gates", "sessions", "events", "feed"} {
		rows[table] = w.count("SELECT COUNT(*) FROM " + table)
	}
	return rows
}

// old writes a row of each kind whose retention is over in left.
func (w *world) old(n int, left time.Duration) {
	w.t.Helper()
	ago := func(keep time.Duration) int64 { return int64(w.clock.time().Add(left - keep)) }
	id := fmt.Sprintf("OLD%d", n)
	hash := hashed(id)
	w.sql("INSERT INTO codes (id, company_type, purpose, number_key, seq, code_mac, ip_key, sent_at, expires_at) VALUES (?, 0, 'login', ?, 1, ?, '', ?, 0)", n, hash, hash, ago(26*time.Hour))
	w.sql("INSERT INTO gates (name, passes, touched_at) VALUES (?, 1, ?)", hash, ago(26*time.Hour))
	session := model.Session{
		ID: id, UserID: 1, ProductGroup: "app", LoginAt: 1, EndedAt: model.Time(ago(90 * 24 * time.Hour)), EndReason: model.ReasonKicked,
		RefreshHash: hash, Gen: 1,
	}
	if err := (repository.Sessions{DB: w.db}).Insert(w.t.Context(), session); err != nil {
		w.t.Fatal(err)
	}
	if err := (repository.Events{DB: w.db}).Append(w.t.Context(), model.Event{At: model.Time(ago(180 * 24 * time.Hour)), Kind: model.EventLogin, UserID: 1}); err != nil {
		w.t.Fatal(err)
	}
	if err := (repository.Feed{DB: w.db}).Tell(w.t.Context(), []model.Revocation{{Seq: int64(n), SessionID: id, UserID: 1, Reason: model.ReasonKicked, Exp: model.Time(ago(0))}}); err != nil {
		w.t.Fatal(err)
	}
}

// TestJanitorRetention is R-83: nothing goes before its time, all goes after it.
func TestJanitorRetention(t *testing.T) {
	play(t, scene{"each to the millisecond", func(t *testing.T, w *world) {
		w.sql("DELETE FROM feed")
		t.Cleanup(func() { w.sqlAfter("DELETE FROM feed") })
		w.old(1, 0)
		w.old(2, time.Millisecond)
		j := w.janitor()
		w.sweep(j)
		want := map[string]int64{"codes": 2, "gates": 2, "sessions": 2, "events": 2, "feed": 1} // a revocation's end is its last moment
		if diff := cmp.Diff(want, w.rows()); diff != "" {
			t.Errorf("at the end of the first:\n%s", diff)
		}
		w.clock.advance(time.Millisecond)
		for range 2 { // once more changes nothing
			w.sweep(j)
			want = map[string]int64{"codes": 1, "gates": 1, "sessions": 1, "events": 1, "feed": 1} // the newest of the feed stays, as its counter
			if diff := cmp.Diff(want, w.rows()); diff != "" {
				t.Errorf("a moment later:\n%s", diff)
			}
		}
		w.clock.advance(time.Millisecond)
		w.sweep(j)
		if diff := cmp.Diff(map[string]int64{"codes": 0, "gates": 0, "sessions": 0, "events": 0, "feed": 1}, w.rows()); diff != "" {
			t.Errorf("after the second:\n%s", diff)
		}
	}})
}

func TestJanitorSparesTheLiving(t *testing.T) {
	play(t, scene{"a session of half a year", func(t *testing.T, w *world) {
		w.sessions.RefreshTTL, w.sessions.IdleTTL = 9000*time.Hour, 9000*time.Hour
		c := w.logIn(alice)
		w.clock.advance(200 * 24 * time.Hour)
		w.sweep(w.janitor())
		w.use(w.renewed(c))
		if again := w.logIn(alice, on(pc)); again.User.User.ID != c.User.User.ID {
			t.Error("the account is gone")
		}
	}})
}

func TestJanitorBatch(t *testing.T) {
	play(t, scene{"500 of a table at most", func(t *testing.T, w *world) {
		for i := range 501 {
			w.sql("INSERT INTO gates (name, passes, touched_at) VALUES (?, 1, 0)", hashed(fmt.Sprint(i)))
		}
		j := w.janitor()
		for _, want := range []int64{1, 0, 0} {
			w.sweep(j)
			if n := w.count("SELECT COUNT(*) FROM gates"); n != want {
				t.Errorf("%d are left, want %d", n, want)
			}
		}
	}})
}

// TestJanitorsEndOverdueSessions: those that nobody asks about end once, however
// many sweep, with one line in the log.
func TestJanitorsEndOverdueSessions(t *testing.T) {
	play(t, scene{"eight at once", func(t *testing.T, w *world) {
		var all []client
		for i := range 12 {
			all = append(all, w.logIn(numbered(i)))
		}
		w.clock.advance(336*time.Hour - time.Millisecond)
		w.sweep(w.janitor())
		w.quiet()
		w.clock.advance(time.Millisecond)
		for _, err := range race(8, func(int) error { return w.janitor().Sweep(t.Context()) }) {
			wantFailure(t, err, nil)
		}
		w.wantEvents(slices.Repeat([]model.Kind{model.EventExpired}, len(all))...)
		for _, c := range all {
			if row := w.row(c); row.EndReason != model.ReasonExpired || row.EndedAt != w.clock.time() {
				t.Errorf("it ended by %s at %d", row.EndReason, row.EndedAt)
			}
		}
	}})
}

// TestJanitorChangesNoAnswer: limits and failures are the same whether somebody
// cleans or not, hour by hour over two days.
func TestJanitorChangesNoAnswer(t *testing.T) {
	eachDB(t, func(t *testing.T, db *repository.DB) {
		story := func(sweeping bool) (answers []string) {
			w := newWorld(t, db)
			w.defaults()
			j := w.janitor()
			note := func(err error) {
				if err == nil {
					answers = append(answers, "ok")
					return
				}
				f := model.AsFailure(err)
				answers = append(answers, fmt.Sprint(f.Code, f.RetryAfter()))
			}
			for hour := range 50 {
				for minute := range 4 { // more than the limits of an hour and of a day allow
					_, err := w.ask(alice)
					note(err)
					for range 1 + hour/24*2 { // the first day meets one limit, the second the other
						_, err = w.try(alice, wrong)
						note(err)
					}
					if minute == 0 && hour%5 == 4 {
						note(second(w.try(alice, w.phone.last())))
					}
					w.clock.advance(7*time.Minute + 13*time.Second)
					if sweeping {
						w.sweep(j)
						w.sweep(j)
					}
				}
				w.clock.advance(31 * time.Minute)
			}
			return answers
		}
		want, got := story(false), story(true)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("with a janitor the answers differ:\n%s", diff)
		}
		for _, code := range []int32{model.ErrDailyLimit.Code, model.ErrTooManyFailures.Code, model.ErrCode.Code} {
			if !slices.ContainsFunc(want, func(answer string) bool { return strings.HasPrefix(answer, fmt.Sprint(code)) }) {
				t.Errorf("the story never meets %d", code)
			}
		}
	})
}

// emptyStore is storage in which there is nothing to do.
type emptyStore struct {
	service.FeedStore
	away   atomic.Bool
	sweeps atomic.Int32
}

func (s *emptyStore) Overdue(context.Context, string, model.Time, int) ([]model.Session, string, error) {
	s.sweeps.Add(1)
	if s.away.Load() {
		return nil, "", model.ErrUnavailable
	}
	return nil, "", nil
}
func (s *emptyStore) Codes(context.Context, model.Time, int) (int, error)    { return 0, nil }
func (s *emptyStore) Sessions(context.Context, model.Time, int) (int, error) { return 0, nil }
func (s *emptyStore) Events(context.Context, model.Time, int) (int, error)   { return 0, nil }
func (s *emptyStore) Gates(context.Context, model.Time, int) (int, error)    { return 0, nil }
func (s *emptyStore) Purge(context.Context, model.Time, int) (int, error)    { return 0, nil }
func (s *emptyStore) Newest(context.Context) (model.Revocation, error) {
	return model.Revocation{}, model.ErrNotFound
}

func (s *emptyStore) Untold(context.Context, model.Time, model.Time, int) ([]model.Session, error) {
	return nil, nil
}

// TestJanitorRuns until it is told to stop, and complains once of a fault.
func TestJanitorRuns(t *testing.T) {
	play(t, scene{"by the clock", func(t *testing.T, w *world) {
		synctest.Test(t, func(t *testing.T) {
			store, reports := &emptyStore{}, atomic.Int32{}
			j := w.janitor()
			j.Store, j.Report = store, func(error) { reports.Add(1) }
			j.Feed = &service.Feed{Store: store, Now: w.clock.Now}
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() { defer close(done); j.Run(ctx, service.JanitorEvery) }()
			pass := func(wantSweeps, wantReports int32) {
				t.Helper()
				time.Sleep(2 * service.JanitorEvery)
				synctest.Wait()
				if store.sweeps.Load() != wantSweeps || reports.Load() != wantReports {
					t.Errorf("%d sweeps, %d reports; want %d and %d", store.sweeps.Load(), reports.Load(), wantSweeps, wantReports)
				}
			}
			pass(2, 0)
			store.away.Store(true)
			pass(4, 1)
			store.away.Store(false)
			pass(6, 1)
			store.away.Store(true)
			pass(8, 2)
			cancel()
			<-done
			pass(8, 2)
		})
	}})
}

func TestJanitorStorageAway(t *testing.T) {
	play(t, scene{"all parts are tried", func(t *testing.T, w *world) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := w.janitor().Sweep(ctx); !errors.Is(err, model.ErrUnavailable) {
			t.Errorf("error %v", err)
		}
		w.sql("INSERT INTO gates (name, passes, touched_at) VALUES (?, 1, 0)", hashed("x"))
		w.sweep(w.janitor())
		if n := w.count("SELECT COUNT(*) FROM gates"); n != 0 {
			t.Errorf("%d are left", n)
		}
	}})
}
