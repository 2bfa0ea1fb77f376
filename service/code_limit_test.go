package service_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"menshen/model"
	"menshen/service/code"
)

const ms = time.Millisecond

// wantSent requests a code, which must be sent.
func (in *instance) wantSent(mobile string, change ...func(r *code.SendRequest)) code.SendResult {
	in.t.Helper()
	sent, err := in.sendCode(mobile, change...)
	wantFailure(in.t, err, nil)
	return sent
}

// wantRefused requests a code, which must be refused with want and Retry-After.
func (in *instance) wantRefused(mobile string, want *model.Failure, seconds int64, change ...func(r *code.SendRequest)) {
	in.t.Helper()
	before := len(in.phone.messages())
	_, err := in.sendCode(mobile, change...)
	wantWait(in.t, err, want, seconds)
	if len(in.phone.messages()) != before {
		in.t.Error("a message was sent")
	}
}

func TestNumberLimits(t *testing.T) {
	runScenes(t,
		scene{"cooldown", func(t *testing.T, in *instance) {
			in.quotas.Limits.Cooldown = time.Minute
			if sent := in.wantSent(alice); sent.ResendAfter != 60 {
				t.Errorf("resendAfter is %d, want 60", sent.ResendAfter)
			}
			in.wantRefused(alice, model.ErrCooldown, 60)
			in.clock.Advance(ms)
			in.wantRefused(alice, model.ErrCooldown, 60) // 59.999 s, rounded up
			in.clock.Advance(59*time.Second + 998*ms)
			in.wantRefused(alice, model.ErrCooldown, 1)
			in.clock.Advance(ms)
			in.wantSent(alice)
			in.wantSent(bob) // another number
		}},
		scene{"hour", func(t *testing.T, in *instance) {
			in.quotas.Limits.PerMobileHour = 5
			for i := range 5 {
				sent := in.wantSent(alice)
				if want := map[bool]int64{true: 3600 - 4*600, false: 0}[i == 4]; sent.ResendAfter != want {
					t.Errorf("resendAfter of code %d is %d, want %d", i+1, sent.ResendAfter, want)
				}
				if i < 4 {
					in.clock.Advance(10 * time.Minute)
				}
			}
			in.wantRefused(alice, model.ErrCooldown, 1200)
			in.clock.Advance(20*time.Minute - ms)
			in.wantRefused(alice, model.ErrCooldown, 1)
			in.clock.Advance(ms)
			in.wantSent(alice) // the first has left the window
			in.wantRefused(alice, model.ErrCooldown, 600)
		}},
		scene{"day", func(t *testing.T, in *instance) {
			in.quotas.Limits.PerMobileDay = 10
			for range 10 {
				in.wantSent(alice)
				in.clock.Advance(time.Hour)
			}
			in.wantRefused(alice, model.ErrDailyLimit, 14*3600)
			in.clock.Advance(14*time.Hour - ms)
			in.wantRefused(alice, model.ErrDailyLimit, 1)
			in.clock.Advance(ms)
			if sent := in.wantSent(alice); sent.ResendAfter != 3600 {
				t.Errorf("resendAfter is %d, want 3600", sent.ResendAfter)
			}
			in.wantRefused(alice, model.ErrDailyLimit, 3600)
		}},
		scene{"the longest wait is told", func(t *testing.T, in *instance) {
			in.defaults()
			in.quotas.Limits.PerMobileDay = 5
			for i := range 5 {
				in.wantSent(alice)
				if i < 4 {
					in.clock.Advance(time.Minute)
				}
			}
			in.wantRefused(alice, model.ErrDailyLimit, 24*3600-240)
		}},
		scene{"over companies and purposes", func(t *testing.T, in *instance) {
			in.quotas.Limits.Cooldown = time.Minute
			in.wantSent(alice)
			in.wantRefused(alice, model.ErrCooldown, 60, forCompany(1))
			in.wantRefused(alice, model.ErrCooldown, 60, forPurpose(model.PurposeDelete))
			in.wantRefused("+86 138-0013-8000", model.ErrCooldown, 60)
			in.wantRefused("００８６ 138.0013.8000", model.ErrCooldown, 60)
		}},
		scene{"over a restart and another instance", func(t *testing.T, in *instance) {
			in.defaults()
			in.wantSent(alice)
			other := in.another()
			other.defaults()
			other.wantRefused(alice, model.ErrCooldown, 60)
			in.restart()
			in.defaults()
			in.wantRefused(alice, model.ErrCooldown, 60)
		}},
		scene{"a refusal is not counted", func(t *testing.T, in *instance) {
			in.defaults()
			in.wantSent(alice)
			for range 200 {
				in.wantRefused(alice, model.ErrCooldown, 60)
			}
			in.clock.Advance(time.Minute)
			in.wantSent(alice)
			if n := in.count("SELECT COUNT(*) FROM codes"); n != 2 {
				t.Errorf("%d codes, want 2", n)
			}
		}},
		scene{"off", func(t *testing.T, in *instance) {
			for range 30 {
				if sent := in.wantSent(alice); sent.ResendAfter != 0 {
					t.Errorf("resendAfter is %d, want 0", sent.ResendAfter)
				}
			}
		}},
		scene{"one is a limit too", func(t *testing.T, in *instance) {
			in.quotas.Limits.PerMobileHour, in.quotas.Limits.PerMobileDay = 1, 2
			in.wantSent(alice)
			in.wantRefused(alice, model.ErrCooldown, 3600)
			in.clock.Advance(time.Hour)
			in.wantSent(alice)
			in.wantRefused(alice, model.ErrDailyLimit, 23*3600)
		}},
		scene{"the clock is set back", func(t *testing.T, in *instance) {
			in.defaults()
			first := in.receiveCode(alice)
			in.clock.Advance(-10 * time.Minute)
			in.wantRefused(alice, model.ErrCooldown, 660)
			in.quotas.Limits.Cooldown = 0
			second := in.receiveCode(alice) // sent later, so the newest, whatever the clock says
			_, err := in.tryLogIn(alice, first)
			wantFailure(t, err, model.ErrCode)
			_, err = in.tryLogIn(alice, second)
			wantFailure(t, err, nil)
		}},
	)
}

