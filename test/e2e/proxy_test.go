package e2e

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/go-sql-driver/mysql"
	"github.com/rs/zerolog"
)

// network is a proxy between instances and their database that can fail.
type network struct{ proxy *toxiproxy.Proxy }

// fault is how a network fails: by what toxiproxy adds to it, or, without, by refusing.
type fault []string

var (
	cut      = fault{} // connections end, new ones are refused
	reset    = append(toxic("upstream", "reset_peer", "timeout", 0), toxic("downstream", "reset_peer", "timeout", 0)...)
	hole     = append(toxic("upstream", "latency", "latency", 3_600_000), toxic("downstream", "latency", "latency", 3_600_000)...) // all is held back, and arrives late
	halfOpen = toxic("downstream", "timeout", "timeout", 0)                                                                        // statements arrive, their results never do
	slow     = toxic("downstream", "latency", "latency", 500)
)

func toxic(stream, kind, attribute string, value int) fault {
	return fault{fmt.Sprintf(`{"type":%q,"stream":%q,"attributes":{%q:%d}}`, kind, stream, attribute, value)}
}

// startProxy puts a proxy between the deployment's instances and the database. Its port
// is none that the system gives away, so that it is free again after a cut.
func (d *deployment) startProxy(t *testing.T) (network, string) {
	t.Helper()
	config, err := mysql.ParseDSN(d.dsn)
	if err != nil {
		t.Fatal(err)
	}
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	for range 20 {
		address := fmt.Sprintf("127.0.0.1:%d", 12000+rand.IntN(8000))
		n := network{toxiproxy.NewProxy(server, t.Name(), address, config.Addr)}
		if err = n.proxy.Start(); err != nil {
			continue
		}
		t.Cleanup(func() {
			n.proxy.Toxics.ResetToxics(t.Context())
			n.proxy.Stop()
		})
		config.Addr = address
		return n, "DATABASE_DSN=" + config.FormatDSN()
	}
	t.Fatal(err)
	return network{}, ""
}

func (n network) fail(t *testing.T, how fault) {
	t.Helper()
	if len(how) == 0 {
		n.proxy.Stop()
	}
	for _, toxic := range how {
		if _, err := n.proxy.Toxics.AddToxicJson(strings.NewReader(toxic)); err != nil {
			t.Fatal(err)
		}
	}
}

// heal lets through what was held back.
func (n network) heal(t *testing.T) {
	t.Helper()
	n.proxy.Toxics.ResetToxics(t.Context())
	if !n.proxy.Enabled {
		if err := n.proxy.Start(); err != nil {
			t.Fatal(err)
		}
	}
}
