package model

import "net/netip"

// AddressKey is the unit in which addresses are counted: IPv6 by its /64, which
// is what one customer holds.
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

// AddressBlock is the neighbourhood of an address, which is what somebody holds
// who changes addresses at will: IPv4 by /24, IPv6 by /48, the least that is
// routed and the most that a site is given (RFC 6177).
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

// addressOf reads an address; IPv4 within IPv6 is IPv4, and a zone is none of it.
func addressOf(ip string) (netip.Addr, bool) {
	addr, err := netip.ParseAddr(ip)
	return addr.Unmap().WithZone(""), err == nil
}
