package middleware

import (
	"net/http"
	"strings"
	"testing"
)

func TestAddressesOf(t *testing.T) {
	const outside, proxy = "203.0.113.9:4711", "10.0.0.1:4711"
	trusted := []string{"10.0.0.0/8", "192.0.2.1", "2001:db8:ffff::/48", "::ffff:198.18.0.1", "::ffff:198.19.0.0/112"}
	for _, row := range []struct {
		name    string
		trusted []string
		peer    string
		headers http.Header
		want    string
	}{
		{"the peer's own", nil, outside, nil, "203.0.113.9"},
		{"IPv6", nil, "[2001:db8::1]:4711", nil, "2001:db8::1"},
		{"IPv4 in IPv6", nil, "[::ffff:203.0.113.9]:4711", nil, "203.0.113.9"},
		{"zone", nil, "[fe80::1%eth0]:4711", nil, "fe80::1"},
		{"peer without an address", nil, "@", nil, "unknown"},
		{"peer without a host", nil, ":80", nil, "unknown"},
		{"peer with a name", nil, "host:80", nil, "unknown"},
		{"a proxy in a network of IPv4 in IPv6", trusted, "198.19.7.7:4711", http.Header{"X-Forwarded-For": {"198.51.100.1"}}, "198.51.100.1"},
		{"one beside it", trusted, "198.20.0.1:4711", http.Header{"X-Forwarded-For": {"198.51.100.1"}}, "198.20.0.1"},
		{"no proxy is trusted", nil, proxy, http.Header{"X-Forwarded-For": {"198.51.100.1"}}, "10.0.0.1"},
		{"the peer is not trusted", trusted, outside, http.Header{"X-Forwarded-For": {"198.51.100.1"}}, "203.0.113.9"},
		{"no header", trusted, proxy, nil, "10.0.0.1"},
		{"empty header", trusted, proxy, http.Header{"X-Forwarded-For": {""}}, "10.0.0.1"},
		{"one hop", trusted, proxy, http.Header{"X-Forwarded-For": {"198.51.100.1"}}, "198.51.100.1"},
		{"the right-most", trusted, proxy, http.Header{"X-Forwarded-For": {"1.1.1.1, 2.2.2.2 ,198.51.100.1"}}, "198.51.100.1"},
		{"the right-most that is not trusted", trusted, proxy, http.Header{"X-Forwarded-For": {"1.1.1.1, 198.51.100.1, 10.9.9.9,192.0.2.1"}}, "198.51.100.1"},
		{"all are trusted", trusted, proxy, http.Header{"X-Forwarded-For": {"10.1.1.1, 10.2.2.2"}}, "10.1.1.1"},
		{"several lines, the last is the nearest", trusted, proxy, http.Header{"X-Forwarded-For": {"1.1.1.1", "198.51.100.1", "10.2.2.2, 10.3.3.3"}}, "198.51.100.1"},
		{"empty last line", trusted, proxy, http.Header{"X-Forwarded-For": {"198.51.100.1", ""}}, "10.0.0.1"},
		{"port", trusted, proxy, http.Header{"X-Forwarded-For": {"198.51.100.1:80"}}, "198.51.100.1"},
		{"IPv6 hop", trusted, proxy, http.Header{"X-Forwarded-For": {"2001:db8::7"}}, "2001:db8::7"},
		{"IPv6 hop in brackets", trusted, proxy, http.Header{"X-Forwarded-For": {"[2001:db8::7]"}}, "2001:db8::7"},
		{"IPv6 hop with a port", trusted, proxy, http.Header{"X-Forwarded-For": {"[2001:db8::7]:80"}}, "2001:db8::7"},
		{"IPv6 hop with a zone", trusted, proxy, http.Header{"X-Forwarded-For": {"fe80::1%eth0"}}, "fe80::1"},
		{"IPv4 in IPv6 hop", trusted, proxy, http.Header{"X-Forwarded-For": {"::ffff:198.51.100.1"}}, "198.51.100.1"},
		{"trusted hop in IPv6 form", trusted, proxy, http.Header{"X-Forwarded-For": {"198.51.100.1, ::ffff:10.2.2.2"}}, "198.51.100.1"},
		{"trusted IPv6 proxy", trusted, "[2001:db8:ffff::1]:80", http.Header{"X-Forwarded-For": {"198.51.100.1"}}, "198.51.100.1"},
		{"peer in IPv6 form is trusted", trusted, "[::ffff:10.0.0.1]:80", http.Header{"X-Forwarded-For": {"198.51.100.1"}}, "198.51.100.1"},
		{"trusted in IPv6 form", trusted, "198.18.0.1:80", http.Header{"X-Forwarded-For": {"198.51.100.1"}}, "198.51.100.1"},
		{"garbage at the right", trusted, proxy, http.Header{"X-Forwarded-For": {"198.51.100.1, garbage"}}, "10.0.0.1"},
		{"garbage behind a proxy", trusted, proxy, http.Header{"X-Forwarded-For": {"garbage, 10.2.2.2"}}, "10.2.2.2"},
		{"garbage to the left", trusted, proxy, http.Header{"X-Forwarded-For": {"garbage, 198.51.100.1"}}, "198.51.100.1"},
		{"unknown", trusted, proxy, http.Header{"X-Forwarded-For": {"unknown"}}, "10.0.0.1"},
		{"out of range", trusted, proxy, http.Header{"X-Forwarded-For": {"198.51.100.256"}}, "10.0.0.1"},
		{"with zeros", trusted, proxy, http.Header{"X-Forwarded-For": {"198.051.100.001"}}, "10.0.0.1"},
		{"line break", trusted, proxy, http.Header{"X-Forwarded-For": {"198.51.100.1\r\nlevel=error"}}, "10.0.0.1"},
		{"only commas", trusted, proxy, http.Header{"X-Forwarded-For": {",,,"}}, "10.0.0.1"},
		{"very many", trusted, proxy, http.Header{"X-Forwarded-For": {"198.51.100.1" + strings.Repeat(",10.1.1.1", 5000)}}, "198.51.100.1"},
		{"other headers", trusted, proxy, http.Header{
			"X-Real-Ip": {"1.1.1.1"}, "Forwarded": {"for=1.1.1.1"}, "Cf-Connecting-Ip": {"1.1.1.1"}, "X-Client-Ip": {"1.1.1.1"}, "True-Client-Ip": {"1.1.1.1"}, "X-Forwarded-Host": {"1.1.1.1"},
		}, "10.0.0.1"},
	} {
		t.Run(row.name, func(t *testing.T) {
			addresses, err := NewAddresses(row.trusted)
			if err != nil {
				t.Fatal(err)
			}
			if got := addresses.Of(&http.Request{RemoteAddr: row.peer, Header: row.headers}); got != row.want {
				t.Errorf("got %s, want %s", got, row.want)
			}
		})
	}
}

