package config

import (
	"regexp"
	"slices"
	"strings"
	"time"
)

// guardSample bounds guard.least: no more codes of a group are read to judge it.
const guardSample = 2000

func (r *rules) guard() {
	g := r.Guard
	r.oneOf("guard.action", g.Action, GuardRecord, GuardDeny, GuardChallenge)
	within(r, "guard.window", g.Window, span[time.Duration]{time.Second, 15 * time.Minute, day})
	if g.Window <= r.Code.TTL && r.valid("code.ttl") {
		r.breaks("guard.window", "must be longer than code.ttl: codes count once their end has come")
	}
	within(r, "guard.least", g.Least, span[int]{1, 10, guardSample})
	within(r, "guard.percent", g.Percent, span[int]{0, 0, 100})
	if g.Burst != 0 {
		within(r, "guard.burst", g.Burst, span[int]{2, 2, 1000})
	}
}

func (r *rules) challenge() {
	c := r.Challenge
	names := unique[string]{}
	for i, name := range c.Providers {
		key := item("challenge.providers", i)
		r.oneOf(key, name, ChallengeTurnstile)
		names.add(r, key, name)
	}
	if c.Provider != "" {
		r.oneOf("challenge.provider", c.Provider, ChallengeTurnstile)
		r.excludes("challenge.provider", len(c.Providers) > 0, "challenge.providers")
	}
	if len(c.InUse()) == 0 && r.Guard.Action == GuardChallenge {
		r.breaks("challenge.provider", "must be given with guard.action challenge")
	}
	r.turnstile()
	within(r, "challenge.timeout", c.Timeout, span[time.Duration]{100 * time.Millisecond, 500 * time.Millisecond, 3 * time.Second})
}

// excludes refuses a key of the short form beside the key that it stands for.
func (r *rules) excludes(short string, both bool, long string) {
	if both {
		r.breaks(short, "is the short form of %s, which is given too", long)
	}
}

var action = regexp.MustCompile(`\A[A-Za-z0-9_-]{0,32}\z`)

func (r *rules) turnstile() {
	c, given := r.Challenge, r.Challenge.OfTurnstile()
	secret, address := "challenge.turnstile.secret", "challenge.turnstile.url"
	if c.Provider != "" && c.Turnstile.Secret == "" || c.Secret != "" {
		r.excludes("challenge.secret", c.Turnstile.Secret != "", secret)
		secret = "challenge.secret"
	}
	if c.URL != "" {
		r.excludes("challenge.url", r.origin[address] != "", address)
		address = "challenge.url"
	}
	switch {
	case given.Secret == "" && slices.Contains(c.InUse(), ChallengeTurnstile):
		r.breaks(secret, "must be given with the provider turnstile")
	case r.Production() && dummySecret(string(given.Secret)):
		r.guessable(secret)
	}
	if given.URL == "" {
		r.breaks(address, "must not be empty")
	} else {
		r.target(address, given.URL, "the secret is sent in the body")
	}
	if strings.ContainsFunc(given.SiteKey, func(c rune) bool { return c <= ' ' || c > '~' }) || len(given.SiteKey) > 100 {
		r.breaks("challenge.turnstile.site_key", "must be up to 100 printable ASCII characters without spaces, as the vendor issues it")
	}
	for i, host := range given.Hostnames {
		if !hostName.MatchString(host) || host != strings.ToLower(host) {
			r.breaks(item("challenge.turnstile.hostnames", i), "must be a host such as app.example.com: lower case, no scheme, no port, no *")
		}
	}
	if !action.MatchString(given.Action) {
		r.breaks("challenge.turnstile.action", "must be up to 32 of A–Z, a–z, 0–9, _ and -")
	}
}

// dummySecret reports the keys of Turnstile's documentation, of which one accepts every
// answer, and other samples.
func dummySecret(secret string) bool {
	return secret != "" && (strings.Contains(secret, "x00000000000000000000") || sample(secret))
}
