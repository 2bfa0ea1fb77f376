package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const list = `Looked at on 2026-01-02.

| x.js | ` + "`00`" + ` | swagger-ui-dist 5.29.1 | Apache-2.0 |

| library | version | licence | known |
|---|---|---|---|
| one | 1.2.3 | MIT | exact |
| @of/two | 4.5.6 | MIT | the only one |
| three | ^7.8.9 | MIT | range |

| one | ` + "`GHSA-aaaa-bbbb-cccc`" + ` | 1.2.4 | hostile markup |
`

// withNPM makes npm print a report and exit with 1, as it does for a finding.
func withNPM(t *testing.T, report string) {
	t.Helper()
	folder := t.TempDir()
	script := "#!/bin/sh\ncp package-lock.json " + folder + "\ncat <<'END'\n" + report + "\nEND\nexit 1\n"
	if err := os.WriteFile(filepath.Join(folder, "npm"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", folder+":"+os.Getenv("PATH"))
	t.Cleanup(func() {
		locked, err := os.ReadFile(filepath.Join(folder, "package-lock.json"))
		for _, want := range []string{`"node_modules/one":{"name":"one","version":"1.2.3"}`, `"node_modules/@of/two"`, `"swagger-ui-dist":"5.29.1"`, `"lockfileVersion":3`} {
			if err != nil || !strings.Contains(string(locked), want) {
				t.Errorf("npm was asked about %s, error %v, want %s", locked, err, want)
			}
		}
		if strings.Contains(string(locked), "three") {
			t.Error("npm was asked about a range")
		}
	})
}

func TestVerdicts(t *testing.T) {
	for name, tt := range map[string]struct {
		report string
		code   int
		says   string
	}{
		"nothing":      {`{"vulnerabilities":{}}`, clean, "Looked at on 2026-01-02"},
		"read already": {`{"vulnerabilities":{"one":{"via":["two",{"url":"https://x/advisories/GHSA-aaaa-bbbb-cccc"}]}}}`, clean, "1 advisories are in the document"},
		"news": {
			`{"vulnerabilities":{"one":{"via":[{"url":"https://x/advisories/GHSA-dddd-eeee-ffff","title":"XSS","range":"<2"}]}}}`,
			found, "one <2: XSS (https://x/advisories/GHSA-dddd-eeee-ffff)",
		},
		"no network":                {`{"message":"request to https://x failed, reason: getaddrinfo ENOTFOUND x"}`, absent, "ENOTFOUND"},
		"a registry without":        {`{"message":"405 Method Not Allowed - POST https://x","error":{"summary":""}}`, absent, "405"},
		"an ill database":           {`{"message":"500 Internal Server Error - POST https://x"}`, broken, "500"},
		"an error in another place": {`{"error":{"summary":"connect ECONNREFUSED 127.0.0.1:443"}}`, absent, "ECONNREFUSED"},
		"garbage":                   {`<html>405</html>`, broken, "npm gave no report"},
		"nothing at all":            {``, broken, "npm gave no report"},
	} {
		t.Run(name, func(t *testing.T) {
			withNPM(t, tt.report)
			document := filepath.Join(t.TempDir(), "page.md")
			if err := os.WriteFile(document, []byte(list), 0o600); err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			if code, err := run(&out, document); code != tt.code || err != nil || !strings.Contains(out.String(), tt.says) {
				t.Errorf("code %d, error %v, printed %q; want %d and %q", code, err, out.String(), tt.code, tt.says)
			}
		})
	}
}

func TestWithoutNPM(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if code, err := run(&strings.Builder{}, "../../docs/page.md"); code != broken || err == nil {
		t.Errorf("code %d, error %v", code, err)
	}
}
