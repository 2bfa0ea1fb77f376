package scenario

import (
	"fmt"
	"testing"

	"menshen/repository"
	"menshen/repository/dbtest"
)

// newBehindProxy is newDeployment with the limits as shipped. The address of a client is
// the one that a request names.
func newBehindProxy(t *testing.T, driver string) *deployment {
	t.Helper()
	d := newDeployment(t, driver, "LIMITS_ENABLED=true", "SERVER_TRUSTED_PROXIES=127.0.0.1", "LOG_LEVEL=info")
	d.start(t)
	return d
}

// burst requests n codes, eight at a time, each for a new number and from the address of
// its turn. It returns how many are sent; all others must be 42900. What a slow machine has
// no time for (50300), sent or not, is requested again.
func (d *deployment) burst(t *testing.T, n int, address func(i int) string) int {
	t.Helper()
	before := d.codes(t)
	for n > 0 {
		codes := d.repeat(t, n, "", func(i int) call { return codeCall(d.number(), address(i)) })
		if codes[0]+codes[42900]+codes[50300] != n {
			t.Fatalf("the codes of %d responses are %v", n, codes)
		}
		n = codes[50300]
	}
	return d.codes(t) - before
}

// codes returns how many codes were sent.
func (d *deployment) codes(t *testing.T) int {
	t.Helper()
	return integer(t, d.value(t, "SELECT COUNT(*) FROM codes"))
}

// rewrite changes the codes while the program is stopped, so that it does not remember what
// no longer is.
func (d *deployment) rewrite(t *testing.T, change func()) {
	t.Helper()
	d.stop(t)
	change()
	d.start(t)
}

// anHourPasses makes all codes an hour older.
func (d *deployment) anHourPasses(t *testing.T) {
	t.Helper()
	d.exec(t, "UPDATE codes SET sent_at = sent_at - 3600000, expires_at = expires_at - 3600000")
}

// keepCodes copies codes into a new table.
func (d *deployment) keepCodes(t *testing.T, table, which string) {
	t.Helper()
	key := ""
	if d.driver == repository.MySQL { // where sql_require_primary_key may be set
		key = "(PRIMARY KEY (id)) "
	}
	d.exec(t, "CREATE TABLE "+table+" "+key+"AS SELECT * FROM codes WHERE "+which)
}

// copyCodes adds n copies of the codes of the open pool, in place of requests. It calls
// before, which may be nil, before each copy.
func (d *deployment) copyCodes(t *testing.T, n int, before func(t *testing.T)) {
	t.Helper()
	all := d.codes(t)
	d.keepCodes(t, "copies", "send_pool = 0")
	for range n {
		if before != nil {
			before(t)
		}
		d.exec(t, "UPDATE copies SET id = id + ?, seq = seq + ?", 1_000_003*all, 4*all) // further than those of earlier copies
		d.exec(t, "INSERT INTO codes SELECT * FROM copies")
	}
	d.exec(t, "DROP TABLE copies")
}

// codeFrom is codeWith from an address.
func (d *deployment) codeFrom(owner account, address string) call {
	c := d.codeWith(owner.UserInfo.Mobile, owner.header.Get("X-Device-Credential"))
	c.headers.Set("X-Forwarded-For", address)
	return c
}

