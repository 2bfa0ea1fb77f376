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
	"menshen/service/vault"
)

func (in *instance) janitor() *service.Janitor {
	feed := &service.Feed{Tx: in.db, Store: repository.Feed{DB: in.db}, Gates: repository.Codes{DB: in.db}, Now: in.clock.Now}
	j := &service.Janitor{
		Store: repository.Janitor{DB: in.db}, Feed: feed, Endings: in.sessions.Endings, Now: in.clock.Now,
		Seals: &vault.Reencrypter{Vault: in.vault}, OnError: func(err error) { in.t.Error(err) },
	}
	j.SetRetention(service.Retention{Sessions: 90 * 24 * time.Hour, Events: 180 * 24 * time.Hour, Messages: 30 * 24 * time.Hour})
	return j
}

func (in *instance) sweep(j *service.Janitor) {
	in.t.Helper()
	if err := j.Sweep(in.t.Context()); err != nil {
		in.t.Fatal(err)
	}
}

// rows counts the rows of the tables that a janitor clears.
func (in *instance) rows() map[string]int64 {
	in.t.Helper()
	rows := map[string]int64{}
	for _, table := range []string{"codes", "gates", "puzzles", "sessions", "events", "feed"} {
		rows[table] = in.count("SELECT COUNT(*) FROM " + table)
	}
	return rows
}

// insertExpiringRows inserts a row of each kind whose retention ends after left.
func (in *instance) insertExpiringRows(n int, left time.Duration) {
	in.t.Helper()
	ago := func(keep time.Duration) int64 { return int64(in.clock.Time().Add(left - keep)) }
	id := fmt.Sprintf("OLD%d", n)
	hash := hashed(id)
	in.sql("INSERT INTO codes (id, company_type, purpose, number_key, seq, code_mac, ip_key, sent_at, expires_at) VALUES (?, 0, 'login', ?, 1, ?, '', ?, 0)", n, hash, hash, ago(26*time.Hour))
	in.sql("INSERT INTO gates (name, passes, touched_at) VALUES (?, 1, ?)", hash, ago(26*time.Hour))
	in.sql("INSERT INTO puzzles (id, expires_at) VALUES (?, ?)", hash[:16], ago(10*time.Minute))
	session := model.Session{
		ID: id, UserID: 1, ProductGroup: "app", LoginAt: 1, EndedAt: model.Time(ago(90 * 24 * time.Hour)), EndReason: model.ReasonKicked,
		RefreshHash: hash, Gen: 1,
	}
	if err := (repository.Sessions{DB: in.db}).Insert(in.t.Context(), session); err != nil {
		in.t.Fatal(err)
	}
	if err := (repository.Events{DB: in.db}).Append(in.t.Context(), model.Event{At: model.Time(ago(180 * 24 * time.Hour)), Kind: model.EventLogin, UserID: 1}); err != nil {
		in.t.Fatal(err)
	}
	if err := (repository.Feed{DB: in.db}).Publish(in.t.Context(), []model.Revocation{{Seq: int64(n), SessionID: id, UserID: 1, Reason: model.ReasonKicked, Exp: model.Time(ago(0))}}); err != nil {
		in.t.Fatal(err)
	}
}

// TestJanitorRetention is R-83: nothing goes before its time, all goes after it.
func TestJanitorRetention(t *testing.T) {
	runScenes(t, scene{"each to the millisecond", func(t *testing.T, in *instance) {
		in.sql("DELETE FROM feed")
		t.Cleanup(func() { in.sqlAfter("DELETE FROM feed") })
		in.insertExpiringRows(1, 0)
		in.insertExpiringRows(2, time.Millisecond)
		j := in.janitor()
		in.sweep(j)
		want := map[string]int64{"codes": 2, "gates": 2, "puzzles": 2, "sessions": 2, "events": 2, "feed": 1} // a revocation's end is its last moment
		if diff := cmp.Diff(want, in.rows()); diff != "" {
			t.Errorf("at the end of the first:\n%s", diff)
		}
		in.clock.Advance(time.Millisecond)
		for range 2 { // once more changes nothing
			in.sweep(j)
			want = map[string]int64{"codes": 1, "gates": 1, "puzzles": 1, "sessions": 1, "events": 1, "feed": 1} // the newest of the feed stays, as its counter
			if diff := cmp.Diff(want, in.rows()); diff != "" {
				t.Errorf("a moment later:\n%s", diff)
			}
		}
		in.clock.Advance(time.Millisecond)
		in.sweep(j)
		if diff := cmp.Diff(map[string]int64{"codes": 0, "gates": 0, "puzzles": 0, "sessions": 0, "events": 0, "feed": 1}, in.rows()); diff != "" {
			t.Errorf("after the second:\n%s", diff)
		}
	}})
}

