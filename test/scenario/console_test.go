package scenario

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"menshen/repository"
)

// TestConsole: the console is on the admin listener alone, needs no key to be read and a key
// for all that it shows, and goes and comes while the program runs.
func TestConsole(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, repository.SQLite, operatorKeys())
	writeFile(t, d.file, "console: {enabled: true}\n")
	d.start(t)
	open := func() (int, string) {
		response, body := d.read(t, http.MethodGet, d.admin+"/console/", "")
		return response.StatusCode, body
	}
	served := func() bool { status, _ := open(); return status == http.StatusOK }
	if status, body := open(); status != http.StatusOK || !strings.Contains(body, "/console/assets/") {
		t.Errorf("status %d: %s", status, body)
	}
	d.do(t, call{path: "/console/", code: 40400})
	d.callAdmin(t, call{path: "/admin/me", want: `{"name":"alice","role":"admin","companies":[{"type":0,"name":"default"},{"type":1,"name":"second"}],"products":[{"type":0,"name":"app"},{"type":1,"name":"pc"},{"type":2,"name":"wx"}]}`})
	d.callAdmin(t, call{path: "/admin/me", as: bobKey, want: `{"name":"bob"}`})
	d.callAdmin(t, call{path: "/admin/me", as: "x", code: 40100})
	writeFile(t, d.file, "console: {enabled: false}\n")
	eventually(t, 5*time.Second, "the console is off", func() bool { return !served() })
	if _, body := open(); !strings.Contains(body, "40400") {
		t.Errorf("a console that is off: %s", body)
	}
	d.callAdmin(t, call{path: "/admin/me"})
	writeFile(t, d.file, "console: {enabled: true}\n")
	eventually(t, 5*time.Second, "the console is on", served)
}
