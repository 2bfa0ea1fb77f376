package config

import (
	"regexp"
	"slices"
	"strings"
)

var (
	vendors     = []string{ProviderAliyun, ProviderTencent, ProviderTwilio, ProviderSNS} // providers with templates
	textVendors = []string{ProviderTwilio, ProviderSNS}                                  // those that receive the text
	purposes    = []string{"login", "change", "delete"}
)

func (r *rules) templates() {
	before := len(r.problems)
	for i, t := range r.SMS.Templates {
		key := item("sms.templates", i)
		r.oneOf(key+".provider", t.Provider, vendors...)
		r.dimensions(key, t)
		if slices.Contains(textVendors, t.Provider) {
			r.textTemplate(key, t)
		} else if slices.Contains(vendors, t.Provider) {
			r.keptTemplate(key, t)
		}
	}
	if len(r.problems) > before || !r.messagesKnown() {
		return // which messages a template fits is not certain
	}
	r.untemplated()
	for i, t := range r.SMS.Templates {
		r.rendered(item("sms.templates", i), t, r.productsOf(i, ""))
	}
}

// messagesKnown reports whether the keys that say which messages there are have no problem.
func (r *rules) messagesKnown() bool {
	known := len(r.Companies) > 0 && len(r.Products) > 0 && r.sound("sms.regions") && r.sound("sms.routes")
	for i := range r.Companies {
		known = known && r.valid(item("companies", i)+".type")
	}
	for i := range r.Products {
		known = known && r.valid(item("products", i)+".type")
	}
	return known
}

// dimensions checks the lists of messages that a template fits.
func (r *rules) dimensions(key string, t Template) {
	for i, company := range t.Companies {
		if !slices.ContainsFunc(r.Companies, func(c Company) bool { return c.Type == company }) {
			r.breaks(item(key+".companies", i), "%d is the type of none of companies", company)
		}
	}
	for i, product := range t.Products {
		if !slices.ContainsFunc(r.Products, func(p Product) bool { return p.Type == product }) {
			r.breaks(item(key+".products", i), "%d is the type of none of products", product)
		}
	}
	r.regionList(key+".regions", t.Regions)
	for i, purpose := range t.Purposes {
		r.oneOf(item(key+".purposes", i), purpose, purposes...)
	}
	for i, language := range t.Languages {
		r.oneOf(item(key+".languages", i), language, Languages...)
	}
}

// textTemplate checks a template whose text is sent to the vendor.
func (r *rules) textTemplate(key string, t Template) {
	r.holds(key+".text", []string{t.Text})
	if t.Sign != "" || t.Template != "" || len(t.Params) > 0 {
		r.breaks(key, "has text alone with provider %s, no sign, template or params", t.Provider)
	}
	if strings.Contains(t.Text, "{app_hash}") && !strings.HasSuffix(t.Text, "{app_hash}") {
		r.breaks(key+".text", "must end with {app_hash}")
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

// holds requires {code} in the texts, and no other braces than the placeholders.
func (r *rules) holds(key string, texts []string) {
	all := strings.Join(texts, " ")
	if !strings.Contains(all, "{code}") {
		r.breaks(key, "must hold {code}")
	}
	if strings.ContainsAny(Values{}.Fill(all), "{}") {
		r.breaks(key, "may hold {code}, {minutes}, {domain} and {app_hash}, no other braces")
	}
}

// untemplated names the messages for which a vendor in use has no template.
func (r *rules) untemplated() {
	var names []string
	for _, provider := range r.SMS.Providers() {
		if !slices.Contains(vendors, provider) || len(r.SMS.regionsOf(provider)) == 0 {
			continue
		}
		_, missing := r.distribute(provider)
		for _, s := range missing {
			names = append(names, provider+" for "+s.String())
		}
	}
	if len(names) > 0 {
		r.breaks("sms.templates", "none fits %s", strings.Join(names, "; "))
	}
}

// maxRetrieved is the longest message, in bytes, that Android's SMS Retriever reads
// (https://developers.google.com/identity/sms-retriever/verify).
const maxRetrieved = 140

// rendered checks what the users of the products receive. The last line of an origin-bound
// one-time code (https://wicg.github.io/sms-one-time-codes/) binds the code to a host.
func (r *rules) rendered(key string, t Template, products []Product) {
	all := strings.Join(append(t.Parameters(), t.Text), " ")
	for _, p := range products {
		product := item("products", slices.IndexFunc(r.Products, func(other Product) bool { return other.Type == p.Type }))
		for _, named := range []struct{ name, value string }{{"domain", p.Domain}, {"app_hash", p.AppHash}} {
			if strings.Contains(all, "{"+named.name+"}") && named.value == "" {
				r.breaks(product+"."+named.name, "must be given: %s names {%s}", key, named.name)
			}
		}
		values := r.sample(p)
		text := values.Fill(t.Text)
		last := text[strings.LastIndex(text, "\n")+1:]
		if strings.HasPrefix(last, "@") && (p.Domain == "" || last != "@"+p.Domain+" #"+values.Code) {
			r.breaks(key+".text", "begins its last line with @, which must be @{domain} #{code} and nothing else, also for %s", product)
		}
		if strings.Contains(t.Text, "{app_hash}") && len(text) > maxRetrieved {
			r.breaks(key+".text", "has %d bytes for %s; with {app_hash} at most %d are read", len(text), product, maxRetrieved)
		}
	}
}

var (
	hostForm    = regexp.MustCompile(`\A(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?\z`)
	appHashForm = regexp.MustCompile(`\A[A-Za-z0-9+/]{11}\z`)
)

// autofill checks what lets phones fill in the codes of a product.
func (r *rules) autofill(key string, p Product) {
	if p.Domain != "" && p.Domain != "localhost" && (!hostForm.MatchString(p.Domain) || len(p.Domain) > 253) {
		r.breaks(key+".domain", "must be a host in small letters, without scheme and port, such as app.example.com")
	}
	if p.AppHash != "" && !appHashForm.MatchString(p.AppHash) {
		r.breaks(key+".app_hash", "must be the 11 characters of base64 that identify the Android app, such as FA+9qCX9VSu")
	}
}
