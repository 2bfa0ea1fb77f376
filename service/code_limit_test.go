package service_test

import (
	"context"
	"testing"
	"time"

	"menshen/model"
	"menshen/service"
)

const ms = time.Millisecond

// granted asks for a code that must come.
func (w *world) granted(mobile string, change ...func(r *service.SendRequest)) service.SendResult {
	w.t.Helper()
	sent, err := w.ask(mobile, change...)
	wantFailure(w.t, err, nil)
	return sent
}

// refused asks for a code that must not come, and compares the wait.
func (w *world) refused(mobile string, want *model.Failure, seconds int64, change ...func(r *service.SendRequest)) {
	w.t.Helper()
	before := len(w.phone.messages())
	_, err := w.ask(mobile, change...)
	wantWait(w.t, err, want, seconds)
	if len(w.phone.messages()) != before {
		w.t.Error("a message was sent")
	}
}

func TestNumberLimits(t *testing.T) {
	play(t,
		scene{"cooldown", func(t *testing.T, w *world) {
			w.codes.Rules.Cooldown = time.Minute
			if sent := w.granted(alice); sent.ResendAfter != 60 {
				t.Errorf("resendAfter is %d, want 60", sent.ResendAfter)
			}
			w.refused(alice, model.ErrCooldown, 60)
			w.clock.advance(ms)
			w.refused(alice, model.ErrCooldown, 60) // 59.999 s, rounded up
			w.clock.advance(59*time.Second + 998*ms)
			w.refused(alice, model.ErrCooldown, 1)
			w.clock.advance(ms)
			w.granted(alice)
			w.granted(bob) // another number
		}},
		scene{"hour", func(t *testing.T, w *world) {
			w.codes.Rules.PerMobileHour = 5
			for i := range 5 {
				sent := w.granted(alice)
				if want := map[bool]int64{true: 3600 - 4*600, false: 0}[i == 4]; sent.ResendAfter != want {
					t.Errorf("resendAfter of code %d is %d, want %d", i+1, sent.ResendAfter, want)
				}
				if i < 4 {
					w.clock.advance(10 * time.Minute)
				}
			}
			w.refused(alice, model.ErrCooldown, 1200)
			w.clock.advance(20*time.Minute - ms)
			w.refused(alice, model.ErrCooldown, 1)
			w.clock.advance(ms)
			w.granted(alice) // the first has left the window
			w.refused(alice, model.ErrCooldown, 600)
		}},
		scene{"day", func(t *testing.T, w *world) {
			w.codes.Rules.PerMobileDay = 10
			for range 10 {
				w.granted(alice)
				w.clock.advance(time.Hour)
			}
			w.refused(alice, model.ErrDailyLimit, 14*3600)
			w.clock.advance(14*time.Hour - ms)
			w.refused(alice, model.ErrDailyLimit, 1)
			w.clock.advance(ms)
			if sent := w.granted(alice); sent.ResendAfter != 3600 {
				t.Errorf("resendAfter is %d, want 3600", sent.ResendAfter)
			}
			w.refused(alice, model.ErrDailyLimit, 3600)
		}},
		scene{"the longest wait is told", func(t *testing.T, w *world) {
			w.defaults()
			w.codes.Rules.PerMobileDay = 5
			for i := range 5 {
				w.granted(alice)
				if i < 4 {
					w.clock.advance(time.Minute)
				}
			}
			w.refused(alice, model.ErrDailyLimit, 24*3600-240)
		}},
		scene{"over companies and purposes", func(t *testing.T, w *world) {
			w.codes.Rules.Cooldown = time.Minute
			w.granted(alice)
			w.refused(alice, model.ErrCooldown, 60, forCompany(1))
			w.refused(alice, model.ErrCooldown, 60, forPurpose(model.PurposeDelete))
			w.refused("+86 138-0013-8000", model.ErrCooldown, 60)
			w.refused("００８６ 138.0013.8000", model.ErrCooldown, 60)
		}},
		scene{"over a restart and another instance", func(t *testing.T, w *world) {
			w.defaults()
			w.granted(alice)
			other := w.another()
			other.defaults()
			other.refused(alice, model.ErrCooldown, 60)
			w.start()
			w.defaults()
			w.refused(alice, model.ErrCooldown, 60)
		}},
		scene{"a refusal is not counted", func(t *testing.T, w *world) {
			w.defaults()
			w.granted(alice)
			for range 200 {
				w.refused(alice, model.ErrCooldown, 60)
			}
			w.clock.advance(time.Minute)
			w.granted(alice)
			if n := w.count("SELECT COUNT(*) FROM codes"); n != 2 {
				t.Errorf("%d codes, want 2", n)
			}
		}},
		scene{"off", func(t *testing.T, w *world) {
			for range 30 {
				if sent := w.granted(alice); sent.ResendAfter != 0 {
					t.Errorf("resendAfter is %d, want 0", sent.ResendAfter)
				}
			}
		}},
		scene{"one is a limit too", func(t *testing.T, w *world) {
			w.codes.Rules.PerMobileHour, w.codes.Rules.PerMobileDay = 1, 2
			w.granted(alice)
			w.refused(alice, model.ErrCooldown, 3600)
			w.clock.advance(time.Hour)
			w.granted(alice)
			w.refused(alice, model.ErrDailyLimit, 23*3600)
		}},
		scene{"the clock is set back", func(t *testing.T, w *world) {
			w.defaults()
			first := w.code(alice)
			w.clock.advance(-10 * time.Minute)
			w.refused(alice, model.ErrCooldown, 660)
			w.codes.Rules.Cooldown = 0
			second := w.code(alice) // sent later, so the newest, whatever the clock says
			_, err := w.try(alice, first)
			wantFailure(t, err, model.ErrCode)
			_, err = w.try(alice, second)
			wantFailure(t, err, nil)
		}},
	)
}

