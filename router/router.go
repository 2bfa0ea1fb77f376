// Package router is the one page with every route, the API document and its page.
package router

import (
	"context"
	"io"
	"net/http"
	"time"

	"github.com/gin-contrib/pprof"
	"github.com/gin-gonic/gin"
	"github.com/rs/cors"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"menshen/controller"
	"menshen/middleware"
	"menshen/model"
)

// Public is what the public listener is made of.
type Public struct {
	Code    controller.Code
	Login   controller.Login
	Session controller.Session
	User    controller.User
	Keys    controller.Keys
	Health  controller.Health
	Backend controller.Backend
	Clients middleware.Clients
	Docs    *Docs // nil: not served

	Verify       func(raw string) (model.Claims, error)                             // access tokens, save their end
	Authenticate func(ctx context.Context, raw model.Secret) (model.Session, error) // access tokens of live sessions

	CheckLimit *middleware.Limiter // checks, by session
	OtherLimit *middleware.Limiter // what has no limit of its own, by address

	CORSOrigins []string
	Edge
}

// Edge is what stands around the handlers of both listeners.
type Edge struct {
	Envelope  *middleware.Envelope
	Addresses middleware.Addresses
	Metrics   *middleware.Metrics
	Log       *zap.Logger
	Later     *zap.Logger // for lines of the access log that may wait; nil: Log
	Lines     io.Writer   // where Later writes, if it writes JSON, else nil
	Now       func() time.Time
	Tracer    trace.Tracer // nil: no traces
}

func (e Edge) engineWith(more ...gin.HandlerFunc) *gin.Engine {
	chain := []gin.HandlerFunc{middleware.Begin(e.Now, e.Addresses)}
	if e.Tracer != nil {
		chain = append(chain, middleware.Trace(e.Tracer))
	}
	later := e.Later
	if later == nil {
		later = e.Log
	}
	chain = append(chain, middleware.AccessLog(e.Log, later, e.Lines, e.Now), e.Metrics.Count(e.Now))
	return newEngine(append(append(chain, more...), e.Envelope.Render, middleware.ShortURL)...)
}

// answerTime bounds a request's work, so that storage that is away is told
// within two seconds.
const answerTime = 1800 * time.Millisecond

// reportTime bounds what reads as much as an operator asks for: less than a stop
// leaves to accepted requests.
const reportTime = 7 * time.Second

// Handler is the public API.
func (p Public) Handler() http.Handler { return p.engine() }

func (p Public) engine() *gin.Engine {
	r := p.engineWith(withCORS(p.CORSOrigins))

	h := middleware.Handle
	timed := middleware.Deadline(answerTime)
	few, often := p.OtherLimit.ByAddress, p.CheckLimit.BySession
	verified := middleware.Verified(p.Verify, nil)
	checked := middleware.Verified(p.Verify, p.OtherLimit)
	live := middleware.Authenticated(p.Authenticate)

	r.POST("/auth/mobile/code", few, h(p.Code.Send)) // bounds its work by itself: the provider has a time of its own
	r.POST("/auth/mobile/login", timed, h(p.Login.Mobile))
	r.POST("/app/auth/token/refresh", timed, h(p.Session.Refresh))
	r.GET("/wx/pc/check-login-status", checked, often, h(p.Session.Check))
	r.GET("/wx/pc/check-login-status/:deviceNumber", checked, often, h(p.Session.Check))

	r.POST("/app/auth/logout", few, timed, verified, h(p.Session.Logout))
	r.GET("/app/auth/sessions", few, timed, live, h(p.Session.List))
	r.DELETE("/app/auth/sessions/:id", few, timed, live, h(p.Session.Delete))
	r.GET("/app/auth/events", few, verified, h(p.Session.Events))
	r.GET("/app/auth/user", few, timed, live, h(p.User.Show))
	r.PATCH("/app/auth/user", few, timed, live, h(p.User.Change))
	r.DELETE("/app/auth/user", few, timed, live, h(p.User.Delete))
	r.POST("/app/auth/user/mobile", few, timed, live, h(p.User.ChangeNumber))

	r.GET("/.well-known/jwks.json", p.Keys.Show)
	r.POST("/oauth/introspect", p.Clients.Guard(p.OtherLimit), timed, h(p.Backend.Introspect))
	r.GET("/healthz", p.Health.Alive)
	r.GET("/readyz", timed, p.Health.Serving)
	if p.Docs != nil {
		r.GET("/swagger/*path", few, p.page)
	}
	return r
}

