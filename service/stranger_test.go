package service_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"menshen/model"
	"menshen/repository"
	"menshen/service"
	"menshen/service/code"
)

// holding returns the result of a request that is made while a transaction holds the named
// gates.
func (in *instance) holding(request func() error, names ...[]byte) (result error) {
	in.t.Helper()
	err := in.db.Within(in.t.Context(), func(ctx context.Context) error {
		for _, name := range names {
			if err := in.admission.Quotas.Store.Gate(ctx, name, in.clock.Time()); err != nil {
				return err
			}
		}
		result = request()
		return nil
	})
	wantFailure(in.t, err, nil)
	return result
}

// TestRefusedRequestsWaitForNobody: a request that a limit refuses once more needs neither a
// gate nor, with SQLite, the writer. So a flood of them does not keep the connections of the
// others.
func TestRefusedRequestsWaitForNobody(t *testing.T) {
	number := func(in *instance) []byte {
		return append([]byte("number|"), in.vault.NumberKey(model.NewMobile("+8613800138000"))...)
	}
	runScenes(t,
		scene{"cooldown of the number", func(t *testing.T, in *instance) {
			in.quotas.Limits.Cooldown = time.Minute
			in.wantSent(alice)
			in.wantRefused(alice, model.ErrCooldown, 60)
			wantWait(t, in.holding(func() error { return errOf(in.sendCode(alice)) }, number(in)), model.ErrCooldown, 60)
			in.clock.Advance(time.Minute)
			in.wantSent(alice)
		}},
		scene{"address, block and budget", func(t *testing.T, in *instance) {
			in.quotas.Limits.PerIPHour, in.quotas.Limits.PerBlockHour, in.quotas.Limits.DailyBudget = 2, 2, 2
			in.wantSent(numbered(1))
			in.wantSent(numbered(2))
			in.wantRefused(numbered(3), model.ErrTooMany, 24*3600)
			refused := in.holding(func() error { return errOf(in.sendCode(numbered(4))) }, []byte("address|"), []byte("block|192.0.2.0/24"), []byte("address|192.0.2.1"))
			wantWait(t, refused, model.ErrTooMany, 24*3600)
		}},
		scene{"a redeemed code opens the share of its address at once", func(t *testing.T, in *instance) {
			in.quotas.Limits.PerIPHour = 2
			in.wantSent(numbered(1))
			code := in.receiveCode(numbered(2))
			in.wantRefused(numbered(3), model.ErrTooMany, 3600)
			_, err := in.tryLogIn(numbered(2), code)
			wantFailure(t, err, nil)
			in.wantSent(numbered(3))
		}},
		scene{"attempts on a locked number", func(t *testing.T, in *instance) {
			in.quotas.Limits.FailsPerMobileDay = 3
			in.receiveCode(alice)
			in.failLogins(alice, 3)
			refused := in.holding(func() error { return errOf(in.tryLogIn(alice, wrong)) }, pretended()...)
			wantWait(t, refused, model.ErrTooManyFailures, 24*3600+300)
		}},
		scene{"guesses of one address", func(t *testing.T, in *instance) {
			in.verifier.Guesses = code.NewGuesses(2)
			in.failLogins(alice, 2)
			refused := in.holding(func() error { return errOf(in.tryLogIn(alice, wrong)) }, pretended()...)
			wantWait(t, refused, model.ErrTooMany, 600)
		}},
	)
}

// pretended are the gates of attempts that are compared with nothing.
func pretended() (names [][]byte) {
	for i := range 64 {
		names = append(names, fmt.Appendf(nil, "pretend|%d", i))
	}
	return names
}

// TestKnownDevicesPassNoCommonGate: near the budget too.
func TestKnownDevicesPassNoCommonGate(t *testing.T) {
	runScenes(t, scene{"near the budget", func(t *testing.T, in *instance) {
		c := in.logIn(alice)
		in.defaults()
		in.quotas.Limits.DailyBudget = 100
		in.clock.Advance(time.Minute)
		passed := &gates{Store: in.quotas.Store}
		in.quotas.Store = passed
		in.wantSent(bob)
		strangers := passed.names
		passed.names = nil
		in.wantPool(model.SendKnown, alice, bearing(c.Credential))
		if len(strangers) < 3 || len(passed.names) < 2 {
			t.Fatalf("strangers passed %q, a known device %q", strangers, passed.names)
		}
		for _, name := range passed.names {
			if slices.Contains(strangers, name) {
				t.Errorf("both pass %s", name)
			}
		}
	}})
}