// TestResendAfterIsTheTruth: a code that is asked for when the last answer said
// comes, and a second earlier does not.
func TestResendAfterIsTheTruth(t *testing.T) {
	play(t, scene{"25 codes", func(t *testing.T, w *world) {
		w.defaults()
		began := w.clock.time()
		for i := range 25 {
			wait := w.granted(alice, fromIP(ipNumbered(i))).ResendAfter
			if wait < 60 {
				t.Fatalf("resendAfter of code %d is %d", i+1, wait)
			}
			w.clock.advance(time.Duration(wait-1) * time.Second)
			_, err := w.ask(alice)
			if got := model.AsFailure(err).RetryAfter(); err == nil || got != 1 {
				t.Fatalf("code %d: a second before resendAfter the answer is %v with %d s", i+1, err, got)
			}
			w.clock.advance(time.Second)
		}
		if took := w.clock.time().Sub(began); took < 48*time.Hour || took > 72*time.Hour {
			t.Errorf("25 codes took %v; at ten a day it is above two days", took)
		}
	}})
}

func TestAddressLimits(t *testing.T) {
	play(t,
		scene{"hour", func(t *testing.T, w *world) {
			w.codes.Rules.PerIPHour = 3
			for i := range 3 {
				sent := w.granted(numbered(i))
				if want := map[bool]int64{true: 3600 - 2*600, false: 0}[i == 2]; sent.ResendAfter != want {
					t.Errorf("resendAfter of code %d is %d, want %d", i+1, sent.ResendAfter, want)
				}
				w.clock.advance(10 * time.Minute)
			}
			w.refused(alice, model.ErrTooMany, 1800)
			w.granted(alice, fromIP("192.0.2.2"))
			w.granted(alice, fromIP("192.0.2.10"))
			w.clock.advance(30*time.Minute - ms)
			w.refused(alice, model.ErrTooMany, 1)
			w.clock.advance(ms)
			w.granted(alice)
			w.refused(alice, model.ErrTooMany, 600)
		}},
		scene{"day", func(t *testing.T, w *world) {
			w.codes.Rules.PerIPDay = 2
			w.granted(numbered(0))
			w.clock.advance(5 * time.Hour)
			w.granted(numbered(1))
			w.refused(alice, model.ErrTooMany, 19*3600)
			w.clock.advance(19 * time.Hour)
			w.granted(alice)
		}},
		scene{"IPv6 by its network of 64 bits", func(t *testing.T, w *world) {
			w.codes.Rules.PerIPHour = 2
			w.granted(alice, fromIP("2001:db8:1:2::1"))
			w.granted(alice, fromIP("2001:db8:1:2:ffff:ffff:ffff:ffff"))
			w.refused(bob, model.ErrTooMany, 3600, fromIP("2001:DB8:1:2:0:0:0:9"))
			w.refused(bob, model.ErrTooMany, 3600, fromIP("2001:db8:1:2::9%eth0"))
			w.granted(bob, fromIP("2001:db8:1:3::1"))
		}},
		scene{"IPv4 within IPv6 is IPv4", func(t *testing.T, w *world) {
			w.codes.Rules.PerIPHour = 2
			w.granted(alice, fromIP("192.0.2.9"))
			w.granted(alice, fromIP("::ffff:192.0.2.9"))
			w.refused(bob, model.ErrTooMany, 3600, fromIP("192.0.2.9"))
			w.granted(bob, fromIP("::ffff:192.0.2.10"))
		}},
		scene{"an unknown address is one address", func(t *testing.T, w *world) {
			w.codes.Rules.PerIPHour = 2
			w.granted(alice, fromIP(""))
			w.granted(alice, fromIP("@"))
			w.refused(bob, model.ErrTooMany, 3600, fromIP("not an address"))
		}},
		scene{"budget", func(t *testing.T, w *world) {
			w.codes.Rules.DailyBudget = 4
			for i := range 4 {
				w.granted(numbered(i), fromIP(ipNumbered(i)), forCompany(int32(i%2)))
				w.clock.advance(time.Hour)
			}
			w.refused(alice, model.ErrTooMany, 20*3600, fromIP("203.0.113.1"))
			w.clock.advance(20 * time.Hour)
			w.granted(alice, fromIP("203.0.113.1"))
			w.refused(bob, model.ErrTooMany, 3600, fromIP("203.0.113.2"))
		}},
		scene{"what the provider refused counts for the address, but is no message of the budget", func(t *testing.T, w *world) {
			w.codes.Rules.PerIPHour, w.codes.Rules.DailyBudget = 2, 2
			w.phone.fail = model.ErrSendRefused
			for i := range 2 {
				_, err := w.ask(numbered(i))
				wantFailure(t, err, model.ErrProvider)
			}
			w.phone.fail = nil
			w.refused(alice, model.ErrTooMany, 3600)
			w.granted(alice, fromIP("192.0.2.2"))
			w.granted(bob, fromIP("192.0.2.2"))
			w.refused(numbered(5), model.ErrTooMany, 24*3600, fromIP("192.0.2.3"))
		}},
		scene{"refusals are not counted", func(t *testing.T, w *world) {
			w.codes.Rules.PerIPHour, w.codes.Rules.Cooldown = 2, time.Minute
			w.granted(alice)
			for range 20 {
				w.refused(alice, model.ErrCooldown, 60)
			}
			w.granted(bob)
			w.refused(numbered(1), model.ErrTooMany, 3600)
			w.granted(numbered(1), fromIP("192.0.2.2")) // the refusal was not charged to the number either
		}},
		scene{"the address is judged before the number, the longest wait is told", func(t *testing.T, w *world) {
			w.codes.Rules.PerIPHour, w.codes.Rules.Cooldown = 1, 2*time.Hour
			w.granted(alice)
			w.refused(alice, model.ErrTooMany, 2*3600)
			w.refused(bob, model.ErrTooMany, 3600)
		}},
		scene{"off", func(t *testing.T, w *world) {
			for i := range 30 {
				w.granted(numbered(i))
			}
		}},
	)
}

