package config

import (
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/nyaruka/phonenumbers"
)

var providers = []string{ProviderLog, ProviderWebhook, ProviderAliyun, ProviderTencent, ProviderTwilio, ProviderSNS}

func (r *rules) sms() {
	r.regions()
	r.routes()
	r.webhook()
	r.aliyun()
	r.tencent()
	r.twilio()
	r.sns()
	r.trace()
}

// routes checks who is asked, in the form of routes or in the short form.
func (r *rules) routes() {
	s := r.SMS
	if len(s.Routes) == 0 {
		r.provider("sms.provider", s.Provider)
		if s.Fallback != "" {
			r.provider("sms.fallback", s.Fallback)
		}
		if s.Fallback == s.Provider {
			r.breaks("sms.fallback", "must be another provider than sms.provider")
		}
		return
	}
	if s.Provider != ProviderLog {
		r.breaks("sms.provider", "must be left at its default, %s: sms.routes names the providers", ProviderLog)
	}
	if s.Fallback != "" {
		r.breaks("sms.fallback", "must be empty: sms.routes names the providers")
	}
	for i, route := range s.Routes {
		r.route(item("sms.routes", i), route)
	}
	if !r.sound("sms.routes") {
		return
	}
	for i, region := range s.Regions {
		if _, found := s.route(region); !found && r.valid(item("sms.regions", i)) {
			r.breaks("sms.routes", "none is for region %s, which is %s", region, item("sms.regions", i))
		}
	}
}

func (r *rules) route(key string, route Route) {
	if len(route.Regions) == 0 && r.valid(key+".regions") {
		r.breaks(key+".regions", "must not be empty")
	}
	r.regionList(key+".regions", route.Regions)
	if len(route.Providers) == 0 && r.valid(key+".providers") {
		r.breaks(key+".providers", "must not be empty")
	}
	names := unique[string]{}
	for i, name := range route.Providers {
		r.provider(item(key+".providers", i), name)
		names.add(r, item(key+".providers", i), name)
	}
}

func (r *rules) provider(key, name string) {
	r.oneOf(key, name, providers...)
	if name == ProviderLog && r.Production() {
		r.breaks(key, "log writes codes to the log, which production refuses")
	}
}

// region checks a region, and reports whether it is one.
func (r *rules) region(key, region string) bool {
	known := phonenumbers.GetSupportedRegions()[region]
	if !known {
		r.breaks(key, "must be the two capital letters of a region, such as CN")
	}
	return known
}

// regionList checks a list that may hold AnyRegion.
func (r *rules) regionList(key string, list []string) {
	for i, region := range list {
		if region != AnyRegion {
			r.region(item(key, i), region)
		}
	}
}

func (r *rules) regions() {
	if len(r.SMS.Regions) == 0 {
		r.breaks("sms.regions", "must not be empty")
	}
	allKnown := r.valid("sms.regions")
	for i, region := range r.SMS.Regions {
		allKnown = r.region(item("sms.regions", i), region) && allKnown
	}
	if r.region("sms.default_region", r.SMS.DefaultRegion) && allKnown && !slices.Contains(r.SMS.Regions, r.SMS.DefaultRegion) {
		r.breaks("sms.default_region", "must be one of sms.regions")
	}
}

// required demands a value for a key of a provider that is in use, or is asked for receipts, and
// reports whether there is one.
func (r *rules) required(key, value, provider string) bool {
	if value == "" && (slices.Contains(r.SMS.Providers(), provider) || r.SMS.Asks(provider)) {
		r.breaks(key, "must be given with provider %s", provider)
	}
	return value != ""
}

func (r *rules) webhook() {
	w := r.SMS.Webhook
	if r.required("sms.webhook.url", w.URL, ProviderWebhook) {
		r.target("sms.webhook.url", w.URL, "requests are signed with sms.webhook.secret")
	}
	if r.required("sms.webhook.secret", string(w.Secret), ProviderWebhook) {
		r.webhookSecret(string(w.Secret))
	}
}

