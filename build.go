package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"go.uber.org/zap"

	"menshen/config"
	"menshen/controller"
	"menshen/middleware"
	"menshen/model"
	"menshen/repository"
	"menshen/router"
	"menshen/service"
	"menshen/service/sms"
)

// wiring is what the handlers need of the running program.
type wiring struct {
	log   *zap.Logger
	out   io.Writer
	ready func(ctx context.Context) error
}

// build is the wiring diagram: configuration and resources in, handlers out.
func build(cfg *config.Config, res *resources, w wiring) (public, admin http.Handler, err error) {
	now := res.clock.Now
	catalog := catalogOf(cfg)
	numbers := service.Numbers{DefaultRegion: cfg.SMS.DefaultRegion, Regions: cfg.SMS.Regions}
	events := repository.Events{DB: res.db}
	users := repository.Users{DB: res.db}
	sender, err := senderOf(cfg, w.out, now)
	if err != nil {
		return nil, nil, err
	}
	tests, err := testNumbers(cfg, numbers)
	if err != nil {
		return nil, nil, err
	}
	limits := limitersOf(cfg.Limits)
	tokens := &service.Tokens{Keys: res.keys, Issuer: cfg.Token.Issuer, Audience: cfg.Token.Audience, Now: now, Seen: service.NewTokenCache()}
	codes := &service.Codes{
		Tx: res.db, Store: repository.Codes{DB: res.db}, Events: events, Sender: sender, Vault: res.vault,
		Numbers: numbers, Catalog: catalog, Rules: codeRules(cfg.Code), TestNumbers: tests, Now: now, NewCode: service.RandomCode,
	}
	sessions := &service.Sessions{
		Tx: res.db, Store: repository.Sessions{DB: res.db}, Events: events, Tokens: tokens, Catalog: catalog,
		AccessTTL: cfg.Token.AccessTTL, RefreshTTL: cfg.Token.RefreshTTL, IdleTTL: cfg.Token.IdleTTL,
		ReuseGrace: cfg.Token.ReuseGrace, Now: now, Live: res.live, Hub: res.hub,
		RefreshShield: limits.refresh.Take, AddressShield: limits.other.Take,
	}
	addresses, err := middleware.NewAddresses(cfg.Server.TrustedProxies)
	if err != nil {
		return nil, nil, fmt.Errorf("server.trusted_proxies: %w", err)
	}
	adminKeys, err := adminKeysOf(cfg)
	if err != nil {
		return nil, nil, err
	}
	var docs *router.Docs
	if cfg.Server.Docs {
		if docs, err = router.NewDocs(version); err != nil {
			return nil, nil, err
		}
	}
	health := controller.Health{Ready: w.ready}
	envelope := &middleware.Envelope{Locale: cfg.Server.Locale, Always200: cfg.Server.Always200, Log: w.log}
	login := &service.Login{
		Codes: codes, Users: users, Sessions: sessions, Vault: res.vault, Numbers: numbers, Catalog: catalog, Now: now,
		Shield: limits.login.Take,
	}
	profiles := &service.Users{Tx: res.db, Store: users, Events: events, Codes: codes, Sessions: sessions, Vault: res.vault, Numbers: numbers, Now: now}
	back := controller.Backend{
		Sessions: sessions, Session: controller.Session{Now: time.Now}, Issuer: cfg.Token.Issuer, Audience: cfg.Token.Audience,
		Feed: &service.Feed{Tx: res.db, Store: repository.Feed{DB: res.db}, Gates: repository.Codes{DB: res.db}, Hub: res.hub, Now: now},
	}
	clients := middleware.Clients{}
	for _, client := range cfg.Clients {
		clients.Add(client.ID, model.Secret(client.Secret))
	}
	public = router.Public{
		Code: controller.Code{Codes: codes}, Login: controller.Login{Login: login},
		Session: controller.Session{Sessions: sessions, Now: time.Now}, User: controller.User{Users: profiles},
		Keys: controller.Keys{JWKS: res.keys.JWKS}, Backend: back, Clients: clients, Health: health, Docs: docs,
		CheckLimit: limits.check, OtherLimit: limits.other,
		Verify: tokens.Verify, Authenticate: sessions.Authenticate,
		Envelope: envelope, Addresses: addresses, CORSOrigins: cfg.Server.CORSOrigins, Log: w.log, Now: time.Now,
	}.Handler()
	operators := &service.Operators{
		Users: users, Sessions: sessions, Vault: res.vault, Numbers: numbers, Catalog: catalog, Now: now,
	}
	admin = router.Admin{
		Admin: controller.Admin{Operators: operators}, Audit: controller.Audit{Audit: &service.Audit{
			Store: events, Users: users, Active: repository.Sessions{DB: res.db}, Now: now,
		}},
		Keys: adminKeys, Backend: back, Clients: clients, Health: health, Envelope: envelope, Addresses: addresses, Log: w.log, Now: time.Now,
	}.Handler()
	return public, admin, nil
}