// TestQuotasOfNeighbours: an address and its block get the messages of an hour and of a day
// that the shipped limits grant, however fast the requests come, of redeemed ones ten for
// one. Then the next new device there is refused, one that has logged in before is not, and
// neither is a device elsewhere.
func TestQuotasOfNeighbours(t *testing.T) {
	for _, row := range []struct {
		name    string
		address func(i int) string
		hour    int
		day     int
	}{
		{"IPv4 address", func(int) string { return "198.51.100.7" }, 100, 500},
		{"IPv6 64", func(i int) string { return fmt.Sprintf("2001:db8:1:1:%x::1", i) }, 100, 500},
		{"IPv4 24", func(i int) string { return fmt.Sprintf("198.51.100.%d", i%256) }, 500, 2000},
		{"IPv6 48", func(i int) string { return fmt.Sprintf("2001:db8:1:%x::1", i) }, 500, 2000},
	} {
		for _, driver := range dbtest.Drivers(t) {
			t.Run(row.name+" "+driver, func(t *testing.T) {
				t.Parallel()
				d := newBehindProxy(t, driver)
				known := d.login(t, form{Mobile: d.number()})
				if got, want := d.burst(t, row.hour/10, row.address), row.hour/10; got != want {
					t.Errorf("the first %d get %d", want, got)
				}
				d.rewrite(t, func() { d.copyCodes(t, 8, nil) })
				for i := range 20 { // two of the hour
					mobile := d.number()
					d.do(t, codeCall(mobile, row.address(i)))
					d.login(t, form{Mobile: mobile, ValidateNo: d.messages.nextMessage(t, "+86"+mobile).Code})
				}
				if got, want := d.burst(t, row.hour/10+20, row.address), row.hour/10-2; got != want {
					t.Errorf("the hour grants %d more, want %d", got, want)
				}
				neighbours := func(least, most int) {
					t.Helper()
					d.wantRefusals(t, codeCall(d.number(), row.address(77)), 42900, least, most)
					d.do(t, d.codeFrom(known, row.address(77)))
					d.do(t, codeCall(d.number(), "203.0.113.1"))
				}
				neighbours(1, hour)

				d.rewrite(t, func() {
					d.copyCodes(t, row.day/row.hour-1, d.anHourPasses)
					d.anHourPasses(t)
					d.exec(t, `DELETE FROM codes WHERE id = (SELECT id FROM (SELECT id FROM codes WHERE used_at = 0 AND send_pool = 0
AND block_key = (SELECT block_key FROM codes GROUP BY block_key ORDER BY COUNT(*) DESC LIMIT 1) LIMIT 1) one)`)
				})
				if got := d.burst(t, 20, row.address); got != 1 {
					t.Errorf("of a day with one left %d are granted", got)
				}
				neighbours(hour, day)
			})
		}
	}
}

// TestHourlyShare: fourteen addresses in fourteen blocks close the deployment for an hour,
// as soon as some of what they got is redeemed, and no longer. Devices that have logged in
// before go on meanwhile, at those addresses too.
func TestHourlyShare(t *testing.T) {
	const granted = 10_000 * 25 / 100 * 70 / 100 // of the hour, without the reserve
	address := func(i int) string { return fmt.Sprintf("198.51.%d.7", i%14) }
	for _, driver := range dbtest.Drivers(t) {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			d := newBehindProxy(t, driver)
			known, other := d.login(t, form{Mobile: d.number()}), d.login(t, form{Mobile: d.number()})
			d.rewrite(t, func() { d.anHourPasses(t) })
			if got := d.burst(t, 14*7, address); got != 14*7 {
				t.Errorf("fourteen addresses get %d, want seven each", got)
			}
			d.rewrite(t, func() {
				d.copyCodes(t, 13, nil)
				d.keepCodes(t, "more", "used_at = 0 LIMIT 336")
				d.exec(t, "UPDATE more SET id = id + 7, seq = seq + 1")
			})
			if got := d.burst(t, 14*4, address); got != 14*2 {
				t.Errorf("in all but two of their hundred they get %d more, want two each", got)
			}
			d.do(t, codeCall(d.number(), "203.0.113.1"))
			d.rewrite(t, func() {
				d.exec(t, "UPDATE codes SET used_at = sent_at WHERE used_at = 0") // those of an address weigh ten now
				d.exec(t, "INSERT INTO codes SELECT * FROM more")                 // as of two dozen requests of each
			})
			if got, want := d.burst(t, 14*2, address), granted-14*100-1-14*24; got != want {
				t.Errorf("then they get %d, want %d", got, want)
			}
			d.wantRefusals(t, codeCall(d.number(), "203.0.113.1"), 42900, 1, hour)
			d.do(t, d.codeFrom(known, "203.0.113.1"))
			d.do(t, d.codeFrom(other, address(0)))
			d.rewrite(t, func() { d.anHourPasses(t) })
			for _, from := range []string{"203.0.113.1", address(0)} {
				d.do(t, codeCall(d.number(), from))
			}
		})
	}
}
