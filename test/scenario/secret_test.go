package scenario

import (
	"encoding/base64"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"menshen/cli"
	"menshen/repository"
	"menshen/repository/dbtest"
)

// secretLines are the secrets of the file, the current one first.
func (d *deployment) secretLines(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(d.folder, "secret.key"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(text))
}

// hide makes canaries of secrets, in both the forms that they have.
func (d *deployment) hide(t *testing.T, secrets ...string) {
	t.Helper()
	for _, secret := range secrets {
		d.secrets.add(kindToken, secret)
		raw, err := base64.StdEncoding.DecodeString(secret)
		if err != nil {
			t.Fatal(err)
		}
		d.secrets.add(kindToken, string(raw))
	}
}

// status is what the command says, which must succeed.
func (d *deployment) status(t *testing.T) string {
	t.Helper()
	exit, out, complaint := d.command(t, "secrets", "status")
	if exit != cli.ExitOK {
		t.Fatalf("exit %d: %s%s", exit, out, complaint)
	}
	return out
}

// gauge is the value of a metric without labels.
func (d *deployment) gauge(t *testing.T, name string) string {
	t.Helper()
	request := call{path: "/metrics"}.request(t, d.admin)
	response, err := d.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	_, value, _ := strings.Cut(string(text), "\n"+name+" ")
	value, _, _ = strings.Cut(value, "\n")
	return value
}

// TestSecretRotation takes a deployment whose secret is in its file from one
// secret to the next, with people in the middle of everything.
func TestSecretRotation(t *testing.T) {
	for _, driver := range dbtest.Drivers(t) {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			d := newDeployment(t, driver, "CODE_LENGTH=10", "CODE_COOLDOWN=0s")
			if exit, out, complaint := d.command(t, "secrets", "rotate"); exit != cli.ExitFailure || !strings.Contains(complaint, "secret.key") {
				t.Errorf("before the first start: exit %d: %s%s", exit, out, complaint)
			}
			if exit, _, complaint := d.command(t, "secrets", "status"); exit != cli.ExitFailure || !strings.Contains(complaint, "database") && !strings.Contains(complaint, "secret.key") {
				t.Errorf("before the first start: exit %d: %s", exit, complaint)
			}
			d.start(t)
			a := d.login(t, form{Mobile: d.number(), DeviceNumber: "device-of-rotation"})
			asked := form{Mobile: d.number()}
			asked.ValidateNo = d.sendCode(t, asked.Mobile, 0)
			if out := d.status(t); !strings.Contains(out, "seals 1 numbers, and the look-up key") || !strings.Contains(out, "no older secret") {
				t.Errorf("status before: %s", out)
			}

			old := d.secretLines(t)
			exit, out, complaint := d.command(t, "secrets", "rotate")
			both := d.secretLines(t)
			d.hide(t, both...)
			if exit != cli.ExitOK || len(old) != 1 || len(both) != 2 || both[1] != old[0] || both[0] == old[0] {
				t.Fatalf("exit %d: %s%s, %d lines became %d", exit, out, complaint, len(old), len(both))
			}
			if d.secrets.find([]byte(out+complaint), kindToken) != "" || !strings.Contains(out, "secrets status") {
				t.Errorf("rotate says %s%s", out, complaint)
			}
			d.wantState(t, a.AccessToken.Value, "device-of-rotation", "active") // what runs goes on
			if out := d.status(t); !strings.Contains(out, "no instance was started with this secret.key yet") {
				t.Errorf("status before the restart: %s", out)
			}
			d.stop(t)

			d.start(t)
			next := d.refresh(t, a.AccessToken.Value, a.RefreshToken.Value)
			d.wantState(t, next.Value, "device-of-rotation", "active")
			d.do(t, call{path: "/app/auth/user", as: next.Value, want: `{"mobile":"` + a.UserInfo.Mobile + `"}`})
			d.login(t, asked) // the code of the old secret
			eventually(t, 15*time.Second, "every number is sealed anew", func() bool {
				return strings.Contains(d.status(t), "not needed once every instance has run")
			})
			if text := d.gauge(t, "menshen_older_secrets_needed"); text != "1" { // for codes, some minutes more
				t.Errorf("menshen_older_secrets_needed is %s", text)
			}
			d.log.await(t, 0, "secret.previous is needed")
			searchRunning(t, d)
			d.stop(t)
			searchStorage(t, d)

			writeFile(t, filepath.Join(d.folder, "secret.key"), both[0]+"\n")
			d.start(t)
			d.wantState(t, next.Value, "device-of-rotation", "active")
			d.do(t, call{path: "/app/auth/user", as: next.Value, want: `{"mobile":"` + a.UserInfo.Mobile + `"}`})
			d.login(t, form{Mobile: asked.Mobile})
			if text := d.gauge(t, "menshen_older_secrets_needed"); text != "0" {
				t.Errorf("menshen_older_secrets_needed is %s", text)
			}
			d.stop(t)

			writeFile(t, filepath.Join(d.folder, "secret.key"), both[1]+"\n")
			for _, args := range [][]string{{}, {"secrets", "status"}} {
				if exit, _, complaint := d.command(t, args...); exit != cli.ExitFailure || !strings.Contains(complaint, "secret.key") {
					t.Errorf("%v with the old secret alone: exit %d: %s", args, exit, complaint)
				}
			}
		})
	}
}

