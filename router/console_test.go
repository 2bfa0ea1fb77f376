package router

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

func consoleResponse(t *testing.T, pages *Pages, method, target string) *http.Response {
	t.Helper()
	w := httptest.NewRecorder()
	Admin{Metrics: http.NotFoundHandler(), Edge: testEdge(), Pages: pages}.Handler().ServeHTTP(w, httptest.NewRequest(method, target, nil))
	return w.Result()
}

// TestConsoleIsServed: its paths, and only they, on the admin listener, under a policy that
// runs and shows nothing but its own files; nothing where it is off.
func TestConsoleIsServed(t *testing.T) {
	t.Parallel()
	pages, err := NewConsole()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		method, path string
		status       int
	}{
		{http.MethodGet, "/console/", http.StatusOK}, {http.MethodHead, "/console/", http.StatusOK}, {http.MethodGet, "/console", http.StatusFound},
		{http.MethodPost, "/console/", http.StatusMethodNotAllowed}, {http.MethodGet, "/console/index.html", http.StatusNotFound},
		{http.MethodGet, "/console/assets/", http.StatusNotFound}, {http.MethodGet, "/console/assets/none.js", http.StatusNotFound},
		{http.MethodGet, "/console/assets/..%2findex.html", http.StatusNotFound}, {http.MethodGet, "/console/find", http.StatusNotFound},
	} {
		r := consoleResponse(t, pages, row.method, row.path)
		if r.StatusCode != row.status {
			t.Errorf("%s %s: status %d, want %d", row.method, row.path, r.StatusCode, row.status)
		}
		if r.StatusCode == http.StatusOK {
			policy := r.Header.Get("Content-Security-Policy")
			if !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") || strings.Contains(policy, "http") {
				t.Errorf("%s %s: policy %q", row.method, row.path, policy)
			}
		}
		if r := consoleResponse(t, nil, row.method, row.path); r.StatusCode != http.StatusNotFound {
			t.Errorf("%s %s where it is off: status %d", row.method, row.path, r.StatusCode)
		}
	}
}

// TestConsoleIsWhole: its page names files that are there and nothing of another origin, has no
// script or style of its own, and all of it has at most 250 kB when packed (contract §15).
func TestConsoleIsWhole(t *testing.T) {
	t.Parallel()
	pages, err := NewConsole()
	if err != nil {
		t.Fatal(err)
	}
	html := string(pages.files["index.html"].content().plain.body)
	if strings.Contains(html, "http://") || strings.Contains(html, "https://") || strings.Contains(html, "<style") || strings.Contains(html, "style=") {
		t.Errorf("the page is\n%s", html)
	}
	names := regexp.MustCompile(`(?:src|href)="(/console/[^"]+)"`).FindAllStringSubmatch(html, -1)
	if len(names) < 2 {
		t.Errorf("the page names %q", names)
	}
	for _, name := range names {
		if r := consoleResponse(t, pages, http.MethodGet, name[1]); r.StatusCode != http.StatusOK {
			t.Errorf("%s: status %d", name[1], r.StatusCode)
		}
	}
	var packed bytes.Buffer
	for _, file := range pages.files {
		w := gzip.NewWriter(&packed)
		_, _ = w.Write(file.content().plain.body)
		_ = w.Close()
	}
	if packed.Len() > 250_000 {
		t.Errorf("%d bytes", packed.Len())
	}
}
