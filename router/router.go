// Package router holds the one page with every route, and the API document with
// the page to browse it.
package router

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gin-contrib/pprof"
	"github.com/gin-gonic/gin"
	"github.com/rs/cors"
	"go.opentelemetry.io/otel/trace"

	"menshen/controller"
	"menshen/middleware"
	"menshen/model"
	"menshen/telemetry"
)

// Public is the public listener. Every field is required unless its comment says
// otherwise, here and below; a nil limiter lets every request pass.
type Public struct {
	PublicHandlers
	PublicGuards
	Edge
	Docs        *Docs    // nil: not served
	Widget      *Widget  // nil: not served
	Dev         *Dev     // nil: not served
	CORSOrigins []string // empty: no CORS
}

// PublicHandlers are the controllers of the public listener.
type PublicHandlers struct {
	Code    controller.Code
	Login   controller.Login
	Session controller.Session
	User    controller.User
	Keys    controller.Keys
	Backend controller.Backend
	Health  controller.Health
	Hooks   controller.Hooks
}

// PublicGuards decide which requests reach the public handlers.
type PublicGuards struct {
	Verify       func(raw string) (model.Claims, error)                             // checks the signature of an access token, not its expiry
	Authenticate func(ctx context.Context, raw model.Secret) (model.Session, error) // finds the active session of an access token
	OwnShare     func(claims model.Claims) bool                                     // whether a check may use the share of its session
	Clients      middleware.Clients
	Hooks        HookGuards
	CheckLimit   *middleware.Limiter // login-status checks, by session
	OtherLimit   *middleware.Limiter // requests without a limit of their own, by address
}

// HookGuards decide which receipts of vendors are taken.
type HookGuards struct {
	Aliyun, Tencent, Twilio middleware.PathTokens                       // empty: no receipts
	Webhook                 func(header http.Header, body []byte) error // verifies the signature; nil: no receipts
}

// reading are the methods of every route that answers GET. HEAD runs the handlers of GET,
// and net/http leaves out the body.
var reading = []string{http.MethodGet, http.MethodHead}

// Edge is the chain around the handlers of both listeners.
type Edge struct {
	Envelope  *middleware.Envelope
	Addresses middleware.Addresses
	Requests  *telemetry.Requests
	AccessLog *telemetry.AccessLog
	Now       func() time.Time
	Tracer    trace.Tracer // nil: no traces
	ShowPaths bool         // log the paths that have no route
}

func (e Edge) engineWith(more ...gin.HandlerFunc) *gin.Engine {
	chain := []gin.HandlerFunc{middleware.Begin(e.Now, e.Addresses)}
	if e.Tracer != nil {
		chain = append(chain, middleware.Trace(e.Tracer))
	}
	chain = append(chain, middleware.AccessLog(e.AccessLog, e.Now), middleware.Count(e.Requests, e.Now))
	r := newEngine(append(append(chain, more...), e.Envelope.Render, middleware.LimitURL)...)
	if e.ShowPaths {
		r.NoRoute(func(c *gin.Context) {
			middleware.Fail(c, model.ErrNotFound.Wrap(noRoute(c.Request.URL.Path, r.Routes())))
		})
	}
	return r
}

// Handler is the public API.
func (p Public) Handler() http.Handler { return p.engine() }

