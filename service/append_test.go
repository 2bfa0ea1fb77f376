package service_test

import (
	"testing"
	"time"

	"menshen/model"
	"menshen/repository"
	"menshen/service"
)

// sealEvents makes the database refuse whatever changes or removes a line of the log.
func (in *instance) sealEvents() {
	in.t.Helper()
	for _, act := range []string{"UPDATE", "DELETE"} {
		name := "seal_" + act
		if in.db.Driver() == repository.SQLite {
			in.sql("CREATE TRIGGER " + name + " BEFORE " + act + " ON events BEGIN SELECT RAISE(ABORT, 'sealed'); END")
		} else {
			in.sql("CREATE TRIGGER " + name + " BEFORE " + act + " ON events FOR EACH ROW SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'sealed'")
		}
		in.t.Cleanup(func() { in.sqlAfter("DROP TRIGGER " + name) })
	}
}

// TestEventsAreOnlyAdded: nothing that a user or an operator does, the end of the
// account included, changes or removes a line of the log.
func TestEventsAreOnlyAdded(t *testing.T) {
	runScenes(t, scene{"sealed", func(t *testing.T, in *instance) {
		in.sealEvents()
		operators := service.Admin{Users: repository.Users{DB: in.db}, Endings: in.sessions.Endings, Vault: in.vault, Catalog: in.catalog, Now: in.clock.Now}
		in.logIn(alice, withDevice("A", "Phone"))
		in.failLogins(alice, 1)
		c := in.logIn(alice)
		_, err := in.check(c, "C")
		wantFailure(t, err, nil)
		in.mustRefresh(c)
		in.clock.Advance(time.Minute)
		in.mustRefresh(c)
		oldCode, newCode := in.changeCodes(alice, bob, 0)
		_, err = in.renumber(c, bob, newCode, oldCode)
		wantFailure(t, err, nil)
		user, ops := c.User.User.ID, service.Operator{Name: "ops"}
		n, err := operators.Kick(t.Context(), ops, user, service.KickTarget{}, "r")
		if err != nil || n != 1 {
			t.Errorf("kicked %d, error %v; want 1", n, err)
		}
		_, err = operators.Ban(t.Context(), ops, user, "r", 0)
		wantFailure(t, err, nil)
		wantFailure(t, operators.Unban(t.Context(), ops, user, ""), nil)
		c = in.logIn(bob)
		code := in.receiveCode(bob, forPurpose(model.PurposeDelete))
		_, err = in.users.Delete(t.Context(), service.Deletion{Session: in.row(c), Code: code})
		wantFailure(t, err, nil)
		for _, statement := range []string{"UPDATE events SET ip = ''", "DELETE FROM events"} {
			if _, err := in.db.Pools()["write"].ExecContext(t.Context(), statement); err == nil {
				t.Errorf("the log was not sealed: %s", statement)
			}
		}
	}})
}
