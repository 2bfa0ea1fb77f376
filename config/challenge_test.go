package config_test

import (
	"slices"
	"testing"

	"menshen/config"
)

var challenges = []refused{
	file("challenge without a provider", "guard: {action: challenge}", "challenge.provider"),
	file("challenge's provider", "challenge: {provider: "+canary+", secret: "+canary+"}", "challenge.provider"),
	file("challenge without a secret", "challenge: {provider: turnstile}", "challenge.secret"),
	file("challenge twice", "challenge: {provider: turnstile, providers: [turnstile], secret: x}", "challenge.provider"),
	file("challenge's providers", "challenge: {providers: ["+canary+", turnstile, turnstile], secret: x}", "challenge.providers[0]", "challenge.providers[2]"),
	file("challenge with two secrets", "challenge: {provider: turnstile, secret: "+canary+", turnstile: {secret: "+canary+"}}", "challenge.secret"),
	file("challenge at two places", "challenge: {url: 'https://a.example', turnstile: {url: 'https://a.example'}}", "challenge.url"),
	file("listed challenge without a secret", "challenge: {providers: [turnstile]}", "challenge.turnstile.secret"),
	file("challenge nowhere", "challenge: {turnstile: {url: ''}}", "challenge.turnstile.url"),
	file("challenge's host", "challenge: {turnstile: {hostnames: [a.example, 'https://"+canary+"', A.example, 'a.example:443', '*.example', '']}}",
		"challenge.turnstile.hostnames[1]", "challenge.turnstile.hostnames[2]", "challenge.turnstile.hostnames[3]", "challenge.turnstile.hostnames[4]", "challenge.turnstile.hostnames[5]"),
	file("challenge's site key", "challenge: {turnstile: {site_key: '"+canary+" x'}}", "challenge.turnstile.site_key"),
	file("challenge's action", "challenge: {turnstile: {action: '"+canary+" x'}}", "challenge.turnstile.action"),
	file("challenge by file", "challenge: {url: 'file:///x'}", "challenge.url"),
	file("challenge with a password", "challenge: {url: 'https://u:"+canary+"@h/'}", "challenge.url"),
	file("challenge that waits too long", "challenge: {timeout: 3001ms}", "challenge.timeout"),
	file("challenge that does not wait", "challenge: {timeout: 0s}", "challenge.timeout"),
	file("challenge's other vendors without anything", "challenge: {providers: [hcaptcha, recaptcha, geetest, aliyun, tencent, pow]}",
		"challenge.hcaptcha.secret", "challenge.recaptcha.secret", "challenge.geetest.site_key", "challenge.geetest.captcha_key", "challenge.aliyun.access_key_id",
		"challenge.aliyun.access_key_secret", "challenge.aliyun.scene_id", "challenge.tencent.secret_id", "challenge.tencent.secret_key",
		"challenge.tencent.app_secret_key", "challenge.tencent.site_key"),
	file("challenge's short form of another vendor", "challenge: {provider: geetest, secret: x, geetest: {site_key: x}}", "challenge.geetest.captcha_key"),
	file("challenge's secret of two words", "challenge: {geetest: {captcha_key: '"+canary+" x'}}", "challenge.geetest.captcha_key"),
	file("challenges nowhere", "challenge: {hcaptcha: {url: ''}, recaptcha: {url: x}, geetest: {url: 'http:'}, aliyun: {url: ''}, tencent: {url: ''}}",
		"challenge.hcaptcha.url", "challenge.recaptcha.url", "challenge.geetest.url", "challenge.aliyun.url", "challenge.tencent.url"),
	file("challenge at a path", "challenge: {aliyun: {url: 'https://a.example/x'}, tencent: {url: 'https://a.example/?x'}}", "challenge.aliyun.url", "challenge.tencent.url"),
	file("challenge's hosts", "challenge: {hcaptcha: {hostnames: ['*']}, recaptcha: {hostnames: ['*'], action: 'a b'}}",
		"challenge.hcaptcha.hostnames[0]", "challenge.recaptcha.hostnames[0]", "challenge.recaptcha.action"),
	file("challenge's site keys", "challenge: {hcaptcha: {site_key: 'a b'}, recaptcha: {site_key: 'a b'}, geetest: {site_key: 'a b'}, aliyun: {site_key: 'a b'}, tencent: {site_key: 'a b'}}",
		"challenge.hcaptcha.site_key", "challenge.recaptcha.site_key", "challenge.geetest.site_key", "challenge.aliyun.site_key", "challenge.tencent.site_key"),
	file("challenge's app that is no number", "challenge: {providers: [tencent], tencent: {site_key: app, secret_id: a, secret_key: b, app_secret_key: c}}", "challenge.tencent.site_key"),
	prod("hCaptcha that all pass", "MENSHEN_CHALLENGE_HCAPTCHA_SECRET=0x0000000000000000000000000000000000000000", "challenge.hcaptcha.secret"),
	prod("reCAPTCHA that all pass", "MENSHEN_CHALLENGE_RECAPTCHA_SECRET=6LeIxAcTAAAAAGG-vFI1TnRWxMZNFuojJ4WifJWe", "challenge.recaptcha.secret"),
	prod("GeeTest in clear", "MENSHEN_CHALLENGE_GEETEST_URL=http://gcaptcha4.geetest.com/validate", "challenge.geetest.url"),
	prod("challenge that all pass", "MENSHEN_CHALLENGE_SECRET=1x0000000000000000000000000000000AA", "challenge.secret"),
	prod("listed challenge that all pass", "MENSHEN_CHALLENGE_TURNSTILE_SECRET=1x0000000000000000000000000000000AA", "challenge.turnstile.secret"),
	prod("challenge's sample", "MENSHEN_CHALLENGE_SECRET=changemechangeme", "challenge.secret"),
	prod("challenge in clear", "MENSHEN_CHALLENGE_URL=http://captcha.example.com/", "challenge.url"),
	prod("challenge on this machine", "MENSHEN_CHALLENGE_URL=https://localhost/", "challenge.url"),
	prod("challenge that hardly waits", "MENSHEN_CHALLENGE_TIMEOUT=499ms", "challenge.timeout"),
}

