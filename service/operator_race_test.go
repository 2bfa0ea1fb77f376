package service

import (
	"fmt"
	"testing"
	"time"

	"menshen/model"
	"menshen/repository"
)

// TestOperatorsRace: operators on two instances ban and unban one user at once.
// The acts are one after the other: the log tells them in the order of their
// times, and its last line tells what holds.
func TestOperatorsRace(t *testing.T) {
	const races, operators = 25, 6
	eachFleet(t, func(t *testing.T, f *fleet) {
		instances := []*instance{f.start(0), f.start(0)}
		ticking := func() time.Time { f.clock.Advance(time.Millisecond); return f.clock.Now() }
		for _, i := range instances {
			i.operators.Now = ticking
		}
		users := repository.Users{DB: f.db}
		banned := 0
		for race := range races {
			p := instances[0].arrive(t, f.number(), 0, "d")
			together(operators, func(n int) {
				var err error
				o, by := instances[n%2].operators, Operator{Name: fmt.Sprintf("operator-%d", n)}
				if (n+race)%3 == 0 {
					err = o.Unban(t.Context(), by, p.user)
				} else {
					_, err = o.Ban(t.Context(), by, p.user, by.Name, 0)
				}
				if err != nil {
					t.Error(err)
				}
			})
			events, err := (repository.Events{DB: f.db}).List(t.Context(), model.EventFilter{UserID: p.user}, 100)
			if err != nil {
				t.Fatal(err)
			}
			var acts []model.Event // newest first
			for _, e := range events {
				if e.SessionID == "" && (e.Kind == model.EventBan || e.Kind == model.EventUnban) {
					acts = append(acts, e)
				}
			}
			if len(acts) != operators {
				t.Fatalf("the log tells of %d acts", len(acts))
			}
			for n := range acts[1:] {
				if acts[n].At < acts[n+1].At {
					t.Errorf("line %d of %d comes after line %d of %d", acts[n].ID, acts[n].At, acts[n+1].ID, acts[n+1].At)
				}
			}
			user, err := users.ByID(t.Context(), p.user)
			if err != nil {
				t.Fatal(err)
			}
			last := acts[0]
			if last.Kind == model.EventUnban && (user.BannedUntil != 0 || user.BanReason != "") ||
				last.Kind == model.EventBan && (user.BannedUntil != model.Forever || user.BanReason != last.Actor) {
				t.Errorf("the last line is %s by %s, but the user is banned until %d for %q", last.Kind, last.Actor, user.BannedUntil, user.BanReason)
			}
			if last.Kind == model.EventBan {
				banned++
			}
			if f.active(t, p.user) != 0 {
				t.Error("a ban left a session")
			}
		}
		t.Logf("%d of %d users are banned in the end", banned, races)
	})
}

// TestBanInThePast: an end that is not to come is refused, and nothing is done.
func TestBanInThePast(t *testing.T) {
	eachFleet(t, func(t *testing.T, f *fleet) {
		i := f.start(0)
		p := i.arrive(t, f.number(), 0, "d")
		for _, until := range []model.Time{1, model.TimeOf(f.clock.Now())} {
			_, err := i.operators.Ban(t.Context(), root, p.user, "x", until)
			wantFailure(t, err, model.ErrMalformed)
		}
		i.wantState(t, p, "d", StateActive)
		if lines := f.lines(t, p.user, model.EventBan); len(lines) != 0 || f.count(t, "SELECT COUNT(*) FROM users WHERE banned_until <> 0") != 0 {
			t.Errorf("lines %+v, or the user is banned", lines)
		}
	})
}
