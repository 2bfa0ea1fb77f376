package service_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"menshen/model"
	"menshen/repository"
	"menshen/service/code"
)

// wantTruth takes a refusal at its word: a second before its time the same
// request is refused, and at its time it passes.
func (in *instance) wantTruth(t rapid.TB, what string, refusal error, again func() error) {
	t.Helper()
	seconds := model.AsFailure(refusal).RetryAfter()
	if refusal == nil || seconds < 1 {
		t.Fatalf("%s: error %v with %d s, want a refusal with a time", what, refusal, seconds)
	}
	in.clock.Advance(time.Duration(seconds-1) * time.Second)
	if err := again(); err == nil || model.AsFailure(err).Status() != 429 || model.AsFailure(err).RetryAfter() != 1 {
		t.Fatalf("%s: a second before the %d s are over the answer is %v with %d s", what, seconds, err, model.AsFailure(err).RetryAfter())
	}
	in.clock.Advance(time.Second)
	if err := again(); err != nil && model.AsFailure(err).Status() == 429 {
		t.Fatalf("%s: after %d s the answer is %v with %d s", what, seconds, err, model.AsFailure(err).RetryAfter())
	}
}

// throttleProvider lets the provider refuse every message for d, by a limit of its own.
func (in *instance) throttleProvider(d time.Duration) {
	end := in.clock.Time().Add(d)
	in.phone.during = func(context.Context) {
		in.phone.fail = nil
		if rest := end.Sub(in.clock.Time()); rest > 0 {
			in.phone.fail = fmt.Errorf("%w: %w", model.ErrSendRefused, model.ErrCooldown.After(rest))
		}
	}
}

// TestRetryAfterOfEachLimit spends each limit and takes the refusal at its word,
// after a restart and on another instance as well.
func TestRetryAfterOfEachLimit(t *testing.T) {
	for _, row := range []struct {
		name   string
		rules  func(r *code.Limits)
		vendor time.Duration // for which its own limit refuses
		want   *model.Failure
	}{
		{"cooldown", func(r *code.Limits) { r.Cooldown = 61500 * ms }, 0, model.ErrCooldown},
		{"hour of the number", func(r *code.Limits) { r.PerMobileHour = 3 }, 0, model.ErrCooldown},
		{"day of the number", func(r *code.Limits) { r.PerMobileDay = 3 }, 0, model.ErrDailyLimit},
		{"hour of the address", func(r *code.Limits) { r.PerIPHour = 3 }, 0, model.ErrTooMany},
		{"day of the address", func(r *code.Limits) { r.PerIPDay = 3 }, 0, model.ErrTooMany},
		{"budget", func(r *code.Limits) { r.DailyBudget = 3 }, 0, model.ErrTooMany},
		{"hour of the block", func(r *code.Limits) { r.PerBlockHour = 3 }, 0, model.ErrTooMany},
		{"day of the block", func(r *code.Limits) { r.PerBlockDay = 3 }, 0, model.ErrTooMany},
		{"hour of the budget", func(r *code.Limits) { r.DailyBudget, r.HourlyShare = 12, 25 }, 0, model.ErrTooMany},
		{"budget without the reserve", func(r *code.Limits) { r.DailyBudget, r.Reserve = 5, 30 }, 0, model.ErrTooMany},
		{"all", func(r *code.Limits) {
			r.Cooldown, r.PerMobileHour, r.PerMobileDay, r.PerIPHour, r.PerIPDay, r.DailyBudget = time.Minute, 3, 3, 3, 3, 3
		}, 0, model.ErrTooMany},
		{"a vendor's", func(*code.Limits) {}, 61500 * ms, model.ErrCooldown},
		{"a vendor's, with the last of the address's hour", func(r *code.Limits) { r.PerIPHour = 1 }, time.Minute, model.ErrCooldown},
	} {
		runScenes(t, scene{row.name, func(t *testing.T, in *instance) {
			row.rules(&in.quotas.Limits)
			in.throttleProvider(row.vendor)
			ask := func() error {
				_, err := in.sendCode(alice)
				return err
			}
			var refusal error
			for i := 0; refusal == nil && i < 10; i++ {
				if refusal = ask(); refusal == nil {
					in.clock.Advance(1234 * ms)
				} else if row.name == "all" && model.AsFailure(refusal).Code != row.want.Code {
					in.clock.Advance(time.Minute) // the cooldown alone
					refusal = nil
				}
			}
			wantFailure(t, refusal, row.want)
			rules, other := in.quotas.Limits, in.another()
			in.restart()
			in.quotas.Limits, other.quotas.Limits = rules, rules
			in.wantTruth(t, row.name, refusal, func() error {
				if err := ask(); err == nil {
					return nil
				}
				_, err := other.sendCode(alice)
				return err
			})
		}})
	}
}

