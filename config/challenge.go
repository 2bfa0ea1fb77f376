package config

import (
	"cmp"
	"time"
)

// ChallengeTurnstile is the name of Cloudflare Turnstile among the providers of challenges.
const ChallengeTurnstile = "turnstile"

// Challenge configures the CAPTCHA before a code is sent. Provider, Secret and URL are the
// short form: use [Challenge.InUse] and [Challenge.OfTurnstile].
type Challenge struct {
	Providers []string      `mapstructure:"providers"` // in order of preference; empty for none
	Provider  string        `mapstructure:"provider"`  // short form of a list of one
	Secret    Secret        `mapstructure:"secret"`    // short form of turnstile.secret
	URL       string        `mapstructure:"url"`       // short form of turnstile.url
	Turnstile Turnstile     `mapstructure:"turnstile"`
	Timeout   time.Duration `mapstructure:"timeout"`   // for a provider's answer
	FailOpen  bool          `mapstructure:"fail_open"` // send the code if the provider fails
}

// Turnstile is Cloudflare Turnstile.
type Turnstile struct {
	SiteKey   string   `mapstructure:"site_key"`  // public, for clients
	Secret    Secret   `mapstructure:"secret"`    // the widget's secret key
	URL       string   `mapstructure:"url"`       // where answers are verified; https in production
	Hostnames []string `mapstructure:"hostnames"` // hosts whose pages may show the widget; empty: any
	Action    string   `mapstructure:"action"`    // the widget's action; empty: any
}

// InUse lists the providers in order of preference. Both forms of the list are never given
// at once.
func (c Challenge) InUse() []string {
	if c.Provider != "" {
		return []string{c.Provider}
	}
	return c.Providers
}

// OfTurnstile is the section turnstile with what the short form says.
func (c Challenge) OfTurnstile() Turnstile {
	t := c.Turnstile
	t.Secret, t.URL = cmp.Or(c.Secret, t.Secret), cmp.Or(c.URL, t.URL)
	return t
}
