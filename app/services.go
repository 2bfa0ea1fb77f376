package app

import (
	"fmt"
	"strings"
	"time"

	"go.uber.org/zap"

	"menshen/config"
	"menshen/middleware"
	"menshen/model"
	"menshen/repository"
	"menshen/service"
	"menshen/service/code"
	"menshen/service/phone"
	"menshen/service/random"
	"menshen/service/token"
)

// Services are the rules under one configuration, over the resources of an instance.
type Services struct {
	Codes    *code.Sender
	Login    *service.Login
	Sessions *service.Sessions
	Users    *service.Users
	Admin    *service.Admin
	Audit    *service.Audit
}

// NewServices makes the rules for cfg. Their reports are written to log.
func (a *App) NewServices(cfg *config.Config, res *Resources, limits Limiters, log *zap.Logger) (s Services, err error) {
	db, now := res.DB, res.Clock.Now
	catalog, numbers := newCatalog(cfg), newNumbers(cfg)
	users := repository.Users{DB: db}
	var verifier *code.Verifier
	if s.Codes, verifier, err = a.newCodes(cfg, res, limits.Guesses, log); err != nil {
		return s, err
	}
	verified := token.NewCache()
	verified.Stats = res.Metrics.Tokens
	s.Sessions = &service.Sessions{
		Endings: res.Endings, Catalog: catalog,
		Tokens: &token.Issuer{
			Keys: res.Keys, Name: cfg.Token.Issuer, Audience: cfg.Token.Audience, Now: now, Latest: res.Clock.Latest, Cache: verified,
		},
		AccessTTL: cfg.Token.AccessTTL, RefreshTTL: cfg.Token.RefreshTTL, IdleTTL: cfg.Token.IdleTTL, ReuseGrace: cfg.Token.ReuseGrace,
		Hashes: service.NewRefreshHashes(), RefreshLimit: limits.Refresh.Take, AddressLimit: limits.Other.Take, OnRefresh: res.Metrics.Refresh,
		Claims: newClaims(cfg.Token.Claims), Users: users,
	}
	s.Login = &service.Login{
		Codes: verifier, Users: users, Sessions: s.Sessions, Vault: res.Vault, Numbers: numbers, Catalog: catalog,
		Limit: limits.Login.Take, Now: now,
	}
	s.Users = &service.Users{
		Store: users, Sent: repository.Messages{DB: db}, Endings: res.Endings, Codes: verifier, Vault: res.Vault, Numbers: numbers, Now: now,
	}
	s.Admin = res.newAdmin(cfg, res.Endings, s.Codes, verifier)
	s.Admin.OnError = func(err error) { log.Error("a user's number does not open", zap.Error(err)) }
	s.Audit = res.NewAudit()
	s.Audit.Hub = res.Hub
	return s, nil
}

// newCodes makes the rules of codes for an instance.
func (a *App) newCodes(cfg *config.Config, res *Resources, guesses *code.Guesses, log *zap.Logger) (*code.Sender, *code.Verifier, error) {
	challenge, err := newChallenge(cfg.Challenge, res, a.Now)
	if err != nil {
		return nil, nil, err
	}
	sender, verifier, err := a.newPlainCodes(cfg, res.Deployment, res.Inbox)
	if err != nil {
		return nil, nil, err
	}
	crowd := res.newCrowd(cfg.Database)
	admission, delivery := sender.Admission, sender.Delivery
	admission.Pumping = &code.Pumping{Alarms: res.newAlarms(), Rules: pumpingRules(cfg.Guard)}
	admission.Bursts, admission.Challenge, admission.Crowd = res.bursts, challenge, crowd
	for _, route := range delivery.Routes {
		for i, provider := range route.Providers {
			res.Metrics.InitProvider(provider.Name)
			route.Providers[i].Gateway = res.Tracing.Sender(provider.Name, provider.Gateway)
		}
	}
	delivery.OnOutcome, delivery.OnRecorded, delivery.OnCost = res.Metrics.Message, res.Receipts.Recorded, res.Metrics.Cost
	delivery.OnError = func(err error) { log.Warn("a provider refused, the next one took the message", zap.Error(err)) }
	verifier.Guesses, verifier.Crowd, verifier.OnAttempt = guesses, crowd, res.Metrics.Attempt
	return sender, verifier, nil
}