// TestFailuresOfParallelPools: attempts that found their code before strangers reached the
// limit of failures with codes of all pools are not compared after it.
func TestFailuresOfParallelPools(t *testing.T) {
	runScenes(t, scene{"twenty and no more", func(t *testing.T, in *instance) {
		c := in.logIn(alice)
		in.quotas.Limits.FailsPerMobileDay = 20
		for range 2 {
			in.receiveCode(alice)
			in.failLogins(alice, 5)
			in.clock.Advance(5 * time.Minute)
		}
		in.receiveCode(alice)
		in.sessions.Tx = &overtaken{in.sessions.Tx, func() {
			in.wantPool(model.SendOpen, alice)
			in.failLogins(alice, 5)
			in.wantPool(model.SendKnown, alice, bearing(c.Credential))
			in.failLogins(alice, 5)
		}}
		_, err := in.tryLogIn(alice, wrong)
		wantFailure(t, err, model.ErrTooManyFailures)
		in.wantAttempts(1+20, 0) // the first login's
	}})
}

// traced records what an attempt does in the database.
type traced struct {
	code.Store
	tx    code.Tx
	steps *[]string
}

func (s traced) step(name string) { *s.steps = append(*s.steps, name) }

// Within records a savepoint.
func (s traced) Within(ctx context.Context, act func(ctx context.Context) error) error {
	s.step("savepoint")
	return s.tx.Within(ctx, act)
}

// CountAttempt records an update.
func (s traced) CountAttempt(ctx context.Context, id int64, pool model.AttemptPool, most int) (bool, error) {
	s.step("update")
	return s.Store.CountAttempt(ctx, id, pool, most)
}

// Use records an update.
func (s traced) Use(ctx context.Context, id int64, pool model.AttemptPool, most int, now model.Time) (bool, error) {
	s.step("update")
	return s.Store.Use(ctx, id, pool, most, now)
}

// TestLateAttemptsAreAlike: attempts whose pool others close while they are under way do the
// same, right or wrong. Otherwise their time would tell of comparisons that were not counted.
func TestLateAttemptsAreAlike(t *testing.T) {
	runScenes(t, scene{"the pool closes", func(t *testing.T, in *instance) {
		late := func(right bool) string {
			var steps []string
			tx, store := in.verifier.Tx, in.verifier.Store
			defer func() { in.verifier.Tx, in.verifier.Store = tx, store }()
			guess := in.receiveCode(alice)
			if !right {
				guess = wrong
			}
			in.verifier.Tx, in.verifier.Store = traced{store, tx, &steps}, traced{store, tx, &steps}
			in.sessions.Tx = &overtaken{in.sessions.Tx, func() { in.sql("UPDATE codes SET attempts = 5") }}
			_, err := in.tryLogIn(alice, guess)
			wantFailure(t, err, model.ErrCode)
			slices.Sort(steps)
			return strings.Join(steps, " ")
		}
		if right, wrong := late(true), late(false); right != wrong || right != "update" {
			t.Errorf("a right one does %q, a wrong one %q", right, wrong)
		}
		if n := in.count("SELECT COUNT(*) FROM events WHERE kind = ?", model.EventCodeFailed); n != 0 {
			t.Errorf("%d events", n)
		}
	}})
}

