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
	"menshen/service"
)

// captcha is a provider of challenges: it takes each answer once.
type captcha struct {
	mu    sync.Mutex
	good  map[model.Secret]bool
	asked int
	fail  error
	waits bool
}

// Verify takes what is good, once.
func (c *captcha) Verify(ctx context.Context, answer model.Secret, _ string) error {
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
	delete(c.good, answer)
	return c.fail
}

// challenged sets a challenge; outcomes are counted in the map.
func (w *world) challenged() (*captcha, map[service.ChallengeOutcome]int) {
	asker, outcomes := &captcha{good: map[model.Secret]bool{"right": true}}, map[service.ChallengeOutcome]int{}
	var mu sync.Mutex
	w.codes.Challenge = &service.Challenge{
		Provider: "turnstile", Verifier: asker, Timeout: 50 * time.Millisecond,
		Told: func(outcome service.ChallengeOutcome, _ error) {
			mu.Lock()
			defer mu.Unlock()
			outcomes[outcome]++
		},
	}
	return asker, outcomes
}

func answering(answer model.Secret) func(r *service.SendRequest) {
	return func(r *service.SendRequest) { r.Challenge = answer }
}

// demanded asks for a code that must be answered with the demand of a challenge,
// and not be sent.
func (w *world) demanded(mobile string, change ...func(r *service.SendRequest)) {
	w.t.Helper()
	before := len(w.phone.messages())
	_, err := w.ask(mobile, change...)
	wantWait(w.t, err, model.ErrTooMany, 1)
	text, _ := json.Marshal(model.AsFailure(err).Data())
	if string(text) != `{"challenge":{"provider":"turnstile"}}` {
		w.t.Errorf("the data is %s", text)
	}
	if len(w.phone.messages()) != before {
		w.t.Error("a message was sent")
	}
}

func TestChallenge(t *testing.T) {
	suspicious := func(w *world) (*captcha, map[service.ChallengeOutcome]int) {
		w.guarded(service.GuardChallenge)
		w.pump(10, 0)
		w.clock.advance(5 * time.Minute)
		return w.challenged()
	}
	fresh := func(i int) (string, func(r *service.SendRequest)) { return pumped(50 + i), fromIP(elsewhere(50 + i)) }
	play(t,
		scene{"demanded, answered, and spent", func(t *testing.T, w *world) {
			asker, outcomes := suspicious(w)
			mobile, address := fresh(0)
			w.demanded(mobile, address)
			w.granted(mobile, address, answering("right"))
			w.demanded(mobile, address, answering("right"))
			w.demanded(mobile, address)
			want := map[service.ChallengeOutcome]int{service.ChallengeDemanded: 2, service.ChallengePassed: 1, service.ChallengeFailed: 1}
			if !maps.Equal(outcomes, want) || asker.asked != 2 {
				t.Errorf("outcomes %v, asked %d times", outcomes, asker.asked)
			}
		}},
		scene{"a wrong answer is a new demand", func(t *testing.T, w *world) {
			suspicious(w)
			mobile, address := fresh(0)
			w.demanded(mobile, address, answering("wrong"))
		}},
		scene{"not demanded, not asked", func(t *testing.T, w *world) {
			asker, outcomes := suspicious(w)
			w.granted(bob, fromIP(elsewhere(99)), answering("wrong"))
			if asker.asked != 0 || len(outcomes) != 0 {
				t.Errorf("outcomes %v, asked %d times", outcomes, asker.asked)
			}
		}},
		scene{"a demand charges nothing and leaves the old code", func(t *testing.T, w *world) {
			w.guarded(service.GuardChallenge)
			w.challenged()
			w.pump(10, 0)
			w.clock.advance(4 * time.Minute)
			code := w.code(pumped(50), fromIP(elsewhere(50)))
			w.clock.advance(time.Minute)
			w.defaults()
			w.codes.Rules.Cooldown = 0
			for range 20 {
				w.demanded(pumped(50), fromIP(elsewhere(50)))
			}
			_, err := w.try(pumped(50), code)
			wantFailure(t, err, nil)
			w.granted(pumped(50), fromIP(elsewhere(50)), answering("right"))
			if n := w.count("SELECT COUNT(*) FROM codes"); n != 12 {
				t.Errorf("%d codes, want 12", n)
			}
		}},
		scene{"what a limit refuses is not challenged", func(t *testing.T, w *world) {
			suspicious(w)
			mobile, address := fresh(0)
			w.granted(mobile, address, answering("right"))
			w.codes.Rules.Cooldown = time.Minute
			w.refused(mobile, model.ErrCooldown, 60, address)
		}},
		scene{"a provider that does not answer", func(t *testing.T, w *world) {
			asker, outcomes := suspicious(w)
			asker.waits = true
			mobile, address := fresh(0)
			before := len(w.phone.messages())
			_, err := w.ask(mobile, address, answering("right"))
			wantFailure(t, err, model.ErrProvider)
			if !errors.Is(err, context.DeadlineExceeded) || len(w.phone.messages()) != before || w.count("SELECT COUNT(*) FROM codes") != 10 {
				t.Errorf("error %v, or something was sent or stored", err)
			}
			if outcomes[service.ChallengeFault] != 1 {
				t.Errorf("outcomes %v", outcomes)
			}
			w.codes.Challenge.FailOpen = true
			w.granted(mobile, address, answering("right"))
			w.demanded(mobile, address) // open is for answers that cannot be verified, not for none
		}},
		scene{"open or not, a definite no is a no", func(t *testing.T, w *world) {
			suspicious(w)
			w.codes.Challenge.FailOpen = true
			mobile, address := fresh(0)
			w.demanded(mobile, address, answering("wrong"))
		}},
		scene{"no transaction is open while the provider is asked", func(t *testing.T, w *world) {
			suspicious(w)
			mobile, address := fresh(0)
			w.codes.Challenge.Verifier = verifierFunc(func(ctx context.Context) error {
				return w.db.Within(ctx, func(context.Context) error { return nil })
			})
			w.codes.Challenge.Timeout = 2 * time.Second
			w.granted(mobile, address, answering("any"))
		}},
		scene{"one answer, many requests at once", func(t *testing.T, w *world) {
			suspicious(w)
			errs := race(16, func(i int) error {
				mobile, address := fresh(i)
				_, err := w.ask(mobile, address, answering("right"))
				return err
			})
			wantWinners(t, errs, 1, model.ErrTooMany)
		}},
		scene{"test numbers are not challenged", func(t *testing.T, w *world) {
			suspicious(w)
			w.codes.TestNumbers = []service.TestNumber{{
				Mobile: model.NewMobile("+86" + pumped(50)), Code: "424242", Until: w.clock.Now().Add(time.Hour),
			}}
			w.granted(pumped(50), fromIP(elsewhere(50)))
		}},
	)
}

