package config

import (
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/nyaruka/phonenumbers"
)

var (
	providers = []string{ProviderLog, ProviderWebhook, ProviderAliyun, ProviderTencent, ProviderTwilio}
	vendors   = []string{ProviderAliyun, ProviderTencent, ProviderTwilio} // providers with templates
	purposes  = []string{"login", "change", "delete"}
)

func (r *rules) sms() {
	s := r.SMS
	r.provider("sms.provider", s.Provider)
	if s.Fallback != "" {
		r.provider("sms.fallback", s.Fallback)
	}
	if s.Fallback == s.Provider {
		r.breaks("sms.fallback", "must be another provider than sms.provider")
	}
	r.regions()
	r.webhook()
	r.aliyun()
	r.tencent()
	r.twilio()
	r.templates()
	r.trace()
}

func (r *rules) provider(key, name string) {
	r.oneOf(key, name, providers...)
	if name == ProviderLog && r.Production() {
		r.breaks(key, "log writes codes to the log, which production refuses")
	}
}

func (r *rules) regions() {
	known := phonenumbers.GetSupportedRegions()
	const want = "must be the two capital letters of a region, such as CN"
	if len(r.SMS.Regions) == 0 {
		r.breaks("sms.regions", "must not be empty")
	}
	allKnown := r.valid("sms.regions")
	for i, region := range r.SMS.Regions {
		if !known[region] {
			r.breaks(item("sms.regions", i), want)
			allKnown = false
		}
	}
	switch {
	case !known[r.SMS.DefaultRegion]:
		r.breaks("sms.default_region", want)
	case allKnown && !slices.Contains(r.SMS.Regions, r.SMS.DefaultRegion):
		r.breaks("sms.default_region", "must be one of sms.regions")
	}
}

// required demands a value for a key of a provider in use, and reports whether there is
// one.
func (r *rules) required(key, value, provider string) bool {
	if value == "" && slices.Contains(r.SMS.Providers(), provider) {
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

func (r *rules) templates() {
	before := len(r.problems)
	for i, t := range r.SMS.Templates {
		key := item("sms.templates", i)
		r.oneOf(key+".provider", t.Provider, vendors...)
		if len(t.Languages) == 0 {
			r.breaks(key+".languages", "must not be empty")
		}
		for j, language := range t.Languages {
			r.oneOf(item(key+".languages", j), language, Languages...)
		}
		for j, company := range t.Companies {
			if !slices.ContainsFunc(r.Companies, func(c Company) bool { return c.Type == company }) {
				r.breaks(item(key+".companies", j), "%d is the type of none of companies", company)
			}
		}
		for j, purpose := range t.Purposes {
			r.oneOf(item(key+".purposes", j), purpose, purposes...)
		}
		if t.Provider == ProviderTwilio {
			r.textTemplate(key, t)
		} else if slices.Contains(vendors, t.Provider) {
			r.keptTemplate(key, t)
		}
	}
	if len(r.problems) > before {
		return // which messages a template fits is not certain
	}
	if missing := r.untemplated(); len(missing) > 0 {
		r.breaks("sms.templates", "none fits %s", strings.Join(missing, "; "))
	}
}

// textTemplate checks a template whose text is sent to the vendor.
func (r *rules) textTemplate(key string, t Template) {
	r.holds(key+".text", []string{t.Text})
	if t.Sign != "" || t.Template != "" || len(t.Params) > 0 {
		r.breaks(key, "has text alone with provider %s, no sign, template or params", t.Provider)
	}
}

var variableName = regexp.MustCompile(`\A[A-Za-z][A-Za-z0-9_]*=`)

// keptTemplate checks a template whose text the vendor keeps.
func (r *rules) keptTemplate(key string, t Template) {
	r.notEmpty(key+".template", t.Template)
	if t.Text != "" {
		r.breaks(key+".text", "is kept by %s: give sign, template and params", t.Provider)
	}
	names := unique[string]{}
	if t.Provider == ProviderAliyun {
		r.notEmpty(key+".sign", t.Sign)
		for i, param := range t.Parameters() {
			name := variableName.FindString(param)
			if name == "" {
				r.breaks(item(key+".params", i), "must be name=value, such as code={code}")
			}
			names.add(r, item(key+".params", i), name)
		}
	}
	r.holds(key+".params", t.Parameters())
}

// holds requires {code} in the texts, and no other braces than {code} and {minutes}.
func (r *rules) holds(key string, texts []string) {
	all := strings.Join(texts, " ")
	if !strings.Contains(all, "{code}") {
		r.breaks(key, "must hold {code}")
	}
	if strings.ContainsAny(Fill(all, "", ""), "{}") {
		r.breaks(key, "may hold {code} and {minutes}, no other braces")
	}
}

// untemplated lists the messages for which a vendor in use has no template.
func (r *rules) untemplated() (missing []string) {
	for _, provider := range r.SMS.Providers() {
		if !slices.Contains(vendors, provider) {
			continue
		}
		for i, company := range r.Companies {
			if !r.valid(item("companies", i) + ".type") {
				continue
			}
			for _, language := range Languages {
				lacks := slices.DeleteFunc(slices.Clone(purposes), func(purpose string) bool {
					_, found := r.SMS.Template(provider, company.Type, purpose, language)
					return found
				})
				if len(lacks) > 0 {
					missing = append(missing, provider+" for company "+strconv.Itoa(int(company.Type))+" in "+language+" ("+strings.Join(lacks, ", ")+")")
				}
			}
		}
	}
	return missing
}
