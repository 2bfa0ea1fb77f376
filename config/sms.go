package config

import (
	"slices"
	"strings"
	"time"
)

// Values of sms.provider and sms.fallback.
const (
	ProviderLog     = "log"
	ProviderWebhook = "webhook"
	ProviderAliyun  = "aliyun"
	ProviderTencent = "tencent"
	ProviderTwilio  = "twilio"
)

// Languages are the values of server.locale and of sms.templates[].languages.
var Languages = []string{"zh-CN", "en"}

// SMS configures how codes are sent, and to which numbers.
type SMS struct {
	Provider      string     `mapstructure:"provider"`       // the provider that is asked first
	Fallback      string     `mapstructure:"fallback"`       // the provider that is asked after a definite refusal; empty: none
	DefaultRegion string     `mapstructure:"default_region"` // ISO 3166 region of numbers without a country code
	Regions       []string   `mapstructure:"regions"`        // ISO 3166 regions whose numbers are accepted, never empty
	Webhook       Webhook    `mapstructure:"webhook"`
	Aliyun        Aliyun     `mapstructure:"aliyun"`
	Tencent       Tencent    `mapstructure:"tencent"`
	Twilio        Twilio     `mapstructure:"twilio"`
	Templates     []Template `mapstructure:"templates"` // the first that fits a message is used
	Conversion    Conversion `mapstructure:"conversion"`
	Prices        []Price    `mapstructure:"prices"` // the first that matches counts
}

// Conversion configures the alarm for a vendor whose messages no longer arrive.
type Conversion struct {
	Window time.Duration `mapstructure:"window"` // rolling
	Margin int           `mapstructure:"margin"` // percentage points below the day before that are an alarm
	Least  int           `mapstructure:"least"`  // messages in the window before a vendor is judged
}

// Price is what a vendor takes for a segment of a message to a region.
type Price struct {
	Provider string  `mapstructure:"provider" member:"required"`
	Region   string  `mapstructure:"region" member:"required"`
	Segment  float64 `mapstructure:"segment" member:"required"` // in the currency of the deployment
}

// Webhook is the provider that posts each code to a URL.
type Webhook struct {
	URL    string `mapstructure:"url"`    // where to post; https in production
	Secret Secret `mapstructure:"secret"` // Standard Webhooks signing secret, whsec_<base64>
}

// Aliyun is Alibaba Cloud's SMS service (Dysmsapi 2017-05-25).
type Aliyun struct {
	Endpoint        string `mapstructure:"endpoint"`          // scheme and host; https in production
	AccessKeyID     string `mapstructure:"access_key_id"`     // of a RAM user that may SendSms
	AccessKeySecret Secret `mapstructure:"access_key_secret"` // signs the requests

	ReceiptTokens []Secret `mapstructure:"receipt_token" member:"single"` // last part of the address of receipts; none: no receipts
}

// Tencent is Tencent Cloud's SMS service (sms 2021-01-11).
type Tencent struct {
	Endpoint  string `mapstructure:"endpoint"`               // scheme and host; https in production
	Region    string `mapstructure:"region"`                 // of the API, such as ap-guangzhou
	SecretID  string `mapstructure:"secret_id"`              // of a CAM user that may SendSms
	SecretKey Secret `mapstructure:"secret_key"`             // signs the requests
	AppID     string `mapstructure:"app_id" member:"digits"` // SmsSdkAppId

	ReceiptTokens []Secret `mapstructure:"receipt_token" member:"single"` // last part of the address of receipts; none: no receipts
}

// Twilio is Twilio's Messages resource (2010-04-01).
type Twilio struct {
	Endpoint   string `mapstructure:"endpoint"`             // scheme and host; https in production
	AccountSID string `mapstructure:"account_sid"`          // AC…
	AuthToken  Secret `mapstructure:"auth_token"`           // password of HTTP Basic
	From       string `mapstructure:"from" member:"digits"` // sender: a number, a name, or a messaging service MG…

	ReceiptTokens []Secret `mapstructure:"receipt_token" member:"single"` // last part of the address of receipts; none: no receipts
	ReceiptURL    Secret   `mapstructure:"receipt_url"`                   // that address as Twilio reaches it, with the token
}

// Template is the message of a code at one vendor. It fits the listed languages and, if
// any are listed, companies and purposes. Aliyun and Tencent keep the text; Twilio
// receives it. In Params and Text, {code} and {minutes} stand for the code and its
// life.
type Template struct {
	Provider  string   `mapstructure:"provider" member:"required"`  // aliyun, tencent or twilio
	Languages []string `mapstructure:"languages" member:"required"` // never empty
	Companies []int32  `mapstructure:"companies"`                   // empty: all
	Purposes  []string `mapstructure:"purposes"`                    // empty: all
	Sign      string   `mapstructure:"sign"`                        // name shown before the text; required by aliyun
	Template  string   `mapstructure:"template" member:"digits"`    // the vendor's id
	Params    []string `mapstructure:"params"`                      // aliyun: name=value; tencent: values in order
	Text      string   `mapstructure:"text"`                        // twilio
}

// Providers are the providers in use, in order of preference.
func (s SMS) Providers() []string {
	if s.Fallback == "" {
		return []string{s.Provider}
	}
	return []string{s.Provider, s.Fallback}
}

// Template returns the first template that fits the message; false if none does.
func (s SMS) Template(provider string, company int32, purpose, language string) (Template, bool) {
	i := slices.IndexFunc(s.Templates, func(t Template) bool {
		return t.Provider == provider && slices.Contains(t.Languages, language) &&
			(len(t.Companies) == 0 || slices.Contains(t.Companies, company)) &&
			(len(t.Purposes) == 0 || slices.Contains(t.Purposes, purpose))
	})
	if i < 0 {
		return Template{}, false
	}
	return s.Templates[i], true
}

// Parameters are Params; if empty, those of the vendors' samples.
func (t Template) Parameters() []string {
	switch {
	case len(t.Params) > 0:
		return t.Params
	case t.Provider == ProviderAliyun:
		return []string{"code={code}"}
	}
	return []string{"{code}"}
}

// Fill replaces {code} and {minutes} in text.
func Fill(text, code, minutes string) string {
	return strings.NewReplacer("{code}", code, "{minutes}", minutes).Replace(text)
}
