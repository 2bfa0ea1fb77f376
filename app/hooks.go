package app

import (
	"net/http"
	"time"

	"menshen/config"
	"menshen/controller"
	"menshen/middleware"
	"menshen/model"
	"menshen/router"
	"menshen/service/code"
	"menshen/service/sms"
)

// newHooks returns what takes the receipts of vendors, and what guards it.
func newHooks(cfg config.SMS, receipts *code.Receipts, now func() time.Time) (controller.Hooks, router.HookGuards, error) {
	twilio := sms.TwilioReceipts{AuthToken: model.Secret(cfg.Twilio.AuthToken), URL: model.Secret(cfg.Twilio.ReceiptURL)}
	for _, token := range cfg.Twilio.ReceiptTokens {
		twilio.Tokens = append(twilio.Tokens, model.Secret(token))
	}
	guards := router.HookGuards{
		Aliyun: pathTokens(cfg.Aliyun.ReceiptTokens), Tencent: pathTokens(cfg.Tencent.ReceiptTokens), Twilio: pathTokens(cfg.Twilio.ReceiptTokens),
	}
	if cfg.Webhook.URL != "" && cfg.Webhook.Secret != "" {
		webhook, err := sms.NewWebhookReceipts(model.Secret(cfg.Webhook.Secret), now)
		if err != nil {
			return controller.Hooks{}, guards, err
		}
		guards.Webhook = webhook.Verify
	}
	hooks := controller.Hooks{Receipts: receipts, Aliyun: sms.AliyunReceipts, Tencent: sms.TencentReceipts}
	hooks.Twilio = func(header http.Header, token string, body []byte) ([]model.Receipt, error) {
		return twilio.Read(header, token, body)
	}
	return hooks, guards, nil
}

func pathTokens(tokens []config.Secret) (all middleware.PathTokens) {
	for _, token := range tokens {
		all.Add(model.Secret(token))
	}
	return all
}

// newVendorTasks returns what is done at vendors about messages that were sent.
func newVendorTasks(cfg config.SMS, now func() time.Time) (vendors []code.VendorTasks) {
	if cfg.Asks(config.ProviderAliyun) {
		aliyun, tasks := sms.NewAliyun(cfg, now), code.VendorTasks{Provider: config.ProviderAliyun}
		if cfg.Aliyun.Receipts == config.ReceiptsPull {
			tasks.Ask = aliyun.Ask
		}
		if cfg.Aliyun.ReportRedeemed {
			tasks.Redeemed = aliyun.Redeemed
		}
		vendors = append(vendors, tasks)
	}
	if cfg.Asks(config.ProviderTencent) {
		tencent, tasks := sms.NewTencent(cfg, now), code.VendorTasks{Provider: config.ProviderTencent}
		if cfg.Tencent.Receipts == config.ReceiptsPull {
			tasks.Pull = tencent.Pull
		}
		if cfg.Tencent.ReportRedeemed {
			tasks.Redeemed = tencent.Redeemed
		}
		vendors = append(vendors, tasks)
	}
	return vendors
}

func newPrices(cfg config.SMS) (prices code.Prices) {
	for _, p := range cfg.Prices {
		prices = append(prices, code.Price{Provider: p.Provider, Region: p.Region, Segment: p.Segment})
	}
	return prices
}
