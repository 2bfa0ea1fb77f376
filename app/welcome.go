package app

import (
	"fmt"
	"net"
	"net/netip"
	"strings"

	"menshen/config"
)

// welcome writes what a developer needs next, once the program serves. It is for consoles in
// env dev alone.
func (s *server) welcome(public, admin net.Addr) {
	if cfg := s.Config; cfg.Env == config.EnvDev && cfg.Log.Format != "json" {
		_, _ = s.out.Write([]byte(welcomeText(cfg, public.String(), admin.String()))) // a LogWriter returns no error
	}
}

func welcomeText(cfg *config.Config, public, admin string) string {
	var text strings.Builder
	line := func(label, value, note string) {
		_, _ = fmt.Fprintln(&text, strings.TrimRight(fmt.Sprintf("    %-8s %-34s %s", label, value, note), " "))
	}
	site, ours := siteOf(public)
	text.WriteString("\n  menshen 门神 is ready. Open this page 请打开:\n\n")
	if ours || cfg.Dev.Open {
		line("start", site+"/", "")
		line("inbox", site+"/dev/sms", inboxNote(cfg.SMS.Provider))
		line("demo", site+"/demo", "two phones, one account 两台手机，同一账号")
	}
	if cfg.Server.Docs {
		line("API", site+"/swagger/", "")
	}
	operators, _ := siteOf(admin)
	key := "its key: " + cfg.AdminKeyFile()
	if len(cfg.Admin.Keys) > 0 {
		key = "its keys: admin.keys"
	}
	if cfg.Console.Enabled {
		operators += "/console/"
	}
	line("admin", operators, key)
	text.WriteString("\n")
	return text.String()
}

func inboxNote(provider string) string {
	if provider == config.ProviderLog {
		return "codes are shown there, none is sent 验证码只显示，不发送"
	}
	return "empty: codes are sent by " + provider
}

// siteOf is the site of a listener as a browser on this machine names it, and whether that
// is a name of this machine alone.
func siteOf(addr string) (site string, ours bool) {
	host, port, _ := net.SplitHostPort(addr)
	ip, err := netip.ParseAddr(host)
	switch {
	case err == nil && ip.IsUnspecified():
		host = "localhost"
	case err == nil && !ip.IsLoopback():
		return "http://" + net.JoinHostPort(host, port), false
	}
	return "http://" + net.JoinHostPort(host, port), true
}
