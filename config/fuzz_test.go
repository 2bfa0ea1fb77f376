package config

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"
)

// FuzzLoad: whatever the file and the environment hold, Load returns either problems,
// each with a key and on one line, or a configuration that passes the rules again, can
// be printed and equals itself.
func FuzzLoad(f *testing.F) {
	defaults, err := os.ReadFile("../config.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(defaults, "")
	f.Add([]byte("code: {length: 8, ttl: 1m}\ntoken: {audience: &a [x], key_dir: *a}\n"), "MENSHEN_CODE_COOLDOWN=30")
	f.Add([]byte("<<: &x {a: *x}\ncompanies: [{type: 0x7}]\n---\n...\n"), `MENSHEN_COMPANIES=[{"type":1e3,"type":null}]`)
	f.Add([]byte("database: {driver: mysql, dsn: 'u:p@tcp(h)/d?tls=x'}\n"), "MENSHEN_ENV=production\nMENSHEN_SECRET_KEY_FILE=x")
	f.Add([]byte("sms: {provider: webhook, webhook: {url: 'https://%zz', secret: whsec_}}\n"), "MENSHEN_SERVER_CORS_ORIGINS=https://[::1]:1,null")
	f.Add([]byte("code: {test_numbers: [{mobile: 1, code: 000000, until: 2030-01-01}]}\n"), "MENSHEN_SERVER_ADDR=[::1%x]:0")
	f.Fuzz(func(t *testing.T, file []byte, environ string) {
		options := Options{Defaults: defaults, File: "config.yaml", FileText: file, Environ: strings.Split(environ, "\n")}
		cfg, _, err := options.load(func(string) ([]byte, error) { return nil, fs.ErrNotExist })
		if err != nil {
			var list Problems
			if cfg != nil || !errors.As(err, &list) || len(list) == 0 {
				t.Fatalf("Load answers %v and %#v", cfg, err)
			}
			for _, p := range list {
				if p.Key == "" || p.Text == "" || strings.ContainsAny(p.Error(), "\n\r\x00") {
					t.Errorf("problem %q", p)
				}
				if p.Key == embeddedName {
					t.Errorf("viper finds what the readers did not: %s", p.Text)
				}
			}
			return
		}
		again := newReport()
		(&rules{Config: cfg, report: again}).check()
		if len(again.problems) > 0 {
			t.Errorf("what Load accepted breaks rules: %v", again.problems)
		}
		if changes := ColdChanges(cfg, cfg); changes != nil {
			t.Errorf("differs from itself in %q", changes)
		}
		if _, err := documentYAML([]byte(cfg.Masked())); err != nil {
			t.Errorf("Masked: %v", err)
		}
	})
}
