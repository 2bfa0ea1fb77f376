package config

import (
	"cmp"
	"slices"
	"time"
)

// The providers of challenges.
const (
	ChallengeTurnstile = "turnstile" // Cloudflare Turnstile
	ChallengeHCaptcha  = "hcaptcha"
	ChallengeReCAPTCHA = "recaptcha" // of Google, versions 2 and 3
	ChallengeGeeTest   = "geetest"   // version 4
	ChallengeAliyun    = "aliyun"    // Alibaba Cloud Captcha 2.0
	ChallengeTencent   = "tencent"   // Tencent Cloud Captcha
	ChallengePow       = "pow"       // puzzles of the program's own
)

// Challenge configures what has to be passed before a code is sent. Provider, Secret and URL
// are the short form: use [Challenge.InUse] and [Challenge.OfTurnstile].
type Challenge struct {
	Providers []string         `mapstructure:"providers"` // in order of preference; empty for none
	Provider  string           `mapstructure:"provider"`  // short form of a list of one
	Secret    Secret           `mapstructure:"secret"`    // short form of turnstile.secret
	URL       string           `mapstructure:"url"`       // short form of turnstile.url
	Turnstile Siteverify       `mapstructure:"turnstile"`
	HCaptcha  HCaptcha         `mapstructure:"hcaptcha"`
	ReCAPTCHA Siteverify       `mapstructure:"recaptcha"`
	GeeTest   GeeTest          `mapstructure:"geetest"`
	Aliyun    AliyunChallenge  `mapstructure:"aliyun"`
	Tencent   TencentChallenge `mapstructure:"tencent"`
	Timeout   time.Duration    `mapstructure:"timeout"`   // for a provider's answer
	FailOpen  bool             `mapstructure:"fail_open"` // send the code if the last provider fails
}

// Siteverify is a provider that tells where a challenge was passed, and for which action.
type Siteverify struct {
	SiteKey   string   `mapstructure:"site_key"`  // public, for clients
	Secret    Secret   `mapstructure:"secret"`    // the widget's secret key
	URL       string   `mapstructure:"url"`       // where answers are verified; https in production
	Hostnames []string `mapstructure:"hostnames"` // hosts whose pages may show the widget; empty: any
	Action    string   `mapstructure:"action"`    // the widget's action; empty: any
}

// HCaptcha is hCaptcha, which knows no actions.
type HCaptcha struct {
	SiteKey   string   `mapstructure:"site_key"`
	Secret    Secret   `mapstructure:"secret"`
	URL       string   `mapstructure:"url"`
	Hostnames []string `mapstructure:"hostnames"`
}

// GeeTest is GeeTest CAPTCHA 4.
type GeeTest struct {
	SiteKey    string `mapstructure:"site_key"`    // the captcha id
	CaptchaKey Secret `mapstructure:"captcha_key"` // signs the requests
	URL        string `mapstructure:"url"`
}

// AliyunChallenge is Alibaba Cloud Captcha 2.0 (captcha 2023-03-05).
type AliyunChallenge struct {
	SiteKey         string `mapstructure:"site_key"`          // the prefix of the account's widgets
	AccessKeyID     string `mapstructure:"access_key_id"`     // of a RAM user
	AccessKeySecret Secret `mapstructure:"access_key_secret"` // signs the requests
	SceneID         string `mapstructure:"scene_id"`          // public
	URL             string `mapstructure:"url"`
}

// TencentChallenge is Tencent Cloud Captcha (captcha 2019-07-22).
type TencentChallenge struct {
	SiteKey      string `mapstructure:"site_key"`       // the CaptchaAppId
	SecretID     string `mapstructure:"secret_id"`      // of the account's key
	SecretKey    Secret `mapstructure:"secret_key"`     // signs the requests
	AppSecretKey Secret `mapstructure:"app_secret_key"` // of the CaptchaAppId
	URL          string `mapstructure:"url"`
}

// InUse lists the providers in order of preference. Both forms of the list are never given
// at once.
func (c Challenge) InUse() []string {
	if c.Provider != "" {
		return []string{c.Provider}
	}
	return c.Providers
}

// Uses reports whether the provider is in use.
func (c Challenge) Uses(provider string) bool { return slices.Contains(c.InUse(), provider) }

// OfTurnstile is the section turnstile with what the short form says.
func (c Challenge) OfTurnstile() Siteverify {
	t := c.Turnstile
	t.Secret, t.URL = cmp.Or(c.Secret, t.Secret), cmp.Or(c.URL, t.URL)
	return t
}
