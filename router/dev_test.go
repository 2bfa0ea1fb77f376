package router

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
)

func devEngine(t *testing.T, open bool) *gin.Engine {
	t.Helper()
	pages, err := NewPages()
	if err != nil {
		t.Fatal(err)
	}
	return Public{Edge: testEdge(), Dev: &Dev{Pages: pages, Open: open}}.engine()
}

// devRequest comes from this machine, unless change says otherwise.
func devRequest(method, target string, change func(r *http.Request)) *http.Request {
	r := httptest.NewRequest(method, target, nil)
	r.RemoteAddr, r.Host = "127.0.0.1:40000", "localhost:8080"
	if change != nil {
		change(r)
	}
	return r
}

// TestPagesAreForThisMachine: each condition of contract §13 alone turns every page, its
// data and unknown methods of both into what does not exist, unless dev.open lifts it.
func TestPagesAreForThisMachine(t *testing.T) {
	host := func(name string) func(*http.Request) { return func(r *http.Request) { r.Host = name } }
	peer := func(addr string) func(*http.Request) { return func(r *http.Request) { r.RemoteAddr = addr } }
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header[name] = []string{value} }
	}
	rows := []struct {
		name   string
		change func(r *http.Request)
		served bool
	}{
		{"this machine", nil, true},
		{"no port", host("localhost"), true},
		{"capitals", host("LocalHost:1"), true},
		{"IPv4", host("127.0.0.1:65535"), true},
		{"IPv4 without a port", host("127.0.0.1"), true},
		{"IPv6", host("[::1]:8080"), true},
		{"IPv6 without a port", host("[::1]"), true},
		{"peer over IPv6", peer("[::1]:40000"), true},
		{"peer over mapped IPv4", peer("[::ffff:127.0.0.1]:40000"), true},
		{"another loopback peer", peer("127.8.9.10:40000"), true},
		{"foreign peer", peer("192.0.2.7:40000"), false},
		{"foreign peer over IPv6", peer("[2001:db8::1]:40000"), false},
		{"private peer", peer("172.17.0.1:40000"), false},
		{"no peer", peer("@"), false},
		{"foreign name", host("rebound.example.com:8080"), false},
		{"name that ends alike", host("x.localhost"), false},
		{"name that begins alike", host("localhost.example.com"), false},
		{"address that begins alike", host("127.0.0.1.example.com"), false},
		{"another loopback name", host("127.0.0.2:8080"), false},
		{"unspecified", host("0.0.0.0:8080"), false},
		{"bare IPv6", host("::1"), false},
		{"no number for a port", host("localhost:x"), false},
		{"no name", host(""), false},
		{"a proxy's header", header("X-Forwarded-For", "127.0.0.1"), false},
		{"an empty one", header("X-Forwarded-For", ""), false},
		{"the standard one", header("Forwarded", "for=127.0.0.1"), false},
	}
	for _, open := range []bool{false, true} {
		engine := devEngine(t, open)
		for _, row := range rows {
			for _, target := range []string{"GET /", "HEAD /", "GET /demo", "GET /dev/sms", "POST /dev/sms", "DELETE /", "OPTIONS /demo", "POST /dev/users/1/none", "GET /dev/none"} {
				method, path, _ := strings.Cut(target, " ")
				w := httptest.NewRecorder()
				engine.ServeHTTP(w, devRequest(method, path, row.change))
				want := http.StatusNotFound
				if row.served || open {
					want = devEngineAnswers[target]
				}
				if w.Code != want || want == http.StatusNotFound && w.Header().Get("Allow") != "" {
					t.Errorf("open %v: %s: %s: %d, Allow %q, want %d", open, row.name, target, w.Code, w.Header().Get("Allow"), want)
				}
			}
		}
	}
}

// devEngineAnswers are those for a request that meets the conditions.
var devEngineAnswers = map[string]int{
	"GET /": 200, "HEAD /": 200, "GET /demo": 200, "GET /dev/sms": 200, "POST /dev/sms": 405, "DELETE /": 405, "OPTIONS /demo": 405,
	"POST /dev/users/1/none": 404, "GET /dev/none": 404,
}

