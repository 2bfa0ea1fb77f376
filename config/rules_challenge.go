package config

import (
	"regexp"
	"strings"
	"time"
)

func (r *rules) challenge() {
	c := r.Challenge
	all := []string{ChallengeTurnstile, ChallengeHCaptcha, ChallengeReCAPTCHA, ChallengeGeeTest, ChallengeAliyun, ChallengeTencent, ChallengePow}
	names := unique[string]{}
	for i, name := range c.Providers {
		key := item("challenge.providers", i)
		r.oneOf(key, name, all...)
		names.add(r, key, name)
	}
	if c.Provider != "" {
		r.oneOf("challenge.provider", c.Provider, all...)
		r.excludes("challenge.provider", len(c.Providers) > 0, "challenge.providers")
	}
	if len(c.InUse()) == 0 && r.Guard.Action == GuardChallenge {
		r.breaks("challenge.provider", "must be given with guard.action challenge")
	}
	r.turnstile()
	r.challengeVendors()
	within(r, "challenge.timeout", c.Timeout, span[time.Duration]{100 * time.Millisecond, 500 * time.Millisecond, 3 * time.Second})
}

// excludes refuses a key of the short form beside the key that it stands for.
func (r *rules) excludes(short string, both bool, long string) {
	if both {
		r.breaks(short, "is the short form of %s, which is given too", long)
	}
}

func (r *rules) turnstile() {
	c, given := r.Challenge, r.Challenge.OfTurnstile()
	secret, address := "challenge.turnstile.secret", "challenge.turnstile.url"
	if c.Provider == ChallengeTurnstile && c.Turnstile.Secret == "" || c.Secret != "" {
		r.excludes("challenge.secret", c.Turnstile.Secret != "", secret)
		secret = "challenge.secret"
	}
	if c.URL != "" {
		r.excludes("challenge.url", r.origin[address] != "", address)
		address = "challenge.url"
	}
	r.challengeKey(ChallengeTurnstile, secret, given.Secret)
	r.challengeURL(address, given.URL)
	r.widget(ChallengeTurnstile, given)
}

// challengeVendors checks the sections of the other vendors.
func (r *rules) challengeVendors() {
	c := r.Challenge
	h := Siteverify{SiteKey: c.HCaptcha.SiteKey, Hostnames: c.HCaptcha.Hostnames}
	r.widget(ChallengeHCaptcha, h)
	r.widget(ChallengeReCAPTCHA, c.ReCAPTCHA)
	r.widget(ChallengeGeeTest, Siteverify{SiteKey: c.GeeTest.SiteKey})
	r.widget(ChallengeAliyun, Siteverify{SiteKey: c.Aliyun.SiteKey})
	r.widget(ChallengeTencent, Siteverify{SiteKey: c.Tencent.SiteKey})
	for _, given := range []struct {
		vendor, key string
		value       any
	}{
		{ChallengeHCaptcha, "secret", c.HCaptcha.Secret},
		{ChallengeReCAPTCHA, "secret", c.ReCAPTCHA.Secret},
		{ChallengeGeeTest, "site_key", c.GeeTest.SiteKey},
		{ChallengeGeeTest, "captcha_key", c.GeeTest.CaptchaKey},
		{ChallengeAliyun, "access_key_id", c.Aliyun.AccessKeyID},
		{ChallengeAliyun, "access_key_secret", c.Aliyun.AccessKeySecret},
		{ChallengeAliyun, "scene_id", c.Aliyun.SceneID},
		{ChallengeTencent, "secret_id", c.Tencent.SecretID},
		{ChallengeTencent, "secret_key", c.Tencent.SecretKey},
		{ChallengeTencent, "app_secret_key", c.Tencent.AppSecretKey},
	} {
		r.challengeKey(given.vendor, "challenge."+given.vendor+"."+given.key, given.value)
	}
	if c.Uses(ChallengeTencent) && !digits(c.Tencent.SiteKey) {
		r.breaks("challenge.tencent.site_key", "must be the CaptchaAppId, a number")
	}
	r.challengeURL("challenge.hcaptcha.url", c.HCaptcha.URL)
	r.challengeURL("challenge.recaptcha.url", c.ReCAPTCHA.URL)
	r.challengeURL("challenge.geetest.url", c.GeeTest.URL)
	r.signedURL("challenge.aliyun.url", c.Aliyun.URL)
	r.signedURL("challenge.tencent.url", c.Tencent.URL)
}

// signedURL is challengeURL for a vendor whose signature covers no path.
func (r *rules) signedURL(key, address string) {
	if rest := r.challengeURL(key, address); strings.Trim(rest, "/") != "" {
		r.breaks(key, "must end with the host or its port: the path is the provider's")
	}
}

// challengeURL checks where answers are verified. It returns what follows the host.
func (r *rules) challengeURL(key, address string) (rest string) {
	if address == "" {
		r.breaks(key, "must not be empty")
		return ""
	}
	if u := r.target(key, address, "secrets are sent in the body, or sign it"); u != nil {
		return u.RequestURI()
	}
	return ""
}

// challengeKey checks what a vendor in use cannot do without: a Secret, or a string that
// is public.
func (r *rules) challengeKey(vendor, key string, given any) {
	secret, isSecret := given.(Secret)
	value := string(secret)
	if !isSecret {
		value = given.(string)
	}
	switch {
	case value == "" && r.Challenge.Uses(vendor):
		r.breaks(key, "must be given with the provider %s", vendor)
	case isSecret && r.Production() && dummySecret(value):
		r.guessable(key)
	case r.valid(key) && strings.ContainsFunc(value, unprintable):
		r.breaks(key, "must be printable ASCII without spaces, as the vendor issues it")
	}
}

var action = regexp.MustCompile(`\A[A-Za-z0-9_-]{0,32}\z`)

func unprintable(c rune) bool { return c <= ' ' || c > '~' }

// widget checks what is known of a vendor's widget.
func (r *rules) widget(vendor string, given Siteverify) {
	section := "challenge." + vendor
	if strings.ContainsFunc(given.SiteKey, unprintable) || len(given.SiteKey) > 100 {
		r.breaks(section+".site_key", "must be up to 100 printable ASCII characters without spaces, as the vendor issues it")
	}
	for i, host := range given.Hostnames {
		if !hostName.MatchString(host) || host != strings.ToLower(host) {
			r.breaks(item(section+".hostnames", i), "must be a host such as app.example.com: lower case, no scheme, no port, no *")
		}
	}
	if !action.MatchString(given.Action) {
		r.breaks(section+".action", "must be up to 32 of A–Z, a–z, 0–9, _ and -")
	}
}

// dummySecret reports the keys of the vendors' documentation, of which some accept every
// answer, and other samples.
func dummySecret(secret string) bool {
	const (
		anyTurnstileOrHCaptcha = "x00000000000000000000"
		anyReCAPTCHA           = "6LeIxAcTAAAAAGG-vFI1TnRWxMZNFuojJ4WifJWe" //nolint:gosec // published
	)
	return secret != "" && (strings.Contains(secret, anyTurnstileOrHCaptcha) || secret == anyReCAPTCHA || sample(secret))
}
