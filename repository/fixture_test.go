package repository_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"menshen/model"
	"menshen/repository"
)

// t0 is the time of these tests: the storage has no clock of its own.
const t0 = model.Time(1767323045678)

// key returns what the storage takes for a keyed hash: 32 bytes.
func key(fill byte) []byte { return bytes.Repeat([]byte{fill}, 32) }

// testID returns the id of a session or token, as long as those of the service.
func testID(n int) string { return fmt.Sprintf("SESSION%019d", n) }

// aCode returns a code of a number, sent at sent and valid for five minutes.
func aCode(id int64, number byte, seq int64, sent model.Time) model.Code {
	return model.Code{
		ID: id, CompanyType: 1, Purpose: model.PurposeLogin, NumberKey: key(number), Seq: seq, CodeMAC: key(0xc0),
		IPKey: "192.0.2.1", SentAt: sent, ExpiresAt: sent.Add(5 * time.Minute),
	}
}

func aUser(id int64, number byte) model.User {
	return model.User{
		ID: id, CompanyType: 1, MobileKey: key(number), Mobile: []byte("sealed"), UserName: "u1", NickName: "用户8000",
		FirstSource: "first", LastSource: "first", CreatedAt: t0,
	}
}

func aSession(n int, userID int64, slot int32) model.Session {
	return model.Session{
		ID: testID(n), UserID: userID, CompanyType: 1, ProductType: 2, ProductGroup: "app", Epoch: int64(n), Seat: new(slot),
		DeviceName: "手机 📱", IP: "2001:db8::1", Source: "应用商店", LoginAt: t0, LastSeenAt: t0, RefreshHash: key(0xee),
		Gen: 1, CurJTI: testID(1000 + n), CurIat: t0.Second(), CurExp: t0.Second() + 900000, MaxExp: t0.Second() + 900000,
		MintedAt: t0, IdleUntil: t0 + 1000000, EndsAt: t0 + 2000000,
	}
}

// must fails the test at once on an error.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantError compares err with a row of the table of failures; nil means success.
func wantError(t testing.TB, err error, want *model.Failure) {
	t.Helper()
	if want == nil && err != nil || want != nil && !errors.Is(err, want) {
		t.Errorf("error is %v, want %v", err, want)
	}
}

// pool returns the pool that writes, for SQL of the tests.
func pool(db *repository.DB) *sql.DB { return db.Pools()["write"] }

func execSQL(t testing.TB, db *repository.DB, statement string, args ...any) {
	t.Helper()
	if _, err := pool(db).ExecContext(t.Context(), statement, args...); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// queryCount returns the single number of a query.
func queryCount(t testing.TB, db *repository.DB, query string, args ...any) (n int64) {
	t.Helper()
	if err := pool(db).QueryRowContext(t.Context(), query, args...).Scan(&n); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return n
}

// race runs act n times at once and waits for all.
func race(n int, act func(i int)) {
	var start, end sync.WaitGroup
	start.Add(1)
	for i := range n {
		end.Go(func() {
			start.Wait()
			act(i)
		})
	}
	start.Done()
	end.Wait()
}

// raceErrors is race for acts that may fail.
func raceErrors(n int, act func(i int) error) []error {
	errs := make([]error, n)
	race(n, func(i int) { errs[i] = act(i) })
	return errs
}

// wantOne checks that one act succeeded and that all others returned lost.
func wantOne(t testing.TB, errs []error, lost *model.Failure) {
	t.Helper()
	won := 0
	for _, err := range errs {
		switch {
		case err == nil:
			won++
		case !errors.Is(err, lost):
			t.Errorf("a loser got %v, want %v", err, lost)
		}
	}
	if won != 1 {
		t.Errorf("%d of %d succeeded, want exactly one", won, len(errs))
	}
}

// wantIdle waits until no connection is in use. Connections go back to their pool a
// moment after the call returns.
func wantIdle(t testing.TB, db *repository.DB) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for which, p := range db.Pools() {
		for p.Stats().InUse != 0 {
			if time.Now().After(deadline) {
				t.Fatalf("%d connections of the %s pool are still in use", p.Stats().InUse, which)
			}
			runtime.Gosched()
		}
	}
}

var errTest = errors.New("refused by the test")

// thenFail returns an act that runs act and then fails.
func thenFail(act func(ctx context.Context) error) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		if err := act(ctx); err != nil {
			return err
		}
		return errTest
	}
}