// rehearse applies the rules of build that the configuration alone can break.
func rehearse(cfg *config.Config) error {
	_, senderErr := senderOf(cfg, io.Discard, time.Now)
	_, numbersErr := testNumbers(cfg, service.Numbers{DefaultRegion: cfg.SMS.DefaultRegion, Regions: cfg.SMS.Regions})
	_, addressesErr := middleware.NewAddresses(cfg.Server.TrustedProxies)
	return errors.Join(senderErr, numbersErr, addressesErr)
}

func catalogOf(cfg *config.Config) service.Catalog {
	var c service.Catalog
	for _, company := range cfg.Companies {
		c.Companies = append(c.Companies, service.Company{
			Type: company.Type, Closed: company.Registration == config.RegistrationClosed,
		})
	}
	for _, product := range cfg.Products {
		c.Products = append(c.Products, service.Product{
			Type: product.Type, Group: product.Group, MaxSessions: product.MaxSessions,
			Reject: product.OnConflict == config.OnConflictReject, AccessTTL: product.AccessTTL, RefreshTTL: product.RefreshTTL,
		})
	}
	return c
}

// adminKeysOf are the operators' keys by name. Outside production a missing one
// is made once and kept in a file.
func adminKeysOf(cfg *config.Config) (middleware.AdminKeys, error) {
	keys := middleware.AdminKeys{}
	for _, key := range cfg.Admin.Keys {
		keys.Add(key.Name, model.Secret(key.Key))
	}
	if len(keys) > 0 || cfg.Production() {
		return keys, nil
	}
	made, err := madeOnce(cfg.AdminKeyFile(), func() string { return rand.Text() + rand.Text() })
	if err != nil {
		return nil, fmt.Errorf("admin.keys: %w", err)
	}
	keys.Add("admin.key", model.Secret(made))
	return keys, nil
}

func senderOf(cfg *config.Config, out io.Writer, now func() time.Time) (service.Sender, error) {
	switch cfg.SMS.Provider {
	case config.ProviderWebhook:
		return sms.NewWebhook(cfg.SMS.Webhook.URL, model.Secret(cfg.SMS.Webhook.Secret), now)
	default:
		return &sms.Log{Out: out, Format: cfg.Log.Format, Now: now}, nil
	}
}

// limiters are the shields of limits.*; nil lets everything pass.
type limiters struct{ login, refresh, check, other *middleware.Limiter }

func limitersOf(l config.Limits) limiters {
	if !l.Enabled {
		return limiters{}
	}
	return limiters{
		login: middleware.NewLimiter(l.Login, time.Now), refresh: middleware.NewLimiter(l.Refresh, time.Now),
		check: middleware.NewLimiter(l.Check, time.Now), other: middleware.NewLimiter(l.Other, time.Now),
	}
}

func codeRules(c config.Code) service.CodeRules {
	return service.CodeRules{
		Length: c.Length, TTL: c.TTL, MaxAttempts: c.MaxAttempts, Cooldown: c.Cooldown,
		PerMobileHour: c.PerMobileHour, PerMobileDay: c.PerMobileDay, PerIPHour: c.PerIPHour, PerIPDay: c.PerIPDay,
		DailyBudget: c.DailyBudget, FailsPerMobileDay: c.FailsPerMobileDay,
	}
}

func testNumbers(cfg *config.Config, numbers service.Numbers) ([]service.TestNumber, error) {
	var tests []service.TestNumber
	for i, test := range cfg.Code.TestNumbers {
		mobile, err := numbers.Parse(string(test.Mobile))
		if err != nil {
			return nil, fmt.Errorf("code.test_numbers[%d].mobile: not a mobile number that this deployment accepts", i)
		}
		tests = append(tests, service.TestNumber{Mobile: mobile, Code: model.Secret(test.Code), Until: test.Until})
	}
	return tests, nil
}
