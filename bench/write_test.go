package bench

import (
	"errors"
	"os"
	"testing"

	"menshen/model"
	"menshen/repository"
	"menshen/repository/dbtest"
)

// BenchmarkGroupCommit compares SQLite's group commit with one commit per writer, in
// interleaved rounds.
func BenchmarkGroupCommit(b *testing.B) {
	alone, together := newHarness(b, repository.SQLite), newHarness(b, repository.SQLite)
	alone.db.SetMaxGroup(1)
	for _, act := range []struct {
		name    string
		prepare func(h *harness) func(b *testing.B, n int) func(i int) error
	}{{"login", logins}, {"refresh", refreshes}, {"send", sendings}} {
		b.Run(act.name, func(b *testing.B) {
			compareRounds(b, contender{"one commit each", act.prepare(alone)}, contender{"in groups", act.prepare(together)})
		})
	}
}

// BenchmarkRawSQL compares logins and refreshes on MySQL with the same statements
// written by hand: prepared, on one connection for each client.
func BenchmarkRawSQL(b *testing.B) {
	if os.Getenv(dbtest.ServerVariable) == "" {
		b.Skip(dbtest.ServerVariable + " is not set")
	}
	h := newHarness(b, repository.MySQL)
	r := newRawClients(b, h)
	b.Run("login", func(b *testing.B) {
		compareRounds(b, contender{"by hand", r.logins}, contender{"by hand, of a first login only", r.firstLogins}, contender{"menshen", logins(h)})
	})
	b.Run("refresh", func(b *testing.B) {
		compareRounds(b, contender{"by hand", r.refreshes}, contender{"menshen", refreshes(h)})
	})
}

// BenchmarkStatements counts the statements that MySQL receives for each act, BEGIN
// and COMMIT included: each is a round trip.
func BenchmarkStatements(b *testing.B) {
	if os.Getenv(dbtest.ServerVariable) == "" {
		b.Skip(dbtest.ServerVariable + " is not set")
	}
	h := newHarness(b, repository.MySQL)
	const acts = 200 // the follower's own statements are few among theirs
	for _, act := range []struct {
		name    string
		prepare func(b *testing.B, n int) func(i int) error
	}{{"login", logins(h)}, {"refresh", refreshes(h)}, {"send", sendings(h)}} {
		b.Run(act.name, func(b *testing.B) {
			for b.Loop() {
				run := act.prepare(b, acts)
				before := questions(b, h)
				each(b, acts, 1, run)
				b.ReportMetric(float64(questions(b, h)-before)/acts, "statements/act")
			}
		})
	}
}

// questions returns how many statements the server has received since its start.
func questions(b *testing.B, h *harness) (n int64) {
	b.Helper()
	if err := h.db.Pools()["write"].QueryRowContext(b.Context(), "SHOW GLOBAL STATUS LIKE 'Questions'").Scan(new(string), &n); err != nil {
		b.Fatal(err)
	}
	return n
}

// logins prepares first logins of a number, from the code that was sent to the tokens.
func logins(h *harness) func(b *testing.B, n int) func(i int) error {
	return func(b *testing.B, n int) func(i int) error {
		b.Helper()
		mobiles := make([]string, n)
		for i := range mobiles {
			mobiles[i] = h.number()
		}
		each(b, n, preparers, func(i int) error { return h.sendCode(b.Context(), mobiles[i]) })
		return func(i int) error {
			_, err := h.logIn(b.Context(), mobiles[i], "")
			return err
		}
	}
}

// sendings prepares sending codes to numbers that had none.
func sendings(h *harness) func(b *testing.B, n int) func(i int) error {
	return func(b *testing.B, _ int) func(i int) error {
		return func(int) error { return h.sendCode(b.Context(), h.number()) }
	}
}

// refreshes prepares refreshes with the current pair; each client has its own.
func refreshes(h *harness) func(b *testing.B, n int) func(i int) error {
	type pair struct{ access, refresh model.Secret }
	return func(b *testing.B, _ int) func(i int) error {
		b.Helper()
		idle := make(chan pair, parallel)
		each(b, parallel, preparers, func(int) error {
			login, err := h.logInNewUser(b.Context(), "")
			idle <- pair{login.Access.Value, login.Refresh.Value}
			return err
		})
		return func(int) error {
			p := <-idle
			token, err := h.sessions.Refresh(b.Context(), p.access, p.refresh, model.Caller{IP: "192.0.2.1"})
			idle <- pair{token.Value, p.refresh}
			if err == nil && token.Value == p.access {
				err = errors.New("the token was not replaced")
			}
			return err
		}
	}
}
