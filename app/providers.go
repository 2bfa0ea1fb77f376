package app

import (
	"errors"
	"fmt"
	"io"
	"time"

	"menshen/config"
	"menshen/middleware"
	"menshen/model"
	"menshen/service/code"
	"menshen/service/sms"
)

// newProviders returns the configured senders in order of preference. out receives the
// codes of the provider "log".
func newProviders(cfg *config.Config, out io.Writer, now func() time.Time) (providers []code.Provider, err error) {
	for _, name := range cfg.SMS.Providers() {
		var sender code.Gateway
		switch name {
		case config.ProviderAliyun:
			sender = sms.NewAliyun(cfg.SMS, now)
		case config.ProviderTencent:
			sender = sms.NewTencent(cfg.SMS, now)
		case config.ProviderTwilio:
			sender = sms.NewTwilio(cfg.SMS)
		case config.ProviderWebhook:
			webhook, err := sms.NewWebhook(cfg.SMS.Webhook.URL, model.Secret(cfg.SMS.Webhook.Secret), now)
			if err != nil {
				return nil, err
			}
			webhook.Language = cfg.Server.Locale
			sender = webhook
		case config.ProviderLog:
			sender = &sms.Log{Out: out, Format: cfg.Log.Format, Now: now}
		default:
			return nil, fmt.Errorf("sms.provider: %s has no sender", name)
		}
		providers = append(providers, code.Provider{Name: name, Gateway: sender})
	}
	return providers, nil
}

func pumpingRules(g config.Guard) code.PumpingRules {
	return code.PumpingRules{Action: code.Action(g.Action), Window: g.Window, Least: g.Least, Percent: g.Percent, Burst: g.Burst}
}

// Check applies every rule of a start that depends on the configuration alone.
func (a *App) Check() error {
	cfg := a.Config
	_, providersErr := newProviders(cfg, io.Discard, a.Now)
	_, numbersErr := newTestNumbers(cfg, newNumbers(cfg))
	_, addressesErr := middleware.NewAddresses(cfg.Server.TrustedProxies)
	_, challengeErr := newChallengers(cfg.Challenge, nil, a.Now)
	return errors.Join(providersErr, numbersErr, addressesErr, challengeErr)
}