// TestRefusedCodesAreBounded: a number whose messages all providers refuse is charged to no
// limit, and requests of the known pool to none of an address either. What they may leave,
// and ask of the providers, is bounded all the same.
func TestRefusedCodesAreBounded(t *testing.T) {
	runScenes(t, scene{"twenty an hour in each pool", func(t *testing.T, in *instance) {
		c := in.logIn(alice)
		in.defaults()
		in.clock.Advance(time.Minute)
		in.phone.fail = model.ErrSendRefused
		before := len(in.phone.messages())
		for range 20 {
			_, err := in.sendCode(alice, bearing(c.Credential))
			wantFailure(t, err, model.ErrProvider)
		}
		for range 5 {
			in.wantRefused(alice, model.ErrCooldown, 3600, bearing(c.Credential))
		}
		for range 20 { // the open pool has its own
			_, err := in.sendCode(alice)
			wantFailure(t, err, model.ErrProvider)
		}
		in.wantRefused(alice, model.ErrCooldown, 3600)
		if n := len(in.phone.messages()) - before; n != 40 {
			t.Errorf("the provider was asked %d times", n)
		}
		_, locks, err := in.admin.Number(t.Context(), service.Operator{Name: "ops"}, alice)
		wantFailure(t, err, nil)
		if wait := locks.NextCodeAt.Sub(in.clock.Time()); wait < time.Hour || wait >= time.Hour+time.Second {
			t.Errorf("the next one is in %v, want in an hour", wait)
		}
		in.phone.fail = nil
		_, err = in.admin.UnlockNumber(t.Context(), service.Operator{Name: "ops"}, alice, "r")
		wantFailure(t, err, nil)
		in.wantSent(alice)
		in.clock.Advance(time.Hour)
		in.phone.fail = model.ErrSendRefused
		_, err = in.sendCode(alice)
		wantFailure(t, err, model.ErrProvider)
	}})
}

// TestCrowd: strangers wait for each other with a part of the connections alone. Known
// devices, and attempts with tickets, do not wait for them.
func TestCrowd(t *testing.T) {
	runScenes(t, scene{"full", func(t *testing.T, in *instance) {
		c := in.logIn(alice)
		crowd := repository.NewCrowd(1)
		in.admission.Crowd, in.verifier.Crowd = crowd, crowd
		in.quotas.Limits.PerBlockHour = 100
		in.wantSent(bob)
		in.failLogins(numbered(1), 1)
		leave, err := crowd.Enter(t.Context())
		wantFailure(t, err, nil)
		defer leave()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		_, err = in.codes.Send(ctx, code.SendRequest{Mobile: bob, Purpose: model.PurposeLogin, Caller: model.Caller{IP: "192.0.2.1"}})
		wantFailure(t, err, model.ErrUnavailable)
		ctx, cancel = context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		_, err = in.login.Do(ctx, loginRequest(numbered(1), wrong))
		wantFailure(t, err, model.ErrUnavailable)
		code, ticket := in.receiveTicket(alice, bearing(c.Credential))
		_, err = in.tryLogIn(alice, code, withTicket(ticket))
		wantFailure(t, err, nil)
	}})
}

// TestChangesWaitInTurn: many changes of one user at once wait for each other without a
// connection, and other users do not wait for them.
func TestChangesWaitInTurn(t *testing.T) {
	runScenes(t, scene{"while one is under way", func(t *testing.T, in *instance) {
		own, other := in.row(in.logIn(alice)), in.row(in.logIn(bob))
		change := func(ctx context.Context, s model.Session, name string) error {
			_, err := in.users.Change(ctx, s, service.Changes{NickName: &name}, model.Caller{})
			return err
		}
		entered := false
		in.users.Endings.Tx = &overtaken{in.users.Endings.Tx, func() {
			in.users.Endings.Tx = &overtaken{in.users.Endings.Tx, func() { entered = true }}
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			defer cancel()
			wantFailure(t, change(ctx, own, "second"), model.ErrUnavailable)
			if entered {
				t.Error("the second one has a connection")
			}
			wantFailure(t, change(t.Context(), other, "other"), nil)
		}}
		wantFailure(t, change(t.Context(), own, "first"), nil)
		wantFailure(t, change(t.Context(), own, "third"), nil)
		if got := in.texts("SELECT nick_name FROM users ORDER BY nick_name"); !slices.Equal(got, []string{"other", "third"}) {
			t.Errorf("they are called %v", got)
		}
	}})
}
