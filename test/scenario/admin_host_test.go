package scenario

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"menshen/repository"
)

// TestForeignHosts: what needs no key is not shown to a page whose own name leads to the
// admin listener (DNS rebinding). Health, which shows nothing, and what needs a key answer
// by any name.
func TestForeignHosts(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, repository.SQLite, "SERVER_ADMIN_HOSTS=menshen.corp.example")
	d.start(t)
	ask := func(method, path, host string) (int, string) {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), method, d.admin+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Host = host
		response, err := d.client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = response.Body.Close() }()
		body, _ := io.ReadAll(response.Body)
		return response.StatusCode, string(body)
	}
	for _, path := range []string{"/metrics", "/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/cmdline"} {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			for host, want := range map[string]int{
				"evil.example": http.StatusForbidden, "127.0.0.1.evil.example:8081": http.StatusForbidden,
				"menshen.corp.example:8081": http.StatusOK, "menshen-1:8081": http.StatusOK, "localhost:8081": http.StatusOK, "10.0.0.7": http.StatusOK,
			} {
				status, body := ask(method, path, host)
				if status != want || want == http.StatusForbidden && len(body) > 100 {
					t.Errorf("%s %s for %s: status %d, %.200s", method, path, host, status, body)
				}
			}
		}
	}
	for path, want := range map[string]int{"/healthz": http.StatusOK, "/readyz": http.StatusOK, "/admin/users": http.StatusUnauthorized, "/internal/revocations": http.StatusUnauthorized} {
		if status, _ := ask(http.MethodGet, path, "evil.example"); status != want {
			t.Errorf("%s: status %d", path, status)
		}
	}
	d.log.await(t, 0, "the header Host is no name of this listener")
	if strings.Contains(d.log.text(), "evil.example") {
		t.Error("the log quotes the name")
	}
}
