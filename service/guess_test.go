package service_test

import (
	"testing"
	"time"

	"menshen/model"
	"menshen/service"
	"menshen/service/code"
)

func TestGuesses(t *testing.T) {
	limited := func(in *instance, most int) {
		in.verifier.Guesses = code.NewGuesses(most)
		in.quotas.Limits.MaxAttempts = 100
	}
	refused := func(in *instance, seconds int64, mobile string, change ...func(r *service.LoginRequest)) {
		in.t.Helper()
		_, err := in.tryLogIn(mobile, wrong, change...)
		wantWait(in.t, err, model.ErrTooMany, seconds)
	}
	runScenes(t,
		scene{"ten answers in ten minutes", func(t *testing.T, in *instance) {
			limited(in, 10)
			code := in.receiveCode(alice)
			in.failLogins(alice, 1)
			in.clock.Advance(time.Minute)
			in.failLogins(alice, 9)
			for range 3 { // a refusal is no answer
				refused(in, 540, alice)
			}
			in.wantAttempts(10, 0)
			_, err := in.tryLogIn(alice, code)
			wantWait(t, err, model.ErrTooMany, 540)
			in.clock.Advance(9*time.Minute - ms)
			refused(in, 1, alice)
			in.clock.Advance(ms)
			in.receiveCode(alice)
			in.failLogins(alice, 1) // the first has left the window
			refused(in, 60, alice)
		}},
		scene{"whether or not a code lives", func(_ *testing.T, in *instance) {
			limited(in, 10)
			in.failLogins(alice, 10)
			refused(in, 600, alice)
		}},
		scene{"fifty at once", func(t *testing.T, in *instance) {
			limited(in, 10)
			for range 2 {
				answers := map[int32]int{}
				for _, err := range race(50, func(int) error { return errOf(in.tryLogIn(alice, wrong)) }) {
					answers[model.AsFailure(err).Code]++
				}
				if answers[model.ErrCode.Code] != 10 || answers[model.ErrTooMany.Code] != 40 {
					t.Errorf("the answers are %v", answers)
				}
				in.clock.Advance(10 * time.Minute)
				in.receiveCode(alice) // and with a live one
			}
		}},
		scene{"by pair of address and number", func(_ *testing.T, in *instance) {
			limited(in, 3)
			in.failLogins(alice, 3, byIP("2001:db8::1"))
			refused(in, 600, alice, byIP("2001:db8::2"))
			refused(in, 600, "+86 138-0013-8000", byIP("2001:db8::3"), inCompany(1))
			in.failLogins(alice, 3, byIP("2001:db8:0:1::1"))
			in.failLogins(bob, 3, byIP("2001:db8::1"))
		}},
		scene{"attempts with a ticket neither count nor are refused", func(t *testing.T, in *instance) {
			limited(in, 3)
			code, ticket := in.receiveTicket(alice)
			in.failLogins(alice, 6, withTicket(ticket))
			in.failLogins(alice, 3)
			refused(in, 600, alice)
			_, err := in.tryLogIn(alice, code, withTicket(ticket))
			wantFailure(t, err, nil)
		}},
		scene{"too many failures come first, and are no answers of it", func(_ *testing.T, in *instance) {
			limited(in, 5)
			in.quotas.Limits.FailsPerMobileDay = 3
			in.receiveCode(alice)
			in.failLogins(alice, 3)
			for range 5 {
				in.wantLocked(alice, 24*3600+300)
			}
			in.clock.Advance(24*time.Hour + 5*time.Minute)
			in.failLogins(alice, 5)
		}},
		scene{"after a step of the clock no longer than ten minutes", func(_ *testing.T, in *instance) {
			limited(in, 1)
			in.failLogins(alice, 1)
			in.clock.Advance(-time.Hour)
			refused(in, 600, alice)
		}},
		scene{"off", func(_ *testing.T, in *instance) {
			limited(in, 0)
			in.failLogins(alice, 40)
		}},
	)
}
