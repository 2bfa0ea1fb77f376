package config

import (
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/go-sql-driver/mysql"
	"github.com/nyaruka/phonenumbers"
)

func (r *rules) server() {
	r.listener("server.addr", r.Server.Addr)
	r.listener("server.admin_addr", r.Server.AdminAddr)
	if r.sound("server.addr") && clash(r.Server.Addr, r.Server.AdminAddr) {
		r.breaks("server.admin_addr", "must be another address than server.addr")
	}
	for i, proxy := range r.Server.TrustedProxies {
		if _, ok := network(proxy); !ok {
			r.breaks(item("server.trusted_proxies", i), "must be an IP address or a CIDR such as 10.0.0.0/8")
		}
	}
	for i, text := range r.Server.CORSOrigins {
		if !origin(text) {
			r.breaks(item("server.cors_origins", i),
				"must be an exact origin as browsers send it, scheme://host[:port]: "+
					"lower case, no path, no default port, no *")
		}
	}
	r.oneOf("server.locale", r.Server.Locale, "zh-CN", "en")
}

var hostName = regexp.MustCompile(`\A[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?\z`)

func (r *rules) listener(key, addr string) {
	host, number, err := net.SplitHostPort(addr)
	_, notIP := netip.ParseAddr(host)
	if err != nil || !port(number) || host != "" && notIP != nil && !hostName.MatchString(host) {
		r.breaks(key, "must be host:port, such as :8080 or 127.0.0.1:8081")
	}
}

// clash tells whether two listeners cannot both be had: one port, and one host
// or any host. Port 0 is a new one each time.
func clash(a, b string) bool {
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	if errA != nil || errB != nil || portA != portB || portA == "0" {
		return false
	}
	wild := []string{"", "0.0.0.0", "::"}
	return hostA == hostB || slices.Contains(wild, hostA) || slices.Contains(wild, hostB)
}

// network reads an address or a CIDR; an address is a network of its own.
func network(text string) (netip.Prefix, bool) {
	if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
		return netip.PrefixFrom(addr, addr.BitLen()), true
	}
	prefix, err := netip.ParsePrefix(text)
	return prefix, err == nil
}

// origin tells whether text is an origin byte for byte as a browser sends it
// (RFC 6454 §6.2): anything else would be listed and never match.
func origin(text string) bool {
	u, err := url.Parse(text)
	if err != nil || u.Scheme == "" || u.Hostname() == "" || strings.ContainsFunc(text, notInOrigin) {
		return false
	}
	standard := map[string]string{"http": "80", "https": "443"}[u.Scheme]
	if number := u.Port(); number != "" && (!port(number) || number == standard) {
		return false
	}
	return text == u.Scheme+"://"+strings.ToLower(u.Host) && !strings.HasSuffix(u.Host, ":")
}

// notInOrigin finds patterns, and letters that a browser sends as xn--….
func notInOrigin(c rune) bool { return c == '*' || c <= ' ' || c > '~' }

func (r *rules) database() {
	d := r.Database
	r.oneOf("database.driver", d.Driver, DriverSQLite, DriverMySQL)
	switch {
	case d.Driver == DriverSQLite && strings.Contains(string(d.DSN), "@tcp("):
		// As a file name it would write the password to the disk.
		r.breaks("database.dsn", "is a MySQL DSN, but database.driver is sqlite")
	case d.Driver == DriverMySQL && d.DSN == "":
		r.breaks("database.dsn", "must be given with driver mysql")
	case d.Driver == DriverMySQL:
		// The driver's error may repeat parts of the DSN.
		parsed, err := mysql.ParseDSN(string(d.DSN))
		if err != nil {
			r.breaks("database.dsn", "is not of the form user:password@tcp(host:port)/database?param=value")
		} else if parsed.DBName == "" {
			r.breaks("database.dsn", "names no database after the slash")
		}
	}
}

func (r *rules) sms() {
	s := r.SMS
	switch s.Provider {
	case ProviderLog:
		if r.Production() {
			r.breaks("sms.provider", "log writes codes to the log, which production refuses")
		}
	case ProviderWebhook:
	case "aliyun", "tencent", "twilio":
		r.breaks("sms.provider", "%s is not available in this version", s.Provider)
	default:
		r.oneOf("sms.provider", s.Provider, ProviderLog, ProviderWebhook)
	}
	r.regions()
	r.webhook()
}

func (r *rules) regions() {
	known := phonenumbers.GetSupportedRegions()
	const want = "must be the two capital letters of a region, such as CN"
	if len(r.SMS.Regions) == 0 {
		r.breaks("sms.regions", "must not be empty")
	}
	allKnown := r.sound("sms.regions")
	for i, region := range r.SMS.Regions {
		if !known[region] {
			r.breaks(item("sms.regions", i), want)
			allKnown = false
		}
	}
	switch {
	case !known[r.SMS.DefaultRegion]:
		r.breaks("sms.default_region", want)
	case allKnown && !slices.Contains(r.SMS.Regions, r.SMS.DefaultRegion):
		r.breaks("sms.default_region", "must be one of sms.regions")
	}
}

// webhook demands its keys when it is the provider, and judges them whenever
// they are given.
func (r *rules) webhook() {
	w, used := r.SMS.Webhook, r.SMS.Provider == ProviderWebhook
	switch {
	case w.URL == "" && used:
		r.breaks("sms.webhook.url", "must be given with provider webhook")
	case w.URL != "":
		r.webhookURL(w.URL)
	}
	switch {
	case w.Secret == "" && used:
		r.breaks("sms.webhook.secret", "must be given with provider webhook")
	case w.Secret != "":
		r.webhookSecret(string(w.Secret))
	}
}

func (r *rules) webhookURL(text string) {
	const key = "sms.webhook.url"
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http" ||
		u.Port() != "" && !port(u.Port()) {
		r.breaks(key, "must be an absolute URL such as https://sms.example.com/send")
		return
	}
	if u.User != nil || u.Fragment != "" {
		r.breaks(key, "must not hold user, password or fragment: requests are signed with sms.webhook.secret")
		return
	}
	if !r.Production() {
		return
	}
	if u.Scheme != "https" {
		r.breaks(key, "must be https in production")
	} else if local(u.Hostname()) {
		r.breaks(key, "must not be this machine's own address in production")
	}
}

// local tells whether a host names this machine whatever the resolver says.
func local(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	addr = addr.Unmap()
	return err == nil && (addr.IsLoopback() || addr.IsUnspecified())
}

// warnings are what is allowed and seldom meant.
func (c *Config) warnings() []string {
	for _, proxy := range c.Server.TrustedProxies {
		if prefix, _ := network(proxy); prefix.Bits() == 0 {
			return []string{"server.trusted_proxies: every peer is trusted, so every client can forge its address"}
		}
	}
	return nil
}
