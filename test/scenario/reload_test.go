package scenario

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"menshen/repository"
)

// TestReloadIsAudited: what was applied is in the audit by the names of its keys;
// what was refused or changed nothing is not.
func TestReloadIsAudited(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, repository.SQLite, operatorKeys())
	writeFile(t, d.file, "limits: {check: 60}\n")
	d.start(t)
	change := func(text, line string) {
		t.Helper()
		since := len(d.log.text())
		writeFile(t, d.file, text)
		d.log.await(t, since, line)
	}
	change("limits: {check: 61, other: 5}\nclients: [{id: shop, secret: canary-0123456789-0123456789-0123456789}]\n", "configuration applied")
	change("# a comment\nlimits: {check: 61, other: 5}\nclients: [{id: shop, secret: canary-0123456789-0123456789-0123456789}]\n", "configuration applied")
	change("limits: {check: -1}\n", "configuration refused")
	change("token: {issuer: another}\n", "configuration refused")
	change("limits: {check: 61}\n", "configuration applied")
	want := []string{`{"keys":["limits.other","clients"]}`, `{"keys":["limits.check","limits.other","clients"]}`}
	var got []string
	eventually(t, 5*time.Second, "both changes are in the audit", func() bool {
		got = nil
		for _, e := range d.allEvents(t, "/admin/audit?kind=config_changed") {
			got = append(got, string(e.Detail))
			if e.Actor != "system" || e.UserID != nil {
				t.Errorf("line %+v", e)
			}
		}
		return len(got) >= len(want)
	})
	if !slices.Equal(got, want) {
		t.Errorf("the audit tells %q, want %q", got, want)
	}
	if strings.Contains(d.log.text(), "canary-") {
		t.Error("the log shows a secret")
	}
}

// TestReloadOfRetention: a shorter retention removes what is older, of that kind alone.
func TestReloadOfRetention(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, repository.SQLite)
	writeFile(t, d.file, "retention: {sessions: 48h}\n")
	d.start(t)
	for _, age := range []time.Duration{23 * time.Hour, 25 * time.Hour} {
		d.exec(t, "INSERT INTO events (at, kind, user_id, session_id, actor, ip, device, request_id, detail) VALUES (?, 'login', 7, '', 'user', '', '', '', '')",
			time.Now().Add(-age).UnixMilli())
	}
	since := len(d.log.text())
	writeFile(t, d.file, "retention: {sessions: 48h, events: 24h}\n")
	d.log.await(t, since, "configuration applied")
	eventually(t, 20*time.Second, "the older event is removed", func() bool {
		return d.value(t, "SELECT COUNT(*) FROM events WHERE user_id = 7") == "1"
	})
}

// TestReloadOfKeys: a key that is removed from the file is refused, an added one
// is accepted, and the others are not affected, those of operators as well as of
// back ends.
func TestReloadOfKeys(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"operators", "operators by their hash", "clients"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			d := newDeployment(t, repository.SQLite)
			key := func(name string) string { return "canary-" + name + "-0123456789-0123456789" }
			clientsJSON := func(names ...string) string {
				var entries []map[string]string
				for _, name := range names {
					hash := sha256.Sum256([]byte(key(name)))
					entries = append(entries, map[string]map[string]string{
						"operators": {"name": name, "key": key(name)}, "operators by their hash": {"name": name, "key": "sha256:" + hex.EncodeToString(hash[:])},
						"clients": {"id": name, "secret": key(name)},
					}[kind])
				}
				if kind == "clients" {
					return "clients: " + jsonOf(t, entries) + "\n"
				}
				return "admin: {keys: " + jsonOf(t, entries) + "}\n"
			}
			writeFile(t, d.file, clientsJSON("leaves", "stays"))
			d.start(t)
			token := d.login(t, form{Mobile: d.number()}).AccessToken.Value
			want := func(name string, in bool) {
				t.Helper()
				var answers []answer
				if kind == "clients" {
					asked := introspect(token)
					asked.headers.Set("Authorization", basic(name, key(name)).Get("Authorization"))
					told, _ := d.feed(t, "", basic(name, key(name)))
					answers = []answer{d.send(t, asked.request(t, d.public)), told}
				} else {
					row := call{path: "/admin/users?id=1", as: key(name)}
					told, _ := d.exchange(t, row.request(t, d.admin))
					answers = []answer{told}
				}
				for n, a := range answers {
					if (a.status == http.StatusOK) != in || !in && a.status != http.StatusUnauthorized {
						t.Errorf("%s: answer %d is %d", name, n, a.status)
					}
				}
			}
			want("leaves", true)
			want("stays", true)
			want("comes", false)
			since := len(d.log.text())
			writeFile(t, d.file, clientsJSON("stays", "comes"))
			eventually(t, 5*time.Second, "the change is applied", func() bool { return strings.Contains(d.log.text()[since:], "configuration applied") })
			want("leaves", false)
			want("stays", true)
			want("comes", true)
			if strings.Contains(d.log.text(), "canary-") {
				t.Error("the log shows a key")
			}
		})
	}
}

// TestReloadOfAFileBeingWritten: a file that is written in halves, replaced, removed
// or swapped by a link is applied whole or not at all.
func TestReloadOfAFileBeingWritten(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, repository.SQLite, operatorKeys())
	whole := func(locale string) string {
		return "companies: [{type: 0, name: a}]\nserver: {locale: " + locale + "}\n"
	}
	writeFile(t, d.file, whole("zh-CN"))
	d.start(t)
	answersWith := func(locale string) bool {
		row := call{path: "/none"}
		return d.send(t, row.request(t, d.public)).msg == sentences(40400)[locale == "zh-CN"]
	}
	applied := func(locale string) {
		t.Helper()
		eventually(t, 5*time.Second, "the locale "+locale, func() bool { return answersWith(locale) })
	}
	move := func(from, to string) {
		t.Helper()
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	// Half a file that is no YAML is refused, however long the writer takes.
	since := len(d.log.text())
	writeFile(t, d.file, strings.TrimSuffix(whole("en"), "}\n"))
	d.log.await(t, since, "configuration refused")
	if !answersWith("zh-CN") {
		t.Error("half a file was applied")
	}
	writeFile(t, d.file, whole("en"))
	applied("en")
	d.log.await(t, since, "configuration applied")

	// Halves that would do for themselves are skipped because the writer continues.
	since = len(d.log.text())
	for n := range 12 { // 1.2 s, longer than a content has to stand
		writeFile(t, d.file, strings.Repeat("# line\n", n)+"companies: [{type: 0, name: a}]\n")
		<-time.After(100 * time.Millisecond)
	}
	writeFile(t, d.file, whole("zh-CN"))
	applied("zh-CN")
	d.log.await(t, since, "configuration applied")
	var lines []string
	for line := range strings.Lines(d.log.text()[since:]) {
		var told struct {
			Msg  string
			Keys []string
		}
		if json.Unmarshal([]byte(line), &told) == nil && told.Msg == "configuration applied" {
			lines = append(lines, strings.Join(told.Keys, " "))
		}
	}
	if !slices.Equal(lines, []string{"server.locale"}) {
		t.Errorf("applied were %q", lines)
	}

	move(d.file, d.file+".away")
	writeFile(t, d.file+".new", whole("en"))
	move(d.file+".new", d.file)
	applied("en")

	writeFile(t, filepath.Join(d.file+".d", "config.yaml"), whole("zh-CN"))
	if err := os.Symlink(filepath.Join(d.file+".d", "config.yaml"), d.file+".link"); err != nil {
		t.Fatal(err)
	}
	move(d.file+".link", d.file)
	applied("zh-CN")
}
