package e2e

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"menshen/repository"
)

// TestReload: a change of the file acts on the next login, noticed by itself or
// told by SIGHUP; one that cannot be applied changes nothing.
func TestReload(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, repository.SQLite)
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(d.folder, "config.yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	applied := func(i *instance, times int) {
		t.Helper()
		took := eventually(t, 5*time.Second, "the configuration is applied", func() bool { return i.log.count("configuration applied") >= times })
		t.Logf("applied after %s, promised are 2s", took.Round(time.Millisecond))
	}
	write("products: [{type: 0, group: app, max_sessions: 1}]\n")
	i := d.start(t, data)
	mobile := d.number()
	first := i.login(t, mobile, "device-1")

	write("products: [{type: 0, group: app, max_sessions: 2}]\n")
	applied(i, 1)
	second := i.login(t, mobile, "device-2")
	i.expect(t, first, "active")
	third := i.login(t, mobile, "device-3")
	i.expect(t, first, "displaced")
	i.expect(t, second, "active")

	write("products: [{type: 0, group: app, max_sessions: 1}]\n")
	i.signal(t, syscall.SIGHUP)
	applied(i, 2)
	i.expect(t, second, "active") // until somebody logs in
	fourth := i.login(t, mobile, "device-4")
	for _, s := range []*session{second, third} {
		i.expect(t, s, "displaced")
	}

	for _, row := range []struct{ text, says string }{
		{"products: [{type: 0, group: app, max_sessions: 0}]\n", "products[0].max_sessions"},
		{"products: [{type: 0, group: other, max_sessions: 2}]\n", "products[0].group"},
		{"token: {issuer: another}\nproducts: [{type: 0, group: app, max_sessions: 2}]\n", "token.issuer"},
		{"products: [{type: 0, group: app, max_sessions: 2}\n", "yaml"},
	} {
		write(row.text)
		i.signal(t, syscall.SIGHUP)
		eventually(t, 5*time.Second, "refused because of "+row.says, func() bool { return i.log.count(row.says) > 0 })
	}
	if err := os.Remove(filepath.Join(d.folder, "config.yaml")); err != nil {
		t.Fatal(err)
	}
	i.signal(t, syscall.SIGHUP) // it was there once: its absence is not the defaults
	eventually(t, 5*time.Second, "refused because the file is gone", func() bool { return i.log.count("cannot read the configuration file") > 0 })
	fifth := i.login(t, mobile, "device-5")
	i.expect(t, fourth, "displaced")
	i.expect(t, fifth, "active")

	// The file has an error: a start refuses, naming it.
	write("products: [{type: 0, group: app, max_sessions: 2}\n")
	i.stop(t)
	d.fails(t, data)
}
