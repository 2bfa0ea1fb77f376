package config

import (
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/go-sql-driver/mysql"
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
	r.oneOf("server.locale", r.Server.Locale, Languages...)
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
	return prefix, err == nil && (!prefix.Addr().Is4In6() || prefix.Bits() >= 96) // a shorter one would hold no IPv4
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

// tracing asks for no https: spans hold no secret, and collectors stand near.
func (r *rules) tracing() {
	u, err := url.Parse(r.Tracing.Endpoint)
	switch {
	case r.Tracing.Endpoint == "":
	case err != nil || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http" || u.Port() != "" && !port(u.Port()):
		r.breaks("tracing.endpoint", "must be an absolute URL such as http://localhost:4318")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		r.breaks("tracing.endpoint", "must not hold user, password, query or fragment")
	}
	if !(0 <= r.Tracing.Ratio && r.Tracing.Ratio <= 1) {
		r.breaks("tracing.ratio", "%g is out of range 0…1", r.Tracing.Ratio)
	}
}

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
