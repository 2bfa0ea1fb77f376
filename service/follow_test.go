package service_test

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
	"menshen/service"
)

// tick is the time between two reads of the follower. The contract allows a second
// from an end to its notification: toldWithin ticks.
const (
	tick       = service.FollowInterval
	toldWithin = int(time.Second / tick)
)

// watch is a listener that counts its notifications: it listens again each time.
type watch struct {
	hub   *service.Hub
	id    string
	ended <-chan struct{}
	times int
}

func newWatch(hub *service.Hub, id string) *watch {
	w := &watch{hub: hub, id: id}
	w.ended, _ = hub.Listen(id)
	return w
}

func (w *watch) count() int {
	select {
	case <-w.ended:
		w.times++
		w.ended, _ = w.hub.Listen(w.id)
	default:
	}
	return w.times
}

// TestFollowerHeldOpen: a transaction ends a session, is held open while the
// other instance reads on, and is committed then. No listener is notified before
// the commit; each is notified within a second after it, and once.
func TestFollowerHeldOpen(t *testing.T) {
	eachDeployment(t, func(t *testing.T, d *deployment) {
		for _, held := range []time.Duration{0, tick, time.Second, service.ShortWindow - 1, service.ShortWindow, service.ShortWindow + 1, 5 * time.Second, service.LongWindow - time.Second} {
			t.Run(held.String(), func(t *testing.T) {
				d.clock.Advance(time.Minute)
				here, there := d.start(0), d.start(-30*time.Second)
				number := d.number()
				p := here.logIn(number, onDevice(0, "d"))
				there.poll(t)
				there.wantState(t, p, "d", service.StateActive)
				w := newWatch(there.sessions.Hub, p.session)

				tx, err := d.db.Pools()["write"].BeginTx(t.Context(), nil)
				if err != nil {
					t.Fatal(err)
				}
				endRaw(t, tx, p, model.TimeOf(d.clock.Now()))
				for waited := time.Duration(0); waited < held; waited += tick {
					there.poll(t)
					if _, believed := there.sessions.Cache.Get(p.session); !believed || w.count() > 0 {
						t.Fatalf("an end that is not committed was told %d times, remembered: %v", w.count(), believed)
					}
					d.clock.Advance(min(tick, held-waited))
				}
				if err := tx.Commit(); err != nil {
					t.Fatal(err)
				}
				for turn := 0; w.count() == 0; turn++ {
					if turn == toldWithin {
						t.Fatalf("not told within a second of the commit")
					}
					d.clock.Advance(tick)
					there.poll(t)
				}
				if _, believed := there.sessions.Cache.Get(p.session); believed {
					t.Error("the session is still believed to live")
				}
				there.wantState(t, p, "d", service.LoginState(model.ReasonKicked))
				for range 3 * service.LongWindow / tick {
					d.clock.Advance(tick)
					there.poll(t)
				}
				if w.count() != 1 {
					t.Errorf("told %d times, want once", w.count())
				}
			})
		}
	})
}

