package config

import (
	"cmp"
	"slices"
	"time"
)

// Values of sms.routes[].providers, sms.provider and sms.fallback.
const (
	ProviderLog     = "log"
	ProviderWebhook = "webhook"
	ProviderAliyun  = "aliyun"
	ProviderTencent = "tencent"
	ProviderTwilio  = "twilio"
	ProviderSNS     = "sns"
)

// Values of sms.aliyun.receipts and sms.tencent.receipts.
const (
	ReceiptsPush = "push" // the vendor posts them, if it has an address
	ReceiptsPull = "pull"
)

// Languages are the values of server.locale and of sms.templates[].languages.
var Languages = []string{"zh-CN", "en"}

// SMS configures how codes are sent, and to which numbers.
type SMS struct {
	Provider      string     `mapstructure:"provider"`       // short form of Routes: the provider that is asked first
	Fallback      string     `mapstructure:"fallback"`       // short form: the provider that is asked after a definite refusal; empty: none
	Routes        []Route    `mapstructure:"routes"`         // the first with a number's region is used
	DefaultRegion string     `mapstructure:"default_region"` // ISO 3166 region of numbers without a country code
	Regions       []string   `mapstructure:"regions"`        // ISO 3166 regions whose numbers are accepted, never empty
	Webhook       Webhook    `mapstructure:"webhook"`
	Aliyun        Aliyun     `mapstructure:"aliyun"`
	Tencent       Tencent    `mapstructure:"tencent"`
	Twilio        Twilio     `mapstructure:"twilio"`
	SNS           SNS        `mapstructure:"sns"`
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

// AnyRegion stands for all regions in a route.
const AnyRegion = "*"

// Route says which providers send to the numbers of some regions.
type Route struct {
	Regions   []string `mapstructure:"regions" member:"required"`   // ISO 3166, or AnyRegion
	Providers []string `mapstructure:"providers" member:"required"` // in order of preference; the next one after a definite refusal
}

// Webhook is the provider that posts each code to a URL.
type Webhook struct {
	URL    string `mapstructure:"url"`    // where to post; https in production
	Secret Secret `mapstructure:"secret"` // Standard Webhooks signing secret, whsec_<base64>
}

// Aliyun is Alibaba Cloud's SMS service (Dysmsapi 2017-05-25).
type Aliyun struct {
	Endpoint        string `mapstructure:"endpoint"`          // scheme and host; https in production
	AccessKeyID     string `mapstructure:"access_key_id"`     // of a RAM user that may SendSms, and what Receipts and ReportRedeemed need
	AccessKeySecret Secret `mapstructure:"access_key_secret"` // signs the requests

	ReceiptTokens  []Secret `mapstructure:"receipt_token" member:"single"` // last part of the address of receipts; none: no receipts
	Receipts       string   `mapstructure:"receipts"`                      // ReceiptsPush or ReceiptsPull
	ReportRedeemed bool     `mapstructure:"report_redeemed"`               // whether the vendor learns which codes were redeemed
}

// Tencent is Tencent Cloud's SMS service (sms 2021-01-11).
type Tencent struct {
	Endpoint  string `mapstructure:"endpoint"`               // scheme and host; https in production
	Region    string `mapstructure:"region"`                 // of the API, such as ap-guangzhou
	SecretID  string `mapstructure:"secret_id"`              // of a CAM user that may SendSms, and what Receipts and ReportRedeemed need
	SecretKey Secret `mapstructure:"secret_key"`             // signs the requests
	AppID     string `mapstructure:"app_id" member:"digits"` // SmsSdkAppId

	ReceiptTokens  []Secret `mapstructure:"receipt_token" member:"single"` // last part of the address of receipts; none: no receipts
	Receipts       string   `mapstructure:"receipts"`                      // ReceiptsPush or ReceiptsPull
	ReportRedeemed bool     `mapstructure:"report_redeemed"`               // whether the vendor learns which codes were redeemed
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

// SNS is Amazon's Simple Notification Service (2010-03-31).
type SNS struct {
	Endpoint        string `mapstructure:"endpoint"`          // scheme and host; https in production; empty: that of the region, see Address
	Region          string `mapstructure:"region"`            // such as us-east-1
	AccessKeyID     string `mapstructure:"access_key_id"`     // of an IAM user that may sns:Publish
	SecretAccessKey Secret `mapstructure:"secret_access_key"` // signs the requests
	SenderID        string `mapstructure:"sender_id"`         // name of the sender; empty: that of the account
}

// Address is the endpoint, or that of the region.
func (s SNS) Address() string {
	return cmp.Or(s.Endpoint, "https://sns."+s.Region+".amazonaws.com")
}

// Routing returns the routes in force: Routes, else the short form as one route.
func (s SMS) Routing() []Route {
	if len(s.Routes) > 0 {
		return s.Routes
	}
	route := Route{Regions: []string{AnyRegion}, Providers: []string{s.Provider}}
	if s.Fallback != "" {
		route.Providers = append(route.Providers, s.Fallback)
	}
	return []Route{route}
}

// takes reports whether the route is for numbers of the region.
func (r Route) takes(region string) bool {
	return slices.Contains(r.Regions, region) || slices.Contains(r.Regions, AnyRegion)
}

// route returns the route of the region's numbers; false if there is none.
func (s SMS) route(region string) (Route, bool) {
	routes := s.Routing()
	i := slices.IndexFunc(routes, func(r Route) bool { return r.takes(region) })
	if i < 0 {
		return Route{}, false
	}
	return routes[i], true
}

// Providers are the providers in use, each one once.
func (s SMS) Providers() (names []string) {
	for _, route := range s.Routing() {
		for _, name := range route.Providers {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// Asks reports whether receipts are fetched from the provider, or redeemed codes reported to it.
func (s SMS) Asks(provider string) bool {
	switch provider {
	case ProviderAliyun:
		return s.Aliyun.Receipts == ReceiptsPull || s.Aliyun.ReportRedeemed
	case ProviderTencent:
		return s.Tencent.Receipts == ReceiptsPull || s.Tencent.ReportRedeemed
	}
	return false
}

// regionsOf returns the accepted regions whose numbers the provider may be asked for; all
// of them if it is not in use.
func (s SMS) regionsOf(provider string) (regions []string) {
	if !slices.Contains(s.Providers(), provider) {
		return s.Regions
	}
	for _, region := range s.Regions {
		if route, found := s.route(region); found && slices.Contains(route.Providers, provider) {
			regions = append(regions, region)
		}
	}
	return regions
}