// newPlainCodes makes the rules of codes for a command: without alarms, challenges, limits
// in the process and metrics. inbox may be nil.
func (a *App) newPlainCodes(cfg *config.Config, d Deployment, inbox *service.Inbox) (*code.Sender, *code.Verifier, error) {
	now, numbers, store, accounts := d.Clock.Now, newNumbers(cfg), repository.Codes{DB: d.DB}, repository.Users{DB: d.DB}
	providers, err := newProviders(cfg, a.Out, a.Now, inbox)
	if err != nil {
		return nil, nil, err
	}
	tests, err := newTestNumbers(cfg, numbers)
	if err != nil {
		return nil, nil, err
	}
	quotas := d.newQuotas(cfg)
	sender := &code.Sender{
		Catalog: newCatalog(cfg), Numbers: numbers, TestNumbers: tests, Vault: d.Vault,
		Length: cfg.Code.Length, TTL: cfg.Code.TTL, NewCode: random.Digits, Now: now,
		Admission: &code.Admission{Tx: d.Events, Events: d.Events, Accounts: accounts, Vault: d.Vault, Quotas: quotas},
		Delivery: &code.Delivery{
			Tx: d.Events, Store: store, Messages: repository.Messages{DB: d.DB}, Quotas: quotas, Routes: newRoutes(cfg.SMS, providers), Prices: newPrices(cfg.SMS), Now: now,
		},
	}
	verifier := &code.Verifier{
		Tx: d.Events, Store: store, Events: d.Events, Accounts: accounts, Vault: d.Vault, Quotas: quotas,
		TicketRequired: cfg.Code.Ticket == config.TicketRequired, Now: now,
	}
	return sender, verifier, nil
}

// newClaims are the configured claims of access tokens.
func newClaims(claims config.Claims) (sources []model.ClaimSource) {
	for _, claim := range claims {
		member, _ := strings.CutPrefix(claim.Source, config.MetadataSource)
		if claim.Source == config.ExternalIDSource {
			member = ""
		}
		sources = append(sources, model.ClaimSource{Name: claim.Name, Member: member, Longest: config.MaxClaim})
	}
	return sources
}

// crowdShare is the part of the connections to the database that strangers may use at once.
const crowdShare = 4

// newCrowd returns the bound of strangers. SQLite needs none: no writer waits for a row.
func (d Deployment) newCrowd(cfg config.Database) code.Crowd {
	if d.DB.Driver() == repository.SQLite {
		return nil
	}
	return repository.NewCrowd(max(1, cfg.MaxConns/crowdShare))
}

func (d Deployment) newQuotas(cfg *config.Config) *code.Quotas {
	c := cfg.Code
	return &code.Quotas{Store: repository.Codes{DB: d.DB}, Now: d.Clock.Now, Limits: codeLimits(c)}
}

func codeLimits(c config.Code) code.Limits {
	return code.Limits{
		MaxAttempts: c.MaxAttempts, Cooldown: c.Cooldown,
		PerMobileHour: c.PerMobileHour, PerMobileDay: c.PerMobileDay, PerIPHour: c.PerIPHour, PerIPDay: c.PerIPDay,
		PerBlockHour: c.PerBlockHour, PerBlockDay: c.PerBlockDay,
		DailyBudget: c.DailyBudget, HourlyShare: c.HourlyShare, Reserve: c.Reserve, FailsPerMobileDay: c.FailsPerMobileDay,
	}
}