func (p Public) engine() *gin.Engine {
	r := p.engineWith(withCORS(p.CORSOrigins))

	h := middleware.Handle
	deadline := middleware.Deadline(model.StorageTime)
	limited, polled := p.OtherLimit.ByAddress, p.CheckLimit.BySession(p.OwnShare)
	token := middleware.RequireToken(p.Verify, nil)
	tokenLimited := middleware.RequireToken(p.Verify, p.OtherLimit)
	session := middleware.RequireSession(p.Authenticate)

	r.POST("/auth/mobile/code", limited, middleware.InTurn, h(p.Code.Send)) // no deadline: it bounds the provider and the storage apart
	r.POST("/auth/mobile/login", deadline, h(p.Login.Mobile))
	r.POST("/app/auth/token/refresh", deadline, h(p.Session.Refresh))
	r.Match(reading, "/wx/pc/check-login-status", tokenLimited, polled, h(p.Session.Check))
	r.Match(reading, "/wx/pc/check-login-status/:deviceNumber", tokenLimited, polled, h(p.Session.Check))

	r.POST("/app/auth/logout", limited, deadline, token, h(p.Session.Logout))
	r.Match(reading, "/app/auth/sessions", limited, deadline, session, h(p.Session.List))
	r.DELETE("/app/auth/sessions/:id", limited, deadline, session, h(p.Session.Delete))
	r.Match(reading, "/app/auth/events", limited, middleware.InTurn, token, h(p.Session.Events))
	r.Match(reading, "/app/auth/user", limited, deadline, session, h(p.User.Show))
	r.PATCH("/app/auth/user", limited, deadline, session, h(p.User.Change))
	r.DELETE("/app/auth/user", limited, deadline, session, h(p.User.Delete))
	r.POST("/app/auth/user/mobile", limited, deadline, session, h(p.User.ChangeNumber))

	r.POST("/hooks/sms/aliyun/:token", p.PublicGuards.Hooks.Aliyun.Guard(p.OtherLimit), deadline, h(p.PublicHandlers.Hooks.TakeAliyun))
	r.POST("/hooks/sms/tencent/:token", p.PublicGuards.Hooks.Tencent.Guard(p.OtherLimit), deadline, h(p.PublicHandlers.Hooks.TakeTencent))
	r.POST("/hooks/sms/twilio/:token", p.PublicGuards.Hooks.Twilio.Guard(p.OtherLimit), deadline, h(p.PublicHandlers.Hooks.TakeTwilio))
	r.POST("/hooks/sms/webhook", middleware.Signed(p.PublicGuards.Hooks.Webhook, p.OtherLimit), deadline, h(p.PublicHandlers.Hooks.TakeWebhook))

	r.Match(reading, "/.well-known/jwks.json", p.Keys.Show)
	r.POST("/oauth/introspect", p.Clients.Guard(p.OtherLimit), deadline, h(p.Backend.Introspect))
	r.Match(reading, "/healthz", p.Health.Alive)
	r.Match(reading, "/readyz", deadline, p.Health.Serving)
	if p.Widget != nil {
		r.Match(reading, widgetPath, limited, func(c *gin.Context) { p.Widget.Serve(c.Writer, c.Request) })
	}
	if p.Docs != nil {
		r.Match(reading, "/swagger", limited, toDocs)
		r.Match(reading, docsPrefix+"*path", limited, p.Docs.serve)
	}
	if p.Dev != nil {
		p.Dev.register(r, limited, deadline)
	}
	return r
}

// Admin is the admin listener, which is never the public one.
type Admin struct {
	AdminHandlers
	AdminGuards
	Edge
	Docs      *Docs
	Metrics   http.Handler // GET /metrics
	Profiling bool         // serve /debug/pprof, which shows the memory of the process
	Pages     *Pages       // the console; nil: not served
}

// AdminHandlers are the controllers of the admin listener.
type AdminHandlers struct {
	Admin   controller.Admin
	Audit   controller.Audit
	Backend controller.Backend
	Health  controller.Health
	Console controller.Console
}

// AdminGuards decide which requests reach the handlers of the admin listener.
type AdminGuards struct {
	Hosts    middleware.Hosts // names of the listener, for routes that need no key
	Keys     middleware.AdminKeys
	Clients  middleware.Clients
	KeyLimit *middleware.Limiter             // requests without a valid key or secret, by address
	Ping     func(ctx context.Context) error // the storage
}

// needs are the roles for routes of the admin API. Any other route that answers GET is for
// model.RoleRead, and the rest for model.RoleAdmin. It is never written to.
var needs = map[string]model.Role{
	"POST /admin/users/:id/ban":    model.RoleSupport,
	"POST /admin/users/:id/unban":  model.RoleSupport,
	"POST /admin/users/:id/kick":   model.RoleSupport,
	"POST /admin/users/:id/unlock": model.RoleSupport,
	"POST /admin/numbers/unlock":   model.RoleSupport,
	"POST /admin/simulate":         model.RoleRead, // changes nothing
	"GET /admin/users/:id/export":  model.RoleAdmin,
	"GET /admin/config":            model.RoleAdmin,
}