// TestResendAfterIsTheTruth: a code that is asked for when the last answer said
// comes, and a second earlier does not.
func TestResendAfterIsTheTruth(t *testing.T) {
	runScenes(t, scene{"25 codes", func(t *testing.T, in *instance) {
		in.defaults()
		began := in.clock.Time()
		for i := range 25 {
			wait := in.wantSent(alice, fromIP(ipNumbered(i))).ResendAfter
			if wait < 60 {
				t.Fatalf("resendAfter of code %d is %d", i+1, wait)
			}
			in.clock.Advance(time.Duration(wait-1) * time.Second)
			_, err := in.sendCode(alice)
			if got := model.AsFailure(err).RetryAfter(); err == nil || got != 1 {
				t.Fatalf("code %d: a second before resendAfter the answer is %v with %d s", i+1, err, got)
			}
			in.clock.Advance(time.Second)
		}
		if took := in.clock.Time().Sub(began); took < 48*time.Hour || took > 72*time.Hour {
			t.Errorf("25 codes took %v; at ten a day it is above two days", took)
		}
	}})
}

func TestAddressLimits(t *testing.T) {
	runScenes(t,
		scene{"hour", func(t *testing.T, in *instance) {
			in.quotas.Limits.PerIPHour = 3
			for i := range 3 {
				sent := in.wantSent(numbered(i))
				if want := map[bool]int64{true: 3600 - 2*600, false: 0}[i == 2]; sent.ResendAfter != want {
					t.Errorf("resendAfter of code %d is %d, want %d", i+1, sent.ResendAfter, want)
				}
				in.clock.Advance(10 * time.Minute)
			}
			in.wantRefused(alice, model.ErrTooMany, 1800)
			in.wantSent(alice, fromIP("192.0.2.2"))
			in.wantSent(alice, fromIP("192.0.2.10"))
			in.clock.Advance(30*time.Minute - ms)
			in.wantRefused(alice, model.ErrTooMany, 1)
			in.clock.Advance(ms)
			in.wantSent(alice)
			in.wantRefused(alice, model.ErrTooMany, 600)
		}},
		scene{"day", func(t *testing.T, in *instance) {
			in.quotas.Limits.PerIPDay = 2
			in.wantSent(numbered(0))
			in.clock.Advance(5 * time.Hour)
			in.wantSent(numbered(1))
			in.wantRefused(alice, model.ErrTooMany, 19*3600)
			in.clock.Advance(19 * time.Hour)
			in.wantSent(alice)
		}},
		scene{"IPv6 by its network of 64 bits", func(t *testing.T, in *instance) {
			in.quotas.Limits.PerIPHour = 2
			in.wantSent(alice, fromIP("2001:db8:1:2::1"))
			in.wantSent(alice, fromIP("2001:db8:1:2:ffff:ffff:ffff:ffff"))
			in.wantRefused(bob, model.ErrTooMany, 3600, fromIP("2001:DB8:1:2:0:0:0:9"))
			in.wantRefused(bob, model.ErrTooMany, 3600, fromIP("2001:db8:1:2::9%eth0"))
			in.wantSent(bob, fromIP("2001:db8:1:3::1"))
		}},
		scene{"IPv4 within IPv6 is IPv4", func(t *testing.T, in *instance) {
			in.quotas.Limits.PerIPHour = 2
			in.wantSent(alice, fromIP("192.0.2.9"))
			in.wantSent(alice, fromIP("::ffff:192.0.2.9"))
			in.wantRefused(bob, model.ErrTooMany, 3600, fromIP("192.0.2.9"))
			in.wantRefused(bob, model.ErrTooMany, 3600, fromIP("64:ff9b::192.0.2.9"))
			in.wantSent(bob, fromIP("::ffff:192.0.2.10"))
			in.wantSent(bob, fromIP("64:ff9b::192.0.2.11"))
		}},
		scene{"an unknown address is one address", func(t *testing.T, in *instance) {
			in.quotas.Limits.PerIPHour = 2
			in.wantSent(alice, fromIP(""))
			in.wantSent(alice, fromIP("@"))
			in.wantRefused(bob, model.ErrTooMany, 3600, fromIP("not an address"))
		}},
		scene{"budget", func(t *testing.T, in *instance) {
			in.quotas.Limits.DailyBudget = 4
			for i := range 4 {
				in.wantSent(numbered(i), fromIP(ipNumbered(i)), forCompany(int32(i%2)))
				in.clock.Advance(time.Hour)
			}
			in.wantRefused(alice, model.ErrTooMany, 20*3600, fromIP("203.0.113.1"))
			in.clock.Advance(20 * time.Hour)
			in.wantSent(alice, fromIP("203.0.113.1"))
			in.wantRefused(bob, model.ErrTooMany, 3600, fromIP("203.0.113.2"))
		}},
		scene{"what the provider refused counts for the address, but is no message of the budget", func(t *testing.T, in *instance) {
			in.quotas.Limits.PerIPHour, in.quotas.Limits.DailyBudget = 2, 2
			in.phone.fail = model.ErrSendRefused
			for i := range 2 {
				_, err := in.sendCode(numbered(i))
				wantFailure(t, err, model.ErrProvider)
			}
			in.phone.fail = nil
			in.wantRefused(alice, model.ErrTooMany, 3600)
			in.wantSent(alice, fromIP("192.0.2.2"))
			in.wantSent(bob, fromIP("192.0.2.2"))
			in.wantRefused(numbered(5), model.ErrTooMany, 24*3600, fromIP("192.0.2.3"))
		}},
		scene{"refusals are not counted", func(t *testing.T, in *instance) {
			in.quotas.Limits.PerIPHour, in.quotas.Limits.Cooldown = 2, time.Minute
			in.wantSent(alice)
			for range 20 {
				in.wantRefused(alice, model.ErrCooldown, 60)
			}
			in.wantSent(bob)
			in.wantRefused(numbered(1), model.ErrTooMany, 3600)
			in.wantSent(numbered(1), fromIP("192.0.2.2")) // the refusal was not charged to the number either
		}},
		scene{"the address is judged before the number, the longest wait is told", func(t *testing.T, in *instance) {
			in.quotas.Limits.PerIPHour, in.quotas.Limits.Cooldown = 1, 2*time.Hour
			in.wantSent(alice)
			in.wantRefused(alice, model.ErrTooMany, 2*3600)
			in.wantRefused(bob, model.ErrTooMany, 3600)
		}},
		scene{"off", func(t *testing.T, in *instance) {
			for i := range 30 {
				in.wantSent(numbered(i))
			}
		}},
	)
}

