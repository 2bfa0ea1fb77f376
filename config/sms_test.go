package config_test

import (
	"strings"
	"testing"

	"menshen/config"
)

// A minimal section for each vendor, with templates for all messages.
var (
	aliyun  = "provider: aliyun, aliyun: {access_key_id: LTAI, access_key_secret: hush}, templates: [{provider: aliyun, languages: [zh-CN, en], sign: 门神, template: SMS_1}]"
	tencent = "provider: tencent, tencent: {secret_id: AKID, secret_key: hush, app_id: 1400006666}, templates: [{provider: tencent, languages: [zh-CN, en], template: 1110}]"
	sns     = "provider: sns, sns: {access_key_id: AKIA, secret_access_key: hush}, templates: [{provider: sns, text: 'code {code}'}]"
	twilio  = "provider: twilio, twilio: {account_sid: AC" + strings.Repeat("0a", 16) + ", auth_token: hush, from: +14155550123}, templates: [{provider: twilio, languages: [zh-CN, en], text: 'code {code}'}]"
)

func TestEachVendorCanBeConfigured(t *testing.T) {
	for name, text := range map[string]string{"aliyun": aliyun, "tencent": tencent, "twilio": twilio, "sns": sns} {
		cfg, _, err := load(t, "sms: {"+text+"}")
		if err != nil {
			t.Fatal(err)
		}
		s := cfg.SMS
		if got := strings.Join(s.Providers(), " "); got != name {
			t.Errorf("providers are %s, want %s", got, name)
		}
		for _, language := range config.Languages {
			for _, purpose := range []string{"login", "change", "delete"} {
				if _, found := s.Template(name, config.Kind{Company: 1, Region: "CN", Purpose: purpose, Language: language}); !found {
					t.Errorf("%s has no template for %s in %s", name, purpose, language)
				}
			}
		}
	}
	s := mustLoad(t, "sms: {"+tencent+", fallback: log}").SMS
	if got := strings.Join(s.Providers(), " "); got != "tencent log" {
		t.Errorf("providers are %s", got)
	}
}

func TestFirstTemplateThatFitsIsTaken(t *testing.T) {
	s := mustLoad(t, `sms: {templates: [
		{provider: aliyun, languages: [en], companies: [1], purposes: [delete], sign: one, template: a},
		{provider: aliyun, languages: [en], companies: [0, 1], sign: both, template: b, params: ["n={code}", "min={minutes}"]},
		{provider: tencent, languages: [zh-CN, en], template: 12},
		{provider: aliyun, sign: all, template: c}]}`).SMS
	for _, tt := range []struct {
		provider          string
		company           int32
		purpose, language string
		want              string
	}{
		{"aliyun", 1, "delete", "en", "a"}, {"aliyun", 1, "login", "en", "b"}, {"aliyun", 0, "delete", "en", "b"},
		{"aliyun", 1, "delete", "zh-CN", "c"}, {"aliyun", 7, "login", "en", "c"}, {"tencent", 1, "delete", "en", "12"},
		{"twilio", 1, "login", "en", ""},
	} {
		got, found := s.Template(tt.provider, config.Kind{Company: tt.company, Purpose: tt.purpose, Language: tt.language})
		if got.Template != tt.want || found != (tt.want != "") {
			t.Errorf("%+v: template %q, found %v", tt, got.Template, found)
		}
	}
	if got := strings.Join(s.Templates[1].Parameters(), " "); got != "n={code} min={minutes}" {
		t.Errorf("parameters are %s", got)
	}
	if got := strings.Join(append(s.Templates[0].Parameters(), s.Templates[2].Parameters()...), " "); got != "code={code} {code}" {
		t.Errorf("parameters by default are %s", got)
	}
}

func sms(name, text string, keys ...string) refused { return file(name, "sms: {"+text+"}", keys...) }

