package app

import (
	"strings"
	"testing"

	"menshen/config"
)

// TestWelcome: the block names what a browser on this machine can open, and nothing that it
// cannot.
func TestWelcome(t *testing.T) {
	for _, row := range []struct {
		addr      string
		change    func(*config.Config)
		want, not string
	}{
		{"[::]:8080", nil, "http://localhost:8080/dev/sms", "[::]"},
		{"0.0.0.0:8080", nil, "http://localhost:8080/demo", "0.0.0.0"},
		{"127.0.0.1:8080", nil, "http://127.0.0.1:8080/\n", ""},
		{"[::1]:8080", nil, "http://[::1]:8080/\n", ""},
		{"192.0.2.7:8080", nil, "http://192.0.2.7:8080/swagger/", "/demo"},
		{"192.0.2.7:8080", func(c *config.Config) { c.Dev.Open = true }, "http://192.0.2.7:8080/demo", ""},
		{"[::]:8080", nil, "its key: elsewhere/admin.key", ""},
		{"[::]:8080", func(c *config.Config) { c.Admin.Keys = make([]config.AdminKey, 1) }, "its keys: admin.keys", "admin.key\n"},
		{"[::]:8080", nil, "codes are shown there, none is sent", ""},
		{"[::]:8080", func(c *config.Config) { c.SMS.Provider = config.ProviderWebhook }, "codes are sent by webhook", "none is sent"},
		{"[::]:8080", func(c *config.Config) { c.Server.Docs = false }, "/demo", "/swagger/"},
	} {
		cfg := &config.Config{Env: config.EnvDev, DataDir: "elsewhere", Server: config.Server{Docs: true}, SMS: config.SMS{Provider: config.ProviderLog}}
		if row.change != nil {
			row.change(cfg)
		}
		text := welcomeText(cfg, row.addr, "127.0.0.1:8081")
		if !strings.Contains(text, row.want) || row.not != "" && strings.Contains(text, row.not) {
			t.Errorf("%s: want %q and not %q in%s", row.addr, row.want, row.not, text)
		}
	}
}
