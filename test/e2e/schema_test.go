package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"menshen/repository"
)

// migrationDown returns the statements that undo the newest migration, and its number.
func migrationDown(t *testing.T, driver string) (statements []string, version string) {
	t.Helper()
	files, err := filepath.Glob("../../repository/migrations/" + driver + "/*.sql")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	newest := files[len(files)-1]
	text, err := os.ReadFile(newest)
	if err != nil {
		t.Fatal(err)
	}
	_, down, _ := strings.Cut(string(text), "-- +goose Down")
	for statement := range strings.SplitSeq(down, ";") {
		if statement = strings.TrimSpace(statement); statement != "" {
			statements = append(statements, statement)
		}
	}
	return statements, strings.TrimLeft(filepath.Base(newest)[:5], "0")
}

// TestNewerSchema: a program whose successor has migrated already, with a migration that
// adds, serves as before: what runs goes on, and a start and a command find nothing to do.
func TestNewerSchema(t *testing.T) {
	t.Parallel()
	eachDriver(t, func(t *testing.T, driver string) {
		d := newDeployment(t, driver)
		i := d.start(t, data)
		s, kicked := i.login(t, "", "device"), i.login(t, "", "device")
		i.kick(t, kicked)
		for _, statement := range []string{
			"CREATE TABLE successor (id INTEGER NOT NULL PRIMARY KEY)",
			"ALTER TABLE sessions ADD COLUMN successor INTEGER NOT NULL DEFAULT 0",
			"ALTER TABLE users ADD COLUMN successor INTEGER NULL",
			"INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, 1)",
		} {
			d.exec(t, statement)
		}
		for _, restarted := range []bool{false, true} {
			if restarted {
				i.stop(t)
				i = d.start(t, data)
			}
			i.wantState(t, s, "active")
			i.wantState(t, kicked, "kicked")
			i.refreshSession(t, s)
			other := i.login(t, "", "device")
			i.call(other.logoutRequest()).wantSuccess(t)
			i.call(request{path: "/readyz"}).wantStatus(t, 200)
			if exit, out := d.adminCommand(t, data, "user", "kick", "-reason", "x", "999999"); exit == 0 || strings.Contains(out, "schema") {
				t.Errorf("a command beside a newer schema: exit %d, %s", exit, out)
			}
		}
		d.wantInvariants(t)
	})
}

// wantStatus checks the answer's status.
func (a answer) wantStatus(t *testing.T, want int) {
	t.Helper()
	if a.status != want {
		t.Errorf("want status %d: %s", want, a)
	}
}

// TestOlderSchema: a start brings an older schema to its own version and loses nothing.
// Where it may not, it refuses, and so does a command: both name the schema.
func TestOlderSchema(t *testing.T) {
	t.Parallel()
	eachDriver(t, func(t *testing.T, driver string) {
		d := newDeployment(t, driver)
		i := d.start(t, data)
		s, kicked := i.login(t, "", "device"), i.login(t, "", "device")
		i.kick(t, kicked)
		i.stop(t)
		statements, version := migrationDown(t, driver)
		for _, statement := range append(statements, "DELETE FROM goose_db_version WHERE version_id = "+version) {
			d.exec(t, statement)
		}
		cmd := d.command(t, data)
		cmd.Args = append(cmd.Args, "user", "find", "-id", "1")
		said, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(said), "schema") {
			t.Errorf("a command beside an older schema: %v, %s", err, said)
		}
		if driver == repository.MySQL { // an account that may not change the schema
			account := d.accounts[data]
			for _, statement := range []string{"REVOKE ALL PRIVILEGES, GRANT OPTION FROM " + account, "GRANT SELECT, INSERT, UPDATE, DELETE ON *.* TO " + account} {
				d.exec(t, statement)
			}
			if said := d.wantFailedStart(t, data); !strings.Contains(said, "migrate") {
				t.Errorf("it says %s", said)
			}
			d.exec(t, "GRANT ALL ON *.* TO "+account)
		}
		i = d.start(t, data)
		i.wantState(t, s, "active")
		i.wantState(t, kicked, "kicked")
		i.refreshSession(t, s)
		i.login(t, "", "device")
		d.wantInvariants(t)
	})
}