func TestNewAddressesRefuses(t *testing.T) {
	for _, text := range []string{"", "proxy", "10.0.0.0/33", "10.0.0", "10.0.0.1:80", "::1/129", "10.0.0.0/8 "} {
		if _, err := NewAddresses([]string{"10.0.0.0/8", text}); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
}

// FuzzAddressesOf: the address is written to the log and the database. Whatever a
// client sends, it consists of the characters of an address.
func FuzzAddressesOf(f *testing.F) {
	addresses, err := NewAddresses([]string{"0.0.0.0/1", "::/1"})
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{"1.1.1.1", "[::1]:80, 1.1.1.1", "a, 1.1.1.1", "fe80::1%a\nb", ", ,", "1.1.1.1:99999"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		got := addresses.Of(&http.Request{RemoteAddr: "10.0.0.1:80", Header: http.Header{"X-Forwarded-For": {header}}})
		if len(got) < 2 || len(got) > 45 || strings.ContainsFunc(got, func(r rune) bool { return !strings.ContainsRune("0123456789abcdef.:", r) }) {
			t.Errorf("%q: %q", header, got)
		}
		at := func(peer string, lines ...string) string {
			return addresses.Of(&http.Request{RemoteAddr: peer, Header: http.Header{"X-Forwarded-For": lines}})
		}
		if lines := strings.Split(header, ","); at("10.0.0.1:80", lines...) != got {
			t.Errorf("%q in lines of its own: %q, else %q", header, at("10.0.0.1:80", lines...), got)
		}
		if peer := at("203.0.113.9:80", header); peer != "203.0.113.9" {
			t.Errorf("%q from a peer that is not trusted: %q", header, peer)
		}
		if last := at("10.0.0.1:80", header+", 203.0.113.9"); last != "203.0.113.9" {
			t.Errorf("%q before a hop that is not trusted: %q", header, last)
		}
	})
}