var badSMS = []refused{
	sms("aliyun without anything", "provider: aliyun", "sms.aliyun.access_key_id", "sms.aliyun.access_key_secret", "sms.templates"),
	sms("tencent without anything", "provider: tencent", "sms.tencent.secret_id", "sms.tencent.secret_key", "sms.tencent.app_id", "sms.templates"),
	sms("twilio without anything", "provider: twilio", "sms.twilio.account_sid", "sms.twilio.auth_token", "sms.twilio.from", "sms.templates"),
	sms("sns without anything", "provider: sns", "sms.sns.access_key_id", "sms.sns.secret_access_key", "sms.templates"),
	sms("region of no cloud", "sns: {region: 'us-east-1.evil.example/'}", "sms.sns.region"),
	sms("sns without a region", "provider: sns, sns: {region: '', access_key_id: a, secret_access_key: b}, templates: [{provider: sns, text: '{code}'}]", "sms.sns.region"),
	sms("endpoint of sns with a path", "sns: {endpoint: 'https://h/x'}", "sms.sns.endpoint"),
	sms("sender of digits", "sns: {sender_id: '12345'}", "sms.sns.sender_id"),
	sms("sender too long", "sns: {sender_id: abcdefghijkl}", "sms.sns.sender_id"),
	prod("sns in clear", "MENSHEN_SMS_SNS_ENDPOINT=http://sns.us-east-1.amazonaws.com", "sms.sns.endpoint"),
	prod("sns' sample", "MENSHEN_SMS_SNS_SECRET_ACCESS_KEY="+strings.Repeat("x", 40), "sms.sns.secret_access_key"),
	sms("no endpoint", aliyun+", fallback: tencent, tencent: {endpoint: '', region: '', secret_id: a, secret_key: b, app_id: 1}",
		"sms.tencent.endpoint", "sms.tencent.region", "sms.templates"),
	sms("fallback without anything", "fallback: webhook", "sms.webhook.url", "sms.webhook.secret"),
	sms("unknown fallback", "fallback: pigeon", "sms.fallback"),
	sms("fallback to itself", "provider: log, fallback: log", "sms.fallback"),
	prod("fallback to the log", "MENSHEN_SMS_FALLBACK=log", "sms.fallback"),
	sms("endpoint with a path", "aliyun: {endpoint: 'https://h/x'}", "sms.aliyun.endpoint"),
	sms("endpoint with a slash", "aliyun: {endpoint: 'https://h/'}", "sms.aliyun.endpoint"),
	sms("endpoint with a query", "tencent: {endpoint: 'https://h?x'}", "sms.tencent.endpoint"),
	sms("endpoint with a password", "twilio: {endpoint: 'https://u:"+canary+"@h'}", "sms.twilio.endpoint"),
	sms("endpoint without a scheme", "twilio: {endpoint: api.twilio.com}", "sms.twilio.endpoint"),
	prod("aliyun in clear", "MENSHEN_SMS_ALIYUN_ENDPOINT=http://dysmsapi.aliyuncs.com", "sms.aliyun.endpoint"),
	prod("tencent on loopback", "MENSHEN_SMS_TENCENT_ENDPOINT=https://127.0.0.1", "sms.tencent.endpoint"),
	prod("twilio on localhost", "MENSHEN_SMS_TWILIO_ENDPOINT=https://localhost", "sms.twilio.endpoint"),
	prod("aliyun's sample", "MENSHEN_SMS_ALIYUN_ACCESS_KEY_SECRET="+strings.Repeat("x", 30), "sms.aliyun.access_key_secret"),
	prod("tencent's sample", "MENSHEN_SMS_TENCENT_SECRET_KEY="+strings.Repeat("secret", 6), "sms.tencent.secret_key"),
	prod("twilio's sample", "MENSHEN_SMS_TWILIO_AUTH_TOKEN="+strings.Repeat("0", 32), "sms.twilio.auth_token"),
	sms("credential with a line of its own", "aliyun: {access_key_id: '"+canary+" x'}", "sms.aliyun.access_key_id"),
	sms("credential with a comma", "tencent: {secret_id: '"+canary+",x', region: 'a b'}", "sms.tencent.region", "sms.tencent.secret_id"),
	sms("app_id", "tencent: {app_id: "+canary+"}", "sms.tencent.app_id"),
	sms("account_sid", "twilio: {account_sid: '../"+canary+"'}", "sms.twilio.account_sid"),
	sms("template of a provider without templates", "templates: [{provider: log, languages: [en]}]", "sms.templates[0].provider"),
	sms("template of an unknown language", "templates: [{provider: twilio, languages: [en, fr], text: '{code}'}]", "sms.templates[0].languages[1]"),
	sms("template of an unknown company", "templates: [{provider: twilio, languages: [en], companies: [0, 7], text: '{code}'}]", "sms.templates[0].companies[1]"),
	sms("template of an unknown purpose", "templates: [{provider: twilio, languages: [en], purposes: [play], text: '{code}'}]", "sms.templates[0].purposes[0]"),
	sms("text without the code", "templates: [{provider: twilio, languages: [en], text: hello}]", "sms.templates[0].text"),
	sms("text with an unknown place", "templates: [{provider: twilio, languages: [en], text: '{code} {name}'}]", "sms.templates[0].text"),
	sms("text with an id", "templates: [{provider: twilio, languages: [en], text: '{code}', template: 12}]", "sms.templates[0]"),
	sms("kept text", "templates: [{provider: tencent, languages: [en], template: 12, text: '{code}'}]", "sms.templates[0].text"),
	sms("no id, no sign", "templates: [{provider: aliyun, languages: [en]}]", "sms.templates[0].template", "sms.templates[0].sign"),
	sms("parameters without the code", "templates: [{provider: tencent, languages: [en], template: 1, params: ['{minutes}']}]", "sms.templates[0].params"),
	sms("parameters without names", "templates: [{provider: aliyun, languages: [en], template: a, sign: b, params: ['{code}']}]", "sms.templates[0].params[0]"),
	sms("parameters of one name", "templates: [{provider: aliyun, languages: [en], template: a, sign: b, params: ['c={code}', 'c={minutes}']}]", "sms.templates[0].params[1]"),
}