// searchRunning looks for secrets in the files of a running database: what was
// written last is in the log beside it, and in no table of the file yet.
func searchRunning(t *testing.T, d *deployment) {
	t.Helper()
	if d.driver != repository.SQLite {
		return // the server's files are the server's
	}
	for _, name := range []string{d.dsn, d.dsn + "-wal"} {
		text, err := os.ReadFile(name)
		if err != nil || len(text) == 0 {
			t.Errorf("%s has %d bytes, error %v", filepath.Base(name), len(text), err)
		}
		if found := d.secrets.find(text, kindCode, kindToken, kindNumber); found != "" {
			t.Errorf("%s holds a %s", filepath.Base(name), found)
		}
	}
}

// TestSecretCommands: what an operator may do wrong, and with configured secrets.
func TestSecretCommands(t *testing.T) {
	t.Parallel()
	t.Run("configured", func(t *testing.T) {
		d := newDeployment(t, repository.SQLite, "SECRET_KEY="+secretOf("old"), "SECRET_PREVIOUS="+secretOf("older"))
		exit, out, complaint := d.command(t, "secrets", "rotate")
		found := ""
		for _, word := range strings.Fields(out) {
			if raw, err := base64.StdEncoding.DecodeString(word); err == nil && len(raw) == secretSize {
				found = word
			}
		}
		if exit != cli.ExitOK || found == "" || found == secretOf("old") || !strings.Contains(out, "secret.previous") || complaint != "" {
			t.Fatalf("exit %d: %s%s", exit, out, complaint)
		}
		if made, _ := filepath.Glob(filepath.Join(d.folder, "*")); len(made) > 0 {
			t.Errorf("made %v", made)
		}
		for step, settings := range [][]string{
			{"SECRET_KEY=" + secretOf("old"), "SECRET_PREVIOUS="},
			{"SECRET_KEY=" + secretOf("old"), "SECRET_PREVIOUS=" + found},
			{"SECRET_KEY=" + found, "SECRET_PREVIOUS=" + secretOf("old")},
		} {
			d.settings = append(d.settings, settings...)
			d.start(t)
			d.login(t, form{Mobile: d.number()})
			eventually(t, 15*time.Second, "all is sealed", func() bool { return !strings.Contains(d.status(t), "are needed") })
			d.stop(t)
			if _, err := os.Stat(filepath.Join(d.folder, "secret.key")); err == nil {
				t.Errorf("step %d made a file", step)
			}
		}
	})
	t.Run("a rotation that was broken off", func(t *testing.T) {
		d := newDeployment(t, repository.SQLite)
		path := filepath.Join(d.folder, "secret.key")
		writeFile(t, path, secretOf("old")+"\n")
		writeFile(t, path+".new", "")
		if exit, _, complaint := d.command(t, "secrets", "rotate"); exit != cli.ExitFailure || !strings.Contains(complaint, "secret.key.new") {
			t.Errorf("exit %d: %s", exit, complaint)
		}
		if err := os.Remove(path + ".new"); err != nil {
			t.Fatal(err)
		}
		exits := runAtOnce(4, func(int) int {
			exit, _, _ := d.command(t, "secrets", "rotate")
			return exit
		})
		won := 0
		for _, exit := range exits {
			if exit == cli.ExitOK {
				won++
			}
		}
		lines := d.secretLines(t)
		if len(lines) != won+1 || won == 0 || lines[won] != secretOf("old") {
			t.Errorf("%d rotated, the file has %d lines", won, len(lines))
		}
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, error %v", info.Mode(), err)
		}
		if left, _ := filepath.Glob(path + ".*"); len(left) > 0 {
			t.Errorf("left %v", left)
		}
	})
	t.Run("a file that is not what it should be", func(t *testing.T) {
		d := newDeployment(t, repository.SQLite)
		if exit, _, complaint := d.command(t, "migrate"); exit != cli.ExitOK {
			t.Fatal(complaint)
		}
		for _, text := range []string{"", "canary-canary-canary\n", secretOf("a") + "\ncanary-canary-canary\n", secretOf("a") + secretOf("canary") + "\n"} {
			writeFile(t, filepath.Join(d.folder, "secret.key"), text)
			for _, args := range [][]string{{}, {"secrets", "status"}} {
				exit, out, complaint := d.command(t, args...)
				if exit != cli.ExitFailure || !strings.Contains(complaint, "secret.key") || strings.Contains(out+complaint, "canary") {
					t.Errorf("%v with %q: exit %d: %s%s", args, text, exit, out, complaint)
				}
			}
		}
	})
	t.Run("status of a database that nobody has started on", func(t *testing.T) {
		d := newDeployment(t, repository.SQLite, "SECRET_KEY="+secretOf("any"))
		if exit, _, complaint := d.command(t, "migrate"); exit != cli.ExitOK {
			t.Fatal(complaint)
		}
		if exit, out, complaint := d.command(t, "secrets", "status"); exit != cli.ExitFailure || complaint == "" {
			t.Errorf("exit %d: %s%s", exit, out, complaint)
		}
	})
}

