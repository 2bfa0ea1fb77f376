package config

import (
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
)

func (r *rules) server() {
	r.listener("server.addr", r.Server.Addr)
	r.listener("server.admin_addr", r.Server.AdminAddr)
	if r.valid("server.addr") && clash(r.Server.Addr, r.Server.AdminAddr) {
		r.breaks("server.admin_addr", "must be another address than server.addr")
	}
	for i, host := range r.Server.AdminHosts {
		if !hostName.MatchString(host) || host != strings.ToLower(host) {
			r.breaks(item("server.admin_hosts", i), "must be a domain name such as menshen.example.com: lower case, no scheme, no port, no *")
		}
	}
	within(r, "server.idle_timeout", r.Server.IdleTimeout, span[time.Duration]{5 * time.Second, 5 * time.Second, time.Hour})
	within(r, "server.max_conns_per_ip", r.Server.MaxConnsPerIP, span[int]{0, 0, 1_000_000})
	for i, proxy := range r.Server.TrustedProxies {
		if _, ok := network(proxy); !ok {
			r.breaks(item("server.trusted_proxies", i), "must be an IP address or a CIDR such as 10.0.0.0/8")
		}
	}
	if r.Production() && r.trustsPublic() {
		r.breaks("server.trusted_proxies", publicTrust)
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

// clash reports whether two listeners cannot both be opened. Port 0 is a new port each
// time.
func clash(a, b string) bool {
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	if errA != nil || errB != nil || portA != portB || portA == "0" {
		return false
	}
	wild := []string{"", "0.0.0.0", "::"}
	return hostA == hostB || slices.Contains(wild, hostA) || slices.Contains(wild, hostB)
}

func network(text string) (netip.Prefix, bool) {
	if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
		return netip.PrefixFrom(addr, addr.BitLen()), true
	}
	prefix, err := netip.ParsePrefix(text)
	return prefix, err == nil && (!prefix.Addr().Is4In6() || prefix.Bits() >= 96) // a shorter prefix contains no IPv4
}

// origin reports whether text is an origin exactly as a browser sends it (RFC 6454
// §6.2).
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

// notInOrigin reports characters of patterns, and letters that a browser sends as
// xn--….
func notInOrigin(c rune) bool { return c == '*' || c <= ' ' || c > '~' }

// tracing does not require https: spans hold no secret.
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
	within(r, "database.max_conns", d.MaxConns, span[int]{4, 4, 1000})
	switch {
	case d.Driver == DriverSQLite && strings.Contains(string(d.DSN), "@tcp("):
		// A file with this name would have the password in its name.
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

func local(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	addr = addr.Unmap()
	return err == nil && (addr.IsLoopback() || addr.IsUnspecified())
}
