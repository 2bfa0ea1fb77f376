package model

import "testing"

func TestAddressUnits(t *testing.T) {
	for _, row := range []struct{ ip, key, block string }{
		{"192.0.2.1", "192.0.2.1", "192.0.2.0/24"},
		{"192.0.2.255", "192.0.2.255", "192.0.2.0/24"},
		{"192.0.3.0", "192.0.3.0", "192.0.3.0/24"},
		{"::ffff:192.0.2.9", "192.0.2.9", "192.0.2.0/24"},
		{"::ffff:192.0.2.9%eth0", "192.0.2.9", "192.0.2.0/24"},
		{"::ffff:c000:209", "192.0.2.9", "192.0.2.0/24"},
		{"64:ff9b::192.0.2.9", "192.0.2.9", "192.0.2.0/24"},
		{"64:FF9B::c000:209", "192.0.2.9", "192.0.2.0/24"},
		{"64:ff9b::", "0.0.0.0", "0.0.0.0/24"},
		{"64:ff9b::ffff:ffff%eth0", "255.255.255.255", "255.255.255.0/24"},
		{"64:ff9b::1:c000:209", "64:ff9b::/64", "64:ff9b::/48"},
		{"64:ff9b:1::c000:209", "64:ff9b:1::/64", "64:ff9b:1::/48"}, // of one network: no public IPv4
		{"::192.0.2.9", "::/64", "::/48"},
		{"2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64", "2001:db8:1::/48"},
		{"2001:DB8:1:ffff::", "2001:db8:1:ffff::/64", "2001:db8:1::/48"},
		{"2001:db8:2::", "2001:db8:2::/64", "2001:db8:2::/48"},
		{"fe80::1%eth0", "fe80::/64", "fe80::/48"},
		{"", "unknown", "unknown"},
		{"@", "unknown", "unknown"},
		{"192.0.2", "unknown", "unknown"},
	} {
		if key, block := AddressKey(row.ip), AddressBlock(row.ip); key != row.key || block != row.block {
			t.Errorf("%q is counted as %s and %s, want %s and %s", row.ip, key, block, row.key, row.block)
		}
	}
}
