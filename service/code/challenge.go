package code

import (
	"context"
	"errors"
	"time"

	"menshen/model"
)

// Challenge is a test that people pass and programs hardly do (CAPTCHA). It is used only
// if Admission demands it.
type Challenge struct {
	Provider   string // its name for clients
	SiteKey    string // the widget's key, which is public; "" if clients know it
	Challenger Challenger
	Timeout    time.Duration
	FailOpen   bool // send the code even if the provider cannot verify the answer
	// OnChallenge receives each outcome, and the error of a fault. It may be nil and
	// must not block.
	OnChallenge func(ChallengeOutcome, error)
}

// ChallengeOutcome is the outcome of a challenge, for metrics.
type ChallengeOutcome string

// The outcomes.
const (
	ChallengeDemanded ChallengeOutcome = "demanded" // there was no answer
	ChallengePassed   ChallengeOutcome = "passed"
	ChallengeFailed   ChallengeOutcome = "failed"
	ChallengeFault    ChallengeOutcome = "fault" // the provider could not verify the answer
)

// ChallengeDemand is the data of model.ErrTooMany, ErrCooldown and ErrDailyLimit when the
// request may be repeated with the answer to a challenge.
type ChallengeDemand struct {
	Challenge ChallengeProvider `json:"challenge"`
}

// ChallengeProvider names the provider of the challenge and the key of its widget.
type ChallengeProvider struct {
	Provider string `json:"provider"`
	SiteKey  string `json:"siteKey"`
}

// demand returns the refusal with the demand of an answer as its data.
func (c *Challenge) demand(refusal *model.Failure) error {
	return refusal.With(ChallengeDemand{ChallengeProvider{Provider: c.Provider, SiteKey: c.SiteKey}})
}

// verify asks the provider whether the answer is right. Each answer is single-use: after
// a wrong one a challenge is demanded again. If the provider cannot verify the answer
// and FailOpen is not set, the error is model.ErrProvider: no code is sent and nothing
// charged.
func (c *Challenge) verify(ctx context.Context, answer model.Secret, ip string) error {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	err := c.Challenger.Verify(ctx, answer, ip)
	switch {
	case err == nil:
		c.report(ChallengePassed, nil)
		return nil
	case errors.Is(err, model.ErrChallengeFailed):
		c.report(ChallengeFailed, nil)
		return c.demand(model.ErrTooMany)
	}
	c.report(ChallengeFault, err)
	if c.FailOpen {
		return nil
	}
	return model.ErrProvider.Wrap(err)
}

func (c *Challenge) report(outcome ChallengeOutcome, err error) {
	if c.OnChallenge != nil {
		c.OnChallenge(outcome, err)
	}
}