// page serves the API document and its page; what it does not know is 404.
func (p Public) page(c *gin.Context) {
	if !p.Docs.Serve(c.Writer, c.Request) {
		middleware.Fail(c, model.ErrNotFound)
	}
}

// Admin is what the admin listener is made of; it is never on the public one.
type Admin struct {
	Profiling bool // serve /debug/pprof, which shows the program's inside
	Admin     controller.Admin
	Audit     controller.Audit
	Keys      middleware.AdminKeys
	KeyLimit  *middleware.Limiter // requests without a right key or secret, by address
	Backend   controller.Backend
	Clients   middleware.Clients
	Health    controller.Health
	Ping      func(ctx context.Context) error // the storage
	Edge
}

// Handler is the admin API.
func (a Admin) Handler() http.Handler {
	r := a.engineWith()
	r.GET("/metrics", gin.WrapH(a.Metrics.Handler()))
	if a.Profiling {
		pprof.Register(r)
	}
	r.GET("/healthz", a.Health.Alive)
	r.GET("/readyz", middleware.Deadline(answerTime), a.Health.Serving)

	h := middleware.Handle
	r.GET("/internal/revocations", a.Clients.GuardFeed(a.KeyLimit), h(a.Backend.Revocations))

	keyed := r.Group("/admin", a.Keys.Guard(a.KeyLimit))
	admin := keyed.Group("", middleware.Deadline(answerTime))
	admin.GET("/users", h(a.Admin.Find))
	admin.GET("/users/:id", h(a.Admin.Show))
	admin.POST("/users/:id/ban", h(a.Admin.Ban))
	admin.POST("/users/:id/unban", h(a.Admin.Unban))
	admin.POST("/users/:id/kick", h(a.Admin.Kick))

	report := keyed.Group("", middleware.Deadline(reportTime), middleware.Reachable(a.Ping, answerTime))
	report.GET("/users/:id/timeline", h(a.Audit.Timeline))
	report.GET("/audit", h(a.Audit.List))
	report.GET("/stats", h(a.Audit.Stats))
	return r
}

// newEngine is gin without its surprises: no redirects, no trust in proxies,
// no log of its own, and 404 and 405 as answers of ours. Path parameters stay
// escaped, because gin would read '+' as a space.
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

// withCORS lets pages of exactly the listed origins read answers, failures too,
// and answers their preflights.
func withCORS(origins []string) gin.HandlerFunc {
	if len(origins) == 0 {
		return func(*gin.Context) {}
	}
	policy := cors.New(cors.Options{
		AllowedOrigins: origins,
		AllowedMethods: []string{http.MethodGet, http.MethodPost, http.MethodPatch, http.MethodDelete},
		AllowedHeaders: []string{"Authorization", "Content-Type", "Accept-Language", "X-Device-Number", "X-Device-Name", "X-Request-Id", "Last-Event-ID"},
		ExposedHeaders: []string{"X-Login-State", "X-Displaced", "Retry-After", "X-Request-Id"},
		MaxAge:         600,
	})
	return func(c *gin.Context) {
		policy.HandlerFunc(c.Writer, c.Request)
		if c.Request.Method == http.MethodOptions && c.GetHeader("Access-Control-Request-Method") != "" {
			c.AbortWithStatus(http.StatusNoContent)
		}
	}
}