// TestChallengeForms: the short form means what the section says.
func TestChallengeForms(t *testing.T) {
	const (
		vendor = "https://challenges.cloudflare.com/turnstile/v0/siteverify"
		own    = "https://captcha.example.com/verify"
	)
	for name, tt := range map[string]struct {
		file   string
		inUse  []string
		secret config.Secret
		url    string
	}{
		"none":           {"", nil, "", vendor},
		"short":          {"challenge: {provider: turnstile, secret: hush}", []string{"turnstile"}, "hush", vendor},
		"short, own URL": {"challenge: {provider: turnstile, secret: hush, url: '" + own + "'}", []string{"turnstile"}, "hush", own},
		"list":           {"challenge: {providers: [turnstile], turnstile: {secret: hush, url: '" + own + "'}}", []string{"turnstile"}, "hush", own},
		"short, section": {"challenge: {provider: turnstile, turnstile: {secret: hush}}", []string{"turnstile"}, "hush", vendor},
	} {
		t.Run(name, func(t *testing.T) {
			c := mustLoad(t, tt.file).Challenge
			if got := c.OfTurnstile(); !slices.Equal(c.InUse(), tt.inUse) || got.Secret != tt.secret || got.URL != tt.url {
				t.Errorf("in use are %v, secret %s, url %s", c.InUse(), string(got.Secret), got.URL)
			}
		})
	}
	c := mustLoad(t, "challenge: {provider: turnstile, secret: hush, turnstile: {hostnames: [app.example.com, localhost], action: send-code}}").Challenge.OfTurnstile()
	if !slices.Equal(c.Hostnames, []string{"app.example.com", "localhost"}) || c.Action != "send-code" {
		t.Errorf("hosts %v, action %s", c.Hostnames, c.Action)
	}
}
