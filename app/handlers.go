package app

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"net"
	"net/http"
	"strings"

	"go.uber.org/zap"

	"menshen/config"
	"menshen/controller"
	"menshen/middleware"
	"menshen/model"
	"menshen/repository"
	"menshen/router"
	"menshen/service"
	"menshen/service/token"
	"menshen/telemetry"
)

// HandlerDeps are the dependencies of the handlers besides configuration and resources.
type HandlerDeps struct {
	Services  Services
	Limits    Limiters
	Log       *zap.Logger
	AccessLog *telemetry.AccessLog
	Ready     func(ctx context.Context) error // returns nil if requests can be answered
}

// Handlers are the two listeners' handlers.
type Handlers struct{ Public, Admin http.Handler }

// NewHandlers makes the HTTP side of cfg.
func (a *App) NewHandlers(cfg *config.Config, res *Resources, deps HandlerDeps) (h Handlers, err error) {
	s, limits := deps.Services, deps.Limits
	adminKeys, err := newAdminKeys(cfg)
	if err != nil {
		return h, err
	}
	docs, adminDocs := newDocs(a.Version, cfg.Server.Docs)
	edge, err := a.newEdge(cfg, res, deps)
	if err != nil {
		return h, err
	}
	dev, err := a.newDev(cfg, res, s)
	if err != nil {
		return h, err
	}
	var console *router.Pages
	if cfg.Console.Enabled {
		if console, err = router.NewConsole(); err != nil {
			return h, err
		}
	}
	health := controller.Health{Ready: deps.Ready}
	session := controller.Session{
		Sessions: s.Sessions, Now: a.Now,
		OnStreamError: func(err error) { deps.Log.Error("event stream", zap.Error(err)) },
	}
	backend := controller.Backend{Sessions: s.Sessions, Feed: res.Feed, Now: a.Now}
	hooks, hookGuards, err := newHooks(cfg.SMS, res.Receipts, res.Clock.Now)
	if err != nil {
		return h, err
	}
	clients := newClients(cfg.Clients)
	h.Public = router.Public{
		PublicHandlers: router.PublicHandlers{
			Code: controller.Code{Codes: s.Codes}, Login: controller.Login{Login: s.Login}, Session: session, User: controller.User{Users: s.Users},
			Keys:    controller.Keys{JWKS: res.Keys.JWKS, MaxAge: token.KeysMaxAge(cfg.Token.KeyActivation)},
			Backend: backend, Health: health, Hooks: hooks,
		},
		PublicGuards: router.PublicGuards{
			Hooks:  hookGuards,
			Verify: s.Sessions.Tokens.Verify, Authenticate: s.Sessions.Authenticate, OwnShare: s.Sessions.OwnShare, Clients: clients,
			CheckLimit: limits.Check, OtherLimit: limits.Other,
		},
		Edge: edge, Docs: docs, Widget: newWidget(cfg.Challenge), Dev: dev, CORSOrigins: cfg.Server.CORSOrigins,
	}.Handler()
	h.Admin = router.Admin{
		AdminHandlers: router.AdminHandlers{
			Admin: controller.Admin{Admin: s.Admin}, Audit: controller.Audit{Audit: s.Audit, Now: a.Now}, Backend: backend, Health: health,
			Console: a.newConsole(cfg, res, s),
		},
		AdminGuards: router.AdminGuards{Hosts: adminHosts(cfg.Server), Keys: adminKeys, Clients: clients, KeyLimit: limits.AdminKeys, Ping: res.DB.Ping},
		Edge:        edge, Docs: adminDocs, Metrics: res.Metrics.Handler(), Profiling: cfg.Env == config.EnvDev, Pages: console,
	}.Handler()
	return h, nil
}

func newClients(list []config.Client) middleware.Clients {
	clients := middleware.Clients{}
	for _, client := range list {
		clients.Add(client.ID, model.Secret(client.Secret))
	}
	return clients
}

// newDocs returns the API documents of both listeners, for the public one nil if it shows
// none.
func newDocs(version string, shown bool) (public, admin *router.Docs) {
	public, admin = router.NewDocs(version)
	if !shown {
		public = nil
	}
	return public, admin
}

