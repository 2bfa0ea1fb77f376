package scenario

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"menshen/cli"
	"menshen/repository"
	"menshen/repository/dbtest"
)

// TestRestart: what was answered holds after a stop and a start on the same data.
func TestRestart(t *testing.T) {
	for _, driver := range dbtest.Drivers(t) {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			d := newDeployment(t, driver)
			d.start(t)
			secret, err := os.ReadFile(filepath.Join(d.folder, "secret.key"))
			if err != nil {
				t.Fatal(err)
			}
			alive := d.login(t, form{Mobile: d.number(), DeviceNumber: "device-alive"})
			rotated := d.refresh(t, alive.AccessToken.Value, alive.RefreshToken.Value)
			d.wantState(t, rotated.Value, "device-alive", "active")
			gone := d.login(t, form{Mobile: d.number()})
			d.do(t, call{method: http.MethodPost, path: "/app/auth/logout", as: gone.AccessToken.Value})
			asked := form{Mobile: d.number()}
			asked.ValidateNo = d.sendCode(t, asked.Mobile, 0)
			spent := form{Mobile: d.number()}
			spent.ValidateNo = d.sendCode(t, spent.Mobile, 0)
			for range 5 {
				d.do(t, call{path: "/auth/mobile/login", body: jsonOf(t, form{Mobile: spent.Mobile, ValidateNo: "wrong"}), code: 40002})
			}
			keys := string(d.do(t, call{path: "/.well-known/jwks.json"}).raw)
			d.stop(t)

			t.Run("another secret", func(t *testing.T) {
				d.settings = append(d.settings, "SECRET_KEY="+secretOf("another"))
				exit, out, complaint := d.command(t)
				if exit != cli.ExitFailure || !strings.Contains(complaint, "secret.key") || strings.Contains(out+complaint, secretOf("another")) || strings.Contains(out+complaint, strings.TrimSpace(string(secret))) {
					t.Errorf("exit %d: %s%s", exit, out, complaint)
				}
				d.settings = d.settings[:len(d.settings)-1]
			})

			d.start(t)
			if again := string(d.do(t, call{path: "/.well-known/jwks.json"}).raw); again != keys {
				t.Errorf("the keys were %s, are %s", keys, again)
			}
			d.wantState(t, rotated.Value, "device-alive", "active")
			d.wantState(t, rotated.Value, "device-of-another", "device_mismatch")
			d.wantState(t, gone.AccessToken.Value, "device-gone", "logged_out")
			d.wantState(t, d.expire(t, gone.AccessToken.Value), "device-gone", "logged_out")
			d.wantRefusals(t, codeCall(asked.Mobile, ""), 42901, 1, 60)
			d.login(t, asked)
			d.do(t, call{path: "/auth/mobile/login", body: jsonOf(t, spent), code: 40002})
			d.do(t, call{path: "/app/auth/user", as: alive.AccessToken.Value, want: `{"mobile":"` + alive.UserInfo.Mobile + `"}`})
			d.exec(t, "UPDATE sessions SET minted_at = minted_at - 60000 WHERE id = ?", alive.claims["sid"])
			d.do(t, call{path: refreshPath, body: pairBody(alive.AccessToken.Value, alive.RefreshToken.Value), code: 40103, want: `{"reason":"reuse"}`})
			d.stop(t)

			t.Run("a stop lets requests under way end", func(t *testing.T) {
				d.start(t)
				f := form{Mobile: d.number()}
				reached, release, answered, exit := make(chan struct{}), make(chan struct{}), make(chan answer, 1), make(chan int, 1)
				d.messages.setResponse("+86"+f.Mobile, func(http.ResponseWriter, *http.Request) { close(reached); <-release })
				row := codeCall(f.Mobile, "")
				go func() { answered <- runAtOnce(1, func(int) answer { return d.send(t, row.request(t, d.public)) })[0] }()
				<-reached
				end := d.end
				d.end = nil
				go func() { exit <- end() }()
				eventually(t, 5*time.Second, "nobody new is let in", func() bool {
					conn, err := net.Dial("tcp", strings.TrimPrefix(d.public, "http://"))
					if err == nil {
						_ = conn.Close()
					}
					return err != nil
				})
				close(release)
				if a := <-answered; a.code != 0 {
					t.Errorf("the answer is %s", a.raw)
				}
				if code := <-exit; code != cli.ExitOK {
					t.Errorf("exit %d", code)
				}
				d.start(t)
				f.ValidateNo = d.messages.nextMessage(t, "+86"+f.Mobile).Code
				d.login(t, f)
				d.stop(t)
			})
			t.Run("the secret from elsewhere", func(t *testing.T) {
				file := filepath.Join(t.TempDir(), "secret")
				writeFile(t, file, string(secret))
				if err := os.Rename(filepath.Join(d.folder, "secret.key"), filepath.Join(d.folder, "kept")); err != nil {
					t.Fatal(err)
				}
				d.settings = append(d.settings, "SECRET_KEY_FILE="+file)
				d.start(t)
				d.wantRefusals(t, codeCall(asked.Mobile, ""), 42901, 1, 60)
				d.stop(t)
			})
		})
	}
}

