package scenario

import (
	"encoding/json"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"menshen/cli"
	"menshen/repository"
	"menshen/repository/dbtest"
)

// commandLines runs an operator's command, which must succeed, and returns the
// lines of its output.
func (d *deployment) commandLines(t *testing.T, args ...string) []string {
	t.Helper()
	exit, out, complaint := d.command(t, args...)
	if exit != cli.ExitOK || complaint != "" {
		t.Errorf("%q: exit %d: %s", args, exit, complaint)
	}
	if found := d.secrets.find([]byte(out), kindCode, kindToken, kindNumber); found != "" {
		t.Errorf("%q shows a %s", args, found)
	}
	return strings.Split(strings.TrimSuffix(out, "\n"), "\n")
}

// TestAdminCommands: what the admin API does, from a shell beside a running
// program and without one.
func TestAdminCommands(t *testing.T) {
	for _, driver := range dbtest.Drivers(t) {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			d := newDeployment(t, driver, "CODE_LENGTH=10", "CODE_COOLDOWN=0s", operatorKeys())
			d.start(t)
			mobile := d.number()
			a := d.login(t, form{Mobile: mobile, Source: "store"}, "X-Device-Name", "Phone <A>")
			pc := d.login(t, form{Mobile: mobile, ProductType: 1})
			id := strconv.FormatInt(a.UserInfo.ID, 10)

			for _, args := range [][]string{{mobile}, {"+86 " + mobile[:3] + "-" + mobile[3:]}, {"-id", id}, {mobile, "-id", id}, {"-id=" + id, mobile}} {
				lines := d.commandLines(t, append([]string{"user", "find"}, args...)...)
				want := d.callAdmin(t, call{path: userPath(a, "")}).data
				if len(lines) != 1 || difference(decodeJSON(t, []byte(lines[0])), decodeJSON(t, want), "line") != "" {
					t.Errorf("%q finds %q, want %s", args, lines, want)
				}
			}
			for _, args := range [][]string{{"13700000000"}, {"-id", "42"}, {mobile, "-id", "42"}} {
				if lines := d.commandLines(t, append([]string{"user", "find"}, args...)...); !slices.Equal(lines, []string{""}) {
					t.Errorf("%q finds %q", args, lines)
				}
			}

			if lines := d.commandLines(t, "user", "kick", id, "-session", pc.claims["sid"].(string), "-reason", "lost <phone>"); !slices.Equal(lines, []string{`{"ended":1}`}) {
				t.Errorf("kick says %q", lines)
			}
			gone := func(access, state string) bool {
				row := call{path: checkPath("device-of-shell"), as: access}
				return d.send(t, row.request(t, d.public)).header.Get("X-Login-State") == state
			}
			begin := time.Now()
			eventually(t, 5*time.Second, "the kick is heard of", func() bool { return gone(pc.AccessToken.Value, "kicked") })
			t.Logf("heard of after %s, promised is 1s", time.Since(begin).Round(time.Millisecond))
			d.wantState(t, a.AccessToken.Value, "device-of-shell", "bound")
			if lines := d.commandLines(t, "user", "kick", "-product", "7", "-reason", "r", id); !slices.Equal(lines, []string{`{"ended":0}`}) {
				t.Errorf("kick says %q", lines)
			}
			until := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
			if lines := d.commandLines(t, "user", "ban", "-reason", "fraud", id, "-until", until); !slices.Equal(lines, []string{`{"ended":1}`}) {
				t.Errorf("ban says %q", lines)
			}
			eventually(t, 5*time.Second, "the ban is heard of", func() bool { return gone(a.AccessToken.Value, "banned") })
			d.stop(t) // the rest needs no running program
			if lines := d.commandLines(t, "user", "unban", id); !slices.Equal(lines, []string{`{"ended":0}`}) {
				t.Errorf("unban says %q", lines)
			}

			me, err := user.Current()
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			looks := 0
			for _, line := range d.commandLines(t, "audit", "-user", id, "-actor", "cli:"+me.Username) {
				var e event
				if err := json.Unmarshal([]byte(line), &e); err != nil {
					t.Fatalf("%s: %v", line, err)
				}
				if e.Kind == "viewed" {
					looks += countIn(t, e.Detail)
				} else {
					got = append(got, fmt.Sprintf("%s %t %s", e.Kind, e.SessionID != "", e.Detail))
				}
				if e.Text.Zh == "" || e.Text.En == "" || e.UserID == nil || *e.UserID != a.UserInfo.ID {
					t.Errorf("line %s", line)
				}
			}
			want := []string{
				"unban false null", `ban true {"reason":"fraud"}`, `ban false {"reason":"fraud","until":"` + until + `"}`, `kick false {"productType":"7","reason":"r"}`, `kick true {"reason":"lost \u003cphone\u003e"}`,
			}
			if !slices.Equal(got, want) {
				t.Errorf("the audit tells %q, want %q", got, want)
			}
			if looks != 6 {
				t.Errorf("six commands that named the user are %d looks", looks)
			}
			if n := d.value(t, "SELECT COUNT(*) FROM events WHERE kind = 'viewed' AND user_id = 0 AND actor = ?", "cli:"+me.Username); n != "1" {
				t.Errorf("looks at numbers without a user are %s events, want 1", n)
			}
			all := d.commandLines(t, "audit", "-n", "1000")
			if total := d.value(t, "SELECT COUNT(*) FROM events"); strconv.Itoa(len(all)) != total {
				t.Errorf("%d lines of %s", len(all), total)
			}
			for _, tt := range []struct {
				args  []string
				lines int
			}{
				{[]string{"-n", "2"}, 2}, {[]string{"-kind", "kick"}, 2}, {[]string{"-kind", "login", "-user", id}, 2}, {[]string{"-from", "2020-01-01T00:00:00Z", "-n", "3"}, 3},
			} {
				if lines := d.commandLines(t, append([]string{"audit"}, tt.args...)...); len(lines) != tt.lines || lines[0] == "" {
					t.Errorf("%q: %q", tt.args, lines)
				}
			}
			if lines := d.commandLines(t, "audit", "-to", "2020-01-01T00:00:00Z"); !slices.Equal(lines, []string{""}) {
				t.Errorf("before all time: %q", lines)
			}
		})
	}
}

