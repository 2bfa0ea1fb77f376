package router

import (
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

// TestWidgetContents: docs/page.md lists the files that are not ours, with their hashes,
// and the script holds them as they are.
func TestWidgetContents(t *testing.T) {
	list, script := readFile(t, "../docs/page.md"), string(NewWidget().file.content().plain.body)
	files := regexp.MustCompile("(?m)^- `widget/([^`]+)`: `([0-9a-f]{64})`").FindAllStringSubmatch(list, -1)
	if len(files) != 4 {
		t.Errorf("%d files are listed, want 4", len(files))
	}
	for _, file := range files {
		text := readFile(t, "widget/"+file[1])
		if got := fmt.Sprintf("%x", sha256.Sum256([]byte(text))); got != file[2] {
			t.Errorf("%s has the hash %s, which is not listed", file[1], got)
		}
		if !strings.HasSuffix(file[1], ".css") && !strings.Contains(script, text) {
			t.Errorf("%s is not in the script", file[1])
		}
	}
	if !strings.Contains(list, "| altcha | 3.2.2 | MIT |") || !strings.HasPrefix(script, "/*! altcha 3.2.2,") || !strings.Contains(script[:1000], "MIT License") {
		t.Error("the script does not say what it is")
	}
	for _, away := range []string{"http://", "https://"} { // namespaces and the link of the logo
		for _, address := range regexp.MustCompile(away+"[a-z0-9.-]+").FindAllString(script, -1) {
			if !regexp.MustCompile(`^https?://(www\.w3\.org|altcha\.org|svelte\.dev|www\.npmjs\.com)$`).MatchString(address) {
				t.Errorf("the script names %s", address)
			}
		}
	}
}

// TestWidgetIsServed: as a script, to pages of any origin, and only where it is configured.
func TestWidgetIsServed(t *testing.T) {
	ask := func(p Public, header http.Header) *httptest.ResponseRecorder {
		p.Edge = testEdge()
		r := httptest.NewRequest(http.MethodGet, "/challenge/pow.js", nil)
		r.Header = header
		w := httptest.NewRecorder()
		p.Handler().ServeHTTP(w, r)
		return w
	}
	if w := ask(Public{}, http.Header{}); w.Code != http.StatusNotFound || !strings.HasPrefix(w.Body.String(), `{"code":40400,`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	widget := NewWidget()
	plain := ask(Public{Widget: widget}, http.Header{})
	want := map[string]string{
		"Content-Type": "text/javascript; charset=utf-8", "X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'none'",
		"Cross-Origin-Resource-Policy": "cross-origin", "Cache-Control": "public, max-age=3600", "Vary": "Accept-Encoding", "Content-Encoding": "",
	}
	for name, value := range want {
		if got := plain.Header().Get(name); got != value {
			t.Errorf("%s is %q, want %q", name, got, value)
		}
	}
	packed := ask(Public{Widget: widget}, http.Header{"Accept-Encoding": {"gzip"}})
	if size := packed.Body.Len(); size > 50_000 {
		t.Errorf("%d bytes", size)
	}
	reader, err := gzip.NewReader(packed.Body)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(reader); err != nil || string(text) != plain.Body.String() {
		t.Errorf("the packed script is another one, error %v", err)
	}
	if w := ask(Public{Widget: widget}, http.Header{"If-None-Match": {plain.Header().Get("ETag")}}); w.Code != http.StatusNotModified {
		t.Errorf("status %d for the current copy", w.Code)
	}
}
