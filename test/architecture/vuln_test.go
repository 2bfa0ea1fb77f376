package architecture

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// fakeGo answers as govulncheck and builds a page command that answers as told.
const fakeGo = `#!/bin/sh
case "$1" in
env) echo "$GOVERSION" ;;
tool) echo "$MODULES"; exit "$MODULES_CODE" ;;
-C) printf '#!/bin/sh\nexit %s\n' "$PAGE_CODE" >"$5" && chmod 700 "$5" ;;
esac
`

// TestToolchain: go.mod names a toolchain with patches, of the series that it requires.
func TestToolchain(t *testing.T) {
	atTop(t)
	named := regexp.MustCompile(`(?m)^go (\d+\.\d+)\.0$\s+^toolchain go(\d+\.\d+)\.[1-9]\d*$`).FindStringSubmatch(string(readText(t, "go.mod")))
	if named == nil || named[1] != named[2] {
		t.Errorf("go.mod names no toolchain with patches: %q", named)
	}
}

// TestVulnerabilityCheck: scripts/vuln fails for findings, and loudly if a database that
// can be had gives no verdict; where it cannot be had, it says that nothing was checked.
func TestVulnerabilityCheck(t *testing.T) {
	atTop(t)
	folder := t.TempDir()
	for name, text := range map[string]string{"go": fakeGo, "npm": "#!/bin/sh\n"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	const (
		old    = "toolchain: go1.26.0 is older than "
		absent = "NOT CHECKED, the database cannot be had here."
		broken = "NOT CHECKED, although the database can be had."
		noHost = "govulncheck: fetching vulnerabilities: dial tcp: lookup x: no such host"
	)
	for name, tt := range map[string]struct {
		modules, code, page string
		environ             string
		fails               bool
		says                string
	}{
		"nothing found":          {"No vulnerabilities found.", "0", "0", "", false, ""},
		"a module":               {"Vulnerability #1", "3", "0", "", true, ""},
		"the page":               {"", "0", "3", "", true, ""},
		"no network":             {noHost, "1", "4", "", false, absent},
		"a proxy that forbids":   {"HTTP GET x returned unexpected status: 403 Forbidden", "1", "0", "", false, absent},
		"no network, required":   {noHost, "1", "0", "VULN=required", true, absent},
		"no npm's, required":     {"", "0", "4", "VULN=required", true, absent},
		"an ill database":        {"HTTP GET x returned unexpected status: 500", "1", "0", "", true, broken},
		"garbage":                {"invalid character '<'", "1", "0", "", true, broken},
		"does not compile":       {"main.go:1: syntax error", "1", "0", "", true, broken},
		"the page's is ill":      {"", "0", "1", "", true, broken},
		"an old toolchain":       {"", "0", "0", "GOVERSION=go1.26.0", false, old},
		"an old one, required":   {"", "0", "0", "GOVERSION=go1.26.0\x00VULN=required", true, old},
		"a copy that is missing": {"stat /x: no such file or directory", "1", "0", "VULNDB=file:///x", true, broken},
	} {
		t.Run(name, func(t *testing.T) {
			command := exec.CommandContext(t.Context(), "bash", "scripts/vuln")
			command.Env = append(os.Environ(), "PATH="+folder+":"+os.Getenv("PATH"), "VULN=", "VULNDB=", "MODULES="+tt.modules,
				"MODULES_CODE="+tt.code, "PAGE_CODE="+tt.page, "GOVERSION=go1.30.0")
			command.Env = append(command.Env, strings.Split(tt.environ, "\x00")...)
			out, err := command.CombinedOutput()
			if _, failed := err.(*exec.ExitError); err != nil && !failed {
				t.Fatal(err)
			}
			if text := string(out); (err != nil) != tt.fails || !strings.Contains(text, tt.says) || tt.says == "" && strings.Contains(text, "vuln:") {
				t.Errorf("error %v, printed\n%s", err, text)
			}
		})
	}
}