// TestActsAreNotForOtherPages: a page of another origin in the developer's browser cannot
// ban a user, and the API is not concerned.
func TestActsAreNotForOtherPages(t *testing.T) {
	engine := devEngine(t, true)
	for _, row := range []struct {
		path, origin string
		status       int
	}{
		{"/dev/users/1/unban", "https://evil.example.com", 404},
		{"/dev/users/x/unban", "http://localhost:8080", 404}, // no such id: it reaches the handler
		{"/auth/mobile/code", "https://evil.example.com", 415},
	} {
		w := httptest.NewRecorder()
		engine.ServeHTTP(w, devRequest(http.MethodPost, row.path, func(r *http.Request) { r.Header.Set("Origin", row.origin) }))
		if w.Code != row.status {
			t.Errorf("%s from %s: %d, want %d", row.path, row.origin, w.Code, row.status)
		}
	}
}

// TestOtherEnvironmentsHaveNoPages: without Dev, every path and method is unknown.
func TestOtherEnvironmentsHaveNoPages(t *testing.T) {
	engine := Public{Edge: testEdge(), Docs: newDocs(t)}.engine()
	for target := range devEngineAnswers {
		method, path, _ := strings.Cut(target, " ")
		w := httptest.NewRecorder()
		engine.ServeHTTP(w, devRequest(method, path, nil))
		if w.Code != http.StatusNotFound {
			t.Errorf("%s: %d", target, w.Code)
		}
	}
}

// TestPagesAreStrict: what the pages are allowed and refer to is their own. Together they
// weigh at most 120 kB packed.
func TestPagesAreStrict(t *testing.T) {
	engine := devEngine(t, false)
	var packed bytes.Buffer
	seen := map[string]bool{}
	queue := []string{"/", "/demo", "/dev/sms"}
	for len(queue) > 0 {
		path := queue[0]
		queue = queue[1:]
		if seen[path] {
			continue
		}
		seen[path] = true
		w := httptest.NewRecorder()
		engine.ServeHTTP(w, devRequest(http.MethodGet, path, nil))
		if w.Code != http.StatusOK || w.Header().Get("Content-Security-Policy") != docsPolicy || strings.Contains(docsPolicy, "unsafe") {
			t.Errorf("%s: %d, policy %q", path, w.Code, w.Header().Get("Content-Security-Policy"))
		}
		zip := gzip.NewWriter(&packed)
		_, _ = zip.Write(w.Body.Bytes())
		_ = zip.Close()
		for _, found := range ownAsset.FindAllString(w.Body.String(), -1) {
			queue = append(queue, "/dev/assets/"+strings.TrimLeft(found, "./"))
		}
		if strings.HasSuffix(w.Header().Get("Content-Type"), "html; charset=utf-8") {
			for _, bad := range []string{"<style", " style=", " onclick=", "//"} {
				if strings.Contains(w.Body.String(), bad) {
					t.Errorf("%s contains %q", path, bad)
				}
			}
		}
	}
	if packed.Len() > 120_000 || len(seen) < 8 {
		t.Errorf("%d files weigh %d bytes packed", len(seen), packed.Len())
	}
	pages, _ := NewPages()
	for name := range pages.files {
		if base := strings.TrimPrefix(name, "assets/"); base != name && !seen["/dev/assets/"+base] {
			t.Errorf("no page uses %s", name)
		}
	}
}

// ownAsset matches the name of a built file.
var ownAsset = regexp.MustCompile(`[\w-]+-[\w-]{8}\.(?:js|css|svg)`)

// TestPathsThatHaveNoRoute: the log shows what a developer mistyped, and not what could be a
// device, a number or a token.
func TestPathsThatHaveNoRoute(t *testing.T) {
	routes := devEngine(t, false).Routes()
	for path, want := range map[string]string{
		"/auth/mobile/logn":                    "/auth/mobile/logn",
		"/v1/users":                            "/v1/users",
		"/wx/pc/check-login-status/my-device/": "/wx/pc/check-login-status/",
		"/app/auth/sessions/abc/x":             "/app/auth/sessions/",
		"/auth/13800138000":                    "/auth/…",
		"/hooks/" + strings.Repeat("x", 33):    "/hooks/…",
		"/" + strings.Repeat("word/", 100):     "/" + strings.Repeat("word/", 25) + "wo",
	} {
		if got := noRoute(path, routes).Error(); got != "no route for "+want {
			t.Errorf("%s: %s", path, got)
		}
	}
	slices.SortFunc(routes, func(a, b gin.RouteInfo) int { return strings.Compare(b.Path, a.Path) })
	if got := noRoute("/wx/pc/check-login-status/my-device/", routes).Error(); strings.Contains(got, "my-device") {
		t.Error(got)
	}
}
