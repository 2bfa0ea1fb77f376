package config_test

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"menshen/config"
)

// autofillFile is a configuration with one text for a product with a domain and a hash, and
// another one for a product with neither.
func autofillFile(text string) string {
	return "sms: {" + strings.ReplaceAll(twilio[:strings.Index(twilio, ", templates")], "provider: twilio, ", "") +
		", templates: [{provider: twilio, products: [7], text: " + strconv.Quote(text) + "}, {provider: twilio, text: 'code {code}'}]}\n" +
		"products: [{type: 7, group: a, domain: app.example.com, app_hash: FA+9qCX9VSu}, {type: 8, group: a}]\n"
}

// originBound parses a message as the specification says (https://wicg.github.io/sms-one-time-codes/#parsing).
func originBound(message string) (host, code string, ok bool) {
	lines := strings.Split(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(message), "\n")
	line := lines[len(lines)-1]
	token := func(marker string) string {
		if !strings.HasPrefix(line, marker) {
			return ""
		}
		line = line[1:]
		end := strings.IndexAny(line+" ", "\t\n\f\r ")
		found := line[:end]
		line = line[end:]
		return found
	}
	host = token("@")
	if host == "" || !strings.HasPrefix(line, " ") {
		return "", "", false
	}
	line = line[1:]
	code = token("#")
	return host, code, code != ""
}

// chromium is how Chromium finds a code (content/browser/sms/sms_parser.cc).
var chromium = regexp.MustCompile(`(?:^|\s)@([a-zA-Z0-9.-]+) #([^#\s]+)(?: @([a-zA-Z0-9.-]+))?`)

