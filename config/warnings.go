package config

import (
	"fmt"
	"math"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
)

// warnings are sentences about values that are legal but seldom intended.
func (c *Config) warnings(now time.Time) (list []string) {
	if c.trustsPublic() { // production has refused it
		list = append(list, "server.trusted_proxies: "+publicTrust)
	}
	if c.Production() && c.plainDatabase() {
		list = append(list, "database.dsn: without tls, statements with their values cross the network in clear, and so does what is read")
	}
	if c.Dev.Open { // production has refused it
		list = append(list, "dev.open: every client that reaches server.addr can read all codes, and ban users, on the pages of development")
	}
	inForce := 0
	for _, n := range c.Code.TestNumbers {
		if n.Until.After(now) {
			inForce++
		}
	}
	if c.Production() && inForce > 0 {
		list = append(list, fmt.Sprintf("code.test_numbers: in force: %d; anyone who knows the code of one can log in as it", inForce))
	}
	return append(append(list, c.vendorWarnings()...), c.templateWarnings()...)
}

// templateWarnings names the templates that are used for numbers of the mainland and for
// others. Both vendors that keep templates approve one for either side and refuse it on the
// other (Aliyun's template type "international", Tencent's
// UnsupportedOperation.ChineseMainlandTemplateToGlobalPhone).
func (c *Config) templateWarnings() (list []string) {
	for _, provider := range c.SMS.Providers() {
		if provider != ProviderAliyun && provider != ProviderTencent {
			continue
		}
		used, _ := c.distribute(provider)
		for i, parts := range used {
			var regions []string
			for _, part := range parts {
				regions = append(regions, part[dimensionRegion]...)
			}
			slices.Sort(regions)
			if regions = slices.Compact(regions); len(regions) > 1 && slices.Contains(regions, mainland) {
				abroad := slices.DeleteFunc(regions, func(region string) bool { return region == mainland })
				list = append(list, fmt.Sprintf("%s: is used for numbers of the mainland and of %s: %s has separate templates for them and refuses the wrong one",
					item("sms.templates", i), strings.Join(abroad, ", "), provider))
			}
		}
	}
	return list
}

// vendorLimit is what a vendor documents as its limit of messages to one number.
type vendorLimit struct {
	key    string // the key that limits each pool of the number in this window
	window time.Duration
	most   int
	text   string
}

// vendorLimits are those of the vendors that document any.
var vendorLimits = map[string][]vendorLimit{ProviderAliyun: {
	{"code.cooldown", time.Minute, 1, "1 a minute"}, {"code.per_mobile_hour", time.Hour, 5, "5 an hour"}, {"code.per_mobile_day", 24 * time.Hour, 10, "10 a day"},
}}

// vendorWarnings names the vendors in use that send less to one number than its pools
// allow together: strangers can then use up the number's messages there.
func (c *Config) vendorWarnings() (list []string) {
	for _, provider := range c.SMS.Providers() {
		var keys, limits []string
		for _, l := range vendorLimits[provider] {
			sum := 2 * c.Code.poolMost(l.window, 1)
			if len(c.Challenge.InUse()) > 0 {
				sum += c.Code.poolMost(l.window, 2)
			}
			if sum > l.most {
				keys, limits = append(keys, l.key), append(limits, l.text)
			}
		}
		if len(keys) > 0 {
			list = append(list, fmt.Sprintf("%s: the pools of a number allow more together than %s documents for one number (%s): strangers can use up its messages there",
				strings.Join(keys, ", "), provider, strings.Join(limits, ", ")))
		}
	}
	return list
}

// poolMost returns how many messages to one number the known or the open pool allows in
// the window, or the challenged pool, whose part is 2.
func (c Code) poolMost(window time.Duration, part int) int {
	most := math.MaxInt32
	if c.Cooldown > 0 {
		most = int((window + c.Cooldown - 1) / c.Cooldown)
	}
	if c.PerMobileHour > 0 && window <= time.Hour {
		most = min(most, c.PerMobileHour/part)
	}
	if c.PerMobileDay > 0 {
		most = min(most, c.PerMobileDay/part)
	}
	return most
}

// plainDatabase reports whether the connection to MySQL crosses a network without TLS for
// certain: "preferred" and allowFallbackToPlaintext do without if the server, or what is
// between, offers none.
func (c *Config) plainDatabase() bool {
	parsed, err := mysql.ParseDSN(string(c.Database.DSN))
	if err != nil || c.Database.Driver != DriverMySQL || !strings.HasPrefix(parsed.Net, "tcp") {
		return false
	}
	host, _, err := net.SplitHostPort(parsed.Addr)
	return err == nil && !local(host) && (parsed.AllowFallbackToPlaintext || slices.Contains([]string{"", "false"}, parsed.TLSConfig))
}

func (c *Config) laxKeys(now time.Time) []string {
	if c.Production() {
		return nil
	}
	strict := *c
	strict.Env = EnvProduction
	r := newReport()
	(&rules{Config: &strict, report: r, now: now}).check()
	keys := []string{"env"} // dev serves profiles, and both others make keys
	for _, problem := range r.problems {
		keys = append(keys, problem.Key)
	}
	if len(c.Admin.Keys) == 0 {
		keys = append(keys, "admin.keys")
	}
	return keys
}
