package code

import (
	"context"
	"errors"
	"slices"
	"time"

	"menshen/model"
)

// Challenge is a test that people pass and programs hardly do (CAPTCHA), or that costs
// programs too much. It is used only if Admission demands it.
type Challenge struct {
	Vendors  []ChallengeVendor // in order of preference, never empty
	Timeout  time.Duration     // for the verification of an answer
	FailOpen bool              // send the code even if the last vendor cannot verify the answer
	// OnChallenge receives each outcome, and the error of a fault. It may be nil and
	// must not block.
	OnChallenge func(ChallengeOutcome, error)
}

// ChallengeVendor is one way to pose a challenge.
type ChallengeVendor struct {
	Name       string // for clients
	SiteKey    string // the widget's key, which is public; "" if clients know it or there is none
	Challenger Challenger
}

// ChallengeOutcome is the outcome of a challenge, for metrics.
type ChallengeOutcome string

// The outcomes.
const (
	ChallengeDemanded ChallengeOutcome = "demanded" // there was no answer
	ChallengePassed   ChallengeOutcome = "passed"
	ChallengeFailed   ChallengeOutcome = "failed"
	ChallengeFault    ChallengeOutcome = "fault" // the vendor could not verify the answer
)

// ChallengeDemand is the data of model.ErrTooMany, ErrCooldown and ErrDailyLimit when the
// request may be repeated with the answer to a challenge.
type ChallengeDemand struct {
	Challenge ChallengeChoice `json:"challenge"`
}

// ChallengeChoice is the challenge that the client is to pose, and those that would do too.
type ChallengeChoice struct {
	ChallengeOffer
	Alternatives []ChallengeOffer `json:"alternatives"`
}

// ChallengeOffer is what a client needs to pose one challenge.
type ChallengeOffer struct {
	Provider string `json:"provider"`
	SiteKey  string `json:"siteKey"`
	Params   any    `json:"params"` // an object that the vendor's widget takes
}

// Offers reports whether clients may answer to the vendor. A nil Challenge has none.
func (c *Challenge) Offers(vendor string) bool { return c != nil && c.find(vendor) >= 0 }

// find returns the position of the named vendor, of the first one for "", -1 if there is
// none.
func (c *Challenge) find(name string) int {
	if name == "" {
		return 0
	}
	return slices.IndexFunc(c.Vendors, func(v ChallengeVendor) bool { return v.Name == name })
}

// demand returns the refusal with the offer of the vendors as its data. The first one is
// preferred.
func (c *Challenge) demand(ctx context.Context, refusal *model.Failure, asker model.Asker, vendors []ChallengeVendor) error {
	offers := make([]ChallengeOffer, len(vendors))
	for i, v := range vendors {
		params, err := v.Challenger.Params(ctx, asker)
		if err != nil {
			return err
		}
		offers[i] = ChallengeOffer{Provider: v.Name, SiteKey: v.SiteKey, Params: params}
	}
	return refusal.With(ChallengeDemand{ChallengeChoice{offers[0], offers[1:]}})
}

// given is an answer to a challenge.
type given struct {
	answer model.Secret
	vendor string         // to whose challenge; "": to that of the first vendor
	to     *model.Failure // the refusal that demanded it
}

// verify asks the vendor whether the answer is right. Each answer is single-use: after a
// wrong one the same refusal demands a challenge again, of the same vendor first. If the
// vendor cannot verify the answer, model.ErrTooMany demands one of the next vendor. After
// the last vendor the error is model.ErrProvider, no code is sent and nothing charged,
// unless FailOpen is set.
func (c *Challenge) verify(ctx context.Context, g given, asker model.Asker) error {
	asked := c.find(g.vendor)
	verifying, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	err := c.Vendors[asked].Challenger.Verify(verifying, g.answer, asker)
	switch {
	case err == nil:
		c.report(ChallengePassed, nil)
		return nil
	case errors.Is(err, model.ErrChallengeFailed):
		c.report(ChallengeFailed, nil)
		same := slices.Concat(c.Vendors[asked:asked+1], c.Vendors[:asked], c.Vendors[asked+1:])
		return c.demand(ctx, g.to, asker, same)
	case errors.Is(err, model.ErrUnavailable):
		return err
	}
	c.report(ChallengeFault, err)
	switch others := c.Vendors[asked+1:]; {
	case len(others) > 0:
		return c.demand(ctx, model.ErrTooMany, asker, others)
	case c.FailOpen:
		return nil
	}
	return model.ErrProvider.Wrap(err)
}

func (c *Challenge) report(outcome ChallengeOutcome, err error) {
	if c.OnChallenge != nil {
		c.OnChallenge(outcome, err)
	}
}
