package bench

import (
	"errors"
	"os"
	"testing"

	"menshen/model"
	"menshen/repository"
	"menshen/repository/dbtest"
	"menshen/service"
)

// BenchmarkGroup compares SQLite's commits of several writers with one commit
// each, in rounds that take turns.
func BenchmarkGroup(b *testing.B) {
	alone, together := newStack(b, repository.SQLite), newStack(b, repository.SQLite)
	alone.db.WriteTogether(1)
	for _, act := range []struct {
		name    string
		prepare func(s *stack) func(b *testing.B, n int) func(i int) error
	}{{"login", logins}, {"refresh", refreshes}, {"send", sendings}} {
		b.Run(act.name, func(b *testing.B) {
			contest(b, contender{"one commit each", act.prepare(alone)}, contender{"in groups", act.prepare(together)})
		})
	}
}

// BenchmarkHand compares logins and refreshes on MySQL with the same statements
// by hand: prepared, on one connection for each client.
func BenchmarkHand(b *testing.B) {
	if os.Getenv(dbtest.ServerVariable) == "" {
		b.Skip(dbtest.ServerVariable + " is not set")
	}
	s := newStack(b, repository.MySQL)
	h := newHand(b, s)
	b.Run("login", func(b *testing.B) {
		contest(b, contender{"by hand", h.logins}, contender{"by hand, of a first login only", h.firstLogins}, contender{"menshen", logins(s)})
	})
	b.Run("refresh", func(b *testing.B) {
		contest(b, contender{"by hand", h.refreshes}, contender{"menshen", refreshes(s)})
	})
}

// BenchmarkStatements counts what MySQL is asked for each act, BEGIN and COMMIT
// included: each is a round trip.
func BenchmarkStatements(b *testing.B) {
	if os.Getenv(dbtest.ServerVariable) == "" {
		b.Skip(dbtest.ServerVariable + " is not set")
	}
	s := newStack(b, repository.MySQL)
	const acts = 200 // the follower's own questions are few among theirs
	for _, act := range []struct {
		name    string
		prepare func(b *testing.B, n int) func(i int) error
	}{{"login", logins(s)}, {"refresh", refreshes(s)}, {"send", sendings(s)}} {
		b.Run(act.name, func(b *testing.B) {
			for b.Loop() {
				run := act.prepare(b, acts)
				before := questions(b, s)
				each(b, acts, 1, run)
				b.ReportMetric(float64(questions(b, s)-before)/acts, "statements/act")
			}
		})
	}
}

// questions is how many statements the server was asked since its start.
func questions(b *testing.B, s *stack) (n int64) {
	b.Helper()
	if err := s.db.Pools()["write"].QueryRowContext(b.Context(), "SHOW GLOBAL STATUS LIKE 'Questions'").Scan(new(string), &n); err != nil {
		b.Fatal(err)
	}
	return n
}

// logins are first logins of a number, from the code that was sent to the tokens.
func logins(s *stack) func(b *testing.B, n int) func(i int) error {
	return func(b *testing.B, n int) func(i int) error {
		b.Helper()
		mobiles := make([]string, n)
		for i := range mobiles {
			mobiles[i] = s.number()
		}
		each(b, n, preparers, func(i int) error { return s.send(b.Context(), mobiles[i]) })
		return func(i int) error {
			_, err := s.enter(b.Context(), mobiles[i], "")
			return err
		}
	}
}

// sendings are codes for numbers that had none.
func sendings(s *stack) func(b *testing.B, n int) func(i int) error {
	return func(b *testing.B, _ int) func(i int) error {
		return func(int) error { return s.send(b.Context(), s.number()) }
	}
}

// refreshes are refreshes with the current pair, each client with its own.
func refreshes(s *stack) func(b *testing.B, n int) func(i int) error {
	type pair struct{ access, refresh model.Secret }
	return func(b *testing.B, _ int) func(i int) error {
		b.Helper()
		idle := make(chan pair, parallel)
		each(b, parallel, preparers, func(int) error {
			login, err := s.newUser(b.Context(), "")
			idle <- pair{login.Access.Value, login.Refresh.Value}
			return err
		})
		return func(int) error {
			p := <-idle
			token, err := s.sessions.Refresh(b.Context(), p.access, p.refresh, service.Caller{IP: "192.0.2.1"})
			idle <- pair{token.Value, p.refresh}
			if err == nil && token.Value == p.access {
				err = errors.New("the token was not replaced")
			}
			return err
		}
	}
}
