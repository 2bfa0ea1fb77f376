package service_test

import (
	"testing"

	"menshen/model"
	"menshen/service"
)

// endings are the acts that end the session of p.
func endings(t *testing.T, number string) map[service.LoginState]func(i *instance, p client) error {
	t.Helper()
	return map[service.LoginState]func(i *instance, p client) error{
		"logged_out": func(i *instance, p client) error { _, err := i.logOut(p, service.ScopeCurrent); return err },
		"kicked": func(i *instance, p client) error {
			_, err := i.admin.Kick(t.Context(), root, p.user, service.KickTarget{SessionID: p.session}, "x")
			return err
		},
		"banned": func(i *instance, p client) error {
			_, err := i.admin.Ban(t.Context(), root, p.user, "x", 0)
			return err
		},
		"displaced": func(i *instance, _ client) error {
			_, err := i.tryLogIn(number, i.receiveCode(number), onDevice(0, "another"))
			return err
		},
	}
}

// TestEndBeforeItsAnswer: from the commit of an end on, also before its answer, no check
// on the same instance is active. A reader of the database may know of the end already.
func TestEndBeforeItsAnswer(t *testing.T) {
	eachDeployment(t, func(t *testing.T, d *deployment) {
		number := d.number()
		for state, end := range endings(t, number) {
			t.Run(string(state), func(t *testing.T) {
				i := d.start(0)
				i.poll(t)
				p := i.logIn(number, onDevice(0, "d"))
				i.wantState(t, p, "d", service.StateActive)
				looked := false
				d.commits = func() {
					if looked || i.row(p).EndedAt == 0 {
						return
					}
					looked = true
					i.wantState(t, p, "d", state)
				}
				err := end(i, p)
				if d.commits = nil; err != nil || !looked {
					t.Errorf("ended with %v, looked %v", err, looked)
				}
				d.sql("UPDATE users SET banned_until = 0")
			})
		}
	})
}

// TestEndSeenInAnswer: once an answer of an instance shows an end, no later answer of that
// instance is active, although it has not read of the end in the log.
func TestEndSeenInAnswer(t *testing.T) {
	eachDeployment(t, func(t *testing.T, d *deployment) {
		for name, see := range map[string]func(i *instance, p client) error{
			"refresh": func(i *instance, p client) error { _, err := i.refresh(p.access, p.refresh); return err },
			"logout":  func(i *instance, p client) error { _, err := i.logOut(p, service.ScopeCurrent); return err },
			"delete": func(i *instance, p client) error {
				_, err := i.sessions.Delete(t.Context(), model.Session{UserID: p.user}, p.session, model.Caller{})
				return err
			},
			"kick": func(i *instance, p client) error {
				_, err := i.admin.Kick(t.Context(), root, p.user, service.KickTarget{SessionID: p.session}, "x")
				return err
			},
			"mismatch": func(i *instance, p client) error { _, err := i.check(p, "another"); return err },
		} {
			t.Run(name, func(t *testing.T) {
				here, there := d.start(0), d.start(0)
				there.poll(t)
				p := here.logIn(d.number(), onDevice(0, "d"))
				there.wantState(t, p, "d", service.StateActive)
				here.kick(t, p)
				there.wantState(t, p, "d", service.StateActive) // not known yet
				err := see(there, p)
				if name == "refresh" {
					wantFailure(t, err, model.ErrSessionEnded)
				} else {
					wantFailure(t, err, nil)
				}
				there.wantState(t, p, "d", "kicked")
			})
		}
	})
}
