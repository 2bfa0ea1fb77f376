package middleware

import (
	"net/http"
	"net/netip"
	"strings"
)

// mappedBits is the length of the prefix of IPv4 addresses within IPv6 (RFC 4291 §2.5.5.2).
const mappedBits = 96

// Addresses finds the address of clients behind the proxies that it trusts.
type Addresses struct {
	trusted []netip.Prefix
}

// NewAddresses takes the addresses and networks of trusted proxies.
func NewAddresses(proxies []string) (Addresses, error) {
	var a Addresses
	for _, text := range proxies {
		if !strings.Contains(text, "/") {
			addr, err := netip.ParseAddr(text)
			if err != nil {
				return a, err
			}
			a.trusted = append(a.trusted, netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen()))
			continue
		}
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return a, err
		}
		if prefix.Addr().Is4In6() && prefix.Bits() >= mappedBits { // peers are IPv4 then
			prefix = netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-mappedBits)
		}
		a.trusted = append(a.trusted, prefix)
	}
	return a, nil
}

// Of is the peer's address; when the peer is a trusted proxy, the right-most
// hop of X-Forwarded-For that is not. No other header counts. Of several header
// lines the last is the nearest (RFC 9110 §5.3). A hop that is no address ends
// the search at the proxy that reported it. A peer without an address is "unknown".
func (a Addresses) Of(r *http.Request) string {
	if host, ok := plainPeer(r.RemoteAddr); ok && len(a.trusted) == 0 {
		return host
	}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return "unknown" // no listener of ours gives such a peer, and nothing else goes into the log unquoted
	}
	client := peer.Addr().Unmap().WithZone("")
	if !a.trusts(client) {
		return client.String()
	}
	lines := r.Header["X-Forwarded-For"]
	for i := len(lines) - 1; i >= 0; i-- {
		hops := strings.Split(lines[i], ",")
		for j := len(hops) - 1; j >= 0; j-- {
			hop, err := parseHop(hops[j])
			if err != nil {
				return client.String()
			}
			client = hop
			if !a.trusts(client) {
				return client.String()
			}
		}
	}
	return client.String()
}

// plainPeer cuts the port off an IPv4 peer, which net/http has written as we would.
func plainPeer(addr string) (host string, ok bool) {
	end := strings.LastIndexByte(addr, ':')
	if end <= 0 {
		return "", false
	}
	for _, b := range []byte(addr[:end]) {
		if b != '.' && (b < '0' || '9' < b) {
			return "", false
		}
	}
	return addr[:end], true
}

// parseHop takes an address, with or without a port.
func parseHop(text string) (netip.Addr, error) {
	text = strings.TrimSpace(text)
	if withPort, err := netip.ParseAddrPort(text); err == nil {
		return withPort.Addr().Unmap().WithZone(""), nil
	}
	addr, err := netip.ParseAddr(strings.Trim(text, "[]"))
	return addr.Unmap().WithZone(""), err
}

func (a Addresses) trusts(addr netip.Addr) bool {
	for _, prefix := range a.trusted {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}