func TestJanitorSparesTheLiving(t *testing.T) {
	runScenes(t, scene{"a session of half a year", func(t *testing.T, in *instance) {
		in.sessions.RefreshTTL, in.sessions.IdleTTL = 9000*time.Hour, 9000*time.Hour
		c := in.logIn(alice)
		in.clock.Advance(200 * 24 * time.Hour)
		in.sweep(in.janitor())
		in.useToken(in.refreshed(c))
		if again := in.logIn(alice, on(pc)); again.User.User.ID != c.User.User.ID {
			t.Error("the account is gone")
		}
	}})
}

// TestJanitorRemovesBacklogs: one sweep takes all that is old, batch by batch.
func TestJanitorRemovesBacklogs(t *testing.T) {
	runScenes(t, scene{"450 gates, 450 overdue sessions", func(t *testing.T, in *instance) {
		c := in.logIn(alice)
		seen := in.row(c)
		for i := range int32(450) {
			in.sql("INSERT INTO gates (name, passes, touched_at) VALUES (?, 1, 0)", hashed(fmt.Sprint(i)))
			seen.ID, seen.Seat = fmt.Sprintf("OVERDUE%019d", i), new(i+7)
			if err := (repository.Sessions{DB: in.db}).Insert(t.Context(), seen); err != nil {
				t.Fatal(err)
			}
		}
		in.clock.Advance(336 * time.Hour)
		in.sweep(in.janitor())
		if n := in.count("SELECT COUNT(*) FROM gates WHERE touched_at = 0"); n != 0 {
			t.Errorf("%d gates are left", n)
		}
		if n := in.count("SELECT COUNT(*) FROM sessions WHERE end_reason = 'expired'"); n != 451 {
			t.Errorf("%d sessions ended, want 451", n)
		}
	}})
}

// TestJanitorKeepsWhatHasNoRetention: before it is set, and what was set last is in force.
func TestJanitorKeepsWhatHasNoRetention(t *testing.T) {
	runScenes(t, scene{"none, a day, two", func(t *testing.T, in *instance) {
		j := in.janitor()
		fresh := &service.Janitor{Store: j.Store, Feed: j.Feed, Endings: j.Endings, Seals: j.Seals, Now: j.Now}
		in.insertExpiringRows(1, 0)
		in.clock.Advance(time.Hour)
		left := func() int64 {
			return in.count("SELECT COUNT(*) FROM sessions") + in.count("SELECT COUNT(*) FROM events")
		}
		in.sweep(fresh)
		if n := left(); n != 2 {
			t.Errorf("%d rows are left before any retention is set", n)
		}
		fresh.SetRetention(service.Retention{Sessions: 91 * 24 * time.Hour, Events: 181 * 24 * time.Hour, Messages: 31 * 24 * time.Hour})
		in.sweep(fresh)
		if n := left(); n != 2 {
			t.Errorf("%d rows are left of a longer retention", n)
		}
		fresh.SetRetention(service.Retention{Sessions: 24 * time.Hour, Events: 24 * time.Hour, Messages: 24 * time.Hour})
		in.sweep(fresh)
		if n := left(); n != 0 {
			t.Errorf("%d rows are left of a shorter retention", n)
		}
	}})
}

// TestJanitorsEndOverdueSessions: sessions that no client asks about end once,
// however many janitors sweep, with one line in the log.
func TestJanitorsEndOverdueSessions(t *testing.T) {
	runScenes(t, scene{"eight at once", func(t *testing.T, in *instance) {
		var all []client
		for i := range 12 {
			all = append(all, in.logIn(numbered(i)))
		}
		in.clock.Advance(336*time.Hour - time.Millisecond)
		in.sweep(in.janitor())
		in.clearEvents()
		in.clock.Advance(time.Millisecond)
		for _, err := range race(8, func(int) error { return in.janitor().Sweep(t.Context()) }) {
			wantFailure(t, err, nil)
		}
		in.wantEvents(slices.Repeat([]model.Kind{model.EventExpired}, len(all))...)
		for _, c := range all {
			if row := in.row(c); row.EndReason != model.ReasonExpired || row.EndedAt != in.clock.Time() {
				t.Errorf("it ended by %s at %d", row.EndReason, row.EndedAt)
			}
		}
	}})
}

