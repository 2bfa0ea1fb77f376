package app

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"menshen/config"
	"menshen/middleware"
	"menshen/model"
	"menshen/service"
	"menshen/service/code"
	"menshen/service/sms"
)

// newProviders returns the senders in use, each one once. out receives the codes of the
// provider "log", and inbox its messages; inbox may be nil.
func newProviders(cfg *config.Config, out io.Writer, now func() time.Time, inbox *service.Inbox) (providers []code.Provider, err error) {
	for _, name := range cfg.SMS.Providers() {
		var sender code.Gateway
		switch name {
		case config.ProviderAliyun:
			sender = sms.NewAliyun(cfg.SMS, now)
		case config.ProviderTencent:
			sender = sms.NewTencent(cfg.SMS, now)
		case config.ProviderTwilio:
			sender = sms.NewTwilio(cfg.SMS)
		case config.ProviderSNS:
			sender = sms.NewSNS(cfg.SMS, now)
		case config.ProviderWebhook:
			webhook, err := sms.NewWebhook(cfg.SMS.Webhook.URL, model.Secret(cfg.SMS.Webhook.Secret), now)
			if err != nil {
				return nil, err
			}
			webhook.Language = cfg.Server.Locale
			sender = webhook
		case config.ProviderLog:
			sender = &sms.Log{Out: out, Format: cfg.Log.Format, Now: now, OnMessage: intoInbox(inbox)}
		default:
			return nil, fmt.Errorf("sms.provider: %s has no sender", name)
		}
		providers = append(providers, code.Provider{Name: name, Gateway: sender})
	}
	return providers, nil
}

// newRoutes returns the routes in force with their senders.
func newRoutes(cfg config.SMS, providers []code.Provider) (routes []code.Route) {
	for _, r := range cfg.Routing() {
		route := code.Route{Regions: r.Regions}
		for _, name := range r.Providers {
			i := slices.IndexFunc(providers, func(p code.Provider) bool { return p.Name == name })
			route.Providers = append(route.Providers, providers[i])
		}
		routes = append(routes, route)
	}
	return routes
}

// intoInbox returns nil without an inbox.
func intoInbox(inbox *service.Inbox) func(m model.Message, text string, at model.Time) {
	if inbox == nil {
		return nil
	}
	return func(m model.Message, text string, at model.Time) {
		inbox.Add(service.InboxMessage{Message: m, At: at, Text: text})
	}
}

func pumpingRules(g config.Guard) code.PumpingRules {
	return code.PumpingRules{Action: code.Action(g.Action), Window: g.Window, Least: g.Least, Percent: g.Percent, Burst: g.Burst}
}

// WriteTexts writes the texts that users receive, for each text template and language: with
// the encoding and the number of segments that the message takes, and an example.
func (a *App) WriteTexts(out io.Writer) error {
	for _, e := range a.Config.TextExamples() {
		size := sms.SizeOf(e.Text)
		if _, err := fmt.Fprintf(out, "sms.templates[%d] %s: encoding %s, segments %d\n%s\n", e.Template, e.Language, size.Encoding, size.Segments, e.Text); err != nil {
			return err
		}
	}
	return nil
}

// Check applies every rule of a start that depends on the configuration alone.
func (a *App) Check() error {
	cfg := a.Config
	_, providersErr := newProviders(cfg, io.Discard, a.Now, nil)
	_, numbersErr := newTestNumbers(cfg, newNumbers(cfg))
	_, addressesErr := middleware.NewAddresses(cfg.Server.TrustedProxies)
	_, challengeErr := newChallengers(cfg.Challenge, nil, a.Now)
	return errors.Join(providersErr, numbersErr, addressesErr, challengeErr)
}