// countIn returns the member count of an event's detail.
func countIn(t *testing.T, detail json.RawMessage) int {
	t.Helper()
	var d struct{ Count int }
	if err := json.Unmarshal(detail, &d); err != nil {
		t.Fatalf("%s: %v", detail, err)
	}
	return d.Count
}

// TestAdminCommandsRefuse: each by its exit code; none makes what is not there.
func TestAdminCommandsRefuse(t *testing.T) {
	t.Parallel()
	d := newDeploymentOn(t, repository.SQLite, dbtest.DSN(t, repository.SQLite))
	refuses := func(exit int, says string, args ...string) {
		t.Helper()
		got, out, complaint := d.command(t, args...)
		if got != exit || out != "" || !strings.Contains(complaint, says) {
			t.Errorf("%q: exit %d, %q, %q, want %d and %q", args, got, out, complaint, exit, says)
		}
	}
	refuses(cli.ExitFailure, "database", "user", "find", "13800138000")
	if made, _ := filepath.Glob(filepath.Join(filepath.Dir(d.dsn), "*")); len(made) > 0 {
		t.Errorf("made %v", made)
	}
	writeFile(t, d.dsn, "")
	refuses(cli.ExitFailure, "secret.key", "audit")
	d.settings = append(d.settings, "SECRET_KEY="+secretOf("a"))
	refuses(cli.ExitFailure, "schema", "audit")
	if err := os.Remove(d.dsn); err != nil {
		t.Fatal(err)
	}
	d.start(t)
	a := d.login(t, form{Mobile: d.number()})
	d.stop(t)
	id := strconv.FormatInt(a.UserInfo.ID, 10)
	refuses(cli.ExitFailure, "40400", "user", "kick", "42", "-reason", "r")
	refuses(cli.ExitFailure, "40400", "user", "unban", "42")
	refuses(cli.ExitFailure, "40001", "user", "find", "12345")
	refuses(cli.ExitUsage, `{"field":"until","reason":"range"}`, "user", "ban", id, "-reason", "r", "-until", "2020-01-01T00:00:00Z")
	refuses(cli.ExitUsage, `{"field":"kind","reason":"unknown"}`, "audit", "-kind", "nothing")
	refuses(cli.ExitUsage, `{"field":"from","reason":"range"}`, "audit", "-from", "2026-01-02T00:00:00Z", "-to", "2026-01-01T00:00:00Z")
	d.settings = append(d.settings, "SECRET_KEY="+secretOf("another"))
	refuses(cli.ExitFailure, "secret.key", "audit")
	d.settings = append(d.settings, "SECRET_KEY=short")
	refuses(cli.ExitFailure, "secret.key", "user", "kick", id, "-reason", "r")
}
