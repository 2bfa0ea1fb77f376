package service_test

import (
	"fmt"
	"testing"
	"time"

	"menshen/model"
	"menshen/repository"
	"menshen/service"
)

// TestOperatorsRace: operators on two instances ban and unban one user at once.
// The acts come one after the other: the log lists them in the order of their
// times, and its last line is the state that holds.
func TestOperatorsRace(t *testing.T) {
	const races, operators = 25, 6
	eachDeployment(t, func(t *testing.T, d *deployment) {
		instances := []*instance{d.start(0), d.start(0)}
		ticking := func() time.Time { d.clock.Advance(time.Millisecond); return d.clock.Now() }
		for _, i := range instances {
			i.admin.Now = ticking
		}
		users := repository.Users{DB: d.db}
		banned := 0
		for race := range races {
			p := instances[0].logIn(d.number(), onDevice(0, "d"))
			together(operators, func(n int) {
				var err error
				o, by := instances[n%2].admin, service.Operator{Name: fmt.Sprintf("operator-%d", n)}
				if (n+race)%3 == 0 {
					err = o.Unban(t.Context(), by, p.user, "")
				} else {
					_, err = o.Ban(t.Context(), by, p.user, by.Name, 0)
				}
				if err != nil {
					t.Error(err)
				}
			})
			events, err := (repository.Events{DB: d.db}).List(t.Context(), model.EventFilter{UserID: p.user}, 100)
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
			if d.active(t, p.user) != 0 {
				t.Error("a ban left a session")
			}
		}
		t.Logf("%d of %d users are banned in the end", banned, races)
	})
}

// TestBanInThePast: an end that is not to come is refused, and nothing is done.
func TestBanInThePast(t *testing.T) {
	eachDeployment(t, func(t *testing.T, d *deployment) {
		i := d.start(0)
		p := i.logIn(d.number(), onDevice(0, "d"))
		for _, until := range []model.Time{1, model.TimeOf(d.clock.Now())} {
			_, err := i.admin.Ban(t.Context(), root, p.user, "x", until)
			wantFailure(t, err, model.ErrMalformed)
		}
		i.wantState(t, p, "d", service.StateActive)
		if lines := d.lines(t, p.user, model.EventBan); len(lines) != 0 || d.count("SELECT COUNT(*) FROM users WHERE banned_until <> 0") != 0 {
			t.Errorf("lines %+v, or the user is banned", lines)
		}
	})
}