// wantLocked tries a code and wants the refusal of a number with too many failures.
func (in *instance) wantLocked(mobile string, seconds int64) {
	in.t.Helper()
	_, err := in.tryLogIn(mobile, wrong)
	wantWait(in.t, err, model.ErrTooManyFailures, seconds)
}

func TestFailureLimit(t *testing.T) {
	twenty := func(in *instance) {
		in.quotas.Limits.FailsPerMobileDay = 20
	}
	runScenes(t,
		scene{"resending does not reset it", func(t *testing.T, in *instance) {
			twenty(in)
			first := in.clock.Time()
			for i := range 4 {
				in.receiveCode(alice)
				in.failLogins(alice, 5)
				if i < 3 {
					in.failLogins(alice, 3) // the dead code is not compared, so these do not count
				}
				in.clock.Advance(10 * time.Minute)
			}
			until := first.Add(5*time.Minute + 24*time.Hour) // a day after the end of the code that makes the sum full
			wait := int64((until.Sub(in.clock.Time()) + time.Second - 1) / time.Second)
			in.wantLocked(alice, wait)
			_, err := in.tryLogIn(bob, wrong)
			wantFailure(t, err, model.ErrCode)
			in.clock.Advance(until.Sub(in.clock.Time()) - ms)
			code := in.receiveCode(alice) // is sent all the same
			in.wantLocked(alice, 1)
			in.clock.Advance(ms)
			_, err = in.tryLogIn(alice, code)
			wantFailure(t, err, nil)
		}},
		scene{"after exactly so many the right code is not compared", func(t *testing.T, in *instance) {
			twenty(in)
			in.quotas.Limits.MaxAttempts = 100
			code := in.receiveCode(alice)
			in.failLogins(alice, 20)
			_, err := in.tryLogIn(alice, code)
			wantWait(t, err, model.ErrTooManyFailures, 24*3600+300)
			if n := in.attempts(); n != 20 {
				t.Errorf("%d attempts, want 20", n)
			}
		}},
		scene{"one less and the right code is", func(t *testing.T, in *instance) {
			twenty(in)
			in.quotas.Limits.MaxAttempts = 100
			code := in.receiveCode(alice)
			in.failLogins(alice, 19)
			_, err := in.tryLogIn(alice, code)
			wantFailure(t, err, nil)
		}},
		scene{"over companies, purposes and instances", func(t *testing.T, in *instance) {
			twenty(in)
			other := in.another()
			twenty(other)
			in.receiveCode(alice)
			in.failLogins(alice, 5)
			in.receiveCode(alice, forCompany(1))
			other.failLogins(alice, 5, inCompany(1))
			in.receiveCode(alice, forCompany(7))
			in.failLogins(alice, 5, inCompany(7))
			in.receiveCode(alice)
			other.failLogins("+86 138 0013 8000", 5)
			for _, company := range []int32{0, 1, 7} {
				_, err := in.tryLogIn(alice, wrong, inCompany(company))
				wantFailure(t, err, model.ErrTooManyFailures)
			}
			in.wantSent(alice, forPurpose(model.PurposeDelete))
		}},
		scene{"a success takes back the failures of its code", func(t *testing.T, in *instance) {
			twenty(in)
			for range 3 {
				in.receiveCode(alice)
				in.failLogins(alice, 5)
			}
			for range 3 { // 15 failures; three successes add none
				code := in.receiveCode(alice)
				_, err := in.tryLogIn(alice, code)
				wantFailure(t, err, nil)
			}
			code := in.receiveCode(alice)
			in.failLogins(alice, 4)
			_, err := in.tryLogIn(alice, code)
			wantFailure(t, err, nil)
			in.receiveCode(alice)
			in.failLogins(alice, 5) // 20
			in.wantLocked(alice, 24*3600+300)
		}},
		scene{"what is not compared does not count", func(t *testing.T, in *instance) {
			twenty(in)
			in.failLogins(alice, 25) // none was sent
			code := in.receiveCode(alice)
			in.clock.Advance(5 * time.Minute)
			for range 25 { // it has expired
				_, err := in.tryLogIn(alice, code)
				wantFailure(t, err, model.ErrCode)
			}
			_, err := in.tryLogIn(alice, in.receiveCode(alice))
			wantFailure(t, err, nil)
		}},
		scene{"failures at a refused code count", func(t *testing.T, in *instance) {
			in.quotas.Limits.FailsPerMobileDay = 3
			in.phone.fail = model.ErrSendRefused
			in.phone.during = func(context.Context) { in.failLogins(alice, 3) } // while the provider is asked
			_, err := in.sendCode(alice)
			wantFailure(t, err, model.ErrProvider)
			in.wantLocked(alice, 24*3600+300)
		}},
		scene{"refused codes push none of them out of sight", func(t *testing.T, in *instance) {
			in.quotas.Limits.FailsPerMobileDay = 6
			in.receiveCode(alice)
			in.failLogins(alice, 5)
			live := in.receiveCode(alice)
			in.clock.Advance(time.Minute)
			in.sql(`INSERT INTO codes (id, company_type, purpose, number_key, seq, code_mac, ip_key, sent_at, expires_at, delivery, send_pool)
SELECT n.i, c.company_type, c.purpose, c.number_key, c.seq + 1000000 + n.i, c.code_mac, '', c.sent_at + 60000, c.expires_at + 60000, ?, ?
FROM codes c, `+tenThousand+` n WHERE n.i <= 600 AND c.attempts = 0`, model.DeliveryRefused, model.SendKnown)
			_, err := in.tryLogIn(alice, live)
			wantFailure(t, err, nil)
			in.receiveCode(alice)
			in.failLogins(alice, 1)
			in.wantLocked(alice, 24*3600+300-60)
		}},
		scene{"it rolls", func(t *testing.T, in *instance) {
			twenty(in)
			for range 4 {
				in.receiveCode(alice)
				in.failLogins(alice, 5)
				in.clock.Advance(6 * time.Hour)
			}
			in.clock.Advance(5 * time.Minute) // the first code's five have left
			in.receiveCode(alice)
			in.failLogins(alice, 5)
			in.wantLocked(alice, 6*3600)
		}},
		scene{"off", func(t *testing.T, in *instance) {
			in.quotas.Limits.MaxAttempts = 100
			code := in.receiveCode(alice)
			in.failLogins(alice, 60)
			_, err := in.tryLogIn(alice, code)
			wantFailure(t, err, nil)
		}},
		scene{"at the codes of all companies at once", func(t *testing.T, in *instance) {
			in.quotas.Limits.FailsPerMobileDay = 12
			companies := []int32{0, 1, 7}
			for _, company := range companies {
				in.receiveCode(alice, forCompany(company))
			}
			wrongs := 0
			for _, err := range race(24, func(i int) error { return errOf(in.tryLogIn(alice, wrong, inCompany(companies[i%3]))) }) {
				if !errors.Is(err, model.ErrTooManyFailures) {
					wantFailure(t, err, model.ErrCode)
					wrongs++
				}
			}
			if n := in.attempts(); n != 12 || wrongs < 12 {
				t.Errorf("%d were compared, %d told wrong; want 12", n, wrongs)
			}
		}},
		scene{"50 guesses at once", func(t *testing.T, in *instance) {
			in.quotas.Limits.MaxAttempts, in.quotas.Limits.FailsPerMobileDay = 100, 20
			in.receiveCode(alice)
			errs := race(50, func(int) error {
				_, err := in.tryLogIn(alice, wrong)
				return err
			})
			wrongs := 0
			for _, err := range errs {
				if model.AsFailure(err).Code == model.ErrCode.Code {
					wrongs++
				} else {
					wantFailure(t, err, model.ErrTooManyFailures)
				}
			}
			if n := in.attempts(); wrongs != 20 || n != 20 {
				t.Errorf("%d were told wrong, %d were compared; want 20 of both", wrongs, n)
			}
		}},
	)
}
