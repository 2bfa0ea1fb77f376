package service

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"menshen/model"
	"menshen/repository"
	"menshen/repository/dbtest"
)

// tick is a turn of the follower's clock. A check every tick and the contract's
// second from an end to its news give toldWithin ticks.
const (
	tick       = FollowEvery
	toldWithin = int(time.Second / tick)
)

// watch is a listener that counts how often it is told: it listens again each time.
type watch struct {
	hub   *Hub
	id    string
	ended <-chan struct{}
	times int
}

func newWatch(hub *Hub, id string) *watch {
	w := &watch{hub: hub, id: id}
	w.ended, _ = hub.listen(id)
	return w
}

func (w *watch) count() int {
	select {
	case <-w.ended:
		w.times++
		w.ended, _ = w.hub.listen(w.id)
	default:
	}
	return w.times
}

// TestFollowerHeldOpen: a transaction ends a session, is held open while the
// other instance reads on, and is committed then. Nobody hears before, everybody
// within a second after, and once.
func TestFollowerHeldOpen(t *testing.T) {
	eachFleet(t, func(t *testing.T, f *fleet) {
		for _, held := range []time.Duration{0, tick, time.Second, shortWindow - 1, shortWindow, shortWindow + 1, 5 * time.Second, longWindow - time.Second} {
			t.Run(held.String(), func(t *testing.T) {
				f.clock.Advance(time.Minute)
				here, there := f.start(0), f.start(-30*time.Second)
				number := f.number()
				p := here.arrive(t, number, 0, "d")
				there.poll(t)
				there.wantState(t, p, "d", StateActive)
				w := newWatch(there.sessions.Hub, p.session)

				tx, err := f.db.Pools()["write"].BeginTx(t.Context(), nil)
				if err != nil {
					t.Fatal(err)
				}
				endRaw(t, tx, p, model.TimeOf(f.clock.Now()))
				for waited := time.Duration(0); waited < held; waited += tick {
					there.poll(t)
					if _, believed := there.sessions.Live.find(p.session); !believed || w.count() > 0 {
						t.Fatalf("an end that is not committed was told %d times, remembered: %v", w.count(), believed)
					}
					f.clock.Advance(min(tick, held-waited))
				}
				if err := tx.Commit(); err != nil {
					t.Fatal(err)
				}
				for turn := 0; w.count() == 0; turn++ {
					if turn == toldWithin {
						t.Fatalf("not told within a second of the commit")
					}
					f.clock.Advance(tick)
					there.poll(t)
				}
				if _, believed := there.sessions.Live.find(p.session); believed {
					t.Error("the session is still believed to live")
				}
				there.wantState(t, p, "d", LoginState(model.ReasonKicked))
				for range 3 * longWindow / tick {
					f.clock.Advance(tick)
					there.poll(t)
				}
				if w.count() != 1 {
					t.Errorf("told %d times, want once", w.count())
				}
			})
		}
	})
}

