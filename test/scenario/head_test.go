package scenario

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"menshen/repository"
)

// TestHead: every GET route of both listeners answers HEAD with the status and the
// headers of GET and no body, with credentials and without; a stream and a request that
// waits are answered at once.
func TestHead(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, repository.SQLite, "CODE_LENGTH=10", operatorKeys(), "CLIENTS="+jsonOf(t, []map[string]string{{"id": clientID, "secret": clientSecret}}))
	d.start(t)
	a := d.login(t, form{Mobile: d.number(), DeviceNumber: "device-of-head"})
	user := "Bearer " + a.AccessToken.Value
	public := map[string][]string{ // credentials by path; nil: none
		"/swagger": {""}, "/swagger/": {""}, "/swagger/index.html": {""}, "/swagger/doc.json": {""}, "/swagger/swagger-ui.css": {""}, "/swagger/none": {""}, "/none": {""},
		checkPath("device-of-head"): {"", user}, checkPath("device-of-head") + "&wait=20": {user}, checkPath("device-of-head") + "&wait=31": {user}, "/app/auth/sessions?ended=true": {user},
	}
	for path, item := range mustDocument(t).Paths.Map() {
		if item.Get != nil {
			public[strings.Replace(path, "{deviceNumber}", "device-of-head", 1)] = []string{"", user, "Bearer x"}
		}
	}
	operator, backend := "Bearer "+aliceKey, basic(clientID, clientSecret).Get("Authorization")
	admin := map[string][]string{"/metrics": {""}, "/healthz": {""}, "/readyz": {""}, "/none": {""}}
	for _, path := range []string{"/internal/revocations", "/internal/revocations?wait=20", "/internal/revocations?wait=x"} {
		admin[path] = []string{"", backend}
	}
	for _, path := range []string{"/admin/users?mobile=" + a.UserInfo.Mobile, "/admin/users", "/admin/users/1", userPath(a, ""), userPath(a, "/timeline"), "/admin/audit", "/admin/stats", "/admin/audit?from=x"} {
		admin[path] = []string{"", operator}
	}
	for _, name := range []string{"", "cmdline", "symbol", "allocs", "block", "goroutine", "heap", "mutex", "threadcreate"} {
		admin["/debug/pprof/"+name] = []string{""}
	}
	for base, paths := range map[string]map[string][]string{d.public: public, d.admin: admin} {
		for path, credentials := range paths {
			for _, authorization := range credentials {
				d.compareHead(t, base, path, authorization)
			}
		}
	}
}

// compareHead sends HEAD and then GET of one path.
func (d *deployment) compareHead(t *testing.T, base, path, authorization string) {
	t.Helper()
	begin := time.Now()
	head, body := d.read(t, http.MethodHead, base+path, authorization)
	if took := time.Since(begin); took > patience {
		t.Errorf("HEAD %s took %s", path, took)
	}
	if body != "" {
		t.Errorf("HEAD %s has a body of %d bytes", path, len(body))
	}
	get, _ := d.read(t, http.MethodGet, base+strings.Replace(path, "wait=20", "wait=0", 1), authorization)
	if head.StatusCode != get.StatusCode {
		t.Errorf("HEAD %s answers %d, GET %d", path, head.StatusCode, get.StatusCode)
	}
	ignored := []string{"Date", "X-Request-Id"}
	if head.Header.Get("Content-Length") == "" || path == "/metrics" || strings.HasPrefix(path, "/debug/") || strings.HasSuffix(path, "/timeline") {
		ignored = append(ignored, "Content-Length") // may be left out (RFC 9110 §8.6), and differ where bodies do: a look is an event of the timeline
	}
	for _, name := range ignored {
		head.Header.Del(name)
		get.Header.Del(name)
	}
	if !maps.EqualFunc(head.Header, get.Header, slices.Equal) {
		t.Errorf("HEAD %s has the headers %v, GET %v", path, head.Header, get.Header)
	}
}

// read returns a response and its body, of a stream only the beginning.
func (d *deployment) read(t *testing.T, method, url, authorization string) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if authorization != "" {
		request.Header.Set("Authorization", authorization)
	}
	response, err := d.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if method == http.MethodGet && strings.HasPrefix(response.Header.Get("Content-Type"), "text/event-stream") {
		return response, ""
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(fmt.Errorf("%s %s: %w", method, url, err))
	}
	return response, string(body)
}