// TestOldClients: another deployment, all of whose answers have status 200, with
// English by default, without documents, behind a proxy, signing with EdDSA.
func TestOldClients(t *testing.T) {
	for _, driver := range dbtest.Drivers(t) {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			d := newDeployment(t, driver,
				"CODE_LENGTH=10", "CODE_COOLDOWN=0s", "SERVER_ALWAYS_200=true", "SERVER_LOCALE=en", "SERVER_DOCS=false", "SERVER_TRUSTED_PROXIES=127.0.0.1",
				"TOKEN_ALGORITHM=EdDSA", "TOKEN_ISSUER=https://id.example.com", "TOKEN_AUDIENCE=app,pc", "LOG_FORMAT=console", "ENV=test", "SERVICE_PORT=tcp://10.0.0.1:80",
			)
			d.start(t)
			if !strings.Contains(d.log.text(), "MENSHEN_SERVICE_PORT") {
				t.Error("no warning of the unknown variable")
			}
			a := d.login(t, form{Mobile: d.number(), DeviceNumber: "device-of-old-client"})
			header, payload := parseJWT(t, a.AccessToken.Value)
			if header["alg"] != "EdDSA" || payload["iss"] != "https://id.example.com" || jsonOf(t, payload["aud"]) != `["app","pc"]` {
				t.Errorf("the token is %v %v", header, payload)
			}
			t.Run("status", func(t *testing.T) {
				for _, row := range []call{
					{path: "/none", code: 40400},
					{path: "/swagger/index.html", code: 40400},
					{path: "/swagger/doc.json", code: 40400},
					{method: http.MethodPut, path: "/app/auth/user", code: 40500},
					{path: "/app/auth/user", code: 40100},
					{path: "/app/auth/user", as: d.expire(t, a.AccessToken.Value), code: 40101},
					{path: checkPath("undefined"), as: a.AccessToken.Value, code: 40000},
					{path: "/auth/mobile/code", body: "{", code: 40000},
					{path: "/auth/mobile/code", body: codeBody("1"), code: 40001},
					{path: "/auth/mobile/code", body: strings.Repeat("x", 17<<10), code: 41300},
					{path: "/auth/mobile/code", body: "{}", headers: headersOf("Content-Type", "text/plain"), code: 41500},
					{path: "/auth/mobile/login", body: jsonOf(t, form{Mobile: d.number()}), code: 40002},
				} {
					got := d.do(t, row)
					if got.status != http.StatusOK || got.msg != sentences(row.code)[false] {
						t.Errorf("%d has status %d and says %q", row.code, got.status, got.msg)
					}
				}
				d.do(t, call{path: "/app/auth/user", as: a.AccessToken.Value, headers: headersOf("Accept-Language", "zh"), want: `{"companyType":0}`})
			})
			t.Run("proxy", func(t *testing.T) {
				for forwarded, want := range map[string]string{
					"203.0.113.7": "203.0.113.7", "1.1.1.1, 203.0.113.7": "203.0.113.7", "203.0.113.7, 127.0.0.1": "203.0.113.7",
					"2001:db8::7": "2001:db8::7", "::ffff:203.0.113.7": "203.0.113.7", "203.0.113.7:443": "203.0.113.7", "garbage": "127.0.0.1", "203.0.113.7, garbage": "127.0.0.1", "": "127.0.0.1",
				} {
					a := d.login(t, form{Mobile: d.number()}, "X-Forwarded-For", forwarded, "X-Real-Ip", "198.51.100.1", "Forwarded", "for=198.51.100.1")
					d.do(t, call{path: "/app/auth/sessions", as: a.AccessToken.Value, want: `[{"ip":"` + want + `"}]`})
				}
			})
			t.Run("health keeps its status", func(t *testing.T) {
				if got := d.do(t, call{path: "/readyz"}); got.status != http.StatusOK {
					t.Errorf("/readyz answers %d", got.status)
				}
			})
			t.Run("cross origin is off", func(t *testing.T) {
				got := d.do(t, call{path: "/none", code: 40400, headers: headersOf("Origin", "https://app.example.com")})
				if got.header.Get("Access-Control-Allow-Origin") != "" {
					t.Errorf("%v", got.header)
				}
				preflight := call{method: http.MethodOptions, path: "/auth/mobile/login", code: 40500, headers: headersOf("Origin", "https://app.example.com", "Access-Control-Request-Method", "POST")}
				d.do(t, preflight)
			})
			d.stop(t)
			searchStorage(t, d)
		})
	}
}

// TestNewcomer: the program as it is after a clone, with the provider that writes
// codes to the log and with a database file of its own making.
func TestNewcomer(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, repository.SQLite, "SMS_PROVIDER=log", "SMS_WEBHOOK_URL=", "SMS_WEBHOOK_SECRET=", "DATABASE_DSN=", "LOG_FORMAT=console", "LOG_LEVEL=info")
	d.secrets = newCanaries() // the one place where a code and a number may stand in the log
	d.start(t)
	f := form{Mobile: "13800138000"}
	since := len(d.log.text())
	d.do(t, call{path: "/auth/mobile/code", body: codeBody(f.Mobile)})
	d.log.await(t, since, "validateNo=")
	_, line, _ := strings.Cut(d.log.text()[since:], "validateNo=")
	f.ValidateNo = line[:6]
	a := d.login(t, f)
	if !strings.Contains(d.log.text(), "mobile=+8613800138000") {
		t.Error("the line has no mobile")
	}
	d.wantState(t, a.AccessToken.Value, "device-of-newcomer", "bound")
	d.stop(t)
	for name, mode := range map[string]os.FileMode{"secret.key": 0o600, "menshen.db": 0o600, "keys": 0o700 | os.ModeDir, ".": 0o700 | os.ModeDir} {
		info, err := os.Stat(filepath.Join(d.folder, name))
		if err != nil || info.Mode() != mode {
			t.Errorf("%s: %v, error %v", name, info.Mode(), err)
		}
	}
	d.secrets = newCanaries()
}