// endRaw is a kick by somebody who is not this program.
func endRaw(t *testing.T, tx *sql.Tx, p phone, at model.Time) {
	t.Helper()
	_, err := tx.ExecContext(t.Context(), "INSERT INTO events (at, kind, user_id, session_id, actor, ip, device, request_id, detail) VALUES (?, 'kick', ?, ?, 'root', '', '', '', '')", at, p.user, p.session)
	if err == nil {
		_, err = tx.ExecContext(t.Context(), "UPDATE sessions SET active_slot = NULL, ended_at = ?, end_reason = 'kicked' WHERE id = ?", at, p.session)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestFollowerOutOfOrder: three transactions take their ids in one order and
// commit in another. On SQLite there is one writer, so that this is MySQL's.
func TestFollowerOutOfOrder(t *testing.T) {
	eachFleet(t, func(t *testing.T, f *fleet) {
		if f.db.Driver() == repository.SQLite {
			t.Skip("one transaction at a time")
		}
		here, there := f.start(0), f.start(0)
		var phones []phone
		var watches []*watch
		var open []*sql.Tx
		for range 3 {
			p := here.arrive(t, f.number(), 0, "d")
			phones, watches = append(phones, p), append(watches, newWatch(there.sessions.Hub, p.session))
		}
		for _, p := range phones {
			tx, err := f.db.Pools()["write"].BeginTx(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			endRaw(t, tx, p, model.TimeOf(f.clock.Now()))
			f.clock.Advance(time.Millisecond)
			open = append(open, tx)
		}
		for _, i := range []int{2, 0, 1} {
			if err := open[i].Commit(); err != nil {
				t.Fatal(err)
			}
			there.poll(t)
			there.poll(t)
			if watches[i].count() != 1 {
				t.Errorf("transaction %d was told %d times, want once", i, watches[i].count())
			}
			f.clock.Advance(1500 * time.Millisecond)
		}
	})
}

// TestFollowerSchedules: however transactions are numbered, begun, held open for
// up to 5 s and committed, and whichever reads fail for a while, each end is told
// once, within a second of the commit or of the log's return.
func TestFollowerSchedules(t *testing.T) {
	eachFleet(t, func(t *testing.T, f *fleet) {
		nextID := int64(1_000_000)
		rapid.Check(t, func(t *rapid.T) {
			f.clock.Advance(time.Hour)
			shake := rapid.SliceOfN(rapid.IntRange(0, 24), 1, 12)
			held, begun, numbers := shake.Draw(t, "held for"), shake.Draw(t, "begun after"), shake.Draw(t, "numbers")
			failing := rapid.SliceOfN(rapid.Bool(), 0, 60).Draw(t, "reads that fail")
			log := &brokenLog{EndLog: repository.Events{DB: f.db}}
			follower := &Follower{Log: log, Live: NewLive(f.clock.Now), Hub: NewHub(), Now: f.clock.Now, Process: f.clock.Now}
			if err := follower.Poll(t.Context()); err != nil {
				t.Fatal(err)
			}
			nextID += 1000
			type end struct {
				*watch
				id            int64
				at            model.Time
				commit, since int // ticks; since: could be told
			}
			var ends []*end
			for i := range held {
				begin := begun[i%len(begun)]
				id := nextID + int64(numbers[i%len(numbers)]*20+i) // in no order
				at := model.TimeOf(f.clock.Now().Add(time.Duration(begin) * tick))
				ends = append(ends, &end{watch: newWatch(follower.Hub, fmt.Sprintf("E%d", id)), id: id, at: at, commit: begin + held[i], since: -1})
			}
			for now := range 120 {
				for _, e := range ends {
					if e.commit == now {
						_, err := f.db.Pools()["write"].ExecContext(t.Context(),
							"INSERT INTO events (id, at, kind, user_id, session_id, actor, ip, device, request_id, detail) VALUES (?, ?, 'kick', 1, ?, '', '', '', '', '')", e.id, e.at, e.watch.id)
						if err != nil {
							t.Fatal(err)
						}
					}
				}
				log.away = now < len(failing) && failing[now]
				if err := follower.Poll(t.Context()); (err != nil) != log.away {
					t.Fatalf("error %v", err)
				}
				for _, e := range ends {
					if now >= e.commit && !log.away && e.since < 0 {
						e.since = now
					}
					told := e.count()
					if now < e.commit && told > 0 || e.since >= 0 && now >= e.since+toldWithin && told != 1 || told > 1 {
						t.Fatalf("at tick %d: end %+v was told %d times", now, *e, told)
					}
				}
				f.clock.Advance(tick)
			}
		})
	})
}

// brokenLog fails when away and notes what it is asked for.
type brokenLog struct {
	EndLog
	away  bool
	asked []model.Time
	slow  func()
}

func (l *brokenLog) Ends(ctx context.Context, since model.Time) ([]model.Event, error) {
	l.asked = append(l.asked, since)
	if l.slow != nil {
		l.slow()
	}
	if l.away {
		return nil, errors.New("away")
	}
	if l.EndLog == nil {
		return nil, nil
	}
	return l.EndLog.Ends(ctx, since)
}

// TestFollowerWindows: most reads go back by the short window, one in longEvery
// by the long one; after an absence one goes back to before it.
func TestFollowerWindows(t *testing.T) {
	clock, log := newKeyClock(), &brokenLog{}
	f := &Follower{Log: log, Live: NewLive(clock.Now), Hub: NewHub(), Now: clock.Now, Process: clock.Now}
	read := func(after time.Duration) time.Duration {
		clock.Advance(after)
		err := f.Poll(t.Context())
		if (err != nil) != log.away {
			t.Fatal(err)
		}
		return model.TimeOf(clock.Now()).Sub(log.asked[len(log.asked)-1])
	}
	const short, long = shortWindow, longWindow
	for i, step := range []struct{ after, want time.Duration }{
		{0, long}, {tick, short}, {tick, short}, {tick, short}, {tick, long + longEvery},
		{tick, short}, {longEvery - tick - time.Millisecond, short}, {time.Millisecond, long + longEvery},
		{10 * time.Second, long + 10*time.Second}, {0, short}, {longestGap, long + longestGap}, {longestGap + time.Millisecond, long}, {tick, short},
		{-10 * time.Second, long + 10*time.Second - tick}, {tick, short},
	} {
		if got := read(step.after); got != step.want {
			t.Errorf("read %d goes back %v, want %v", i, got, step.want)
		}
	}
	log.away = true
	read(longEvery)
	if got := read(tick); got != long+longEvery+2*tick {
		t.Errorf("the read after a failed one goes back %v", got)
	}
	log.away = false
	if got := read(tick); got != long+longEvery+3*tick {
		t.Errorf("the read after failed ones goes back %v", got)
	}
}

// TestFollowerForgets: the memory of what was seen is bounded, and lasts longer
// than any read goes back.
func TestFollowerForgets(t *testing.T) {
	clock, log := newKeyClock(), &ends{}
	f := &Follower{Log: log, Hub: NewHub(), Now: clock.Now, Process: clock.Now}
	poll := func() {
		t.Helper()
		if err := f.Poll(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	poll()
	log.events = []model.Event{{ID: 7, SessionID: "ended", At: model.TimeOf(clock.Now())}}
	poll()
	w := newWatch(f.Hub, "ended")
	for range 2 * longWindow / tick {
		clock.Advance(tick)
		poll()
	}
	if len(f.seen) != 1 || w.count() != 0 {
		t.Errorf("%d lines are remembered after 40 s, told again %d times", len(f.seen), w.count())
	}
	clock.Advance(tick)
	if poll(); len(f.seen) != 0 {
		t.Errorf("%d lines are remembered for ever", len(f.seen))
	}
}

// TestFollowerHealth: yes is said only while the log was read a moment ago, as
// it stood when the read began. Otherwise the database is asked, which knows.
func TestFollowerHealth(t *testing.T) {
	eachFleet(t, func(t *testing.T, f *fleet) {
		here, there := f.start(0), f.start(time.Hour)
		p := here.arrive(t, f.number(), 0, "d")
		log := &brokenLog{EndLog: there.follower.Log}
		there.follower.Log = log
		there.poll(t)
		there.wantState(t, p, "d", StateActive)
		if _, err := here.operators.Kick(t.Context(), Operator{}, p.user, KickTarget{}, ""); err != nil {
			t.Fatal(err)
		}
		log.away = true
		for _, step := range []struct {
			after time.Duration
			want  LoginState
		}{{0, StateActive}, {999 * time.Millisecond, StateActive}, {time.Millisecond, LoginState(model.ReasonKicked)}} {
			f.clock.Advance(step.after)
			if there.follower.Poll(t.Context()) == nil {
				t.Fatal("the log was read")
			}
			there.wantState(t, p, "d", step.want)
		}
		log.away = false
		there.poll(t)
		there.wantState(t, p, "d", LoginState(model.ReasonKicked))

		q := here.arrive(t, f.number(), 0, "d")
		there.wantState(t, q, "d", StateActive)
		log.slow = func() { f.clock.Advance(900 * time.Millisecond) }
		there.poll(t)
		if _, believed := there.sessions.Live.find(q.session); !believed {
			t.Error("a slow read counts for nothing")
		}
		f.clock.Advance(100 * time.Millisecond)
		if _, believed := there.sessions.Live.find(q.session); believed {
			t.Error("a read counts from its end, not from its begin")
		}
	})
}

// TestFollowerRun polls until it is told to stop, and reports what fails.
func TestFollowerRun(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	turns, reports := 0, 0
	clock := newKeyClock()
	log := &brokenLog{}
	f := &Follower{Log: log, Live: NewLive(clock.Now), Now: clock.Now, Process: clock.Now, Report: func(error) { reports++ }}
	log.slow = func() {
		turns++
		log.away = turns%2 == 0
		if turns == 7 {
			stop()
		}
	}
	f.Run(ctx, time.Millisecond)
	if turns != 7 || reports != 3 {
		t.Errorf("%d turns, %d reports", turns, reports)
	}
}

// TestFollowerKinds: every way in which a session ends is a line that other
// instances read.
func TestFollowerKinds(t *testing.T) {
	eachFleet(t, func(t *testing.T, f *fleet) {
		here, there := f.start(0), f.start(0)
		number := f.number()
		ctx, by := t.Context(), Operator{Name: "root"}
		for name, end := range map[string]func(p phone) error{
			"displaced": func(phone) error { here.arrive(t, number, 0, "other"); return nil },
			"relogin":   func(phone) error { here.arrive(t, number, 0, "d"); return nil },
			"logged_out": func(p phone) error {
				_, err := here.sessions.Logout(ctx, p.access, p.claims, ScopeCurrent, Caller{})
				return err
			},
			"kicked": func(p phone) error {
				_, err := here.operators.Kick(ctx, by, p.user, KickTarget{}, "")
				return err
			},
			"banned": func(p phone) error {
				_, err := here.operators.Ban(ctx, by, p.user, "", 0)
				return errors.Join(err, here.operators.Unban(ctx, by, p.user))
			},
			"expired": func(p phone) error {
				for range 4 {
					f.clock.Advance(fleetIdle / 4)
					there.poll(t)
				}
				_, err := here.sessions.Check(ctx, p.claims, "d", Caller{})
				return err
			},
			"reuse": func(p phone) error {
				f.mustExec(t, "UPDATE sessions SET gen = 3, prev_gen = 2, minted_at = 1 WHERE id = ?", p.session)
				_, err := here.sessions.Refresh(ctx, p.access, p.refresh, Caller{})
				if !errors.Is(err, model.ErrSessionEnded) {
					return fmt.Errorf("refresh: %w", err)
				}
				return nil
			},
		} {
			t.Run(name, func(t *testing.T) {
				p := here.arrive(t, number, 0, "d")
				there.poll(t)
				here.poll(t)
				here.wantState(t, p, "d", StateActive)
				there.wantState(t, p, "d", StateActive)
				own, others := newWatch(here.sessions.Hub, p.session), newWatch(there.sessions.Hub, p.session)
				if err := end(p); err != nil {
					t.Fatal(err)
				}
				if _, believed := here.sessions.Live.find(p.session); believed || own.count() != 1 {
					t.Errorf("the own instance remembers: %v, was told %d times", believed, own.count())
				}
				if others.count() != 0 {
					t.Errorf("the other instance was told %d times without the log", others.count())
				}
				there.poll(t)
				if _, believed := there.sessions.Live.find(p.session); believed || others.count() != 1 {
					t.Errorf("the other instance remembers: %v, was told %d times", believed, others.count())
				}
				there.wantState(t, p, "d", LoginState(name))
			})
		}
	})
}

// TestFollowerTellsNothingElse: lines that tell of no end wake nobody.
func TestFollowerTellsNothingElse(t *testing.T) {
	f := newFleet(t, dbtest.OpenFast(t, repository.SQLite))
	since := model.TimeOf(f.clock.Now())
	at := since + 1
	ending := []model.Kind{
		model.EventDisplaced, model.EventRelogin, model.EventLogout, model.EventKick, model.EventBan, model.EventReuse, model.EventExpired, model.EventUserDeleted,
	}
	others := []model.Kind{
		model.EventRegister, model.EventCodeSent, model.EventCodeFailed, model.EventLogin, model.EventUnban, model.EventRecover, model.EventAdopt,
		model.EventDeviceBound, model.EventDeviceMismatch, model.EventUserChanged, model.EventNumberChanged, model.EventKickWar,
	}
	events := repository.Events{DB: f.db}
	for _, kind := range slices.Concat(ending, others) {
		for _, e := range []model.Event{{At: at, Kind: kind, SessionID: string(kind)}, {At: at, Kind: kind}, {At: since, Kind: kind, SessionID: "OLD"}} {
			if err := events.Append(t.Context(), e); err != nil {
				t.Fatal(err)
			}
		}
	}
	found, err := events.Ends(t.Context(), since)
	if err != nil {
		t.Fatal(err)
	}
	var got []model.Kind
	for _, e := range found {
		got = append(got, model.Kind(e.SessionID))
		if e.At != at || e.ID == 0 {
			t.Errorf("line %+v", e)
		}
	}
	slices.Sort(got)
	slices.Sort(ending)
	if diff := cmp.Diff(ending, got); diff != "" {
		t.Error(diff)
	}
}
