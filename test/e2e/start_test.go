package e2e

import (
	"net"
	"strings"
	"sync"
	"testing"

	"menshen/repository"
)

// TestStartTogether: of processes that start at once with nothing, one migrates;
// all serve, accept each other's tokens and agree on the secret.
func TestStartTogether(t *testing.T) {
	t.Parallel()
	eachDriver(t, func(t *testing.T, driver string) {
		const processes = 4
		settings := []string{}
		if driver == repository.SQLite { // secrets are made on the first start, once
			settings = []string{"SECRET_KEY=", "TOKEN_KEY_DIR="}
		}
		d := newDeployment(t, driver, settings...)
		instances := make([]*instance, processes)
		for n := range instances {
			instances[n] = d.spawn(t, data)
		}
		for _, i := range instances {
			i.awaitServing(t)
		}
		var mu sync.Mutex
		sessions := []*session{}
		var all sync.WaitGroup
		for _, i := range instances {
			all.Go(func() {
				s := i.login(t, "", "device")
				mu.Lock()
				defer mu.Unlock()
				sessions = append(sessions, s)
			})
		}
		all.Wait()
		for _, i := range instances {
			for _, s := range sessions {
				i.wantState(t, s, "active")
			}
		}
	})
}

// TestWrongSecret: a start with another secret than the database's fails, names
// the key, and shows neither secret; the right one starts.
func TestWrongSecret(t *testing.T) {
	t.Parallel()
	eachDriver(t, func(t *testing.T, driver string) {
		d := newDeployment(t, driver)
		first := d.start(t, data)
		s := first.login(t, "", "device")
		first.stop(t)
		other := freshSecret()
		said := d.wantFailedStart(t, data, "SECRET_KEY="+other)
		if !strings.Contains(said, "secret.key") || strings.Contains(said, other) {
			t.Errorf("it says %s", said)
		}
		if driver == repository.MySQL { // an instance that would make its own
			if said := d.wantFailedStart(t, "another", "SECRET_KEY="); !strings.Contains(said, "secret.key") {
				t.Errorf("it says %s", said)
			}
		}
		d.start(t, data).wantState(t, s, "active")
	})
}

// TestRefusedStarts: an invalid configuration ends with exit code 1 and the name
// of the key.
func TestRefusedStarts(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
	production := []string{
		"ENV=production", "SECRET_KEY=" + freshSecret(), "SMS_WEBHOOK_URL=https://sms.example.com/send",
		"CODE_COOLDOWN=60s", "CODE_PER_MOBILE_HOUR=5", "CODE_PER_MOBILE_DAY=10", "CODE_PER_IP_HOUR=100", "CODE_PER_IP_DAY=500", "CODE_PER_BLOCK_HOUR=500", "CODE_PER_BLOCK_DAY=2000",
		"CODE_DAILY_BUDGET=10000", "CODE_FAILS_PER_MOBILE_DAY=20", "LIMITS_ENABLED=true",
	}
	for _, row := range []struct {
		name     string
		settings []string
		keys     []string
	}{
		{"address in use", []string{"SERVER_ADDR=" + taken.Addr().String()}, []string{"server.addr"}},
		{"admin address in use", []string{"SERVER_ADMIN_ADDR=" + taken.Addr().String()}, []string{"server.admin_addr"}},
		{"no such address", []string{"SERVER_ADDR=192.0.2.1:80"}, []string{"server.addr"}},
		{"no database", []string{"DATABASE_DRIVER=mysql", "DATABASE_DSN=menshen:secret-password@tcp(" + closedPort(t) + ")/menshen"}, []string{"database"}},
		{"no DSN", []string{"DATABASE_DRIVER=mysql", "DATABASE_DSN="}, []string{"database.dsn"}},
		{"database in no folder", []string{"DATABASE_DSN=/proc/none/menshen.db"}, []string{"database"}},
		{"data in no folder", []string{"DATA_DIR=/proc/none"}, []string{"data_dir"}},
		{"ill values", []string{"CODE_LENGTH=4", "TOKEN_ACCESS_TTL=15", "SERVER_LOCALE=fr", "PRODUCTS=[{]"}, []string{"code.length", "token.access_ttl", "server.locale", "products"}},
		{"production as in development", []string{"ENV=production", "SMS_PROVIDER=log", "SECRET_KEY="}, []string{
			"sms.provider", "secret.key", "code.cooldown", "code.per_mobile_hour", "code.per_mobile_day", "code.per_ip_hour", "code.per_ip_day", "code.per_block_hour", "code.per_block_day",
			"code.daily_budget", "code.fails_per_mobile_day",
		}},
		{"production with a plain webhook", append(production[:len(production):len(production)], "SMS_WEBHOOK_URL=http://127.0.0.1/sms"), []string{"sms.webhook.url"}},
		{"production without a signing key", production, []string{"token.key_dir"}},
		{"production with short lives", append(production[:len(production):len(production)], "TOKEN_ACCESS_TTL=1s", "CODE_TTL=1s", "TOKEN_REUSE_GRACE=0s"), []string{"token.access_ttl", "code.ttl", "token.reuse_grace"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			d := newDeployment(t, repository.SQLite)
			said := d.wantFailedStart(t, data, row.settings...)
			for _, key := range row.keys {
				if !strings.Contains(said, key) {
					t.Errorf("%s is not named:\n%s", key, said)
				}
			}
			if strings.Contains(said, "secret-password") || strings.Contains(said, adminKey) {
				t.Errorf("it shows a secret:\n%s", said)
			}
		})
	}
}

// closedPort returns an address without a listener.
func closedPort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}