func TestAutofillForBrowsers(t *testing.T) {
	for text, good := range map[string]bool{
		"{code} is your code.\n\n@{domain} #{code}": true,
		"@{domain} #{code}":                         true,
		"@app.example.com #{code}":                  true,
		"验证码 {code}\r\n@{domain} #{code}":           true,
		"{code}\n@{domain} #{code}\n\n":             true, // a block of YAML ends with a line break
		"{code}\n@{domain} #{code} ":                false,
		"{code}\n@{domain}  #{code}":                false,
		"{code}\n@{domain} {code}":                  false,
		"{code}\n@{domain} #{code}.":                false,
		"{code}\n@{domain} #{code} @other.example":  false,
		"{code}\n@other.example.com #{code}":        false,
		"{code}\n@{domain} #{minutes}":              false,
		"{code}\n@{domain} #{code}{app_hash}":       false,
		"{code}\n@":                                 false,
		"{code}\n@https://{domain} #{code}":         false,
	} {
		cfg, _, err := load(t, autofillFile(text))
		if !good {
			if err == nil || !strings.HasPrefix(err.Error(), "sms.templates[0].text: begins its last line with @") || strings.Contains(err.Error(), "\n") {
				t.Errorf("%q: Load answers %v", text, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		sent := cfg.TextExamples()[0].Text
		if host, code, ok := originBound(sent); !ok || host != "app.example.com" || code != "123456" {
			t.Errorf("%q: a browser reads host %q, code %q, %v", sent, host, code, ok)
		}
		if found := chromium.FindStringSubmatch(sent); cmp.Diff([]string{"app.example.com", "123456", ""}, found[1:]) != "" {
			t.Errorf("%q: Chromium reads %q", sent, found)
		}
	}
}

// TestOriginBound are the examples of the specification.
func TestOriginBound(t *testing.T) {
	for message, want := range map[string]string{
		"747723 is your ExampleCo authentication code.\n\n@example.com #747723":                    "example.com 747723",
		"747723 is your ExampleCo authentication code.\n\n@example.com #747723 @ecommerce.example": "example.com 747723",
		"something @example.com #747723":                                                           "",
		"#747723 @ecommerce.example @example.com":                                                  "",
		"@example.com code #747723":                                                                "",
	} {
		host, code, ok := originBound(message)
		if got := strings.TrimSpace(host + " " + code); ok != (want != "") || ok && got != want {
			t.Errorf("%q: %q, %v", message, got, ok)
		}
	}
}

// TestAutofillForAndroid: a message for SMS Retriever has at most 140 bytes, a code, and the
// hash of the app (https://developers.google.com/identity/sms-retriever/verify).
func TestAutofillForAndroid(t *testing.T) {
	rest := len("123456 \nFA+9qCX9VSu")
	for text, want := range map[string]string{
		"Your ExampleApp code is: {code}\n\n{app_hash}":             "",
		strings.Repeat("x", 140-rest) + "{code} \n{app_hash}":       "",
		strings.Repeat("x", 141-rest) + "{code} \n{app_hash}":       "sms.templates[0].text: has 141 bytes for products[0]",
		strings.Repeat("码", (140-rest)/3) + "{code} \n{app_hash}":   "",
		strings.Repeat("码", (140-rest)/3+1) + "{code} \n{app_hash}": "sms.templates[0].text: has 142 bytes for products[0]",
		"{app_hash} {code}":                                    "sms.templates[0].text: must end with {app_hash}",
		"{code} {app_hash}.":                                   "sms.templates[0].text: must end with {app_hash}",
		"{code} {app_hash} {code} {app_hash}":                  "",
		strings.Repeat("x", 200) + "{code}\n@{domain} #{code}": "",
	} {
		cfg, _, err := load(t, autofillFile(text))
		if want != "" {
			if err == nil || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("%q: Load answers %v, want %s", text, err, want)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		sent := cfg.TextExamples()[0].Text
		if strings.Contains(text, "{app_hash}") && (len(sent) > 140 || !strings.HasSuffix(sent, "FA+9qCX9VSu") || !strings.Contains(sent, "123456")) {
			t.Errorf("%q has %d bytes", sent, len(sent))
		}
	}
	// Ten digits instead of six make it too long.
	_, _, err := load(t, autofillFile(strings.Repeat("x", 140-rest)+"{code} \n{app_hash}")+"code: {length: 10}\n")
	if err == nil || !strings.HasPrefix(err.Error(), "sms.templates[0].text: has 144 bytes") {
		t.Errorf("with a long code Load answers %v", err)
	}
}

// TestValuesOfProductsAreRequired where their template names them, and nowhere else.
func TestValuesOfProductsAreRequired(t *testing.T) {
	const products = "products: [{type: 7, group: a, domain: app.example.com, app_hash: FA+9qCX9VSu}, {type: 8, group: a}]\n"
	for _, tt := range []struct{ templates, want string }{
		{"{provider: twilio, text: \"{code}\\n@{domain} #{code}\"}", "products[1].domain: must be given: sms.templates[0] names {domain}"},
		{"{provider: twilio, text: '{code} {app_hash}'}", "products[1].app_hash: must be given: sms.templates[0] names {app_hash}"},
		{"{provider: aliyun, sign: a, template: b, params: ['c={code}', 'h={app_hash}']}", "products[1].app_hash: must be given: sms.templates[0] names {app_hash}"},
		{"{provider: twilio, text: \"{code}\\n@app.example.com #{code}\"}", "sms.templates[0].text: begins its last line with @"},
		{"{provider: twilio, products: [8], text: '{code}'}, {provider: twilio, text: '{code} {app_hash}'}", ""},
		{"{provider: twilio, products: [8], languages: [en], text: '{code}'}, {provider: twilio, text: '{code} {app_hash}'}", "products[1].app_hash: must be given: sms.templates[1] names"},
		{"{provider: twilio, products: [8], languages: [en], text: '{code}'}, {provider: twilio, products: [8], text: '{code}'}, {provider: twilio, text: '{code} {app_hash}'}", ""},
		{"{provider: aliyun, products: [8], sign: a, template: b}, {provider: twilio, text: '{code} {app_hash}'}", "products[1].app_hash: must be given: sms.templates[1] names"},
	} {
		_, _, err := load(t, "sms: {templates: ["+tt.templates+"]}\n"+products)
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: Load answers %v, want %q", tt.templates, err, tt.want)
		}
	}
}

// TestMissingTemplatesByDimension: each gap is named with its company, product, region, purpose
// and language, and only for regions for which the vendor is asked.
func TestMissingTemplatesByDimension(t *testing.T) {
	const base = "sms: {regions: [CN, HK, US], routes: [{regions: [CN, HK], providers: [aliyun]}, {regions: ['*'], providers: [log]}], aliyun: {access_key_id: a, access_key_secret: b}, templates: ["
	const rest = "]}\ncompanies: [{type: 3}, {type: 4}]\nproducts: [{type: 5, group: a}, {type: 6, group: a}]\n"
	for templates, want := range map[string]string{
		"{provider: aliyun, regions: ['*'], sign: a, template: b}":                                                         "",
		"{provider: aliyun, sign: a, template: b}":                                                                         "",
		"{provider: aliyun, regions: [CN], sign: a, template: b}, {provider: aliyun, regions: [HK], sign: a, template: c}": "",
		"{provider: aliyun, regions: [CN, US], sign: a, template: b}":                                                      "company 3/4, product 5/6, region HK, purpose login/change/delete, language zh-CN/en (",
		"{provider: aliyun, regions: [CN], sign: a, template: b}, {provider: aliyun, regions: [HK], companies: [3], products: [5], purposes: [login], languages: [en], sign: a, template: c}": "company 4, product 5/6, region HK, purpose login/change/delete, language zh-CN/en; " +
			"aliyun for company 3, product 6, region HK, purpose login/change/delete, language zh-CN/en; " +
			"aliyun for company 3, product 5, region HK, purpose change/delete, language zh-CN/en; " +
			"aliyun for company 3, product 5, region HK, purpose login, language zh-CN (",
	} {
		_, _, err := load(t, base+templates+rest)
		if want == "" && err != nil || want != "" && (err == nil || !strings.HasPrefix(err.Error(), "sms.templates: none fits aliyun for "+want)) {
			t.Errorf("%s: Load answers %v, want %s", templates, err, want)
		}
	}
}

// TestTemplateGapsAreExact compares the gaps that are named with those of the choice itself.
func TestTemplateGapsAreExact(t *testing.T) {
	cfg, _, err := load(t, "sms: {regions: [CN, HK], "+aliyun[:strings.Index(aliyun, ", templates")]+`, templates: [
		{provider: aliyun, companies: [3], regions: [CN], sign: a, template: b}, {provider: aliyun, products: [6], purposes: [login, delete], sign: a, template: c},
		{provider: aliyun, companies: [4], languages: [en], sign: a, template: d}, {provider: aliyun, regions: [HK], products: [5], purposes: [change], sign: a, template: e}]}
companies: [{type: 3}, {type: 4}]`+"\nproducts: [{type: 5, group: a}, {type: 6, group: a}]\n")
	if cfg != nil {
		t.Fatal("nothing is missing")
	}
	var s config.SMS
	s.Templates = []config.Template{
		{Provider: "aliyun", Companies: []int32{3}, Regions: []string{"CN"}}, {Provider: "aliyun", Products: []int32{6}, Purposes: []string{"login", "delete"}},
		{Provider: "aliyun", Companies: []int32{4}, Languages: []string{"en"}}, {Provider: "aliyun", Regions: []string{"HK"}, Products: []int32{5}, Purposes: []string{"change"}},
	}
	gaps := regexp.MustCompile(`company ([0-9/]+), product ([0-9/]+), region ([A-Z/]+), purpose ([a-z/]+), language ([A-Za-z/-]+)`).FindAllStringSubmatch(err.Error(), -1)
	for _, company := range []int32{3, 4} {
		for _, product := range []int32{5, 6} {
			for _, region := range []string{"CN", "HK"} {
				for _, purpose := range []string{"login", "change", "delete"} {
					for _, language := range config.Languages {
						_, found := s.Template("aliyun", config.Kind{Company: company, Product: product, Region: region, Purpose: purpose, Language: language})
						if named := countGaps(gaps, fmt.Sprint(company), fmt.Sprint(product), region, purpose, language); named > 1 || found == (named == 1) {
							t.Errorf("%d %d %s %s %s: named %d times, found %v", company, product, region, purpose, language, named, found)
						}
					}
				}
			}
		}
	}
}

func countGaps(gaps [][]string, message ...string) (count int) {
	for _, gap := range gaps {
		holds := true
		for d, value := range message {
			holds = holds && strings.Contains("/"+gap[d+1]+"/", "/"+value+"/")
		}
		if holds {
			count++
		}
	}
	return count
}

// TestDocumentedConfigurations: the examples of the manual are valid and need no warning but
// that of Aliyun's limits.
func TestDocumentedConfigurations(t *testing.T) {
	for _, name := range []string{"messages.md", "zh/messages.md"} {
		text, err := os.ReadFile("../docs/" + name)
		if err != nil {
			t.Fatal(err)
		}
		blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllSubmatch(text, -1)
		for _, block := range blocks {
			_, warnings, err := load(t, string(block[1]),
				"MENSHEN_SMS_ALIYUN_ACCESS_KEY_ID=a", "MENSHEN_SMS_ALIYUN_ACCESS_KEY_SECRET=b", "MENSHEN_SMS_TENCENT_SECRET_ID=a", "MENSHEN_SMS_TENCENT_SECRET_KEY=b",
				"MENSHEN_SMS_TENCENT_APP_ID=1", "MENSHEN_SMS_TWILIO_ACCOUNT_SID=AC"+strings.Repeat("0a", 16), "MENSHEN_SMS_TWILIO_AUTH_TOKEN=a", "MENSHEN_SMS_TWILIO_FROM=b")
			if err != nil || strings.Contains(strings.Join(warnings, ""), "sms.templates") {
				t.Errorf("%s: %v, warnings %q", block[1], err, warnings)
			}
		}
		if len(blocks) < 2 {
			t.Errorf("%s has %d examples", name, len(blocks))
		}
	}
}

func TestBadTemplatesAreRefused(t *testing.T) {
	for _, tt := range []refused{
		sms("template of an unknown product", "templates: [{provider: twilio, products: [0, 9], text: '{code}'}]", "sms.templates[0].products[1]"),
		sms("template of an unknown region", "templates: [{provider: twilio, regions: [CN, cn], text: '{code}'}]", "sms.templates[0].regions[1]"),
		sms("text with a control character", "templates: [{provider: twilio, text: \"{code}\\t\"}]", "sms.templates[0].text"),
		sms("sign of two lines", "templates: [{provider: tencent, sign: \"a\\nb\", template: 1}]", "sms.templates[0].sign"),
		file("domain with a scheme", "products: [{type: 0, group: a, domain: 'https://app.example.com'}]", "products[0].domain"),
		file("domain with a port", "products: [{type: 0, group: a, domain: 'app.example.com:8080'}]", "products[0].domain"),
		file("domain in capitals", "products: [{type: 0, group: a, domain: App.example.com}]", "products[0].domain"),
		file("domain of one word", "products: [{type: 0, group: a, domain: app}]", "products[0].domain"),
		file("address as domain", "products: [{type: 0, group: a, domain: 192.0.2.1}]", "products[0].domain"),
		file("domain with a dot at its end", "products: [{type: 0, group: a, domain: app.example.com.}]", "products[0].domain"),
		file("hash too short", "products: [{type: 0, group: a, app_hash: FA+9qCX9VS}]", "products[0].app_hash"),
		file("hash too long", "products: [{type: 0, group: a, app_hash: FA+9qCX9VSu=}]", "products[0].app_hash"),
		file("hash for URLs", "products: [{type: 0, group: a, app_hash: FA-9qCX9VSu}]", "products[0].app_hash"),
	} {
		t.Run(tt.name, tt.run)
	}
}

// TestTextExamples: one for each language of each text, with the longest values.
func TestTextExamples(t *testing.T) {
	cfg := mustLoad(t, `
sms:
  templates:
    - {provider: tencent, template: 1}
    - provider: twilio
      languages: [en]
      text: |
        {code} is your code for {minutes} minutes.

        @{domain} #{code}
    - {provider: twilio, text: "验证码 {code}"}
code: {length: 8}
products: [{type: 1, group: a, domain: a.example}, {type: 2, group: a, domain: longer.example}, {type: 3, group: a, domain: b.example}]
`)
	want := []config.Example{
		{Template: 1, Language: "en", Text: "12345678 is your code for 5 minutes.\n\n@longer.example #12345678"},
		{Template: 2, Language: "zh-CN", Text: "验证码 12345678"}, {Template: 2, Language: "en", Text: "验证码 12345678"},
	}
	if diff := cmp.Diff(want, cfg.TextExamples()); diff != "" {
		t.Errorf("examples:\n%s", diff)
	}
	json := mustLoad(t, "", `MENSHEN_SMS_TEMPLATES=[{"provider":"twilio","languages":["en"],"text":"{code}\r\n{minutes}\n"}]`)
	if diff := cmp.Diff([]config.Example{{Language: "en", Text: "123456\n5"}}, json.TextExamples()); diff != "" {
		t.Errorf("examples of the environment:\n%s", diff)
	}
	if diff := cmp.Diff(want, mustLoad(t, cfg.Masked()).TextExamples()); diff != "" {
		t.Errorf("read again from the masked text:\n%s", diff)
	}
}

// TestTemplatesOfBothSides: a vendor's template serves the mainland or other regions, not both.
func TestTemplatesOfBothSides(t *testing.T) {
	for templates, warned := range map[string]bool{
		"{provider: tencent, template: 1}":                                                                   true,
		"{provider: tencent, regions: [CN], template: 1}, {provider: tencent, template: 2}":                  false,
		"{provider: tencent, regions: [CN, HK], template: 1}":                                                true,
		"{provider: tencent, regions: [CN], languages: [en], template: 1}, {provider: tencent, template: 2}": true,
	} {
		_, warnings, err := load(t, "sms: {regions: [CN, HK], "+tencent[:strings.Index(tencent, ", templates")]+", templates: ["+templates+"]}")
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(warnings, "\n"); (got != "") != warned || warned && !strings.Contains(got, "is used for numbers of the mainland and of HK: tencent has separate templates") {
			t.Errorf("%s: warnings %q", templates, got)
		}
	}
}
