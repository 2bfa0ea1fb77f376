package service_test

import (
	"testing"
	"time"

	"menshen/model"
	"menshen/service"
)

// TestLiveRaceOverTheDatabase: the end comes between a check's read and its
// answer, on this instance or by the log. That answer may be yes; the next is not.
func TestLiveRaceOverTheDatabase(t *testing.T) {
	eachDeployment(t, func(t *testing.T, d *deployment) {
		for _, where := range []string{"here", "there"} {
			t.Run(where, func(t *testing.T) {
				here, there := d.start(0), d.start(0)
				p := here.logIn(d.number(), onDevice(0, "d"))
				here.poll(t)
				by := here
				if where == "there" {
					by = there
				}
				store := &service.HookedStore{SessionStore: here.sessions.Store}
				here.sessions.Store = store
				store.AfterRead = func() {
					if _, err := by.admin.Kick(t.Context(), service.Operator{}, p.user, service.KickTarget{}, ""); err != nil {
						t.Error(err)
					}
					here.poll(t)
				}
				here.state(t, p, "d")
				here.wantState(t, p, "d", service.LoginState(model.ReasonKicked))
			})
		}
	})
}

// TestLiveOldTokenConfirmsNothing: an older token that is used leaves the current
// one unconfirmed, in memory too: its own first use is noted, and from then on
// the older one is a replay.
func TestLiveOldTokenConfirmsNothing(t *testing.T) {
	eachDeployment(t, func(t *testing.T, d *deployment) {
		i := d.start(0)
		p := i.logIn(d.number(), onDevice(0, "d"))
		i.poll(t)
		i.wantState(t, p, "d", service.StateActive)
		token, err := i.sessions.Refresh(t.Context(), p.access, p.refresh, model.Caller{})
		if err != nil {
			t.Fatal(err)
		}
		i.wantState(t, p, "d", service.StateActive)
		confirmed := func() int64 { return d.count("SELECT confirmed FROM sessions WHERE id = ?", p.session) }
		if confirmed() != 0 {
			t.Error("an older token confirmed the current one")
		}
		if _, err := i.sessions.Authenticate(t.Context(), token.Value); err != nil || confirmed() != 1 {
			t.Errorf("the first use of the current token was not noted, error %v", err)
		}
		d.clock.Advance(reuseGrace + time.Millisecond)
		_, err = i.sessions.Refresh(t.Context(), p.access, p.refresh, model.Caller{})
		wantFailure(t, err, model.ErrSessionEnded)
	})
}