// Handler is the admin API.
func (a Admin) Handler() http.Handler {
	r := a.engineWith()
	r.Match(reading, "/swagger", toDocs)
	r.Match(reading, docsPrefix+"*path", a.Docs.serve)
	r.Match(reading, "/metrics", a.Hosts.Guard, gin.WrapH(a.Metrics))
	if a.Profiling {
		profiles(r, a.Hosts.Guard)
	}
	r.Match(reading, "/healthz", a.Health.Alive)
	r.Match(reading, "/readyz", middleware.Deadline(model.StorageTime), a.Health.Serving)
	if a.Pages != nil {
		serveConsole(r, a.Pages)
	}

	h := middleware.Handle
	r.Match(reading, "/internal/revocations", a.Clients.GuardFeed(a.KeyLimit), h(a.Backend.Revocations))

	roles := middleware.Roles{Needs: needs, Record: a.Audit.RecordDenied}
	keyed := r.Group("/admin", a.Keys.Guard(a.KeyLimit), roles.Guard)
	keyed.POST("/users/:id/code", middleware.InTurn, h(a.Admin.SendCode)) // no deadline, as of /auth/mobile/code
	users := keyed.Group("/users", middleware.Deadline(model.StorageTime))
	users.Match(reading, "", h(a.Admin.List))
	users.POST("", h(a.Admin.Create))
	users.Match(reading, "/:id", h(a.Admin.Show))
	users.PATCH("/:id", h(a.Admin.Edit))
	users.DELETE("/:id", h(a.Admin.Delete))
	users.POST("/:id/mobile", h(a.Admin.Renumber))
	users.POST("/:id/ban", h(a.Admin.Ban))
	users.POST("/:id/unban", h(a.Admin.Unban))
	users.POST("/:id/kick", h(a.Admin.Kick))
	users.POST("/:id/unlock", h(a.Admin.Unlock))
	numbers := keyed.Group("/numbers", middleware.Deadline(model.StorageTime))
	numbers.Match(reading, "", h(a.Admin.Number))
	numbers.POST("/unlock", h(a.Admin.UnlockNumber))

	reports := keyed.Group("", middleware.Deadline(model.ReportTime), middleware.RequireStorage(a.Ping, model.StorageTime))
	reports.Match(reading, "/users/:id/export", h(a.Admin.Export))
	reports.Match(reading, "/users/:id/timeline", h(a.Audit.Timeline))
	reports.Match(reading, "/messages", h(a.Admin.Messages))
	reports.Match(reading, "/stats", h(a.Audit.Stats))
	keyed.Match(reading, "/audit", middleware.RequireStorage(a.Ping, model.StorageTime), h(a.Audit.List)) // which may be held
	keyed.Match(reading, "/health", middleware.Deadline(model.ReportTime), h(a.Console.ShowHealth))
	keyed.Match(reading, "/me", h(a.Console.ShowMe))
	keyed.Match(reading, "/config", h(a.Console.ShowConfig))
	keyed.POST("/simulate", middleware.Deadline(model.StorageTime), h(a.Console.Simulate))
	return r
}

// profiles serves /debug/pprof behind a guard. The library registers no HEAD, and the index
// only with a slash behind.
func profiles(r *gin.Engine, guard gin.HandlerFunc) {
	guarded := r.Group("", guard)
	pprof.RouteRegister(guarded)
	for _, route := range r.Routes() {
		if route.Method == http.MethodGet && strings.HasPrefix(route.Path, pprof.DefaultPrefix) {
			guarded.HEAD(route.Path, route.HandlerFunc)
			if route.Path == pprof.DefaultPrefix+"/" {
				guarded.Match(reading, pprof.DefaultPrefix, func(c *gin.Context) { c.Redirect(http.StatusFound, route.Path) })
			}
		}
	}
}

// newEngine is gin without redirects and trust in proxies; 404 and 405 are failures in
// the envelope. Path parameters stay escaped, because gin would decode + as a space.
func newEngine(chain ...gin.HandlerFunc) *gin.Engine {
	gin.SetMode(gin.ReleaseMode)
	r := gin.New()
	r.RedirectTrailingSlash = false
	r.RedirectFixedPath = false
	r.HandleMethodNotAllowed = true
	r.UseEscapedPath = true
	r.UnescapePathValues = false
	r.ForwardedByClientIP = false
	r.Use(chain...)
	r.NoRoute(func(c *gin.Context) { middleware.Fail(c, model.ErrNotFound) })
	r.NoMethod(func(c *gin.Context) { middleware.Fail(c, model.ErrMethod) })
	return r
}

// withCORS lets pages of exactly the listed origins read responses, those of
// failures too, and answers preflight requests.
func withCORS(origins []string) gin.HandlerFunc {
	if len(origins) == 0 {
		return func(*gin.Context) {}
	}
	policy := cors.New(cors.Options{
		AllowedOrigins: origins,
		AllowedMethods: []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete},
		AllowedHeaders: []string{
			"Accept-Language", "Authorization", "Cache-Control", "Content-Type", "Last-Event-ID", "X-Code-Ticket", "X-Device-Credential", "X-Device-Name",
			"X-Device-Number", "X-Request-Id", "X-Requested-With", "traceparent", "tracestate",
		},
		ExposedHeaders: []string{"X-Login-State", "X-Displaced", "Retry-After", "X-Request-Id", "X-Code-Ticket", "X-Device-Credential"},
		MaxAge:         600,
	})
	return func(c *gin.Context) {
		preflight := c.Request.Method == http.MethodOptions && c.GetHeader("Access-Control-Request-Method") != ""
		if preflight {
			sortRequestedHeaders(c.Request.Header)
		}
		policy.HandlerFunc(c.Writer, c.Request)
		if preflight {
			c.AbortWithStatus(http.StatusNoContent)
		}
	}
}

// sortRequestedHeaders makes the names of a preflight what the Fetch standard promises and
// the library relies on: in small letters, sorted, each once. Not every client and gateway
// keeps that promise.
func sortRequestedHeaders(h http.Header) {
	const header = "Access-Control-Request-Headers"
	var names []string
	for name := range strings.SplitSeq(strings.ToLower(strings.Join(h[header], ",")), ",") {
		if name = strings.Trim(name, " \t"); name != "" {
			names = append(names, name)
		}
	}
	delete(h, header)
	if len(names) > 0 {
		slices.Sort(names)
		h[header] = []string{strings.Join(slices.Compact(names), ",")}
	}
}