// TestJanitorChangesNoAnswer: limits and failures are the same whether a janitor
// cleans or not, hour by hour over two days.
func TestJanitorChangesNoAnswer(t *testing.T) {
	eachDB(t, func(t *testing.T, db *repository.DB) {
		story := func(sweeping bool) (answers []string) {
			in := newInstance(t, db)
			in.defaults()
			j := in.janitor()
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
					_, err := in.sendCode(alice)
					note(err)
					for range 1 + hour/24*2 { // the first day meets one limit, the second the other
						_, err = in.tryLogIn(alice, wrong)
						note(err)
					}
					if minute == 0 && hour%5 == 4 {
						note(errOf(in.tryLogIn(alice, in.phone.last())))
					}
					in.clock.Advance(7*time.Minute + 13*time.Second)
					if sweeping {
						in.sweep(j)
						in.sweep(j)
					}
				}
				in.clock.Advance(31 * time.Minute)
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

func (s *emptyStore) Overdue(context.Context, string, model.Time, int, int) ([]model.Session, string, error) {
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
func (s *emptyStore) Messages(context.Context, model.Time, int) (int, error) { return 0, nil }
func (s *emptyStore) Receipts(context.Context, model.Time, int) (int, error) { return 0, nil }
func (s *emptyStore) Puzzles(context.Context, model.Time, int) (int, error)  { return 0, nil }
func (s *emptyStore) Purge(context.Context, model.Time, int) (int, error)    { return 0, nil }
func (s *emptyStore) Newest(context.Context) (model.Revocation, error) {
	return model.Revocation{}, model.ErrNotFound
}

func (s *emptyStore) Unpublished(context.Context, model.Time, model.Time, int) ([]model.Session, error) {
	return nil, nil
}

// TestJanitorRuns: the janitor sweeps until its context ends, and reports each fault
// once, however long it lasts.
func TestJanitorRuns(t *testing.T) {
	runScenes(t, scene{"by the clock", func(t *testing.T, in *instance) {
		synctest.Test(t, func(t *testing.T) {
			store, reports := &emptyStore{}, atomic.Int32{}
			j := in.janitor()
			j.Store, j.OnError = store, func(error) { reports.Add(1) }
			j.Feed = &service.Feed{Store: store, Now: in.clock.Now}
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() { defer close(done); j.Run(ctx, service.SweepInterval) }()
			pass := func(wantSweeps, wantReports int32) {
				t.Helper()
				time.Sleep(2 * service.SweepInterval)
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

// backlog is storage with endless old events, whose removal takes a while.
type backlog struct {
	emptyStore
	takes   time.Duration
	batches int
}

func (s *backlog) Events(_ context.Context, _ model.Time, limit int) (int, error) {
	s.batches++
	time.Sleep(s.takes)
	return limit, nil
}

// TestJanitorYields: the batches of a backlog begin 40 ms apart, or, if they are slow,
// with pauses of a quarter of their time. The rest of the work is done at every interval.
func TestJanitorYields(t *testing.T) {
	runScenes(t, scene{"a minute", func(t *testing.T, in *instance) {
		for takes, every := range map[time.Duration]time.Duration{5 * time.Millisecond: 40 * time.Millisecond, 200 * time.Millisecond: 250 * time.Millisecond} {
			synctest.Test(t, func(t *testing.T) {
				store := &backlog{takes: takes}
				j := in.janitor()
				j.Store, j.Now = store, time.Now
				j.Feed = &service.Feed{Store: store, Now: time.Now}
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute+service.SweepInterval)
				defer cancel()
				j.Run(ctx, service.SweepInterval)
				if want := int(time.Minute / every); store.batches < want*9/10 || store.batches > want+1 {
					t.Errorf("%d batches of %s in a minute, want about %d", store.batches, takes, want)
				}
				if sweeps := store.sweeps.Load(); sweeps < 10 || sweeps > 13 {
					t.Errorf("%d sweeps in a minute", sweeps)
				}
			})
		}
	}})
}

func TestJanitorStorageAway(t *testing.T) {
	runScenes(t, scene{"all parts are tried", func(t *testing.T, in *instance) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := in.janitor().Sweep(ctx); !errors.Is(err, model.ErrUnavailable) {
			t.Errorf("error %v", err)
		}
		in.sql("INSERT INTO gates (name, passes, touched_at) VALUES (?, 1, 0)", hashed("x"))
		in.sweep(in.janitor())
		if n := in.count("SELECT COUNT(*) FROM gates"); n != 0 {
			t.Errorf("%d are left", n)
		}
	}})
}
