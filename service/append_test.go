package service_test

import (
	"testing"
	"time"

	"menshen/model"
	"menshen/repository"
	"menshen/service"
)

// sealEvents makes the database refuse whatever changes or removes a line of the log. The
// masked number alone may be taken out.
func (in *instance) sealEvents() {
	in.t.Helper()
	const kept = "NEW.id = OLD.id AND NEW.at = OLD.at AND NEW.kind = OLD.kind AND NEW.user_id = OLD.user_id AND NEW.session_id = OLD.session_id AND " +
		"NEW.actor = OLD.actor AND NEW.ip = OLD.ip AND NEW.device = OLD.device AND NEW.request_id = OLD.request_id AND NEW.detail NOT LIKE '%****%' AND " +
		"NEW.detail = CONCAT(JSON_REMOVE(OLD.detail, '$.mobile', '$.from', '$.to'), '')"
	for act, unless := range map[string]string{"UPDATE": kept, "DELETE": "FALSE"} {
		name := "seal_" + act
		if in.db.Driver() == repository.SQLite {
			in.sql("CREATE TRIGGER " + name + " BEFORE " + act + " ON events WHEN NOT (" + unless + ") BEGIN SELECT RAISE(ABORT, 'sealed'); END")
		} else {
			in.sql("CREATE TRIGGER " + name + " BEFORE " + act + " ON events FOR EACH ROW IF NOT (" + unless + ") THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'sealed'; END IF")
		}
		in.t.Cleanup(func() { in.sqlAfter("DROP TRIGGER " + name) })
	}
}

// TestEventsAreOnlyAdded: nothing that a user or an operator does changes or removes a line
// of the log, but that the end of the account takes the masked number out.
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
		if n := in.count("SELECT COUNT(*) FROM events WHERE detail LIKE '%139****9000%' OR user_id = ? AND detail LIKE '%****%'", user); n != 0 {
			t.Errorf("%d lines show a number after the deletion", n)
		}
		for _, statement := range []string{"UPDATE events SET ip = ''", "DELETE FROM events"} {
			if _, err := in.db.Pools()["write"].ExecContext(t.Context(), statement); err == nil {
				t.Errorf("the log was not sealed: %s", statement)
			}
		}
	}})
}
