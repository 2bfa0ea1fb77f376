package scenario

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"menshen/cli"
	"menshen/repository"
)

// TestRestoredBackup: what docs/operations.md says about restoring an older
// database: sessions refreshed since the backup continue, sessions ended since
// then are active again, and back ends start their feed from the beginning.
func TestRestoredBackup(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, repository.SQLite, "CODE_COOLDOWN=0s", "CLIENTS="+jsonOf(t, []map[string]string{{"id": clientID, "secret": clientSecret}}))
	d.start(t)
	kept, out := d.login(t, form{Mobile: d.number()}), d.login(t, form{Mobile: d.number()})
	backup := filepath.Join(t.TempDir(), "backup.db")
	d.exec(t, "VACUUM INTO ?", backup)

	newest := d.refresh(t, kept.AccessToken.Value, kept.RefreshToken.Value)
	newest = d.refresh(t, newest.Value, kept.RefreshToken.Value)
	d.do(t, call{path: "/app/auth/user", as: newest.Value})
	d.do(t, call{method: http.MethodPost, path: "/app/auth/logout", as: out.AccessToken.Value})
	late := d.login(t, form{Mobile: d.number()})
	cursor := d.follow(t, "").Next
	d.stop(t)

	for _, leftover := range []string{"-wal", "-shm"} {
		if err := os.Remove(d.dsn + leftover); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	if err := os.Rename(backup, d.dsn); err != nil {
		t.Fatal(err)
	}
	d.start(t)
	d.do(t, call{path: "/app/auth/user", as: newest.Value})
	adopted := d.refresh(t, newest.Value, kept.RefreshToken.Value)
	d.do(t, call{path: "/app/auth/user", as: adopted.Value})
	if n := d.value(t, "SELECT COUNT(*) FROM events WHERE kind = 'adopt' AND session_id = ?", kept.claims["sid"]); n != "1" {
		t.Errorf("%s events of the adoption", n)
	}
	d.do(t, call{path: "/app/auth/user", as: out.AccessToken.Value})
	d.do(t, call{path: "/app/auth/user", as: late.AccessToken.Value, code: 40103, want: `{"reason":"expired"}`})
	if a, _ := d.feed(t, "?since="+cursor, basic(clientID, clientSecret)); a.code != 40000 {
		t.Errorf("the cursor from before: %d %s", a.status, a.raw)
	}
	if again := d.follow(t, "?since="); len(again.Items) != 0 {
		t.Errorf("the feed tells %+v", again)
	}

	t.Run("log everybody out", func(t *testing.T) {
		exit, said, complaint := d.command(t, "keys", "revoke", d.keyFiles(t)[0])
		if exit != cli.ExitOK || !strings.Contains(said, "added ") || !strings.Contains(said, "removed ") {
			t.Fatalf("exit %d: %s%s", exit, said, complaint)
		}
		d.stop(t)
		d.start(t)
		d.do(t, call{path: "/app/auth/user", as: adopted.Value, code: 40100})
		d.do(t, call{path: refreshPath, body: pairBody(adopted.Value, kept.RefreshToken.Value), code: 40100})
		d.login(t, form{Mobile: kept.UserInfo.Mobile})
	})
}
