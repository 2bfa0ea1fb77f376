package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
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
	later *zap.Logger // for lines that may wait a moment
	lines io.Writer   // of later, if it writes JSON, else nil
	out   io.Writer
	ready func(ctx context.Context) error
}

// build is the wiring diagram: configuration and resources in, handlers out.
func build(cfg *config.Config, res *resources, w wiring) (public, admin http.Handler, err error) {
	limits := limitersOf(cfg.Limits)
	s, err := servicesOf(cfg, res, limits, w)
	if err != nil {
		return nil, nil, err
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
	edge, err := edgeOf(cfg, res, w)
	if err != nil {
		return nil, nil, err
	}
	health := controller.Health{Ready: w.ready}
	session := controller.Session{
		Sessions: s.sessions, Now: time.Now,
		Report: func(err error) { w.log.Error("event stream", zap.Error(err)) },
	}
	backend := controller.Backend{
		Sessions: s.sessions, Feed: res.feed, Session: session, Issuer: cfg.Token.Issuer, Audience: cfg.Token.Audience,
	}
	clients := clientsOf(cfg)
	public = router.Public{
		Code: controller.Code{Codes: s.codes}, Login: controller.Login{Login: s.login}, Session: session,
		User: controller.User{Users: s.users}, Keys: controller.Keys{JWKS: res.keys.JWKS, MaxAge: service.KeysMaxAge(cfg.Token.KeyActivation)},
		Backend: backend, Clients: clients, Health: health, Docs: docs,
		Verify: s.sessions.Tokens.Verify, Authenticate: s.sessions.Authenticate,
		CheckLimit: limits.check, OtherLimit: limits.other, CORSOrigins: cfg.Server.CORSOrigins, Edge: edge,
	}.Handler()
	admin = router.Admin{
		Admin: controller.Admin{Operators: s.operators}, Audit: controller.Audit{Audit: s.audit}, Keys: adminKeys, KeyLimit: limits.adminKeys,
		Backend: backend, Clients: clients, Health: health, Ping: res.db.Ping, Profiling: cfg.Env == config.EnvDev, Edge: edge,
	}.Handler()
	return public, admin, nil
}

// services are the rules of one configuration.
type services struct {
	codes     *service.Codes
	login     *service.Login
	sessions  *service.Sessions
	users     *service.Users
	operators *service.Operators
	audit     *service.Audit
}

func servicesOf(cfg *config.Config, res *resources, limits limiters, w wiring) (s services, err error) {
	db, log, now := res.db, res.log, res.clock.Now
	catalog := catalogOf(cfg)
	numbers := service.Numbers{DefaultRegion: cfg.SMS.DefaultRegion, Regions: cfg.SMS.Regions}
	users, store := repository.Users{DB: db}, repository.Sessions{DB: db}
	s.codes = &service.Codes{
		Tx: log, Store: repository.Codes{DB: db}, Events: log, Vault: res.vault, Numbers: numbers, Catalog: catalog,
		Guard: guardOf(cfg, res), Rules: codeRules(cfg.Code), Now: now, NewCode: service.RandomCode,
		Count:    func(provider string, outcome service.Outcome) { res.metrics.Message(provider, string(outcome)) },
		Report:   func(err error) { w.log.Warn("a provider refused, the next one took the message", zap.Error(err)) },
		Compared: res.metrics.compared,
	}
	if s.codes.Challenge, err = challengeOf(cfg.Challenge, res.lookout.challenge); err != nil {
		return s, err
	}
	if s.codes.Providers, err = providersOf(cfg, w.out, now); err != nil {
		return s, err
	}
	for i, provider := range s.codes.Providers {
		res.metrics.provides(provider.Name)
		s.codes.Providers[i].Sender = res.tracing.sender(provider.Name, provider.Sender)
	}
	if s.codes.TestNumbers, err = testNumbers(cfg, numbers); err != nil {
		return s, err
	}
	seen := service.NewTokenCache()
	seen.Looks = res.metrics.tokens
	s.sessions = &service.Sessions{
		Tx: log, Store: store, Events: log, Catalog: catalog, Live: res.live, Hub: res.hub, Now: now,
		Tokens: &service.Tokens{
			Keys: res.keys, Issuer: cfg.Token.Issuer, Audience: cfg.Token.Audience, Now: now, Seen: seen,
		},
		AccessTTL: cfg.Token.AccessTTL, RefreshTTL: cfg.Token.RefreshTTL, IdleTTL: cfg.Token.IdleTTL, ReuseGrace: cfg.Token.ReuseGrace,
		RefreshShield: limits.refresh.Take, AddressShield: limits.other.Take, Refreshed: res.metrics.refreshed,
	}
	s.login = &service.Login{
		Codes: s.codes, Users: users, Sessions: s.sessions, Vault: res.vault, Numbers: numbers, Catalog: catalog,
		Shield: limits.login.Take, Now: now,
	}
	s.users = &service.Users{
		Tx: log, Store: users, Events: log, Codes: s.codes, Sessions: s.sessions, Vault: res.vault, Numbers: numbers, Now: now,
	}
	s.operators = &service.Operators{
		Users: users, Sessions: s.sessions, Vault: res.vault, Numbers: numbers, Catalog: catalog, Now: now,
		Report: func(err error) { w.log.Error("a user's number does not open", zap.Error(err)) },
	}
	s.audit = &service.Audit{Store: repository.Events{DB: db}, Log: log, Users: users, Active: store, Now: now}
	return s, nil
}

func edgeOf(cfg *config.Config, res *resources, w wiring) (router.Edge, error) {
	addresses, err := middleware.NewAddresses(cfg.Server.TrustedProxies)
	if err != nil {
		return router.Edge{}, fmt.Errorf("server.trusted_proxies: %w", err)
	}
	return router.Edge{
		Envelope:  &middleware.Envelope{Locale: cfg.Server.Locale, Always200: cfg.Server.Always200, Log: w.log},
		Addresses: addresses, Metrics: res.metrics.Metrics, Log: w.log, Later: w.later, Lines: w.lines, Now: time.Now, Tracer: res.tracing.requests(),
	}, nil
}

func clientsOf(cfg *config.Config) middleware.Clients {
	clients := middleware.Clients{}
	for _, client := range cfg.Clients {
		clients.Add(client.ID, model.Secret(client.Secret))
	}
	return clients
}

// rehearse applies the rules of build that the configuration alone can break.
func rehearse(cfg *config.Config) error {
	_, providersErr := providersOf(cfg, io.Discard, time.Now)
	_, numbersErr := testNumbers(cfg, service.Numbers{DefaultRegion: cfg.SMS.DefaultRegion, Regions: cfg.SMS.Regions})
	_, addressesErr := middleware.NewAddresses(cfg.Server.TrustedProxies)
	_, challengeErr := challengeOf(cfg.Challenge, nil)
	return errors.Join(providersErr, numbersErr, addressesErr, challengeErr)
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

// minAdminKey is the least length of an operator's key, in characters.
const minAdminKey = 32

// adminKeysOf are the operators' keys by name. Outside production a missing one
// is made once and kept in a file.
func adminKeysOf(cfg *config.Config) (middleware.AdminKeys, error) {
	keys := middleware.AdminKeys{}
	for _, key := range cfg.Admin.Keys {
		keys.Add(key.Name, key.Hash())
	}
	if len(keys) > 0 || cfg.Production() {
		return keys, nil
	}
	made, err := madeOnce(cfg.AdminKeyFile(), func() string { return rand.Text() + rand.Text() })
	if err != nil {
		return nil, fmt.Errorf("admin.keys: %w", err)
	}
	if len(made) < minAdminKey {
		return nil, fmt.Errorf("admin.keys: %s holds less than %d characters", cfg.AdminKeyFile(), minAdminKey)
	}
	keys.Add("admin.key", sha256.Sum256([]byte(made)))
	return keys, nil
}

// providersOf are the senders in use, in order of preference.
func providersOf(cfg *config.Config, out io.Writer, now func() time.Time) (providers []service.Provider, err error) {
	for _, name := range cfg.SMS.Providers() {
		var sender service.Sender
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
		default:
			sender = &sms.Log{Out: out, Format: cfg.Log.Format, Now: now}
		}
		providers = append(providers, service.Provider{Name: name, Sender: sender})
	}
	return providers, nil
}

// limiters are the shields of limits.*; nil lets everything pass.
type limiters struct{ login, refresh, check, other, adminKeys *middleware.Limiter }

func limitersOf(l config.Limits) limiters {
	if !l.Enabled {
		return limiters{}
	}
	return limiters{
		login: middleware.NewLimiter(l.Login, time.Now), refresh: middleware.NewLimiter(l.Refresh, time.Now),
		check: middleware.NewLimiter(l.Check, time.Now), other: middleware.NewLimiter(l.Other, time.Now),
		adminKeys: middleware.NewLimiter(l.Other, time.Now),
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
