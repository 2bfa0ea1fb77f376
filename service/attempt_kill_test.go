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
	"menshen/service"
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
	copyDatabase(t, s.database, path)
	s.made = append(s.made, still{path, s.commits > 0})
}

// copyDatabase copies the files of an SQLite database.
func copyDatabase(t testing.TB, from, to string) {
	for _, suffix := range []string{"", "-wal"} {
		text, err := os.ReadFile(from + suffix)
		if err == nil {
			err = os.WriteFile(to+suffix, text, 0o600)
		}
		if err != nil {
			t.Error(err)
		}
	}
}

// killedAttempt is an attempt at alice's code, and what it does if it is not killed.
type killedAttempt struct {
	name   string
	before func(in *instance)
	change func(r *service.LoginRequest)
	wrong  bool
	ticket bool
	want   *model.Failure
	left   int // comparisons of the code after its commit
}

var killedAttempts = []killedAttempt{
	{name: "first login"},
	{name: "later login", before: func(in *instance) { in.logIn(alice) }},
	{name: "wrong code", before: func(in *instance) { in.logIn(alice) }, wrong: true, want: model.ErrCode, left: 4},
	{name: "wrong code with a ticket", wrong: true, ticket: true, want: model.ErrCode, left: 4},
	{name: "login with a ticket", ticket: true},
	{name: "banned user", before: func(in *instance) {
		_, err := in.admin.Ban(in.t.Context(), root, in.logIn(alice).user, "fraud", 0)
		wantFailure(in.t, err, nil)
	}, want: model.ErrBanned},
	{name: "no free seat", before: func(in *instance) { in.logIn(alice, on(pos)); in.logIn(alice, on(pos)) }, change: on(pos), want: model.ErrDeviceLimit, left: 4},
}

// TestKilledAttempts: a process that is killed before any row or commit of an attempt leaves
// all of it or nothing, and neither one comparison more nor one less (contract §8); an attempt
// is one commit. On MySQL the program itself is killed, in test/e2e.
func TestKilledAttempts(t *testing.T) {
	for _, attempt := range killedAttempts {
		t.Run(attempt.name, func(t *testing.T) {
			path := dbtest.Prepared(t, repository.SQLite)
			s := newStills(t, path)
			db, err := repository.Open(t.Context(), repository.Options{Driver: repository.SQLite, DSN: path})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = db.Close() }()
			in := newInstance(t, db)
			if attempt.before != nil {
				attempt.before(in)
			}
			right, ticket := in.receiveTicket(alice)
			typed, first := right, attempt.want // a comparison that is right, and was not made before
			if attempt.wrong {
				typed, first = right+"0", nil
			}
			try := func(in *instance, typed model.Secret) error {
				_, err := in.tryLogIn(alice, typed, func(r *service.LoginRequest) {
					if attempt.ticket {
						r.Ticket = ticket
					}
					if attempt.change != nil {
						attempt.change(r)
					}
				})
				return err
			}
			s.running, s.commits = true, 0
			err = try(in, typed)
			s.take(t)
			s.running = false
			wantFailure(t, err, attempt.want)
			if least := 4; len(s.made) < least || s.made[0].committed || !s.made[len(s.made)-1].committed || s.commits != 1 {
				t.Fatalf("%d copies, want %d or more, before and after the commit; %d commits", len(s.made), least, s.commits)
			}
			for n, made := range s.made {
				left := 5
				if made.committed {
					left = attempt.left
				}
				where := fmt.Sprintf("copy %d of %d", n, len(s.made))
				in.wantComparisons(made.path, try, right, left, first, where)
			}
		})
	}
}

// wantComparisons checks, on two copies of a database, that the code has as many comparisons
// left: wrong ones alone use them up, and the last of them may be right, which ends as right.
func (in *instance) wantComparisons(path string, try func(*instance, model.Secret) error, code model.Secret, left int, right *model.Failure, where string) {
	in.t.Helper()
	for _, wrongs := range []int{left, left - 1} {
		after := in.onCopy(path, fmt.Sprintf("%s.%d", path, wrongs))
		for n := range wrongs {
			if err := try(after, code+"0"); !isFailure(err, model.ErrCode) {
				in.t.Errorf("%s: wrong comparison %d of %d: %v", where, n+1, left, err)
			}
		}
		want := model.ErrCode
		if wrongs == left-1 && left > 0 {
			want = right
		}
		if err := try(after, code); !isFailure(err, want) {
			in.t.Errorf("%s: the right code after %d wrong ones of %d: %v", where, max(wrongs, 0), left, err)
		}
	}
}

// onCopy starts an instance on a copy of an SQLite database.
func (in *instance) onCopy(from, to string) *instance {
	in.t.Helper()
	copyDatabase(in.t, from, to)
	db, err := repository.Open(in.t.Context(), repository.Options{Driver: repository.SQLite, DSN: to})
	if err != nil {
		in.t.Fatal(err)
	}
	in.t.Cleanup(func() { _ = db.Close() })
	copied := *in.deployment
	copied.db = db
	return copied.another()
}

func isFailure(err error, want *model.Failure) bool {
	return want == nil && err == nil || want != nil && errors.Is(err, want)
}
