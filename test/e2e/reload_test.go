package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"menshen/repository"
)

// TestReload: a change of the file applies to the next login, whether it was
// detected or announced by SIGHUP; an invalid one changes nothing.
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
	i.wantState(t, first, "active")
	third := i.login(t, mobile, "device-3")
	i.wantState(t, first, "displaced")
	i.wantState(t, second, "active")

	write("products: [{type: 0, group: app, max_sessions: 1}]\n")
	i.signal(t, syscall.SIGHUP)
	applied(i, 2)
	i.wantState(t, second, "active") // until the next login
	fourth := i.login(t, mobile, "device-4")
	for _, s := range []*session{second, third} {
		i.wantState(t, s, "displaced")
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
	i.wantState(t, fourth, "displaced")
	i.wantState(t, fifth, "active")

	// The file has an error: a start refuses, naming it.
	write("products: [{type: 0, group: app, max_sessions: 2}\n")
	i.stop(t)
	d.wantFailedStart(t, data)
}

// TestReloadBySIGHUP: SIGHUP re-reads the files of secrets, which are not watched,
// and never reads a configuration file that is still being written.
func TestReloadBySIGHUP(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, repository.SQLite)
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(d.folder, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	secret := func(name string) string { return name + "-0123456789-0123456789-0123456789" }
	clients := func(name string) string {
		return write("clients", `[{"id":"shop","secret":"`+secret(name)+`"}]`+"\n")
	}
	write("config.yaml", "server: {locale: zh-CN}\n")
	i := d.start(t, data, "CLIENTS_FILE="+clients("old"))
	asks := func(name string) int {
		return d.exchange(t.Context(), i.admin, request{path: "/internal/revocations", client: "shop:" + secret(name)}).status
	}
	clients("new")
	if asks("old") != http.StatusOK {
		t.Error("the old secret is refused before the signal")
	}
	i.signal(t, syscall.SIGHUP)
	eventually(t, 5*time.Second, "the new secret is taken", func() bool { return asks("new") == http.StatusOK })
	if asks("old") != http.StatusUnauthorized {
		t.Error("the old secret is still taken")
	}

	// Never the same twice, each valid by itself, each gone before a content has stood
	// for long enough: what a pause of this process lets stand is no half of a file.
	half := func(n int) string { return fmt.Sprintf("server: {locale: en} # %d\n", n) }
	paused := false
	for n := range 16 {
		began := time.Now()
		write("config.yaml", half(n))
		i.signal(t, syscall.SIGHUP)
		<-time.After(100 * time.Millisecond)
		paused = paused || time.Since(began) > 400*time.Millisecond
	}
	write("config.yaml", "server: {locale: zh-CN}\ncode: {length: 7}\n")
	eventually(t, 5*time.Second, "the configuration is applied", func() bool { return i.log.count(`"code.length"`) > 0 })
	if i.log.count(`"server.locale"`) > 0 && !paused {
		t.Errorf("half a file was applied:\n%s", i.log.tail())
	}
}