// endRaw ends a session in tx, as another instance would.
func endRaw(t *testing.T, tx *sql.Tx, p client, at model.Time) {
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
	eachDeployment(t, func(t *testing.T, d *deployment) {
		if d.db.Driver() == repository.SQLite {
			t.Skip("one transaction at a time")
		}
		here, there := d.start(0), d.start(0)
		var clients []client
		var watches []*watch
		var open []*sql.Tx
		for range 3 {
			p := here.logIn(d.number(), onDevice(0, "d"))
			clients, watches = append(clients, p), append(watches, newWatch(there.sessions.Hub, p.session))
		}
		for _, p := range clients {
			tx, err := d.db.Pools()["write"].BeginTx(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			endRaw(t, tx, p, model.TimeOf(d.clock.Now()))
			d.clock.Advance(time.Millisecond)
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
			d.clock.Advance(1500 * time.Millisecond)
		}
	})
}

// TestFollowerSchedules: however transactions are numbered, begun, held open for
// up to 5 s and committed, and whichever reads fail for a while, each end is
// notified once, within a second of the commit or of the log's return.
func TestFollowerSchedules(t *testing.T) {
	eachDeployment(t, func(t *testing.T, d *deployment) {
		nextID := int64(1_000_000)
		rapid.Check(t, func(t *rapid.T) {
			d.clock.Advance(time.Hour)
			shake := rapid.SliceOfN(rapid.IntRange(0, 24), 1, 12)
			held, begun, numbers := shake.Draw(t, "held for"), shake.Draw(t, "begun after"), shake.Draw(t, "numbers")
			failing := rapid.SliceOfN(rapid.Bool(), 0, 60).Draw(t, "reads that fail")
			log := &brokenLog{EndLog: repository.Events{DB: d.db}}
			follower := &service.Follower{Log: log, Cache: service.NewSessionCache(d.clock.Now), Hub: service.NewHub(), Now: d.clock.Now, OwnNow: d.clock.Now}
			if err := follower.Poll(t.Context()); err != nil {
				t.Fatal(err)
			}
			nextID += 1000
			type end struct {
				*watch
				id            int64
				at            model.Time
				commit, since int // ticks; since: could be notified
			}
			var ends []*end
			for i := range held {
				begin := begun[i%len(begun)]
				id := nextID + int64(numbers[i%len(numbers)]*20+i) // in no order
				at := model.TimeOf(d.clock.Now().Add(time.Duration(begin) * tick))
				ends = append(ends, &end{watch: newWatch(follower.Hub, fmt.Sprintf("E%d", id)), id: id, at: at, commit: begin + held[i], since: -1})
			}
			for now := range 120 {
				for _, e := range ends {
					if e.commit == now {
						_, err := d.db.Pools()["write"].ExecContext(t.Context(),
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
					switch {
					case log.away:
						e.since = -1
					case now >= e.commit && e.since < 0:
						e.since = now
					}
					told := e.count()
					if now < e.commit && told > 0 || e.since >= 0 && now >= e.since+toldWithin && told != 1 || told > 1 {
						t.Fatalf("at tick %d: end %+v was told %d times", now, *e, told)
					}
				}
				d.clock.Advance(tick)
			}
		})
	})
}

// brokenLog fails when away and notes what it is asked for.
type brokenLog struct {
	service.EndLog
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

// TestFollowerWindows: most reads go back by the short window, one in service.LongEvery
// by the long one; after an absence one goes back to before it.
func TestFollowerWindows(t *testing.T) {
	clock, log := service.NewFakeClock(), &brokenLog{}
	f := &service.Follower{Log: log, Cache: service.NewSessionCache(clock.Now), Hub: service.NewHub(), Now: clock.Now, OwnNow: clock.Now}
	read := func(after time.Duration) time.Duration {
		clock.Advance(after)
		err := f.Poll(t.Context())
		if (err != nil) != log.away {
			t.Fatal(err)
		}
		return model.TimeOf(clock.Now()).Sub(log.asked[len(log.asked)-1])
	}
	const short, long = service.ShortWindow, service.LongWindow
	for i, step := range []struct{ after, want time.Duration }{
		{0, long}, {tick, short}, {tick, short}, {tick, short}, {tick, long + service.LongEvery},
		{tick, short}, {service.LongEvery - tick - time.Millisecond, short}, {time.Millisecond, long + service.LongEvery},
		{10 * time.Second, long + 10*time.Second}, {0, short}, {service.LongestGap, long + service.LongestGap}, {service.LongestGap + time.Millisecond, long}, {tick, short},
		{-10 * time.Second, long + 10*time.Second - tick}, {tick, short},
	} {
		if got := read(step.after); got != step.want {
			t.Errorf("read %d goes back %v, want %v", i, got, step.want)
		}
	}
	log.away = true
	read(service.LongEvery)
	if got := read(tick); got != long+service.LongEvery+2*tick {
		t.Errorf("the read after a failed one goes back %v", got)
	}
	log.away = false
	if got := read(tick); got != long+service.LongEvery+3*tick {
		t.Errorf("the read after failed ones goes back %v", got)
	}
}

// TestFollowerForgets: the memory of what was seen is bounded, and lasts longer
// than any read goes back.
func TestFollowerForgets(t *testing.T) {
	clock, log := service.NewFakeClock(), &logInMemory{}
	f := &service.Follower{Log: log, Hub: service.NewHub(), Now: clock.Now, OwnNow: clock.Now}
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
	for range 2 * service.LongWindow / tick {
		clock.Advance(tick)
		poll()
	}
	if f.Seen() != 1 || w.count() != 0 {
		t.Errorf("%d lines are remembered after 40 s, told again %d times", f.Seen(), w.count())
	}
	clock.Advance(tick)
	if poll(); f.Seen() != 0 {
		t.Errorf("%d lines are remembered for ever", f.Seen())
	}
}

// TestFollowerHealth: yes is said only while the log was read a moment ago, as
// it stood when the read began. Otherwise the database is asked, which knows.
func TestFollowerHealth(t *testing.T) {
	eachDeployment(t, func(t *testing.T, d *deployment) {
		here, there := d.start(0), d.start(time.Hour)
		p := here.logIn(d.number(), onDevice(0, "d"))
		log := &brokenLog{EndLog: there.follower.Log}
		there.follower.Log = log
		there.poll(t)
		there.wantState(t, p, "d", service.StateActive)
		if _, err := here.admin.Kick(t.Context(), service.Operator{}, p.user, service.KickTarget{}, ""); err != nil {
			t.Fatal(err)
		}
		log.away = true
		for _, step := range []struct {
			after time.Duration
			want  service.LoginState
		}{{0, service.StateActive}, {999 * time.Millisecond, service.StateActive}, {time.Millisecond, service.LoginState(model.ReasonKicked)}} {
			d.clock.Advance(step.after)
			if there.follower.Poll(t.Context()) == nil {
				t.Fatal("the log was read")
			}
			there.wantState(t, p, "d", step.want)
		}
		log.away = false
		there.poll(t)
		there.wantState(t, p, "d", service.LoginState(model.ReasonKicked))

		q := here.logIn(d.number(), onDevice(0, "d"))
		there.wantState(t, q, "d", service.StateActive)
		log.slow = func() { d.clock.Advance(900 * time.Millisecond) }
		there.poll(t)
		if _, believed := there.sessions.Cache.Get(q.session); !believed {
			t.Error("a slow read counts for nothing")
		}
		d.clock.Advance(100 * time.Millisecond)
		if _, believed := there.sessions.Cache.Get(q.session); believed {
			t.Error("a read counts from its end, not from its begin")
		}
	})
}

// TestFollowerRun: the follower polls until its context ends, and reports failures.
func TestFollowerRun(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	turns, reports := 0, 0
	clock := service.NewFakeClock()
	log := &brokenLog{}
	f := &service.Follower{Log: log, Cache: service.NewSessionCache(clock.Now), Now: clock.Now, OwnNow: clock.Now, OnError: func(error) { reports++ }}
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
	eachDeployment(t, func(t *testing.T, d *deployment) {
		here, there := d.start(0), d.start(0)
		number := d.number()
		ctx, by := t.Context(), service.Operator{Name: "root"}
		for name, end := range map[string]func(p client) error{
			"displaced": func(client) error { here.logIn(number, onDevice(0, "other")); return nil },
			"relogin":   func(client) error { here.logIn(number, onDevice(0, "d")); return nil },
			"logged_out": func(p client) error {
				_, err := here.sessions.Logout(ctx, p.access, p.claims, service.ScopeCurrent, model.Caller{})
				return err
			},
			"kicked": func(p client) error {
				_, err := here.admin.Kick(ctx, by, p.user, service.KickTarget{}, "")
				return err
			},
			"banned": func(p client) error {
				_, err := here.admin.Ban(ctx, by, p.user, "", 0)
				return errors.Join(err, here.admin.Unban(ctx, by, p.user, ""))
			},
			"expired": func(p client) error {
				for range 4 {
					d.clock.Advance(shortIdle / 4)
					there.poll(t)
				}
				_, err := here.sessions.Check(ctx, p.claims, "d", model.Caller{})
				return err
			},
			"reuse": func(p client) error {
				d.sql("UPDATE sessions SET gen = 3, prev_gen = 2, minted_at = 1 WHERE id = ?", p.session)
				_, err := here.sessions.Refresh(ctx, p.access, p.refresh, model.Caller{})
				if !errors.Is(err, model.ErrSessionEnded) {
					return fmt.Errorf("refresh: %w", err)
				}
				return nil
			},
		} {
			t.Run(name, func(t *testing.T) {
				p := here.logIn(number, onDevice(0, "d"))
				there.poll(t)
				here.poll(t)
				here.wantState(t, p, "d", service.StateActive)
				there.wantState(t, p, "d", service.StateActive)
				own, others := newWatch(here.sessions.Hub, p.session), newWatch(there.sessions.Hub, p.session)
				if err := end(p); err != nil {
					t.Fatal(err)
				}
				if _, believed := here.sessions.Cache.Get(p.session); believed || own.count() != 1 {
					t.Errorf("the own instance remembers: %v, was told %d times", believed, own.count())
				}
				if others.count() != 0 {
					t.Errorf("the other instance was told %d times without the log", others.count())
				}
				there.poll(t)
				if _, believed := there.sessions.Cache.Get(p.session); believed || others.count() != 1 {
					t.Errorf("the other instance remembers: %v, was told %d times", believed, others.count())
				}
				there.wantState(t, p, "d", service.LoginState(name))
			})
		}
	})
}

// TestFollowerIgnoresOtherEvents: events that end no session wake no listener.
func TestFollowerIgnoresOtherEvents(t *testing.T) {
	d := newDeployment(t, dbtest.OpenFast(t, repository.SQLite), shortLived)
	since := model.TimeOf(d.clock.Now())
	at := since + 1
	ending := []model.Kind{
		model.EventDisplaced, model.EventRelogin, model.EventLogout, model.EventKick, model.EventBan, model.EventReuse, model.EventExpired, model.EventUserDeleted,
	}
	others := []model.Kind{
		model.EventRegister, model.EventCodeSent, model.EventCodeFailed, model.EventLogin, model.EventUnban, model.EventRecover, model.EventAdopt,
		model.EventDeviceBound, model.EventDeviceMismatch, model.EventUserChanged, model.EventNumberChanged, model.EventKickWar,
	}
	events := repository.Events{DB: d.db}
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
