package config

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// Template is the message of a code at one vendor, for the messages that its lists allow;
// an empty list allows all. Aliyun and Tencent keep the text; the others receive it.
// Params and Text hold the placeholders of [Values].
type Template struct {
	Provider  string   `mapstructure:"provider" member:"required"` // one of vendors
	Companies []int32  `mapstructure:"companies"`
	Products  []int32  `mapstructure:"products"`
	Regions   []string `mapstructure:"regions"` // ISO 3166; AnyRegion is all of them too
	Purposes  []string `mapstructure:"purposes"`
	Languages []string `mapstructure:"languages"`
	Sign      string   `mapstructure:"sign"`                     // name shown before the text; required by aliyun
	Template  string   `mapstructure:"template" member:"digits"` // the vendor's id
	Params    []string `mapstructure:"params"`                   // aliyun: name=value; tencent: values in order
	Text      string   `mapstructure:"text" member:"lines"`      // for vendors that keep none
}

// Kind is what a template is chosen by.
type Kind struct {
	Company, Product          int32
	Region, Purpose, Language string
}

// Template returns the first template of the provider that fits the message; false if none
// does.
func (s SMS) Template(provider string, k Kind) (Template, bool) {
	i := s.indexOf(provider, k)
	if i < 0 {
		return Template{}, false
	}
	return s.Templates[i], true
}

// TemplateName names the template of the message as the configuration does, and the vendor's
// id of it; "" if none fits.
func (s SMS) TemplateName(provider string, k Kind) string {
	i := s.indexOf(provider, k)
	if i < 0 {
		return ""
	}
	return strings.TrimSpace(item("sms.templates", i) + " " + s.Templates[i].Template)
}

func (s SMS) indexOf(provider string, k Kind) int {
	return slices.IndexFunc(s.Templates, func(t Template) bool { return t.Provider == provider && t.fits(k) })
}

func (t Template) fits(k Kind) bool {
	return allows(t.Companies, k.Company) && allows(t.Products, k.Product) && (allows(t.Regions, k.Region) || slices.Contains(t.Regions, AnyRegion)) &&
		allows(t.Purposes, k.Purpose) && allows(t.Languages, k.Language)
}

func allows[T comparable](list []T, value T) bool {
	return len(list) == 0 || slices.Contains(list, value)
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

// Values replace the placeholders {code}, {minutes}, {domain} and {app_hash}.
type Values struct{ Code, Minutes, Domain, AppHash string }

// Fill replaces the placeholders in text.
func (v Values) Fill(text string) string {
	return strings.NewReplacer("{code}", v.Code, "{minutes}", v.Minutes, "{domain}", v.Domain, "{app_hash}", v.AppHash).Replace(text)
}

// sample returns the values of a message to a user of the product, with a code that opens
// nothing.
func (c *Config) sample(p Product) Values {
	const digits = "1234567890"
	return Values{
		Code:    digits[:min(max(c.Code.Length, 0), len(digits))],
		Minutes: strconv.Itoa(max(1, int(c.Code.TTL/time.Minute))),
		Domain:  p.Domain, AppHash: p.AppHash,
	}
}

// Example is a text in one of its template's languages, as it arrives.
type Example struct {
	Template int // its index
	Language string
	Text     string
}

// TextExamples returns the texts of all templates that have one. Of the products of a
// template the one with the longest text is the example.
func (c *Config) TextExamples() (list []Example) {
	for i, t := range c.SMS.Templates {
		if t.Text == "" {
			continue
		}
		for _, language := range Languages {
			if !allows(t.Languages, language) {
				continue
			}
			example := Example{Template: i, Language: language}
			for _, p := range c.productsOf(i, language) {
				if text := c.sample(p).Fill(t.Text); len(text) > len(example.Text) {
					example.Text = text
				}
			}
			list = append(list, example)
		}
	}
	return list
}
