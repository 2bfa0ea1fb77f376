package service_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"menshen/model"
	"menshen/service"
	"menshen/service/code"
)

// unlock lifts the limits of a number, which must clear as many of them as wanted.
func (in *instance) unlock(mobile string, cleared int) {
	in.t.Helper()
	if got, err := in.admin.UnlockNumber(in.t.Context(), root, mobile, "owner called"); err != nil || got != cleared {
		in.t.Errorf("cleared %d, error %v; want %d", got, err, cleared)
	}
}

// wantLocks compares what an operator sees of a number. Times are rounded up.
func (in *instance) wantLocks(mobile string, want code.Locks) {
	in.t.Helper()
	for _, at := range []*model.Time{&want.FailuresUntil, &want.NextCodeAt} {
		if *at%1000 != 0 {
			*at = at.Second().Add(time.Second)
		}
	}
	_, got, err := in.admin.Number(in.t.Context(), root, mobile)
	if err != nil || got != want {
		in.t.Errorf("locks %+v, error %v; want %+v", got, err, want)
	}
}

// lockAll does what strangers can do to a number: all failures and messages of a day.
func (in *instance) lockAll(mobile string) {
	in.t.Helper()
	in.defaults()
	in.quotas.Limits.PerIPHour, in.quotas.Limits.PerIPDay = 0, 0
	for i := range 10 {
		in.wantSent(mobile)
		if i >= 6 {
			in.failLogins(mobile, 5)
		}
		if i < 9 {
			in.clock.Advance(12 * time.Minute)
		}
	}
	_, err := in.tryLogIn(mobile, wrong)
	wantFailure(in.t, err, model.ErrTooManyFailures)
	_, err = in.sendCode(mobile)
	wantFailure(in.t, err, model.ErrDailyLimit)
}

func TestUnlock(t *testing.T) {
	runScenes(t,
		scene{"what strangers did to a number", func(t *testing.T, in *instance) {
			c, there := in.logIn(alice), in.logIn(alice, inCompany(1))
			in.sql("DELETE FROM codes")
			began := in.clock.Time()
			in.lockAll(alice)
			last := in.clock.Time()
			in.wantLocks(alice, code.Locks{
				Failures: 20, FailuresUntil: last.Add(5*time.Minute + 24*time.Hour - 36*time.Minute), CodesToday: 10, NextCodeAt: began.Add(24 * time.Hour),
			})
			in.unlock("+86 138-0013-8000", 4)
			in.wantLocks(alice, code.Locks{})
			in.wantPool(model.SendOpen, alice, bearing(c.Credential))
			code := in.phone.last()
			_, err := in.sendCode(alice, bearing(there.Credential), forCompany(1))
			wantWait(t, err, model.ErrCooldown, 60)
			result, err := in.tryLogIn(alice, code)
			wantFailure(t, err, nil)
			in.wantPool(model.SendKnown, alice, bearing(result.Credential)) // a new one is good
			in.unlock(alice, 6)
			in.unlock(alice, 0)
		}},
		scene{"each limit that held something counts", func(_ *testing.T, in *instance) {
			c := in.logIn(alice)
			in.sql("DELETE FROM codes")
			in.defaults()
			in.unlock(alice, 0)
			in.wantSent(alice)
			in.unlock(alice, 3)
			in.wantSent(alice)
			in.clock.Advance(time.Minute)
			in.unlock(alice, 2)
			in.wantSent(alice)
			in.clock.Advance(time.Hour)
			in.unlock(alice, 1)
			in.wantSent(alice)
			in.clock.Advance(24 * time.Hour)
			in.unlock(alice, 0)
			in.receiveCode(alice)
			in.failLogins(alice, 1)
			in.unlock(alice, 4)
			result, err := in.tryLogIn(alice, in.phone.last())
			wantFailure(in.t, err, nil)
			c.LoginResult = result
			in.wantSent(alice)
			in.wantSent(alice, bearing(c.Credential))
			in.failLogins(alice, 3)
			in.unlock(alice, 7)
			in.wantSent(alice)
			in.quotas.Limits.Cooldown, in.quotas.Limits.PerMobileDay, in.quotas.Limits.FailsPerMobileDay = 0, 0, 0 // those that are off hold nothing
			in.unlock(alice, 1)
		}},
		scene{"a closed pool stays closed, and new failures count", func(t *testing.T, in *instance) {
			in.quotas.Limits.FailsPerMobileDay = 6
			closed := in.receiveCode(alice)
			in.failLogins(alice, 5)
			other := in.receiveCode(alice, forCompany(1))
			in.failLogins(alice, 1, inCompany(1))
			in.wantLocked(alice, 24*3600+300)
			in.unlock(alice, 1)
			in.wantLocks(alice, code.Locks{CodesToday: 0})
			_, err := in.tryLogIn(alice, closed)
			wantFailure(t, err, model.ErrCode)
			in.failLogins(alice, 2, inCompany(1))
			in.wantLocks(alice, code.Locks{Failures: 2})
			_, err = in.tryLogIn(alice, other, inCompany(1))
			wantFailure(t, err, nil)
		}},
		scene{"of other numbers, addresses and the deployment nothing", func(_ *testing.T, in *instance) {
			in.quotas.Limits.Cooldown, in.quotas.Limits.PerIPHour = time.Minute, 2
			in.wantSent(alice)
			in.wantSent(bob)
			in.unlock(alice, 1)
			in.wantRefused(alice, model.ErrTooMany, 3600)
			in.quotas.Limits.PerIPHour = 0
			in.wantRefused(bob, model.ErrCooldown, 60)
			in.quotas.Limits.DailyBudget = 2
			in.wantRefused(alice, model.ErrTooMany, 24*3600)
		}},
		scene{"of a user", func(t *testing.T, in *instance) {
			c := in.logIn(alice)
			in.sql("DELETE FROM codes")
			in.lockAll(alice)
			if n, err := in.admin.Unlock(t.Context(), root, c.user, "r"); err != nil || n != 4 {
				t.Errorf("cleared %d, error %v", n, err)
			}
			in.wantLocks(alice, code.Locks{})
			in.wantPool(model.SendOpen, alice, bearing(c.Credential))
			_, err := in.admin.Unlock(t.Context(), root, 42, "r")
			wantFailure(t, err, model.ErrNotFound)
			in.quotas.Limits = code.Limits{MaxAttempts: 5}
			in.deleteAccount(c, alice)
			_, err = in.admin.Unlock(t.Context(), root, c.user, "r")
			wantFailure(t, err, model.ErrNotFound)
		}},
		scene{"of a company that is served no more", func(t *testing.T, in *instance) {
			c := in.logIn(alice, inCompany(1))
			in.serve(func(c *model.Catalog) { c.Companies = c.Companies[:1] })
			if _, err := in.admin.Unlock(t.Context(), root, c.user, "r"); err != nil {
				t.Error(err)
			}
			if n := in.count("SELECT credential_epoch FROM users WHERE id = ?", c.user); n != 1 {
				t.Errorf("the epoch is %d", n)
			}
		}},
		scene{"no number", func(t *testing.T, in *instance) {
			_, err := in.admin.UnlockNumber(t.Context(), root, "12345", "r")
			wantFailure(t, err, model.ErrMobile)
			_, _, err = in.admin.Number(t.Context(), root, "12345")
			wantFailure(t, err, model.ErrMobile)
		}},
		scene{"the log refuses", func(t *testing.T, in *instance) {
			c := in.logIn(alice)
			in.sql("DELETE FROM codes")
			in.lockAll(alice)
			restore := in.failEvents(model.EventUnlocked)
			_, err := in.admin.UnlockNumber(t.Context(), root, alice, "r")
			wantFailure(t, err, model.ErrUnavailable)
			in.wantRefused(alice, model.ErrDailyLimit, 24*3600-9*12*60)
			_, err = in.tryLogIn(alice, wrong)
			wantFailure(t, err, model.ErrTooManyFailures)
			in.wantPool(model.SendKnown, alice, bearing(c.Credential))
			restore()
			in.unlock(alice, 7)
		}},
	)
}

