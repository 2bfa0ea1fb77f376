package service_test

import (
	"testing"

	"menshen/model"
	"menshen/repository"
	"menshen/service"
)

// TestStatementsOfLogin counts what an attempt sends to the database. One statement reads
// the number's codes before BEGIN; the others are between BEGIN and COMMIT.
func TestStatementsOfLogin(t *testing.T) {
	eachDB(t, func(t *testing.T, db *repository.DB) {
		in := newInstance(t, db)
		attempt := func(right bool) (statements uint64) {
			t.Helper()
			code := in.receiveCode(alice)
			if !right {
				code += "0"
			}
			before := db.Statements()
			_, err := in.login.Do(t.Context(), service.LoginRequest{Mobile: alice, ValidateNo: code, DeviceNumber: "d"})
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
