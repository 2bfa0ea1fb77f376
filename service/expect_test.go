package service_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"menshen/model"
	"menshen/repository"
	"menshen/service"
)

// row returns the client's session from the database.
func (d *deployment) row(c client) model.Session {
	d.t.Helper()
	session, err := repository.Sessions{DB: d.db}.ByID(d.t.Context(), c.claims.SessionID)
	if err != nil {
		d.t.Fatal(err)
	}
	return session
}

// sql executes a statement.
func (d *deployment) sql(statement string, args ...any) {
	d.t.Helper()
	if _, err := d.db.Pools()["write"].ExecContext(d.t.Context(), statement, args...); err != nil {
		d.t.Fatalf("%s: %v", statement, err)
	}
}

// count returns the single number of a query.
func (d *deployment) count(query string, args ...any) (n int64) {
	d.t.Helper()
	if err := d.db.Pools()["write"].QueryRowContext(d.t.Context(), query, args...).Scan(&n); err != nil {
		d.t.Fatalf("%s: %v", query, err)
	}
	return n
}

// texts returns the values of a query's single column.
func (d *deployment) texts(query string, args ...any) (all []string) {
	d.t.Helper()
	rows, err := d.db.Pools()["write"].QueryContext(d.t.Context(), query, args...)
	if err != nil {
		d.t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	for rows.Next() {
		var one string
		if err := rows.Scan(&one); err != nil {
			d.t.Fatal(err)
		}
		all = append(all, one)
	}
	if err := rows.Err(); err != nil {
		d.t.Fatal(err)
	}
	return all
}

// wantEvents compares the kinds of all events, oldest first.
func (d *deployment) wantEvents(kinds ...model.Kind) {
	d.t.Helper()
	var want []string
	for _, kind := range kinds {
		want = append(want, string(kind))
	}
	if diff := cmp.Diff(want, d.texts("SELECT kind FROM events ORDER BY id")); diff != "" {
		d.t.Errorf("the log differs:\n%s", diff)
	}
}

// failEvents makes the log refuse events of a kind until the returned function
// is called.
func (d *deployment) failEvents(kind model.Kind) (restore func()) {
	d.t.Helper()
	if d.db.Driver() == repository.SQLite {
		d.sql("CREATE TRIGGER refuse BEFORE INSERT ON events WHEN NEW.kind = '" + string(kind) + "' BEGIN SELECT RAISE(ABORT, 'refused'); END")
	} else {
		d.sql("CREATE TRIGGER refuse BEFORE INSERT ON events FOR EACH ROW IF NEW.kind = '" + string(kind) +
			"' THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'refused'; END IF")
	}
	var once sync.Once
	restore = func() { once.Do(func() { d.sqlAfter("DROP TRIGGER refuse") }) }
	d.t.Cleanup(restore)
	return restore
}

// sqlAfter is sql for cleanups, after the context of the test has ended.
func (d *deployment) sqlAfter(statement string) {
	if _, err := d.db.Pools()["write"].ExecContext(context.WithoutCancel(d.t.Context()), statement); err != nil {
		d.t.Errorf("%s: %v", statement, err)
	}
}

// wantWait is wantFailure for a limit, with its whole seconds.
func wantWait(t testing.TB, err error, want *model.Failure, seconds int64) {
	t.Helper()
	wantFailure(t, err, want)
	if err == nil {
		return
	}
	if got := model.AsFailure(err).RetryAfter(); got != seconds {
		t.Errorf("Retry-After is %d, want %d", got, seconds)
	}
}

// race runs act n times at once and returns the errors.
func race(n int, act func(i int) error) []error {
	errs := make([]error, n)
	together(n, func(i int) { errs[i] = act(i) })
	return errs
}

// wantWinners checks how many succeeded, and that all others failed with lost. A slow
// machine may exceed the deadline of a sending, which is not an error.
func wantWinners(t testing.TB, errs []error, want int, lost *model.Failure) {
	t.Helper()
	won := 0
	for _, err := range errs {
		switch {
		case err == nil:
			won++
		case !errors.Is(err, lost) && !errors.Is(err, context.DeadlineExceeded):
			t.Errorf("a loser got %v, want %v", err, lost)
		}
	}
	if won != want {
		t.Errorf("%d of %d succeeded, want %d", won, len(errs), want)
	}
}

// number returns a mobile number that was not used yet.
func (d *deployment) number() string { return fmt.Sprintf("139%08d", d.numbers.Add(1)) }

// poll lets the instance read the log of events.
func (i *instance) poll(t testing.TB) {
	t.Helper()
	if err := i.follower.Poll(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// state returns the state of the client's session, from a check.
func (i *instance) state(t testing.TB, p client, device string) service.LoginState {
	t.Helper()
	result, err := i.sessions.Check(t.Context(), p.claims, device, model.Caller{})
	if err != nil {
		t.Fatal(err)
	}
	if yes := result.State == service.StateActive || result.State == service.StateBound; yes != result.IsLogin {
		t.Errorf("isLogin is %v and the state %q", result.IsLogin, result.State)
	}
	return result.State
}

// wantState compares the state of the client's session, from a check.
func (i *instance) wantState(t testing.TB, p client, device string, want service.LoginState) {
	t.Helper()
	if got := i.state(t, p, device); got != want {
		t.Errorf("the state is %q, want %q", got, want)
	}
}

// line is an event.
type line struct{ Kind, Session, Actor, Device, Detail string }

// lines returns the user's events of the kinds, oldest first.
func (d *deployment) lines(t testing.TB, user int64, kinds ...model.Kind) (lines []line) {
	t.Helper()
	rows, err := d.db.Pools()["write"].QueryContext(t.Context(), "SELECT kind, session_id, actor, device, detail FROM events WHERE user_id = ? ORDER BY id", user)
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		var l line
		if err := rows.Scan(&l.Kind, &l.Session, &l.Actor, &l.Device, &l.Detail); err != nil {
			t.Fatal(err)
		}
		if slices.Contains(kinds, model.Kind(l.Kind)) {
			lines = append(lines, l)
		}
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		t.Fatal(err)
	}
	return lines
}
