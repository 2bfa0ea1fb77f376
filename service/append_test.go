package service_test

import (
	"testing"
	"time"

	"menshen/model"
	"menshen/repository"
	"menshen/service"
)

// sealEvents makes the database refuse whatever changes or removes a line of the log.
func (w *world) sealEvents() {
	w.t.Helper()
	for _, act := range []string{"UPDATE", "DELETE"} {
		name := "seal_" + act
		if w.db.Driver() == repository.SQLite {
			w.sql("CREATE TRIGGER " + name + " BEFORE " + act + " ON events BEGIN SELECT RAISE(ABORT, 'sealed'); END")
		} else {
			w.sql("CREATE TRIGGER " + name + " BEFORE " + act + " ON events FOR EACH ROW SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'sealed'")
		}
		w.t.Cleanup(func() { w.sqlAfter("DROP TRIGGER " + name) })
	}
}

// TestEventsAreOnlyAdded: nothing that a user or an operator does, the end of the
// account included, changes or removes a line of the log.
func TestEventsAreOnlyAdded(t *testing.T) {
	play(t, scene{"sealed", func(t *testing.T, w *world) {
		w.sealEvents()
		operators := service.Operators{Users: repository.Users{DB: w.db}, Sessions: w.sessions, Vault: w.vault, Catalog: w.catalog, Now: w.clock.Now}
		w.logIn(alice, withDevice("A", "Phone"))
		w.fail(alice, 1)
		c := w.logIn(alice)
		_, err := w.check(c, "C")
		wantFailure(t, err, nil)
		w.mustRefresh(c)
		w.clock.advance(time.Minute)
		w.mustRefresh(c)
		oldCode, newCode := w.changeCodes(alice, bob, 0)
		_, err = w.renumber(c, bob, newCode, oldCode)
		wantFailure(t, err, nil)
		user, ops := c.User.User.ID, service.Operator{Name: "ops"}
		n, err := operators.Kick(t.Context(), ops, user, service.KickTarget{}, "r")
		if err != nil || n != 1 {
			t.Errorf("kicked %d, error %v; want 1", n, err)
		}
		_, err = operators.Ban(t.Context(), ops, user, "r", 0)
		wantFailure(t, err, nil)
		wantFailure(t, operators.Unban(t.Context(), ops, user), nil)
		c = w.logIn(bob)
		code := w.code(bob, forPurpose(model.PurposeDelete))
		_, err = w.users.Delete(t.Context(), w.row(c), code, service.Caller{})
		wantFailure(t, err, nil)
		for _, statement := range []string{"UPDATE events SET ip = ''", "DELETE FROM events"} {
			if _, err := w.db.Pools()["write"].ExecContext(t.Context(), statement); err == nil {
				t.Errorf("the log was not sealed: %s", statement)
			}
		}
	}})
}