// newWidget returns nil unless clients solve puzzles.
func newWidget(cfg config.Challenge) *router.Widget {
	if !cfg.Uses(config.ChallengePow) {
		return nil
	}
	return router.NewWidget()
}

func (a *App) newConsole(cfg *config.Config, res *Resources, s Services) controller.Console {
	console := controller.Console{Health: a.newHealth(cfg, res), Login: s.Login, Config: cfg.MaskedTree}
	for _, c := range cfg.Companies {
		console.Companies = append(console.Companies, controller.Named{Type: c.Type, Name: c.Name})
	}
	for _, p := range cfg.Products {
		console.Products = append(console.Products, controller.Named{Type: p.Type, Name: p.Name})
	}
	return console
}

func (a *App) newHealth(cfg *config.Config, res *Resources) *service.Health {
	running := *a
	running.Config = cfg
	return &service.Health{
		Instances: repository.Instances{DB: res.DB}, Sent: repository.Messages{DB: res.DB}, Database: res.DB.State, Lag: res.Cache.Lag, Keys: res.Keys.Describe, Now: a.Now,
		Doctor: func(ctx context.Context) []model.Check { return running.examine(ctx, res.DB) },
	}
}

func (a *App) newEdge(cfg *config.Config, res *Resources, deps HandlerDeps) (router.Edge, error) {
	addresses, err := middleware.NewAddresses(cfg.Server.TrustedProxies)
	if err != nil {
		return router.Edge{}, fmt.Errorf("server.trusted_proxies: %w", err)
	}
	return router.Edge{
		Envelope:  &middleware.Envelope{Locale: cfg.Server.Locale, Always200: cfg.Server.Always200, Log: deps.Log},
		Addresses: addresses, Requests: res.Metrics.Requests, AccessLog: deps.AccessLog, Now: a.Now, Tracer: res.Tracing.Tracer(),
		ShowPaths: cfg.Env == config.EnvDev,
	}, nil
}

// newDev returns the pages of development, nil in other environments.
func (a *App) newDev(cfg *config.Config, res *Resources, s Services) (*router.Dev, error) {
	if cfg.Env != config.EnvDev {
		return nil, nil
	}
	pages, err := router.NewPages()
	if err != nil {
		return nil, err
	}
	dev := controller.Dev{Inbox: res.Inbox, Sessions: s.Sessions, Admin: controller.Admin{Admin: s.Admin}, Now: a.Now}
	return &router.Dev{Dev: dev, Pages: pages, Open: cfg.Dev.Open}, nil
}

// minAdminKey is the least length of an operator's key, in characters.
const minAdminKey = 32

// newAdminKeys returns the keys of operators. Outside production a missing one is
// created.
func newAdminKeys(cfg *config.Config) (middleware.AdminKeys, error) {
	keys := middleware.AdminKeys{}
	for _, key := range cfg.Admin.Keys {
		keys.Add(model.AdminKey{Name: key.Name, Role: model.Role(key.Role), Companies: key.Companies}, key.Hash())
	}
	if len(keys) > 0 || cfg.Production() {
		return keys, nil
	}
	key, err := readOrCreate(cfg.AdminKeyFile(), func() string { return rand.Text() + rand.Text() })
	if err != nil {
		return nil, fmt.Errorf("admin.keys: %w", err)
	}
	if len(key) < minAdminKey {
		return nil, fmt.Errorf("admin.keys: %s holds less than %d characters", cfg.AdminKeyFile(), minAdminKey)
	}
	keys.Add(model.AdminKey{Name: "admin.key", Role: model.RoleAdmin}, sha256.Sum256([]byte(key)))
	return keys, nil
}

// adminHosts are the names by which the admin listener is known.
func adminHosts(cfg config.Server) middleware.Hosts {
	host, _, _ := net.SplitHostPort(cfg.AdminAddr)
	return append(middleware.Hosts{strings.ToLower(host)}, cfg.AdminHosts...)
}