// TestRetryAfterOfTwoLimits: a limit that was found full a moment ago does not hide one
// that opens later.
func TestRetryAfterOfTwoLimits(t *testing.T) {
	runScenes(t, scene{"block and address", func(t *testing.T, in *instance) {
		in.quotas.Limits.PerIPHour, in.quotas.Limits.PerBlockHour = 1, 2
		send := func(number, address int) error {
			_, err := in.sendCode(numbered(number), fromIP(ipNumbered(address)))
			return err
		}
		for i := range 2 {
			if err := send(i, i); err != nil {
				t.Fatal(err)
			}
			in.clock.Advance(10 * time.Minute)
		}
		for range 2 { // the first refusal is a suspicion, the second one looks
			wantFailure(t, send(2, 2), model.ErrTooMany)
		}
		err := send(3, 1)
		wantFailure(t, err, model.ErrTooMany)
		in.wantTruth(t, "the address of a full block", err, func() error { return send(3, 1) })
	}})
}

// TestRetryAfterOfLogins: the failures of a number refuse logins for as long as
// they say.
func TestRetryAfterOfLogins(t *testing.T) {
	runScenes(t, scene{"failures", func(t *testing.T, in *instance) {
		in.quotas.Limits.FailsPerMobileDay = 3
		in.receiveCode(alice)
		in.clock.Advance(1234 * ms)
		in.failLogins(alice, 3)
		_, err := in.tryLogIn(alice, wrong)
		wantFailure(t, err, model.ErrTooManyFailures)
		in.wantTruth(t, "login", err, func() error {
			_, err := in.tryLogIn(alice, wrong)
			return err
		})
	}})
}

// TestRetryAfterAtAnyTime walks at random under all limits at once: whatever was
// sent, guessed, throttled and refused before, the time in a refusal is true.
func TestRetryAfterAtAnyTime(t *testing.T) {
	eachDB(t, func(t *testing.T, db *repository.DB) {
		rapid.Check(t, func(r *rapid.T) {
			in := newInstance(t, db)
			in.quotas.Limits = code.Limits{
				MaxAttempts: 5, Cooldown: time.Minute, PerMobileHour: 2, PerMobileDay: 4,
				PerIPHour: 3, PerIPDay: 6, PerBlockHour: 5, PerBlockDay: 8, DailyBudget: 12, HourlyShare: 60, Reserve: 20, FailsPerMobileDay: 6,
			}
			for step := range rapid.IntRange(5, 25).Draw(r, "steps") {
				mobile := numbered(rapid.IntRange(0, 2).Draw(r, "number"))
				from := fromIP(ipNumbered(rapid.IntRange(0, 2).Draw(r, "address")))
				vendor := rapid.SampledFrom([]time.Duration{0, 0, time.Minute, time.Hour}).Draw(r, "vendor")
				again := func() error {
					_, err := in.sendCode(mobile, from)
					return err
				}
				in.throttleProvider(vendor)
				refusal := again()
				in.throttleProvider(0)
				switch {
				case refusal == nil:
				case model.AsFailure(refusal).RetryAfter() == int64(vendor/time.Second):
					in.clock.Advance(vendor) // a try before the vendor's time would charge the address once more
					if err := again(); err != nil {
						r.Fatalf("step %d: after the vendor's time the answer is %v", step, err)
					}
				default:
					in.wantTruth(r, fmt.Sprintf("step %d", step), refusal, again)
				}
				for range rapid.IntRange(0, 6).Draw(r, "guesses") {
					_, _ = in.tryLogIn(mobile, wrong)
				}
				in.clock.Advance(time.Duration(rapid.Int64Range(0, int64(2*time.Hour)).Draw(r, "pause")))
			}
		})
	})
}
