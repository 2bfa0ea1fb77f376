package service_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"sync"
	"testing"
	"time"

	"menshen/model"
	"menshen/service/code"
)

// captcha is a provider of challenges: it takes each answer once.
type captcha struct {
	mu     sync.Mutex
	good   map[model.Secret]bool
	always bool // it takes a good answer again and again
	asked  int
	fail   error
	waits  bool
}

// Params are those of a vendor whose widget needs nothing more.
func (c *captcha) Params(context.Context, model.Asker) (any, error) { return struct{}{}, nil }

// Verify takes what is good, once.
func (c *captcha) Verify(ctx context.Context, answer model.Secret, _ model.Asker) error {
	if c.waits {
		<-ctx.Done()
		return ctx.Err()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked++
	if c.fail == nil && !c.good[answer] {
		return model.ErrChallengeFailed
	}
	if !c.always {
		delete(c.good, answer)
	}
	return c.fail
}

// requireChallenge configures a challenge, and counts its outcomes in the map.
func (in *instance) requireChallenge() (*captcha, map[code.ChallengeOutcome]int) {
	asker, outcomes := &captcha{good: map[model.Secret]bool{"right": true}}, map[code.ChallengeOutcome]int{}
	var mu sync.Mutex
	in.admission.Challenge = &code.Challenge{
		Vendors: []code.ChallengeVendor{{Name: "turnstile", Challenger: asker}}, Timeout: 50 * time.Millisecond,
		OnChallenge: func(outcome code.ChallengeOutcome, _ error) {
			mu.Lock()
			defer mu.Unlock()
			outcomes[outcome]++
		},
	}
	return asker, outcomes
}

// onlyTurnstile is the offer of the one vendor of requireChallenge.
const onlyTurnstile = `{"challenge":{"provider":"turnstile","siteKey":"","params":{},"alternatives":[]}}`

func answering(answer model.Secret) func(r *code.SendRequest) {
	return func(r *code.SendRequest) { r.Challenge = answer }
}

// wantChallenge requests a code; the response must demand a challenge, and no message
// may be sent.
func (in *instance) wantChallenge(mobile string, change ...func(r *code.SendRequest)) {
	in.t.Helper()
	before := len(in.phone.messages())
	_, err := in.sendCode(mobile, change...)
	wantWait(in.t, err, model.ErrTooMany, 1)
	text, _ := json.Marshal(model.AsFailure(err).Data())
	if string(text) != onlyTurnstile {
		in.t.Errorf("the data is %s", text)
	}
	if len(in.phone.messages()) != before {
		in.t.Error("a message was sent")
	}
}

func TestChallenge(t *testing.T) {
	suspicious := func(in *instance) (*captcha, map[code.ChallengeOutcome]int) {
		in.detectPumping(code.ActionChallenge)
		in.pump(10, 0)
		in.clock.Advance(5 * time.Minute)
		return in.requireChallenge()
	}
	fresh := func(i int) (string, func(r *code.SendRequest)) { return pumped(50 + i), fromIP(elsewhere(50 + i)) }
	runScenes(t,
		scene{"demanded, answered, and spent", func(t *testing.T, in *instance) {
			asker, outcomes := suspicious(in)
			mobile, address := fresh(0)
			in.wantChallenge(mobile, address)
			in.wantSent(mobile, address, answering("right"))
			in.wantChallenge(mobile, address, answering("right"))
			in.wantChallenge(mobile, address)
			want := map[code.ChallengeOutcome]int{code.ChallengeDemanded: 2, code.ChallengePassed: 1, code.ChallengeFailed: 1}
			if !maps.Equal(outcomes, want) || asker.asked != 2 {
				t.Errorf("outcomes %v, asked %d times", outcomes, asker.asked)
			}
		}},
		scene{"a wrong answer is a new demand", func(t *testing.T, in *instance) {
			suspicious(in)
			mobile, address := fresh(0)
			in.wantChallenge(mobile, address, answering("wrong"))
		}},
		scene{"not demanded, not asked", func(t *testing.T, in *instance) {
			asker, outcomes := suspicious(in)
			in.wantSent(bob, fromIP(elsewhere(99)), answering("wrong"))
			if asker.asked != 0 || len(outcomes) != 0 {
				t.Errorf("outcomes %v, asked %d times", outcomes, asker.asked)
			}
		}},
		scene{"a demand charges nothing and leaves the old code", func(t *testing.T, in *instance) {
			in.detectPumping(code.ActionChallenge)
			in.requireChallenge()
			in.pump(10, 0)
			in.clock.Advance(4 * time.Minute)
			code := in.receiveCode(pumped(50), fromIP(elsewhere(50)))
			in.clock.Advance(time.Minute)
			in.defaults()
			in.quotas.Limits.Cooldown = 0
			for range 20 {
				in.wantChallenge(pumped(50), fromIP(elsewhere(50)))
			}
			_, err := in.tryLogIn(pumped(50), code)
			wantFailure(t, err, nil)
			in.wantSent(pumped(50), fromIP(elsewhere(50)), answering("right"))
			if n := in.count("SELECT COUNT(*) FROM codes"); n != 12 {
				t.Errorf("%d codes, want 12", n)
			}
		}},
		scene{"what a limit refuses is not challenged", func(t *testing.T, in *instance) {
			suspicious(in)
			mobile, address := fresh(0)
			in.wantSent(mobile, address, answering("right"))
			in.sql("UPDATE codes SET send_pool = ?", model.SendOpen)
			in.quotas.Limits.Cooldown = time.Minute
			in.wantRefused(mobile, model.ErrCooldown, 60, address)
		}},
		scene{"a provider that does not answer", func(t *testing.T, in *instance) {
			asker, outcomes := suspicious(in)
			asker.waits = true
			mobile, address := fresh(0)
			before := len(in.phone.messages())
			_, err := in.sendCode(mobile, address, answering("right"))
			wantFailure(t, err, model.ErrProvider)
			if !errors.Is(err, context.DeadlineExceeded) || len(in.phone.messages()) != before || in.count("SELECT COUNT(*) FROM codes") != 10 {
				t.Errorf("error %v, or something was sent or stored", err)
			}
			if outcomes[code.ChallengeFault] != 1 {
				t.Errorf("outcomes %v", outcomes)
			}
			in.admission.Challenge.FailOpen = true
			in.wantSent(mobile, address, answering("right"))
			in.wantChallenge(mobile, address) // open is for answers that cannot be verified, not for none
		}},
		scene{"open or not, a definite no is a no", func(t *testing.T, in *instance) {
			suspicious(in)
			in.admission.Challenge.FailOpen = true
			mobile, address := fresh(0)
			in.wantChallenge(mobile, address, answering("wrong"))
		}},
		scene{"no transaction is open while the provider is asked", func(t *testing.T, in *instance) {
			suspicious(in)
			mobile, address := fresh(0)
			in.admission.Challenge.Vendors[0].Challenger = verifierFunc(func(ctx context.Context) error {
				return in.db.Within(ctx, func(context.Context) error { return nil })
			})
			in.admission.Challenge.Timeout = 2 * time.Second
			in.wantSent(mobile, address, answering("any"))
		}},
		scene{"one answer, many requests at once", func(t *testing.T, in *instance) {
			suspicious(in)
			errs := race(16, func(i int) error {
				mobile, address := fresh(i)
				_, err := in.sendCode(mobile, address, answering("right"))
				return err
			})
			wantWinners(t, errs, 1, model.ErrTooMany)
		}},
		scene{"test numbers are not challenged", func(t *testing.T, in *instance) {
			suspicious(in)
			in.codes.TestNumbers = []code.TestNumber{{
				Mobile: model.NewMobile("+86" + pumped(50)), Code: "424242", Until: in.clock.Now().Add(time.Hour),
			}}
			in.wantSent(pumped(50), fromIP(elsewhere(50)))
		}},
	)
}

// verifierFunc is a provider that says what the function does.
type verifierFunc func(ctx context.Context) error

// Verify calls the function.
func (f verifierFunc) Verify(ctx context.Context, _ model.Secret, _ model.Asker) error { return f(ctx) }

// Params has none.
func (f verifierFunc) Params(context.Context, model.Asker) (any, error) { return struct{}{}, nil }

func TestChallengeNearLimits(t *testing.T) {
	runScenes(t,
		scene{"hour of an address", func(t *testing.T, in *instance) {
			in.requireChallenge()
			in.quotas.Limits.PerIPHour = 10
			for i := range 8 {
				in.wantSent(numbered(i))
			}
			in.wantChallenge(alice)
			in.wantSent(alice, fromIP("192.0.2.2"))
			in.wantSent(bob, answering("right"))
			in.clock.Advance(time.Hour - ms)
			in.wantChallenge(alice)
			in.clock.Advance(ms)
			in.wantSent(alice)
		}},
		scene{"day of an address", func(t *testing.T, in *instance) {
			in.requireChallenge()
			in.quotas.Limits.PerIPDay = 4
			for i := range 4 { // four fifths of four, rounded up, are all
				in.wantSent(numbered(i))
			}
			in.wantRefused(alice, model.ErrTooMany, 24*3600)
		}},
		scene{"budget", func(t *testing.T, in *instance) {
			in.requireChallenge()
			in.quotas.Limits.DailyBudget = 5
			for i := range 4 {
				in.wantSent(numbered(i), fromIP(ipNumbered(i)))
			}
			in.wantChallenge(alice, fromIP(ipNumbered(5)))
			in.wantSent(alice, fromIP(ipNumbered(5)), answering("right"))
			in.wantRefused(bob, model.ErrTooMany, 24*3600, fromIP(ipNumbered(6))) // no answer lifts a limit
		}},
		scene{"without a provider nothing is demanded", func(t *testing.T, in *instance) {
			in.quotas.Limits.PerIPHour = 10
			for i := range 10 {
				in.wantSent(numbered(i))
			}
			in.wantRefused(alice, model.ErrTooMany, 3600)
		}},
		scene{"known, unknown and banned numbers alike", func(t *testing.T, in *instance) {
			in.logIn(numbered(0))
			banned := in.logIn(numbered(1))
			in.sql("UPDATE users SET banned_until = ? WHERE id = ?", model.Forever, banned.User.User.ID)
			for i := range 4 { // the redeemed ones weigh a tenth
				in.wantSent(numbered(2 + i))
			}
			in.requireChallenge()
			in.quotas.Limits.PerIPHour = 5
			for i := range 7 {
				in.wantChallenge(numbered(i))
			}
		}},
	)
}
