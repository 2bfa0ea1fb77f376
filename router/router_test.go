package router

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gin-contrib/pprof"
	"github.com/gin-gonic/gin"
	"go.uber.org/zap"

	"menshen/middleware"
	"menshen/telemetry"
)

var parameter = regexp.MustCompile(`[:*](\w+)`)

// routesOf lists the routes of the engine in the form of the document, without the
// files of the document, and without HEAD, which TestMethods compares with GET.
func routesOf(engine *gin.Engine) []string {
	var routes []string
	for _, route := range engine.Routes() {
		if !strings.HasPrefix(route.Path+"/", docsPrefix) && route.Method != http.MethodHead {
			routes = append(routes, route.Method+" "+parameter.ReplaceAllString(route.Path, "{$1}"))
		}
	}
	slices.Sort(routes)
	return routes
}

// TestRoutesAndDocumentAgree: every route is documented, and every documented
// operation is routed.
func TestRoutesAndDocumentAgree(t *testing.T) {
	eachDocument(t, func(t *testing.T, l listener) {
		engine := Public{Docs: l.docs, Widget: NewWidget()}.engine()
		if bytes.Equal(l.text, openapiAdmin) {
			engine = adminEngine(t, false)
		}
		testRoutesAndDocumentAgree(t, routesOf(engine), l.docs.Operations())
	})
}

func testRoutesAndDocumentAgree(t *testing.T, routes, documented []string) {
	for _, route := range routes {
		if !slices.Contains(documented, route) {
			t.Errorf("%s is not in the document", route)
		}
	}
	for _, operation := range documented {
		if !slices.Contains(routes, operation) {
			t.Errorf("%s is in the document and not served", operation)
		}
	}
	if len(routes) < 13 {
		t.Errorf("only %d routes are served", len(routes))
	}
}

// adminEngine is the admin listener without services.
func adminEngine(t *testing.T, profiling bool) *gin.Engine {
	t.Helper()
	admin, ok := Admin{Metrics: http.NotFoundHandler(), Profiling: profiling, Docs: listeners(t)["admin"].docs, Edge: testEdge()}.Handler().(*gin.Engine)
	if !ok {
		t.Fatal("the admin listener is no gin engine")
	}
	return admin
}

func testEdge() Edge {
	return Edge{
		Envelope: &middleware.Envelope{Locale: "en", Log: zap.NewNop()}, Requests: telemetry.NewMetrics("test").Requests,
		AccessLog: telemetry.NewPlainAccessLog(zap.NewNop()), Now: frozenClock(),
	}
}

// TestMethods: on each path of both listeners, GET and HEAD come together, and every
// method that is not served is 40500 with those that are in Allow. With a slash more, no
// path is served.
func TestMethods(t *testing.T) {
	all := []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "get", "head"}
	for name, engine := range map[string]*gin.Engine{"public": Public{Docs: newDocs(t), Widget: NewWidget(), Edge: testEdge()}.engine(), "admin": adminEngine(t, true)} {
		served := map[string][]string{}
		for _, route := range engine.Routes() {
			served[route.Path] = append(served[route.Path], route.Method)
		}
		if len(served) < 14 {
			t.Errorf("%s: only %d paths are served", name, len(served))
		}
		ask := func(method, path string) *httptest.ResponseRecorder {
			w := httptest.NewRecorder()
			engine.ServeHTTP(w, httptest.NewRequest(method, path, nil))
			return w
		}
		for pattern, methods := range served {
			slices.Sort(methods)
			if slices.Contains(methods, "GET") != slices.Contains(methods, "HEAD") {
				t.Errorf("%s: %s serves %q", name, pattern, methods)
			}
			path := parameter.ReplaceAllString(pattern, "x")
			for _, method := range all {
				if slices.Contains(methods, method) {
					continue
				}
				w := ask(method, path)
				allowed := strings.Split(w.Header().Get("Allow"), ", ")
				slices.Sort(allowed)
				if w.Code != http.StatusMethodNotAllowed || !slices.Equal(allowed, methods) || !strings.HasPrefix(w.Body.String(), `{"code":40500,`) {
					t.Errorf("%s: %s %s: %d, Allow %q, want %q", name, method, path, w.Code, allowed, methods)
				}
			}
			for _, method := range methods {
				if strings.HasSuffix(path, "/") || strings.HasPrefix(path+"/", docsPrefix) || path == pprof.DefaultPrefix {
					continue // the index of profiles; the documents have a test of their own
				}
				if w := ask(method, path+"/"); w.Code != http.StatusNotFound || w.Header().Get("Location") != "" {
					t.Errorf("%s: %s %s/: %d to %q", name, method, path, w.Code, w.Header().Get("Location"))
				}
			}
		}
	}
}

// TestDocumentsAreFound: /swagger, with and without a slash, leads to the page. Without
// documents there is nothing.
func TestDocumentsAreFound(t *testing.T) {
	for _, docs := range []*Docs{nil, newDocs(t)} {
		handler := Public{Docs: docs, Edge: testEdge()}.Handler()
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			for path, found := range map[string]bool{
				"/swagger": true, "/swagger/": true, "/swagger?x=1": true, "/swagger/?x=1": true,
				"/swagger//": false, "//swagger/": false, "/swagger%2F": false, "/swagger/index.html/": false, "/swagger/doc.json/": false, "/Swagger/": false, "/": false,
			} {
				w := httptest.NewRecorder()
				r := httptest.NewRequest(method, "/", nil)
				r.URL, _ = url.Parse("http://x" + path)
				handler.ServeHTTP(w, r)
				status, location := http.StatusNotFound, ""
				if found && docs != nil {
					status, location = http.StatusFound, "/swagger/index.html"
				}
				if w.Code != status || w.Header().Get("Location") != location {
					t.Errorf("documents %v: %s %s: %d to %q", docs != nil, method, path, w.Code, w.Header().Get("Location"))
				}
			}
		}
	}
}

// TestListenersShareHealthAlone: no route of operators is on the public listener, with
// or without the API document.
func TestListenersShareHealthAlone(t *testing.T) {
	admin := adminEngine(t, true)
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

// TestChainWithoutServices: the chain answers even if all services are missing. A
// handler without its service panics; the response is a failure like any other.
func TestChainWithoutServices(t *testing.T) {
	p := Public{
		Edge:        testEdge(),
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

// frozenClock is a clock that does not advance.
func frozenClock() func() time.Time {
	at := time.Unix(1_700_000_000, 0)
	return func() time.Time { return at }
}