// target is the URL of requests, nil after a problem. proof says what authenticates
// them.
func (r *rules) target(key, text, proof string) *url.URL {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http" || u.Port() != "" && !port(u.Port()):
		r.breaks(key, "must be an absolute URL such as https://sms.example.com/send")
	case u.User != nil || u.Fragment != "":
		r.breaks(key, "must not hold user, password or fragment: %s", proof)
	case r.Production() && u.Scheme != "https":
		r.breaks(key, "must be https in production")
	case r.Production() && local(u.Hostname()):
		r.breaks(key, "must not be this machine's own address in production")
	default:
		return u
	}
	return nil
}

// endpoint is the address of a vendor's API, without a path.
func (r *rules) endpoint(key, text, provider string) {
	if !r.required(key, text, provider) {
		return
	}
	if u := r.target(key, text, "requests are signed with the provider's secret"); u != nil && (u.Path != "" || u.RawQuery != "" || u.ForceQuery) {
		r.breaks(key, "must end with the host or its port: the paths are the provider's")
	}
}

// credential is a vendor's id or secret that is sent in a header.
func (r *rules) credential(key, value, provider string) {
	if r.required(key, value, provider) && strings.ContainsFunc(value, func(c rune) bool { return c <= ' ' || c > '~' || c == ',' || c == '/' }) {
		r.breaks(key, "must be printable ASCII without spaces, commas and slashes, as %s issues it", provider)
	}
}

func (r *rules) vendorSecret(key string, value Secret, provider string) {
	if r.required(key, string(value), provider) && r.Production() && sample(string(value)) {
		r.guessable(key)
	}
}

func (r *rules) aliyun() {
	a := r.SMS.Aliyun
	r.endpoint("sms.aliyun.endpoint", a.Endpoint, ProviderAliyun)
	r.credential("sms.aliyun.access_key_id", a.AccessKeyID, ProviderAliyun)
	r.vendorSecret("sms.aliyun.access_key_secret", a.AccessKeySecret, ProviderAliyun)
}

func (r *rules) tencent() {
	t := r.SMS.Tencent
	r.endpoint("sms.tencent.endpoint", t.Endpoint, ProviderTencent)
	r.credential("sms.tencent.region", t.Region, ProviderTencent)
	r.credential("sms.tencent.secret_id", t.SecretID, ProviderTencent)
	r.vendorSecret("sms.tencent.secret_key", t.SecretKey, ProviderTencent)
	if r.required("sms.tencent.app_id", t.AppID, ProviderTencent) && !digits(t.AppID) {
		r.breaks("sms.tencent.app_id", "must be digits, such as 1400006666")
	}
}

var accountSID = regexp.MustCompile(`\AAC[0-9a-f]{32}\z`)

func (r *rules) twilio() {
	t := r.SMS.Twilio
	r.endpoint("sms.twilio.endpoint", t.Endpoint, ProviderTwilio)
	if r.required("sms.twilio.account_sid", t.AccountSID, ProviderTwilio) && !accountSID.MatchString(t.AccountSID) {
		r.breaks("sms.twilio.account_sid", "must be AC and 32 hexadecimal digits")
	}
	r.vendorSecret("sms.twilio.auth_token", t.AuthToken, ProviderTwilio)
	r.required("sms.twilio.from", t.From, ProviderTwilio)
}

var (
	awsRegion = regexp.MustCompile(`\A[a-z]{2}(-[a-z]+){1,3}-[0-9]\z`)
	senderID  = regexp.MustCompile(`\A(?:[0-9A-Za-z-]*[A-Za-z][0-9A-Za-z-]*|)\z`)
)

func (r *rules) sns() {
	s := r.SMS.SNS
	if s.Endpoint != "" {
		r.endpoint("sms.sns.endpoint", s.Endpoint, ProviderSNS)
	}
	if r.required("sms.sns.region", s.Region, ProviderSNS) && !awsRegion.MatchString(s.Region) {
		r.breaks("sms.sns.region", "must be a region of AWS, such as us-east-1")
	}
	r.credential("sms.sns.access_key_id", s.AccessKeyID, ProviderSNS)
	r.vendorSecret("sms.sns.secret_access_key", s.SecretAccessKey, ProviderSNS)
	if !senderID.MatchString(s.SenderID) || len(s.SenderID) > 11 {
		r.breaks("sms.sns.sender_id", "must be at most 11 letters, digits and hyphens, with a letter")
	}
}