func TestUnlockEvents(t *testing.T) {
	runScenes(t,
		scene{"one for each account", func(t *testing.T, in *instance) {
			a, b := in.logIn(alice), in.logIn(alice, inCompany(1))
			in.clearEvents()
			in.unlock(alice, 0)
			for range 3 {
				in.wantLocks(alice, code.Locks{})
			}
			want := []line{{Kind: "unlocked", Actor: "root", Detail: `{"mobile":"138****8000","reason":"owner called"}`}, {Kind: "viewed", Actor: "root", Detail: `{"mobile":"138****8000"}`}}
			for _, user := range []int64{a.user, b.user} {
				if got := in.lines(t, user, model.Kinds()...); !slices.Equal(got, want) {
					t.Errorf("the log has %+v, want %+v", got, want)
				}
			}
			in.unlock(alice, 0)
			in.wantEvents("unlocked", "unlocked", "viewed", "viewed", "unlocked", "unlocked") // acts are not folded
			if got := in.texts("SELECT count FROM folds"); !slices.Equal(got, []string{"3", "3"}) {
				t.Errorf("looks are counted %v", got)
			}
		}},
		scene{"without an account", func(t *testing.T, in *instance) {
			in.unlock(alice, 0)
			for i := range 2 {
				in.wantLocks(alice, code.Locks{})
				in.wantLocks(bob, code.Locks{})
				if _, _, err := in.admin.Number(t.Context(), service.Operator{Name: "ops"}, alice); err != nil {
					t.Error(err)
				}
				in.clock.Advance(time.Duration(i) * time.Minute)
			}
			in.wantEvents("unlocked", "viewed", "viewed", "viewed") // by operator and number
			in.clock.Advance(time.Hour)
			in.wantLocks(alice, code.Locks{})
			if n := in.count("SELECT COUNT(*) FROM events WHERE kind = 'viewed' AND user_id = 0"); n != 4 {
				t.Errorf("%d looks, want 4", n)
			}
		}},
		scene{"a look that cannot be recorded is none", func(t *testing.T, in *instance) {
			in.failEvents(model.EventViewed)
			_, _, err := in.admin.Number(t.Context(), root, alice)
			wantFailure(t, err, model.ErrUnavailable)
		}},
	)
}

