package service_test

import (
	"testing"
	"time"

	"menshen/model"
	"menshen/repository"
	"menshen/service"
	"menshen/service/code"
)

// TestStatementsOfLogin counts what an attempt sends to the database. One statement reads
// the number's codes before BEGIN; the others are between BEGIN and COMMIT.
func TestStatementsOfLogin(t *testing.T) {
	eachDB(t, func(t *testing.T, db *repository.DB) {
		in := newInstance(t, db)
		attempt := func(right bool) (statements uint64) {
			t.Helper()
			text := in.receiveCode(alice)
			if !right {
				text += "0"
			}
			before := db.Statements()
			_, err := in.login.Do(t.Context(), service.LoginRequest{Mobile: alice, ValidateNo: text, DeviceNumber: "d"})
			if right {
				wantFailure(t, err, nil)
			} else {
				wantFailure(t, err, model.ErrCode)
			}
			return db.Statements() - before
		}
		reads := uint64(0) // what SQLite returns from the statement that wrote it, MySQL must read
		if db.Driver() == repository.MySQL {
			reads = 1
		}
		attempt(true) // statements are prepared
		in.sql("DELETE FROM users")
		in.sql("DELETE FROM slots")
		in.sql("DELETE FROM sessions")
		for _, tt := range []struct {
			name  string
			right bool
			want  uint64
		}{
			{"the first login", true, 6},
			{"a later one that replaces a session", true, 9 + reads},
			{"a wrong attempt", false, 5},
			{"a further wrong attempt", false, 4},
		} {
			if got := attempt(tt.right); got != tt.want {
				t.Errorf("%s: %d statements, want %d", tt.name, got, tt.want)
			}
		}
		in.sql("UPDATE sessions SET active_slot = NULL")
		if got, want := attempt(true), 7+reads; got != want {
			t.Errorf("a later login on an idle slot: %d statements, want %d", got, want)
		}
	})
}

// TestStatementsOfCode counts what a request for a code sends to the database under the
// shipped limits and rules of the guard.
func TestStatementsOfCode(t *testing.T) {
	eachDB(t, func(t *testing.T, db *repository.DB) {
		in := newInstance(t, db)
		in.defaults()
		in.detectPumping(code.ActionRecord)
		in.admission.Pumping.Rules.Least = 50
		in.admission.Bursts = &code.Bursts{Alarms: in.alarms(), Now: in.clock.Now}
		in.wantSent(numbered(1)) // the budget is counted, statements are prepared
		for _, tt := range []struct {
			name string
			send func()
			want uint64
		}{
			{"a code", func() { in.wantSent(numbered(2)) }, 7},
			{"from many addresses of one block", func() { in.wantSent(numbered(3), fromIP("192.0.2.99")) }, 7},
			{"from an IPv6 address", func() { in.wantSent(numbered(4), fromIP("2001:db8::1")) }, 7},
			{"refused by the cooldown", func() { in.wantRefused(numbered(4), model.ErrCooldown, 60, fromIP("2001:db8::1")) }, 4},
		} {
			before := db.Statements()
			if tt.send(); db.Statements()-before != tt.want {
				t.Errorf("%s: %d statements, want %d", tt.name, db.Statements()-before, tt.want)
			}
		}
		c, other := in.logIn(alice), in.logIn(bob)
		in.clock.Advance(time.Minute)
		in.wantSent(bob, func(r *code.SendRequest) { r.Credential = other.Credential }) // the budget is counted
		before := db.Statements()
		in.wantSent(alice, func(r *code.SendRequest) { r.Credential = c.Credential })
		if got := db.Statements() - before; got != 7 {
			t.Errorf("a code for a known device: %d statements, want 7", got)
		}
	})
}

// TestStatementsOfRefresh: a refresh with the current pair is one statement.
func TestStatementsOfRefresh(t *testing.T) {
	eachDB(t, func(t *testing.T, db *repository.DB) {
		in := newInstance(t, db)
		c := in.logIn(alice)
		for range 3 {
			before := db.Statements()
			c = in.refreshed(c)
			if got := db.Statements() - before; got != 1 {
				t.Errorf("%d statements, want 1", got)
			}
		}
	})
}
