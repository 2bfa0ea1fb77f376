package router

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"go.uber.org/zap"

	"menshen/middleware"
)

var parameter = regexp.MustCompile(`[:*](\w+)`)

// routesOf lists what the engine serves as the document would, but for the
// document's own files.
func routesOf(engine *gin.Engine) []string {
	var routes []string
	for _, route := range engine.Routes() {
		if !strings.HasPrefix(route.Path, docsPrefix) {
			routes = append(routes, route.Method+" "+parameter.ReplaceAllString(route.Path, "{$1}"))
		}
	}
	slices.Sort(routes)
	return routes
}

// Every route is documented, every document is routed.
func TestRoutesAndDocumentAgree(t *testing.T) {
	docs := newDocs(t)
	routes := routesOf(Public{Docs: docs}.engine())
	documented := docs.Operations()
	for _, route := range routes {
		if !slices.Contains(documented, route) {
			t.Errorf("%s is not in openapi.yaml", route)
		}
	}
	for _, operation := range documented {
		if !slices.Contains(routes, operation) {
			t.Errorf("%s is in openapi.yaml and not served", operation)
		}
	}
	if len(routes) < 13 {
		t.Errorf("only %d routes are served", len(routes))
	}
}

// What operators use is never on the public listener, with or without documents.
func TestListenersShareHealthAlone(t *testing.T) {
	admin, ok := Admin{Edge: Edge{Metrics: middleware.NewMetrics()}}.Handler().(*gin.Engine)
	if !ok {
		t.Fatal("the admin listener is no gin engine")
	}
	for _, docs := range []*Docs{nil, newDocs(t)} {
		public := routesOf(Public{Docs: docs}.engine())
		for _, route := range routesOf(admin) {
			if shared := slices.Contains(public, route); shared != (route == "GET /healthz" || route == "GET /readyz") {
				t.Errorf("%s: shared is %v", route, shared)
			}
		}
		for _, route := range public {
			if strings.Contains(route, " /admin") || strings.Contains(route, " /internal") || strings.Contains(route, "/metrics") || strings.Contains(route, "/debug") {
				t.Errorf("%s is public", route)
			}
		}
	}
}

func TestDocumentsCanBeOff(t *testing.T) {
	for _, docs := range []*Docs{nil, newDocs(t)} {
		served := slices.ContainsFunc(Public{Docs: docs}.engine().Routes(), func(r gin.RouteInfo) bool { return strings.HasPrefix(r.Path, docsPrefix) })
		if served != (docs != nil) {
			t.Errorf("documents are served: %v", served)
		}
	}
}

// The chain around the handlers holds even where there is nothing behind them: a
// handler without its service panics, and answers like every failure.
func TestChainHolds(t *testing.T) {
	p := Public{
		Edge: Edge{
			Envelope: &middleware.Envelope{Locale: "en", Log: zap.NewNop()}, Metrics: middleware.NewMetrics(), Log: zap.NewNop(), Now: clock(),
		},
		CORSOrigins: []string{"https://app.example.com"}, Docs: newDocs(t),
	}
	handler := p.Handler()
	for _, row := range []struct {
		method, path, body string
		status             int
	}{
		{http.MethodPost, "/auth/mobile/code", `{"companyType":0,"mobile":"1","productType":0}`, 500},
		{http.MethodGet, "/app/auth/user", "", 401},
		{http.MethodGet, "/none", "", 404},
		{http.MethodGet, "/swagger/none", "", 404},
		{http.MethodGet, "/auth/mobile/code", "", 405},
		{http.MethodPost, "/auth/mobile/code/", "", 404},
		{http.MethodPost, "/AUTH/mobile/code", "", 404},
	} {
		r := httptest.NewRequest(row.method, row.path, strings.NewReader(row.body))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Origin", "https://app.example.com")
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code != row.status || !strings.HasPrefix(w.Body.String(), `{"code":`) || w.Header().Get("Location") != "" {
			t.Errorf("%s %s: %d %s", row.method, row.path, w.Code, w.Body)
		}
		if w.Header().Get("X-Request-Id") == "" || w.Header().Get("Access-Control-Allow-Origin") != "https://app.example.com" {
			t.Errorf("%s %s: %v", row.method, row.path, w.Header())
		}
	}
}

// clock is a clock that stands still.
func clock() func() time.Time {
	at := time.Unix(1_700_000_000, 0)
	return func() time.Time { return at }
}
