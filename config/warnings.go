package config

import (
	"fmt"
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
	inForce := 0
	for _, n := range c.Code.TestNumbers {
		if n.Until.After(now) {
			inForce++
		}
	}
	if c.Production() && inForce > 0 {
		list = append(list, fmt.Sprintf("code.test_numbers: in force: %d; anyone who knows the code of one can log in as it", inForce))
	}
	return list
}

// plainDatabase reports whether the connection to MySQL crosses a network without TLS for
// certain: "preferred" does without if the server, or what is between, offers none.
func (c *Config) plainDatabase() bool {
	parsed, err := mysql.ParseDSN(string(c.Database.DSN))
	if err != nil || c.Database.Driver != DriverMySQL || !strings.HasPrefix(parsed.Net, "tcp") {
		return false
	}
	host, _, err := net.SplitHostPort(parsed.Addr)
	return err == nil && !local(host) && slices.Contains([]string{"", "false", "preferred"}, parsed.TLSConfig)
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
