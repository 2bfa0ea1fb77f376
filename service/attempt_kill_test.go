package service_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"modernc.org/sqlite"

	"menshen/model"
	"menshen/repository"
	"menshen/repository/dbtest"
)

// stills are copies of an SQLite database, made before each row that is written and before
// each commit: what a process that is killed there leaves, since the system keeps what
// it wrote.
type stills struct {
	database, folder string
	running          bool
	commits          int
	made             []still
}

type still struct {
	path      string
	committed bool // a transaction was, before it
}

// newStills follows all connections to a database that open from now on.
func newStills(t *testing.T, database string) *stills {
	s := &stills{database: database, folder: t.TempDir()}
	sqlite.RegisterConnectionHook(func(conn sqlite.ExecQuerierContext, dsn string) error {
		if hooks, ok := conn.(sqlite.HookRegisterer); ok && strings.Contains(dsn, database) {
			hooks.RegisterPreUpdateHook(func(sqlite.SQLitePreUpdateData) { s.take(t) })
			hooks.RegisterCommitHook(func() int32 { s.take(t); s.commits++; return 0 })
		}
		return nil
	})
	return s
}

func (s *stills) take(t *testing.T) {
	if !s.running {
		return
	}
	path := filepath.Join(s.folder, fmt.Sprintf("%d.db", len(s.made)))
	for _, suffix := range []string{"", "-wal"} {
		text, err := os.ReadFile(s.database + suffix)
		if err == nil {
			err = os.WriteFile(path+suffix, text, 0o600)
		}
		if err != nil {
			t.Error(err)
		}
	}
	s.made = append(s.made, still{path, s.commits > 0})
}

// TestKilledAttempts: a process that is killed before any row or commit of an attempt leaves
// all of it or nothing, and no further comparison (contract §8). On MySQL the program
// itself is killed, in test/e2e.
func TestKilledAttempts(t *testing.T) {
	for _, attempt := range []struct {
		name         string
		later, wrong bool
	}{{"first login", false, false}, {"later login", true, false}, {"wrong code", true, true}} {
		t.Run(attempt.name, func(t *testing.T) {
			path := dbtest.Prepared(t, repository.SQLite)
			s := newStills(t, path)
			db, err := repository.Open(t.Context(), repository.Options{Driver: repository.SQLite, DSN: path})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = db.Close() }()
			in := newInstance(t, db)
			if attempt.later {
				in.logIn(alice)
			}
			right := in.receiveCode(alice)
			typed, want := right, (*model.Failure)(nil)
			if attempt.wrong {
				typed, want = right+"0", model.ErrCode
			}
			s.running, s.commits = true, 0
			_, err = in.tryLogIn(alice, typed)
			s.take(t)
			s.running = false
			wantFailure(t, err, want)
			if least := 4; len(s.made) < least || s.made[0].committed || !s.made[len(s.made)-1].committed {
				t.Fatalf("%d copies, want %d or more, before and after the commit", len(s.made), least)
			}
			for n, made := range s.made {
				left := 5
				switch {
				case made.committed && attempt.wrong:
					left--
				case made.committed:
					left = 0 // the code is redeemed
				}
				in.wantComparisons(made.path, right, left, fmt.Sprintf("copy %d of %d", n, len(s.made)))
			}
		})
	}
}

// wantComparisons compares a code on a copy of the database as often as it is left; the
// last comparison, which is right, logs in.
func (in *instance) wantComparisons(path string, right model.Secret, left int, where string) {
	in.t.Helper()
	db, err := repository.Open(in.t.Context(), repository.Options{Driver: repository.SQLite, DSN: path})
	if err != nil {
		in.t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	copied := *in.deployment
	copied.db = db
	after := copied.another()
	for n := range left {
		typed, want := right+"0", model.ErrCode
		if n == left-1 {
			typed, want = right, nil
		}
		if _, err := after.tryLogIn(alice, typed); !isFailure(err, want) {
			in.t.Errorf("%s: comparison %d of %d: %v", where, n+1, left, err)
		}
	}
	if _, err := after.tryLogIn(alice, right); !isFailure(err, model.ErrCode) {
		in.t.Errorf("%s: after %d comparisons: %v", where, left, err)
	}
}

func isFailure(err error, want *model.Failure) bool {
	return want == nil && err == nil || want != nil && errors.Is(err, want)
}