// TestBrokenSeal: a user whose sealed number was damaged is there for operators
// like any other, with the number masked whole, and the damage is counted as ever.
func TestBrokenSeal(t *testing.T) {
	for _, driver := range dbtest.Drivers(t) {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			d := newDeployment(t, driver, operatorKeys(), "SECRET_KEY="+secretOf("old"), "SECRET_PREVIOUS=")
			d.start(t)
			a := d.login(t, form{Mobile: d.number()}, "X-Device-Number", "device-of-seal")
			whole := d.login(t, form{Mobile: d.number()})
			d.stop(t)
			sealed := []byte(d.value(t, "SELECT mobile FROM users WHERE id = ?", a.UserInfo.ID))
			sealed[len(sealed)-1] ^= 1
			d.exec(t, "UPDATE users SET mobile = ? WHERE id = ?", sealed, a.UserInfo.ID)
			d.settings = append(d.settings, "SECRET_KEY="+secretOf("new"), "SECRET_PREVIOUS="+secretOf("old"))
			d.start(t)

			id := strconv.FormatInt(a.UserInfo.ID, 10)
			shown := `{"id":` + id + `,"mobile":"***"}`
			for _, query := range []string{"id=" + id, "mobile=" + a.UserInfo.Mobile} {
				d.callAdmin(t, call{path: "/admin/users?" + query, want: `{"items":[` + shown + `],"next":null}`})
			}
			d.callAdmin(t, call{path: userPath(a, ""), want: `{"mobile":"***","sessions":[{"deviceNumber":"device-of-seal"}]}`})
			for _, args := range [][]string{{"-id", id}, {a.UserInfo.Mobile}} {
				if lines := d.commandLines(t, append([]string{"user", "find"}, args...)...); len(lines) != 1 || !strings.Contains(lines[0], `"mobile":"***"`) {
					t.Errorf("find says %q", lines)
				}
			}
			d.callAdmin(t, call{path: userPath(a, "/kick"), body: `{"reason":"r"}`, want: `{"ended":1}`})
			d.callAdmin(t, call{path: userPath(a, "/ban"), body: `{"reason":"r"}`, want: `{"ended":0}`})
			d.callAdmin(t, call{path: userPath(a, ""), want: `{"mobile":"***","banned":true}`})
			d.callAdmin(t, call{path: userPath(whole, ""), not: []string{"***\""}})
			eventually(t, 5*time.Second, "the log tells of it", func() bool { return strings.Contains(d.log.text(), "a user's number does not open") })
			eventually(t, 15*time.Second, "the broken seal is counted", func() bool { return d.gauge(t, "menshen_broken_seals") == "1" })
		})
	}
}
