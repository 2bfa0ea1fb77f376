package router

import (
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestPackedAssets(t *testing.T) {
	d := newDocs(t)
	plain := fetch(t, d, "swagger-ui.css", nil)
	for accept, packed := range map[string]bool{
		"gzip": true, "br, GZIP": true, "deflate, gzip;q=0.5": true, "gzip; q=1.0": true,
		"": false, "br": false, "gzip;q=0": false, "gzip; q=0.000, br": false, "xgzip": false,
	} {
		w := fetch(t, d, "swagger-ui.css", http.Header{"Accept-Encoding": {accept}})
		if got := w.Header().Get("Content-Encoding") == "gzip"; got != packed || w.Header().Get("Vary") != "Accept-Encoding" {
			t.Errorf("%q: packed is %v", accept, got)
		}
		if smaller := w.Body.Len() < plain.Body.Len(); smaller != packed {
			t.Errorf("%q: %d bytes of %d", accept, w.Body.Len(), plain.Body.Len())
		}
	}
}

// TestFilesAreRevalidated: each representation of a file has an ETag of its own, with
// which a client asks again at no cost.
func TestFilesAreRevalidated(t *testing.T) {
	d := newDocs(t)
	for name, caching := range map[string]string{
		"doc.json": "no-cache", "index.html": "no-cache", "start.js": "no-cache", "start.css": "no-cache",
		"swagger-ui-bundle.js": "public, max-age=86400", "swagger-ui.css": "public, max-age=86400", "favicon-32x32.png": "public, max-age=86400",
	} {
		etags := map[string]string{}
		for _, coding := range []string{"identity", "gzip"} {
			first := fetch(t, d, name, http.Header{"Accept-Encoding": {coding}})
			etag, used := first.Header().Get("ETag"), first.Header().Get("Content-Encoding")
			if etag == "" || first.Header().Get("Cache-Control") != caching {
				t.Errorf("%s: ETag %q, Cache-Control %q", name, etag, first.Header().Get("Cache-Control"))
			}
			if other, known := etags[etag]; known && other != used {
				t.Errorf("%s: the codings %q and %q have one ETag", name, other, used)
			}
			etags[etag] = used
			for _, method := range reading {
				r := httptest.NewRequest(method, docsPrefix+name, nil)
				r.Header.Set("Accept-Encoding", coding)
				r.Header.Set("If-None-Match", etag)
				w := httptest.NewRecorder()
				if !d.Serve(w, r) || w.Code != http.StatusNotModified || w.Body.Len() != 0 {
					t.Errorf("%s %s asked again: %d with %d bytes", method, name, w.Code, w.Body.Len())
				}
			}
		}
		w := httptest.NewRecorder()
		if !d.Serve(w, httptest.NewRequest(http.MethodHead, docsPrefix+name, nil)) || w.Code != http.StatusOK || w.Body.Len() != 0 {
			t.Errorf("HEAD %s: %d with %d bytes", name, w.Code, w.Body.Len())
		}
	}
}

// TestPlainFilesAreKept: a client without gzip does not make the program unpack a file for
// each request.
func TestPlainFilesAreKept(t *testing.T) {
	d := newDocs(t)
	for path := range d.files {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		if n := testing.AllocsPerRun(10, func() { d.Serve(discard{http.Header{}}, r) }); n > 30 {
			t.Errorf("%s: %v allocations", path, n)
		}
	}
}

// discard is a response writer that keeps nothing.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(p []byte) (int, error) { return len(p), nil }
func (d discard) WriteHeader(int)             {}

// BenchmarkDocs measures what a GET of each file costs, without and with gzip.
func BenchmarkDocs(b *testing.B) {
	d, _ := NewDocs("1.2.3")
	for path := range d.files {
		for _, coding := range []string{"identity", "gzip"} {
			b.Run(strings.TrimPrefix(path, docsPrefix)+"/"+coding, func(b *testing.B) {
				r := httptest.NewRequest(http.MethodGet, path, nil)
				r.Header.Set("Accept-Encoding", coding)
				for b.Loop() {
					d.Serve(discard{http.Header{}}, r)
				}
			})
		}
	}
}

func TestOtherPathsAreLeftToTheCaller(t *testing.T) {
	d := newDocs(t)
	for _, target := range []string{"/", "/swagger", "/swagger/", "/swagger/index.htm", "/swagger/openapi.yaml", "/swagger/../doc.json", "/swagger/index.html/", "/swagger/swagger-ui.css.gz"} {
		w := httptest.NewRecorder()
		if d.Serve(w, httptest.NewRequest(http.MethodGet, target, nil)) || len(w.Header()) != 0 || w.Body.Len() != 0 {
			t.Errorf("%s was served", target)
		}
	}
}

// fetch requests one of the files as the page does.
func fetch(t *testing.T, d *Docs, name string, header http.Header) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, docsPrefix+name, nil)
	maps.Copy(r.Header, header)
	w := httptest.NewRecorder()
	if !d.Serve(w, r) || w.Code != http.StatusOK {
		t.Fatalf("%s: %d", name, w.Code)
	}
	return w
}

// TestEveryFileIsSound: a file is made at its first request, and none fails then.
func TestEveryFileIsSound(t *testing.T) {
	public, admin := NewDocs("1.2.3")
	console, errConsole := NewConsole()
	web, errWeb := NewPages()
	if err := errors.Join(errConsole, errWeb); err != nil {
		t.Fatal(err)
	}
	made := 0
	for _, files := range []map[string]docsFile{
		public.files, public.languages, admin.files, admin.languages, console.files, web.files, {"pow.js": NewWidget().file},
	} {
		for name, file := range files {
			if made++; len(file.content().plain.body) == 0 {
				t.Errorf("%s is empty", name)
			}
		}
	}
	if made < 25 {
		t.Errorf("only %d files", made)
	}
}