func TestBadProvidersAreRefused(t *testing.T) {
	for _, tt := range badSMS {
		t.Run(tt.name, tt.run)
	}
}

// TestMissingTemplatesAreNamed: every message that a vendor may be asked for needs a template; the
// problem names the missing ones.
func TestMissingTemplatesAreNamed(t *testing.T) {
	_, _, err := load(t, "sms: {"+strings.ReplaceAll(twilio, "[zh-CN, en]", "[zh-CN]")+", fallback: aliyun, aliyun: {access_key_id: a, access_key_secret: b}}\ncompanies: [{type: 3}]")
	const want = "sms.templates: none fits twilio for company 3, product 0/1/2, region CN, purpose login/change/delete, language en; " +
		"aliyun for company 3, product 0/1/2, region CN, purpose login/change/delete, language zh-CN/en ("
	if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "\n") {
		t.Errorf("Load answers %v, want %s", err, want)
	}
	_, _, err = load(t, `sms: {`+strings.TrimSuffix(twilio, "]")+`, {provider: aliyun, languages: [zh-CN, en], companies: [0], sign: a, template: b},
		{provider: aliyun, languages: [zh-CN], purposes: [login, change], sign: a, template: b}], fallback: aliyun, aliyun: {access_key_id: a, access_key_secret: b}}`)
	const partly = "sms.templates: none fits aliyun for company 1, product 0/1/2, region CN, purpose delete, language zh-CN/en; " +
		"aliyun for company 1, product 0/1/2, region CN, purpose login/change, language en ("
	if err == nil || !strings.HasPrefix(err.Error(), partly) {
		t.Errorf("Load answers %v, want %s", err, partly)
	}
}

func TestVendorSecretsAreMasked(t *testing.T) {
	cfg := mustLoad(t, "", "MENSHEN_SMS_ALIYUN_ACCESS_KEY_SECRET="+canary, "MENSHEN_SMS_TENCENT_SECRET_KEY="+canary, "MENSHEN_SMS_TWILIO_AUTH_TOKEN="+canary, "MENSHEN_SMS_SNS_SECRET_ACCESS_KEY="+canary)
	if strings.Contains(cfg.Masked(), canary) || strings.Count(cfg.Masked(), "***") != 4 {
		t.Errorf("a secret is shown, or none was given:\n%s", cfg.Masked())
	}
}