// TestUnlockRaces: beside messages and attempts, what is forgotten and what counts add up.
func TestUnlockRaces(t *testing.T) {
	runScenes(t,
		scene{"attempts", func(t *testing.T, in *instance) {
			in.quotas.Limits.MaxAttempts, in.quotas.Limits.FailsPerMobileDay = 100, 20
			in.receiveCode(alice)
			wrongs := 0
			for i, err := range race(60, func(i int) error {
				if i == 20 {
					return errOf(in.admin.UnlockNumber(t.Context(), root, alice, "r"))
				}
				return errOf(in.tryLogIn(alice, wrong))
			}) {
				switch {
				case i == 20:
					wantFailure(t, err, nil)
				case errors.Is(err, model.ErrCode):
					wrongs++
				default:
					wantFailure(t, err, model.ErrTooManyFailures)
				}
			}
			_, locks, err := in.admin.Number(t.Context(), root, alice)
			if err != nil || wrongs > 40 || locks.Failures > 20 || int64(wrongs) != in.attempts() {
				t.Errorf("%d were wrong, %d attempts, locks %+v, error %v", wrongs, in.attempts(), locks, err)
			}
		}},
		scene{"messages", func(t *testing.T, in *instance) {
			in.defaults()
			errs := race(32, func(i int) error {
				if i == 16 {
					return errOf(in.admin.UnlockNumber(t.Context(), root, alice, "r"))
				}
				return errOf(in.sendCode(alice))
			})
			wantFailure(t, errs[16], nil)
			sent := 0
			for _, err := range slices.Delete(errs, 16, 17) {
				if err == nil {
					sent++
				} else if !errors.Is(err, context.DeadlineExceeded) {
					wantFailure(t, err, model.ErrCooldown)
				}
			}
			forgiven := in.count("SELECT COUNT(*) FROM codes WHERE forgiven <> 0")
			if n := in.count("SELECT COUNT(*) FROM codes"); sent > 2 || int(n) != sent || forgiven > 1 || n-forgiven > 1 {
				t.Errorf("%d sent, %d codes, %d of them forgiven", sent, n, forgiven)
			}
		}},
	)
}

// gates records the names of the gates that are passed.
type gates struct {
	code.Store
	names []string
}

// Gate records the name.
func (g *gates) Gate(ctx context.Context, name []byte, now model.Time) error {
	g.names = append(g.names, fmt.Sprintf("%.10s", name))
	return g.Store.Gate(ctx, name, now)
}

// want compares the gates since the last call with the beginnings of their names.
func (g *gates) want(t *testing.T, names ...string) {
	t.Helper()
	slices.Sort(g.names)
	g.names = slices.Compact(g.names) // to pretend is to pass one three times
	if !slices.EqualFunc(g.names, names, strings.HasPrefix) {
		t.Fatalf("the gates are %q, want %q", g.names, names)
	}
	g.names = nil
}

// TestGates: a known device waits for no stranger, an attempt for another only near the
// limit, and an operator for all.
func TestGates(t *testing.T) {
	runScenes(t, scene{"by pool", func(t *testing.T, in *instance) {
		c := in.logIn(alice)
		passed := &gates{Store: in.quotas.Store}
		in.quotas.Store, in.verifier.Store = passed, passed
		in.quotas.Limits.PerMobileDay, in.quotas.Limits.FailsPerMobileDay = 2, 20
		in.passChallenges()
		want := func(names ...string) {
			t.Helper()
			passed.want(t, names...)
		}
		in.clock.Advance(24 * time.Hour)
		in.wantSent(alice)
		want("number|")
		in.wantSent(alice, bearing(c.Credential))
		want("known|")
		in.wantSent(alice)
		want("number|")
		in.wantSent(alice, answering("right"))
		want("challenged|"[:10])
		if n := in.count("SELECT COUNT(*) FROM codes WHERE seq % 4 <> send_pool"); n != 0 {
			t.Errorf("%d codes have the order of another pool", n)
		}
		in.failLogins(alice, 1)
		want("failures|") // four codes live
		in.unlock(alice, 4)
		want("challenged", "failures|", "known|", "number|")
		in.clock.Advance(5 * time.Minute)
		in.failLogins(alice, 1)
		want("pretend|")
		in.receiveCode(alice)
		passed.names = nil
		in.failLogins(alice, 1)
		want()
		in.failLogins(alice, 4)
		want()
		in.failLogins(alice, 1) // the pool is closed
		want("pretend|")
		_, err := in.tryLogIn(alice, in.receiveCode(alice))
		wantFailure(t, err, nil)
		passed.names = nil
		in.failLogins(alice, 1) // the code is used
		want("pretend|")
	}})
}
