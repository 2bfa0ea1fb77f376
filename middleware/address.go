package middleware

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// mappedBits is the length of the prefix of IPv4 addresses within IPv6 (RFC 4291 §2.5.5.2).
const mappedBits = 96

// Addresses finds the address of a client behind trusted proxies.
type Addresses struct {
	trusted []netip.Prefix
}

// NewAddresses returns an error if one of proxies is neither an address nor a network.
func NewAddresses(proxies []string) (Addresses, error) {
	var a Addresses
	for _, text := range proxies {
		prefix, err := netip.ParsePrefix(text)
		if !strings.Contains(text, "/") {
			var addr netip.Addr
			addr, err = netip.ParseAddr(text)
			prefix = netip.PrefixFrom(addr, addr.BitLen())
		}
		if err != nil {
			return a, err
		}
		if prefix.Addr().Is4In6() && prefix.Bits() >= mappedBits { // it is compared with peers in their IPv4 form
			prefix = netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-mappedBits)
		}
		a.trusted = append(a.trusted, prefix)
	}
	return a, nil
}

// Of is the peer's address, or, if the peer is a trusted proxy, the right-most hop of
// X-Forwarded-For that is no trusted proxy (of several header lines the last is the
// nearest, RFC 9110 §5.3). A hop that is no address ends the search at the proxy that
// reported it.
func (a Addresses) Of(r *http.Request) string {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return "unknown" // no listener of the program has such a peer; the log writes addresses unquoted
	}
	client := peer.Addr().Unmap().WithZone("")
	if !a.trusts(client) {
		return client.String()
	}
	lines := r.Header["X-Forwarded-For"]
	if len(lines) == 0 {
		return client.String()
	}
	for _, text := range slices.Backward(strings.Split(strings.Join(lines, ","), ",")) {
		hop, err := parseHop(text)
		if err != nil {
			break
		}
		if client = hop; !a.trusts(client) {
			break
		}
	}
	return client.String()
}

// parseHop reads an address with or without a port.
func parseHop(text string) (netip.Addr, error) {
	text = strings.TrimSpace(text)
	if withPort, err := netip.ParseAddrPort(text); err == nil {
		return withPort.Addr().Unmap().WithZone(""), nil
	}
	addr, err := netip.ParseAddr(strings.Trim(text, "[]"))
	return addr.Unmap().WithZone(""), err
}

// Trusts reports whether a peer is a trusted proxy.
func (a Addresses) Trusts(peer netip.Addr) bool { return a.trusts(peer.Unmap().WithZone("")) }

func (a Addresses) trusts(addr netip.Addr) bool {
	return slices.ContainsFunc(a.trusted, func(p netip.Prefix) bool { return p.Contains(addr) })
}
