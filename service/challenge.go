package service

import (
	"context"
	"errors"
	"time"

	"menshen/model"
)

// Challenge is a question that people answer and programs hardly do (CAPTCHA).
// It is asked only when Codes demands it.
type Challenge struct {
	Provider string // as clients are told
	Verifier Challenger
	Timeout  time.Duration
	FailOpen bool // when the provider cannot tell, send all the same
	Told     func(ChallengeOutcome, error)
}

// ChallengeOutcome is how a challenge went, for metrics.
type ChallengeOutcome string

// The outcomes.
const (
	ChallengeDemanded ChallengeOutcome = "demanded" // there was no answer
	ChallengePassed   ChallengeOutcome = "passed"
	ChallengeFailed   ChallengeOutcome = "failed"
	ChallengeFault    ChallengeOutcome = "fault" // the provider could not tell
)

// ChallengeDemand is the data of model.ErrTooMany when the request may be
// repeated with the answer to a challenge.
type ChallengeDemand struct {
	Challenge ChallengeProvider `json:"challenge"`
}

// ChallengeProvider names who asks.
type ChallengeProvider struct {
	Provider string `json:"provider"`
}

func (c *Challenge) demand() error {
	return model.ErrTooMany.With(ChallengeDemand{ChallengeProvider{c.Provider}})
}

// verify asks the provider whether the answer is right; it is spent by that. A
// wrong one is a new demand. What the provider cannot tell is, unless FailOpen,
// model.ErrProvider: nothing is sent and nothing charged.
func (c *Challenge) verify(ctx context.Context, answer model.Secret, ip string) error {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	err := c.Verifier.Verify(ctx, answer, ip)
	switch {
	case err == nil:
		c.Told(ChallengePassed, nil)
		return nil
	case errors.Is(err, model.ErrChallengeFailed):
		c.Told(ChallengeFailed, nil)
		return c.demand()
	}
	c.Told(ChallengeFault, err)
	if c.FailOpen {
		return nil
	}
	return model.ErrProvider.Wrap(err)
}
