package config

import (
	"strings"
	"time"
)

// guardSample is how many codes of a group are looked at: more cannot be asked for.
const guardSample = 2000

func (r *rules) guard() {
	g := r.Guard
	r.oneOf("guard.action", g.Action, GuardRecord, GuardDeny, GuardChallenge)
	r.duration("guard.window", g.Window, span[time.Duration]{time.Second, 15 * time.Minute, day})
	if g.Window <= r.Code.TTL && r.sound("code.ttl") {
		r.breaks("guard.window", "must be longer than code.ttl: codes count once their end has come")
	}
	r.number("guard.least", g.Least, span[int]{1, 10, guardSample})
	r.number("guard.percent", g.Percent, span[int]{0, 0, 100})
}

func (r *rules) challenge() {
	c, used := r.Challenge, r.Challenge.Provider != ""
	if used {
		r.oneOf("challenge.provider", c.Provider, ChallengeTurnstile)
	} else if r.Guard.Action == GuardChallenge {
		r.breaks("challenge.provider", "must be given with guard.action challenge")
	}
	switch {
	case c.Secret == "" && used:
		r.breaks("challenge.secret", "must be given with a challenge.provider")
	case r.Production() && dummySecret(string(c.Secret)):
		r.guessable("challenge.secret")
	}
	if c.URL == "" {
		r.breaks("challenge.url", "must not be empty")
	} else {
		r.target("challenge.url", c.URL, "challenge.secret is sent in the body")
	}
	r.duration("challenge.timeout", c.Timeout, span[time.Duration]{100 * time.Millisecond, 500 * time.Millisecond, 3 * time.Second})
}

// dummySecret knows the published keys of Turnstile's documentation, one of which
// lets everybody pass, and samples in general.
func dummySecret(secret string) bool {
	return secret != "" && (strings.Contains(secret, "x00000000000000000000") || sample(secret))
}
