package model

import (
	"context"
	"net/netip"
)

type addressKey struct{}

// WithAddress returns a context whose work on the storage is for a client at ip. Where work
// has to wait, addresses take turns.
func WithAddress(ctx context.Context, ip string) context.Context {
	return context.WithValue(ctx, addressKey{}, ip)
}

// AddressOf returns the address of WithAddress, "" for work of the process itself.
func AddressOf(ctx context.Context) string {
	ip, _ := ctx.Value(addressKey{}).(string)
	return ip
}

// AddressKey is the unit by which limits count addresses: an IPv4 address, or the
// /64 of an IPv6 address, which one customer holds.
func AddressKey(ip string) string {
	addr, known := addressOf(ip)
	switch {
	case !known:
		return unknownAddress
	case addr.Is4():
		return addr.String()
	}
	return netip.PrefixFrom(addr, 64).Masked().String()
}

// SessionAddressKey is the unit by which limits count what may not use the share of a
// session: the session together with the unit of the address.
func SessionAddressKey(sessionID, ip string) string { return sessionID + " " + AddressKey(ip) }

// AddressBlock is the network around an address: the /24 of an IPv4 address, the /48
// of an IPv6 address. An attacker who changes addresses often holds such a block: it
// is the smallest that is routed and the largest that a site gets (RFC 6177).
func AddressBlock(ip string) string {
	addr, known := addressOf(ip)
	if !known {
		return unknownAddress
	}
	bits := 48
	if addr.Is4() {
		bits = 24
	}
	return netip.PrefixFrom(addr, bits).Masked().String()
}

const unknownAddress = "unknown"

// nat64 is the prefix under which a translator shows IPv4 hosts to IPv6 ones (RFC 6052).
var nat64 = netip.MustParsePrefix("64:ff9b::/96")

// addressOf parses an address. It maps IPv4 within IPv6 to IPv4 and drops the zone.
func addressOf(ip string) (netip.Addr, bool) {
	addr, err := netip.ParseAddr(ip)
	addr = addr.Unmap().WithZone("")
	if nat64.Contains(addr) {
		bytes := addr.As16()
		addr = netip.AddrFrom4([4]byte(bytes[12:]))
	}
	return addr, err == nil
}