func TestFailureLimit(t *testing.T) {
	twenty := func(w *world) {
		w.codes.Rules.FailsPerMobileDay = 20
	}
	play(t,
		scene{"resending does not reset it", func(t *testing.T, w *world) {
			twenty(w)
			first := w.clock.time()
			for i := range 4 {
				w.code(alice)
				w.fail(alice, 5)
				if i < 3 {
					w.fail(alice, 3) // the dead code is not compared, so these do not count
				}
				w.clock.advance(10 * time.Minute)
			}
			until := first.Add(5*time.Minute + 24*time.Hour) // a day after the end of the code that makes the sum full
			wait := int64((until.Sub(w.clock.time()) + time.Second - 1) / time.Second)
			w.refused(alice, model.ErrTooManyFailures, wait)
			_, err := w.try(alice, wrong)
			wantWait(t, err, model.ErrTooManyFailures, wait)
			_, err = w.try(bob, wrong)
			wantFailure(t, err, model.ErrCode)
			w.clock.advance(until.Sub(w.clock.time()) - ms)
			w.refused(alice, model.ErrTooManyFailures, 1)
			w.clock.advance(ms)
			code := w.code(alice)
			_, err = w.try(alice, code)
			wantFailure(t, err, nil)
		}},
		scene{"after exactly so many the right code is not compared", func(t *testing.T, w *world) {
			twenty(w)
			w.codes.Rules.MaxAttempts = 100
			code := w.code(alice)
			w.fail(alice, 20)
			_, err := w.try(alice, code)
			wantWait(t, err, model.ErrTooManyFailures, 24*3600+300)
			if n := w.attempts(); n != 20 {
				t.Errorf("%d attempts, want 20", n)
			}
		}},
		scene{"one less and the right code is", func(t *testing.T, w *world) {
			twenty(w)
			w.codes.Rules.MaxAttempts = 100
			code := w.code(alice)
			w.fail(alice, 19)
			_, err := w.try(alice, code)
			wantFailure(t, err, nil)
		}},
		scene{"over companies, purposes and instances", func(t *testing.T, w *world) {
			twenty(w)
			other := w.another()
			twenty(other)
			w.code(alice)
			w.fail(alice, 5)
			w.code(alice, forCompany(1))
			other.fail(alice, 5, inCompany(1))
			w.code(alice, forCompany(7))
			w.fail(alice, 5, inCompany(7))
			w.code(alice)
			other.fail("+86 138 0013 8000", 5)
			for _, company := range []int32{0, 1, 7} {
				_, err := w.try(alice, wrong, inCompany(company))
				wantFailure(t, err, model.ErrTooManyFailures)
			}
			w.refused(alice, model.ErrTooManyFailures, 24*3600+300, forPurpose(model.PurposeDelete))
		}},
		scene{"a success takes back its own count", func(t *testing.T, w *world) {
			twenty(w)
			for range 3 {
				w.code(alice)
				w.fail(alice, 5)
			}
			for range 3 { // 15 failures; three successes add none
				code := w.code(alice)
				_, err := w.try(alice, code)
				wantFailure(t, err, nil)
			}
			code := w.code(alice)
			w.fail(alice, 4)
			_, err := w.try(alice, code) // 19: only its own attempt is taken back
			wantFailure(t, err, nil)
			w.code(alice)
			w.fail(alice, 1)
			_, err = w.try(alice, wrong)
			wantFailure(t, err, model.ErrTooManyFailures)
		}},
		scene{"what is not compared does not count", func(t *testing.T, w *world) {
			twenty(w)
			w.fail(alice, 25) // none was sent
			code := w.code(alice)
			w.clock.advance(5 * time.Minute)
			for range 25 { // it has expired
				_, err := w.try(alice, code)
				wantFailure(t, err, model.ErrCode)
			}
			_, err := w.try(alice, w.code(alice))
			wantFailure(t, err, nil)
		}},
		scene{"failures at a refused code count", func(t *testing.T, w *world) {
			w.codes.Rules.FailsPerMobileDay = 3
			w.phone.fail = model.ErrSendRefused
			w.phone.during = func(context.Context) { w.fail(alice, 3) } // while the provider is asked
			_, err := w.ask(alice)
			wantFailure(t, err, model.ErrProvider)
			w.refused(alice, model.ErrTooManyFailures, 24*3600+300)
		}},
		scene{"refused codes push none of them out of sight", func(t *testing.T, w *world) {
			w.codes.Rules.FailsPerMobileDay = 6
			w.code(alice)
			w.fail(alice, 5)
			live := w.code(alice)
			w.clock.advance(time.Minute)
			w.sql(`INSERT INTO codes (id, company_type, purpose, number_key, seq, code_mac, ip_key, sent_at, expires_at, delivery)
SELECT n.i, c.company_type, c.purpose, c.number_key, c.seq + 1000000 + n.i, c.code_mac, '', c.sent_at + 60000, c.expires_at + 60000, ?
FROM codes c, `+tenThousand+` n WHERE n.i <= 600 AND c.attempts = 0`, model.DeliveryRefused)
			w.fail(alice, 0)
			_, err := w.try(alice, live)
			wantFailure(t, err, nil)
			w.code(alice)
			w.fail(alice, 1)
			w.refused(alice, model.ErrTooManyFailures, 24*3600+300-60)
		}},
		scene{"it rolls", func(t *testing.T, w *world) {
			twenty(w)
			for range 4 {
				w.code(alice)
				w.fail(alice, 5)
				w.clock.advance(6 * time.Hour)
			}
			w.clock.advance(5 * time.Minute) // the first code's five have left
			w.code(alice)
			w.fail(alice, 5)
			w.refused(alice, model.ErrTooManyFailures, 6*3600)
		}},
		scene{"off", func(t *testing.T, w *world) {
			w.codes.Rules.MaxAttempts = 100
			code := w.code(alice)
			w.fail(alice, 60)
			_, err := w.try(alice, code)
			wantFailure(t, err, nil)
		}},
		scene{"50 guesses at once", func(t *testing.T, w *world) {
			w.codes.Rules.MaxAttempts, w.codes.Rules.FailsPerMobileDay = 100, 20
			w.code(alice)
			errs := race(50, func(int) error {
				_, err := w.try(alice, wrong)
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
			if n := w.attempts(); wrongs != 20 || n != 20 {
				t.Errorf("%d were told wrong, %d were compared; want 20 of both", wrongs, n)
			}
		}},
	)
}
