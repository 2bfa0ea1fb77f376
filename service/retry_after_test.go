package service_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"menshen/model"
	"menshen/repository"
	"menshen/service"
)

// wantTruth takes a refusal at its word: a second before its time the same
// request is refused, and at its time it passes.
func (w *world) wantTruth(t *testing.T, what string, refusal error, again func() error) {
	t.Helper()
	seconds := model.AsFailure(refusal).RetryAfter()
	if refusal == nil || seconds < 1 {
		t.Fatalf("%s: error %v with %d s, want a refusal with a time", what, refusal, seconds)
	}
	w.clock.advance(time.Duration(seconds-1) * time.Second)
	if err := again(); err == nil || model.AsFailure(err).Status() != 429 || model.AsFailure(err).RetryAfter() != 1 {
		t.Fatalf("%s: a second before the %d s are over the answer is %v with %d s", what, seconds, err, model.AsFailure(err).RetryAfter())
	}
	w.clock.advance(time.Second)
	if err := again(); err != nil && model.AsFailure(err).Status() == 429 {
		t.Fatalf("%s: after %d s the answer is %v with %d s", what, seconds, err, model.AsFailure(err).RetryAfter())
	}
}

// throttle lets the provider refuse everything for so long by a limit of its own.
func (w *world) throttle(d time.Duration) {
	end := w.clock.time().Add(d)
	w.phone.during = func(context.Context) {
		w.phone.fail = nil
		if rest := end.Sub(w.clock.time()); rest > 0 {
			w.phone.fail = fmt.Errorf("%w: %w", model.ErrSendRefused, model.ErrCooldown.After(rest))
		}
	}
}

// TestRetryAfterOfEachLimit spends each limit and takes the refusal at its word,
// after a restart and on another instance as well.
func TestRetryAfterOfEachLimit(t *testing.T) {
	for _, row := range []struct {
		name   string
		rules  func(r *service.CodeRules)
		vendor time.Duration // for which its own limit refuses
		want   *model.Failure
	}{
		{"cooldown", func(r *service.CodeRules) { r.Cooldown = 61500 * ms }, 0, model.ErrCooldown},
		{"hour of the number", func(r *service.CodeRules) { r.PerMobileHour = 3 }, 0, model.ErrCooldown},
		{"day of the number", func(r *service.CodeRules) { r.PerMobileDay = 3 }, 0, model.ErrDailyLimit},
		{"hour of the address", func(r *service.CodeRules) { r.PerIPHour = 3 }, 0, model.ErrTooMany},
		{"day of the address", func(r *service.CodeRules) { r.PerIPDay = 3 }, 0, model.ErrTooMany},
		{"budget", func(r *service.CodeRules) { r.DailyBudget = 3 }, 0, model.ErrTooMany},
		{"failures", func(r *service.CodeRules) { r.FailsPerMobileDay = 3 }, 0, model.ErrTooManyFailures},
		{"all", func(r *service.CodeRules) {
			r.Cooldown, r.PerMobileHour, r.PerMobileDay, r.PerIPHour, r.PerIPDay, r.DailyBudget = time.Minute, 3, 3, 3, 3, 3
		}, 0, model.ErrTooMany},
		{"a vendor's", func(*service.CodeRules) {}, 61500 * ms, model.ErrCooldown},
		{"a vendor's, with the last of the address's hour", func(r *service.CodeRules) { r.PerIPHour = 1 }, time.Minute, model.ErrCooldown},
	} {
		play(t, scene{row.name, func(t *testing.T, w *world) {
			row.rules(&w.codes.Rules)
			w.throttle(row.vendor)
			ask := func() error {
				_, err := w.ask(alice)
				return err
			}
			var refusal error
			for i := 0; refusal == nil && i < 10; i++ {
				if refusal = ask(); refusal == nil && row.want == model.ErrTooManyFailures {
					_, _ = w.try(alice, wrong)
				}
				if refusal == nil {
					w.clock.advance(1234 * ms)
				} else if row.name == "all" && model.AsFailure(refusal).Code != row.want.Code {
					w.clock.advance(time.Minute) // the cooldown alone
					refusal = nil
				}
			}
			wantFailure(t, refusal, row.want)
			rules, other := w.codes.Rules, w.another()
			w.start()
			w.codes.Rules, other.codes.Rules = rules, rules
			w.wantTruth(t, row.name, refusal, func() error {
				if err := ask(); err == nil {
					return nil
				}
				_, err := other.ask(alice)
				return err
			})
		}})
	}
}

