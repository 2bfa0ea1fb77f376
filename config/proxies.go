package config

import (
	"net/netip"
	"slices"
)

// Shares of the address space, as exponents of 1/2: proxies that together trust more
// public addresses than a /8 of IPv4 or a /16 of IPv6 trust clients.
const (
	mostPublicIPv4 = 8
	mostPublicIPv6 = 16
)

const publicTrust = "together trusts more than a /8 (IPv4) or a /16 (IPv6) of the public internet, where clients could forge their addresses"

// notPublic are networks that are not routed in the internet (RFC 6890). IPv6 has only one
// that is: 2000::/3. It is read-only.
var notPublic = networks(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
	"192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3",
	"::/3", "4000::/2", "8000::/1",
)

func networks(texts ...string) []netip.Prefix {
	var list []netip.Prefix
	for _, text := range texts {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}

// trustsPublic reports whether server.trusted_proxies trust too much of the public internet
// together, however they divide it.
func (c *Config) trustsPublic() bool {
	var trusted []netip.Prefix
	for _, text := range c.Server.TrustedProxies {
		if prefix, ok := network(text); ok {
			trusted = append(trusted, unmapped(prefix), translated(prefix))
		}
	}
	for _, family := range []struct {
		all  netip.Prefix
		most int
	}{{netip.MustParsePrefix("0.0.0.0/0"), mostPublicIPv4}, {netip.MustParsePrefix("::/0"), mostPublicIPv6}} {
		if share(family.all, trusted, notPublic) > 1/float64(int(1)<<family.most) {
			return true
		}
	}
	return false
}

// unmapped is the network as peers are compared with it: IPv4 addresses within IPv6 count
// as IPv4 (RFC 4291 §2.5.5.2).
func unmapped(p netip.Prefix) netip.Prefix {
	const mappedBits = 96
	if p.Addr().Is4In6() && p.Bits() >= mappedBits {
		return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-mappedBits)
	}
	return p
}

// translators is the network by which translators show IPv4 addresses to IPv6 (RFC 6052).
var translators = netip.MustParsePrefix("64:ff9b::/96")

// translated is the part of the network that stands for IPv4 addresses, as those; invalid
// if there is none.
func translated(p netip.Prefix) netip.Prefix {
	if !p.Overlaps(translators) {
		return netip.Prefix{}
	}
	address := p.Masked().Addr().As16()
	return netip.PrefixFrom(netip.AddrFrom4([4]byte(address[12:])), max(p.Bits(), translators.Bits())-translators.Bits())
}

// share returns which part of the address space is in whole, in one of in and in none of
// out. It halves whole until a half is decided.
func share(whole netip.Prefix, in, out []netip.Prefix) float64 {
	overlapping := func(list []netip.Prefix) (some []netip.Prefix, covered bool) {
		for _, p := range list {
			if p.Overlaps(whole) {
				some = append(some, p)
				covered = covered || p.Bits() <= whole.Bits()
			}
		}
		return some, covered
	}
	in, within := overlapping(in)
	out, without := overlapping(out)
	size := 1.0
	for range whole.Bits() {
		size /= 2
	}
	switch {
	case len(in) == 0 || without:
		return 0
	case within && len(out) == 0:
		return size
	}
	low, high := halves(whole)
	return share(low, in, out) + share(high, in, out)
}

func halves(p netip.Prefix) (low, high netip.Prefix) {
	bits := p.Bits() + 1
	address := slices.Clone(p.Masked().Addr().AsSlice())
	low = p.Masked()
	address[(bits-1)/8] |= 0x80 >> ((bits - 1) % 8)
	upper, _ := netip.AddrFromSlice(address)
	return netip.PrefixFrom(low.Addr(), bits), netip.PrefixFrom(upper, bits)
}