func (d Deployment) newAdmin(cfg *config.Config, endings *service.Endings, sender *code.Sender, verifier *code.Verifier) *service.Admin {
	return &service.Admin{
		Users: repository.Users{DB: d.DB}, Sent: repository.Messages{DB: d.DB}, Endings: endings, Audit: repository.Events{DB: d.DB}, Marks: repository.Codes{DB: d.DB},
		Quotas: verifier.Quotas, Codes: verifier, Sender: sender, Vault: d.Vault, Numbers: newNumbers(cfg), Catalog: newCatalog(cfg), Now: d.Clock.Now,
	}
}

// NewAdmin returns the rules of operators for a command, without cache and listeners.
func (a *App) NewAdmin(d Deployment) (*service.Admin, error) {
	sender, verifier, err := a.newPlainCodes(a.Config, d, nil)
	if err != nil {
		return nil, err
	}
	endings := &service.Endings{Tx: d.Events, Store: repository.Sessions{DB: d.DB}, Events: d.Events, Now: d.Clock.Now}
	return d.newAdmin(a.Config, endings, sender, verifier), nil
}

// NewAudit returns the rules for reading the event log.
func (d Deployment) NewAudit() *service.Audit {
	return &service.Audit{
		Store: repository.Events{DB: d.DB}, Sent: repository.Messages{DB: d.DB}, Log: d.Events, Users: repository.Users{DB: d.DB}, Active: repository.Sessions{DB: d.DB}, Now: d.Clock.Now,
	}
}

func newNumbers(cfg *config.Config) phone.Numbers {
	return phone.Numbers{DefaultRegion: cfg.SMS.DefaultRegion, Regions: cfg.SMS.Regions}
}

func newCatalog(cfg *config.Config) model.Catalog {
	var c model.Catalog
	for _, company := range cfg.Companies {
		c.Companies = append(c.Companies, model.Company{
			Type: company.Type, Closed: company.Registration == config.RegistrationClosed,
		})
	}
	for _, product := range cfg.Products {
		c.Products = append(c.Products, model.Product{
			Type: product.Type, Group: product.Group, MaxSessions: product.MaxSessions,
			Reject: product.OnConflict == config.OnConflictReject, AccessTTL: product.AccessTTL, RefreshTTL: product.RefreshTTL, Domain: product.Domain, AppHash: product.AppHash,
		})
	}
	return c
}

func newTestNumbers(cfg *config.Config, numbers phone.Numbers) ([]code.TestNumber, error) {
	var tests []code.TestNumber
	for i, test := range cfg.Code.TestNumbers {
		mobile, err := numbers.Parse(string(test.Mobile))
		if err != nil {
			return nil, fmt.Errorf("code.test_numbers[%d].mobile: not a mobile number that this deployment accepts", i)
		}
		tests = append(tests, code.TestNumber{Mobile: mobile, Code: model.Secret(test.Code), Until: test.Until})
	}
	return tests, nil
}

// Limiters are the request limits of limits.*. A nil limit lets everything pass.
type Limiters struct {
	Login, Refresh, Check, Other, AdminKeys *middleware.Limiter
	Guesses                                 *code.Guesses
}

func (l Limiters) sweep() {
	for _, limit := range []*middleware.Limiter{l.Login, l.Refresh, l.Check, l.Other, l.AdminKeys} {
		limit.Sweep()
	}
}

// NewLimiters returns the limits of l, all nil if limits are off.
func NewLimiters(l config.Limits, now func() time.Time) Limiters {
	if !l.Enabled {
		return Limiters{}
	}
	return Limiters{
		Login: middleware.NewLimiter(l.Login, now), Refresh: middleware.NewLimiter(l.Refresh, now),
		Check: middleware.NewLimiter(l.Check, now), Other: middleware.NewLimiter(l.Other, now),
		AdminKeys: middleware.NewLimiter(l.Other, now), Guesses: code.NewGuesses(l.Guess),
	}
}