// TestRetryAfterOfLogins: the failures of a number refuse logins for as long as
// they say.
func TestRetryAfterOfLogins(t *testing.T) {
	play(t, scene{"failures", func(t *testing.T, w *world) {
		w.codes.Rules.FailsPerMobileDay = 3
		w.code(alice)
		w.clock.advance(1234 * ms)
		w.fail(alice, 3)
		_, err := w.try(alice, wrong)
		wantFailure(t, err, model.ErrTooManyFailures)
		w.wantTruth(t, "login", err, func() error {
			_, err := w.try(alice, wrong)
			return err
		})
	}})
}

// TestRetryAfterOfAThrottledGuess: whoever guesses while the vendor is asked makes
// the number's failures full, which refuse for longer than the vendor.
func TestRetryAfterOfAThrottledGuess(t *testing.T) {
	play(t, scene{"failures", func(t *testing.T, w *world) {
		w.codes.Rules.FailsPerMobileDay = 3
		w.phone.fail, w.phone.during = errMinute, func(context.Context) { w.fail(alice, 3) }
		_, err := w.ask(alice)
		wantFailure(t, err, model.ErrCooldown)
		w.phone.fail, w.phone.during = nil, nil
		w.wantTruth(t, "sending", err, func() error {
			_, err := w.ask(alice)
			return err
		})
	}})
}

// TestRetryAfterAtAnyTime walks at random under all limits at once: whatever was
// sent, guessed, throttled and refused before, a refusal tells the truth.
func TestRetryAfterAtAnyTime(t *testing.T) {
	eachDB(t, func(t *testing.T, db *repository.DB) {
		rapid.Check(t, func(r *rapid.T) {
			w := newWorld(t, db)
			w.codes.Rules = service.CodeRules{
				Length: 6, TTL: 5 * time.Minute, MaxAttempts: 5, Cooldown: time.Minute, PerMobileHour: 2, PerMobileDay: 4,
				PerIPHour: 3, PerIPDay: 6, DailyBudget: 9, FailsPerMobileDay: 6,
			}
			for step := range rapid.IntRange(5, 25).Draw(r, "steps") {
				mobile := numbered(rapid.IntRange(0, 2).Draw(r, "number"))
				from := fromIP(ipNumbered(rapid.IntRange(0, 2).Draw(r, "address")))
				vendor := rapid.SampledFrom([]time.Duration{0, 0, time.Minute, time.Hour}).Draw(r, "vendor")
				again := func() error {
					_, err := w.ask(mobile, from)
					return err
				}
				w.throttle(vendor)
				refusal := again()
				w.throttle(0)
				switch {
				case refusal == nil:
				case model.AsFailure(refusal).RetryAfter() == int64(vendor/time.Second):
					w.clock.advance(vendor) // a try before the vendor's time would charge the address once more
					if err := again(); err != nil {
						r.Fatalf("step %d: after the vendor's time the answer is %v", step, err)
					}
				default:
					w.wantTruth(t, fmt.Sprintf("step %d", step), refusal, again)
				}
				for range rapid.IntRange(0, 6).Draw(r, "guesses") {
					_, _ = w.try(mobile, wrong)
				}
				w.clock.advance(time.Duration(rapid.Int64Range(0, int64(2*time.Hour)).Draw(r, "pause")))
			}
		})
	})
}
