package config_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"menshen/config"
)

// The sections of three vendors and templates for their messages, without provider.
var vendorSections = strings.TrimPrefix(twilio[:strings.Index(twilio, ", templates")], "provider: twilio, ") +
	", aliyun: {access_key_id: LTAI, access_key_secret: hush}, tencent: {secret_id: AKID, secret_key: hush, app_id: 1400006666}" +
	", templates: [{provider: aliyun, sign: 门神, template: SMS_1}, {provider: tencent, template: 1110}, {provider: twilio, text: 'code {code}'}]"

const threeRoutes = "regions: [CN, HK, US], routes: [{regions: [CN], providers: [aliyun, tencent]}, {regions: [HK], providers: [tencent]}, {regions: ['*'], providers: [twilio]}], "

func TestRoutes(t *testing.T) {
	s := mustLoadRoutes(t, threeRoutes).SMS
	want := []config.Route{
		{Regions: []string{"CN"}, Providers: []string{"aliyun", "tencent"}}, {Regions: []string{"HK"}, Providers: []string{"tencent"}},
		{Regions: []string{"*"}, Providers: []string{"twilio"}},
	}
	if diff := cmp.Diff(want, s.Routing()); diff != "" {
		t.Errorf("routes:\n%s", diff)
	}
	if got := strings.Join(s.Providers(), " "); got != "aliyun tencent twilio" {
		t.Errorf("providers are %s", got)
	}
	short := mustLoad(t, "sms: {"+tencent+", fallback: log}").SMS
	if diff := cmp.Diff([]config.Route{{Regions: []string{"*"}, Providers: []string{"tencent", "log"}}}, short.Routing()); diff != "" {
		t.Errorf("the short form:\n%s", diff)
	}
	json := mustLoad(t, "", `MENSHEN_SMS_ROUTES=[{"regions":["CN","US"],"providers":["log"]}]`).SMS
	if diff := cmp.Diff([]config.Route{{Regions: []string{"CN", "US"}, Providers: []string{"log"}}}, json.Routing()); diff != "" {
		t.Errorf("from the environment:\n%s", diff)
	}
}

// mustLoadRoutes loads routes beside the sections. Aliyun documents limits, of which a
// start warns.
func mustLoadRoutes(t *testing.T, routes string) *config.Config {
	t.Helper()
	cfg, _, err := load(t, "sms: {"+routes+vendorSections+"}")
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func routes(name, text string, keys ...string) refused {
	return sms(name, text+", "+vendorSections, keys...)
}

func TestBadRoutesAreRefused(t *testing.T) {
	for _, tt := range []refused{
		routes("with a fallback", "fallback: twilio, routes: [{regions: ['*'], providers: [log]}]", "sms.fallback"),
		routes("with a provider", "provider: aliyun, routes: [{regions: ['*'], providers: [log]}]", "sms.provider"),
		routes("with both", "provider: aliyun, fallback: twilio, routes: [{regions: ['*'], providers: [log]}]", "sms.provider", "sms.fallback"),
		routes("region without a route", "regions: [CN, HK, US], routes: [{regions: [CN, US], providers: [log]}]", "sms.routes"),
		routes("route without regions", "routes: [{regions: [], providers: [log]}]", "sms.routes[0].regions"),
		routes("route without its regions", "routes: [{providers: [log]}]", "sms.routes[0].regions"),
		routes("route of an unknown region", "routes: [{regions: [CN, XX], providers: [log]}]", "sms.routes[0].regions[1]"),
		routes("route without a provider", "routes: [{regions: [CN], providers: []}]", "sms.routes[0].providers"),
		routes("route without its provider", "routes: [{regions: [CN]}]", "sms.routes[0].providers"),
		routes("route of an unknown provider", "routes: [{regions: [CN], providers: [log, pigeon]}]", "sms.routes[0].providers[1]"),
		routes("route with a provider twice", "routes: [{regions: [CN], providers: [log, twilio, log]}]", "sms.routes[0].providers[2]"),
		sms("provider without its section", "regions: [CN, HK], routes: [{regions: [CN], providers: [log]}, {regions: [HK], providers: [webhook, tencent]}]",
			"sms.webhook.url", "sms.webhook.secret", "sms.tencent.secret_id", "sms.tencent.secret_key", "sms.tencent.app_id", "sms.templates"),
		{
			name: "production: route to the log", keys: []string{"sms.routes[0].providers[1]"},
			environ: production(`MENSHEN_SMS_PROVIDER=log`, `MENSHEN_SMS_ROUTES=[{"regions":["*"],"providers":["webhook","log"]}]`),
		},
	} {
		t.Run(tt.name, tt.run)
	}
}

// TestRoutesInProduction: the default provider is no fault if there are routes.
func TestRoutesInProduction(t *testing.T) {
	cfg := mustLoad(t, "", production("MENSHEN_SMS_PROVIDER=log", `MENSHEN_SMS_ROUTES=[{"regions":["*"],"providers":["webhook"]}]`)...)
	if got := strings.Join(cfg.SMS.Providers(), " "); got != "webhook" {
		t.Errorf("providers are %s", got)
	}
	cfg = mustLoad(t, "", `MENSHEN_SMS_ROUTES=[{"regions":["*"],"providers":["log"]}]`)
	if lax := strings.Join(cfg.Lax, " "); strings.Contains(lax, "sms.provider") || !strings.Contains(lax, "sms.routes[0].providers[0]") {
		t.Errorf("laxer than production allows: %s", lax)
	}
}

// TestTheRegionWithoutARouteIsNamed names the region and the list.
func TestTheRegionWithoutARouteIsNamed(t *testing.T) {
	_, _, err := load(t, "sms: {regions: [CN, HK], routes: [{regions: [CN], providers: [log]}]}")
	if err == nil || !strings.HasPrefix(err.Error(), "sms.routes: none is for region HK, which is sms.regions[1]") {
		t.Errorf("Load answers %v", err)
	}
}