// verifierFunc is a provider that says what the function does.
type verifierFunc func(ctx context.Context) error

// Verify calls the function.
func (f verifierFunc) Verify(ctx context.Context, _ model.Secret, _ string) error { return f(ctx) }

func TestChallengeNearLimits(t *testing.T) {
	play(t,
		scene{"hour of an address", func(t *testing.T, w *world) {
			w.challenged()
			w.codes.Rules.PerIPHour = 10
			for i := range 8 {
				w.granted(numbered(i))
			}
			w.demanded(alice)
			w.granted(alice, fromIP("192.0.2.2"))
			w.granted(bob, answering("right"))
			w.clock.advance(time.Hour - ms)
			w.demanded(alice)
			w.clock.advance(ms)
			w.granted(alice)
		}},
		scene{"day of an address", func(t *testing.T, w *world) {
			w.challenged()
			w.codes.Rules.PerIPDay = 4
			for i := range 4 { // four fifths of four, rounded up, are all
				w.granted(numbered(i))
			}
			w.refused(alice, model.ErrTooMany, 24*3600)
		}},
		scene{"budget", func(t *testing.T, w *world) {
			w.challenged()
			w.codes.Rules.DailyBudget = 5
			for i := range 4 {
				w.granted(numbered(i), fromIP(ipNumbered(i)))
			}
			w.demanded(alice, fromIP(ipNumbered(5)))
			w.granted(alice, fromIP(ipNumbered(5)), answering("right"))
			w.refused(bob, model.ErrTooMany, 24*3600, fromIP(ipNumbered(6))) // no answer lifts a limit
		}},
		scene{"without a provider nothing is demanded", func(t *testing.T, w *world) {
			w.codes.Rules.PerIPHour = 10
			for i := range 10 {
				w.granted(numbered(i))
			}
			w.refused(alice, model.ErrTooMany, 3600)
		}},
		scene{"known, unknown and banned numbers alike", func(t *testing.T, w *world) {
			w.logIn(numbered(0))
			banned := w.logIn(numbered(1))
			w.sql("UPDATE users SET banned_until = ? WHERE id = ?", model.Forever, banned.User.User.ID)
			w.granted(numbered(2))
			w.granted(numbered(3))
			w.challenged()
			w.codes.Rules.PerIPHour = 5
			for i := range 5 {
				w.demanded(numbered(i))
			}
		}},
	)
}
