package scenario

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"menshen/cli"
	"menshen/repository"
	"menshen/repository/dbtest"
)

// TestUsage: a wrong command line ends with exit code 2 and changes nothing.
func TestUsage(t *testing.T) {
	d := newDeployment(t, repository.SQLite)
	for _, args := range [][]string{
		{"serve", "x"}, {"doctor", "x"}, {"conformance"}, {"conformance", "no-such-program"}, {"conformance", "-run", "no-such-trace", "true"}, {"conformance", "-parallel", "0", "true"}, {"conformance", "-list", "true"}, {"sms"}, {"sms", "test"}, {"sms", "test", "-to", "13800138000", "x"}, {"sms", "test", "-to", "13800138000", "-company", "99999999999"}, {"init", "x"}, {"help", "x"}, {"help", "user", "x"}, {"help", "migrate", "x"}, {"Version"}, {"version", "x"}, {"check-config", "x"}, {"migrate", "x"}, {"keys"}, {"keys", "rotate", "x"}, {"keys", "revoke"},
		{"keys", "revoke", "x", "y"}, {"keys", "list"}, {"healthcheck", "x"}, {"secrets"}, {"secrets", "rotate", "x"}, {"secrets", "status", "x"}, {"secrets", "drop"}, {""}, {"-x"}, {"-config"}, {"--port=80"}, {"migrate", "-x"}, {"migrate", "--version"},
		{"user"}, {"user", "lists"}, {"users", "find", "1"}, {"user", "find"}, {"user", "find", "1", "2"}, {"user", "find", "-id", "x"}, {"user", "find", "-id", "-1"},
		{"user", "ban"}, {"user", "ban", "1"}, {"user", "ban", "-reason", "r"}, {"user", "ban", "x", "-reason", "r"}, {"user", "ban", "0", "-reason", "r"},
		{"user", "ban", "1", "-reason", ""}, {"user", "ban", "1", "-reason"}, {"user", "ban", "1", "-reason", "r", "-until", "tomorrow"}, {"user", "ban", "1", "2", "-reason", "r"},
		{"user", "ban", "1", "-reason", "r", "-until", "0001-01-01T00:00:00Z"}, {"user", "ban", "1", "-reason", "r", "-until", "1970-01-01T00:00:00Z"}, {"user", "ban", "1", "-reason", "r", "-until", ""},
		{"audit", "-from", "0001-01-01T00:00:00Z"}, {"audit", "-to", "1970-01-01T00:00:00Z"},
		{"user", "ban", "1", "-reason", strings.Repeat("x", 257)}, {"user", "ban", "1", "-reason", "a\nb"}, {"user", "ban", "1", "-reason", "\xff"},
		{"user", "create"}, {"user", "create", "13800138000"}, {"user", "create", "13800138000", "-company", "0", "-external", ""}, {"user", "create", "13800138000", "-company", "0", "-nick", ""},
		{"user", "create", "13800138000", "-company", "0", "-source", "a\nb"}, {"user", "patch", "1"}, {"user", "patch", "1", "-metadata", "[]"}, {"user", "patch", "1", "-avatar", "x"}, {"user", "patch", "-nick", "n"}, {"user", "unlock", "1"},
		{"user", "mobile", "1", "13800138000", "-reason", "r"}, {"user", "unban"}, {"user", "unban", "1", "-reason", "r"}, {"user", "unban", "x"},
		{"user", "kick", "1"}, {"user", "kick", "1", "-reason", "r", "-product", "x"}, {"user", "kick", "1", "-reason", "r", "-product", "2147483648"},
		{"audit", "x"}, {"audit", "-n", "0"}, {"audit", "-n", "x"}, {"audit", "-user", "x"}, {"audit", "-user", "-1"}, {"audit", "-from", "2026-01-02"},
	} {
		exit, out, complaint := d.command(t, args...)
		if exit != cli.ExitUsage || out != "" || !strings.Contains(complaint, "usage: menshen") && !strings.Contains(complaint, "flag") {
			t.Errorf("%q: exit %d, %q, %q", args, exit, out, complaint)
		}
	}
	for word, nearest := range map[string]string{"migrat": "migrate", "check-cofnig": "check-config", "serv": "serve"} {
		exit, _, complaint := d.command(t, word)
		if want := `unknown command "` + word + `", did you mean "` + nearest + `"?`; exit != cli.ExitUsage || !strings.Contains(complaint, want) {
			t.Errorf("%s: exit %d, %q, want %s", word, exit, complaint, want)
		}
	}
	for _, args := range [][]string{{"docter", "-json"}, {"docter", "-h"}, {"-config", "x", "docter", "-config=y"}, {"sms", "tset", "-to", "1"}, {"keys", "rotat", "-h"}} {
		word := map[bool]string{true: args[0], false: args[1]}[args[0] == "docter"]
		if args[0] == "-config" {
			word = args[2]
		}
		exit, out, complaint := d.command(t, args...)
		if exit != cli.ExitUsage || out != "" || !strings.Contains(complaint, `unknown command "`+word+`", did you mean`) {
			t.Errorf("%q: exit %d, %q, %q", args, exit, out, complaint)
		}
	}
	for _, args := range [][]string{{"version"}, {"-version"}, {"--version"}, {"version", "-config", "x"}} {
		if exit, out, _ := d.command(t, args...); exit != cli.ExitOK || out != "menshen dev\n" {
			t.Errorf("%q: exit %d, %q", args, exit, out)
		}
	}
	if made, _ := filepath.Glob(filepath.Join(d.folder, "*")); len(made) > 0 {
		t.Errorf("made %v", made)
	}
}

// TestHelp: every command has a sentence of help, by -h and by help, and is listed
// by its group and by the program.
func TestHelp(t *testing.T) {
	d := newDeployment(t, repository.SQLite)
	for _, words := range []string{
		"", "serve", "init", "doctor", "conformance", "sms", "sms test", "check-config", "migrate", "keys", "keys rotate", "keys revoke", "secrets", "secrets rotate", "secrets status",
		"user", "user find", "user ban", "user unban", "user kick", "audit", "healthcheck", "version", "help",
	} {
		command := strings.Fields(words)
		_, want, _ := d.command(t, append([]string{"help"}, command...)...)
		sentence, rest, _ := strings.Cut(want, "\n")
		if name := strings.TrimSpace("menshen " + words); !strings.HasPrefix(sentence, name+": ") || len(sentence) < len(name)+10 || !strings.Contains(rest, "usage: "+name) {
			t.Errorf("help %s: %q", words, want)
		}
		for _, flag := range []string{"-h", "-help", "--help"} {
			exit, out, complaint := d.command(t, append(command, flag)...)
			if exit != cli.ExitOK || out != want || complaint != "" {
				t.Errorf("%s %s: exit %d, %q, %q, want %q", words, flag, exit, out, complaint, want)
			}
		}
		if len(command) > 0 && words != "help" {
			_, group, _ := d.command(t, append([]string{"help"}, command[:len(command)-1]...)...)
			if !strings.Contains(group, "\n  "+command[len(command)-1]+" ") {
				t.Errorf("%s is not listed in %q", words, group)
			}
		}
	}
	if _, out, _ := d.command(t, "user", "kick", "-h"); !strings.Contains(out, "\n  -product ") || !strings.Contains(out, "\n  -config ") {
		t.Errorf("help of kick lacks a flag: %q", out)
	}
	if made, _ := filepath.Glob(filepath.Join(d.folder, "*")); len(made) > 0 {
		t.Errorf("made %v", made)
	}
}

// TestFlagsStandAnywhere: -config is accepted before and after the command.
func TestFlagsStandAnywhere(t *testing.T) {
	d := newDeployment(t, repository.SQLite)
	missing := filepath.Join(t.TempDir(), "none.yaml")
	for _, args := range [][]string{
		{"-config", missing, "check-config"}, {"check-config", "-config", missing}, {"check-config", "--config=" + missing}, {"user", "-config", missing, "unban", "1"},
		{"user", "unban", "-config", missing, "1"}, {"user", "unban", "1", "-config=" + missing}, {"-config", missing}, {"serve", "-config", missing},
	} {
		p := d.program()
		p.args = args
		since := len(d.log.text())
		if exit := run(t.Context(), p); exit != cli.ExitFailure || !strings.Contains(d.log.text()[since:], "none.yaml") {
			t.Errorf("%q: exit %d, %s", args, exit, d.log.text()[since:])
		}
	}
}

// TestBadConfiguration: all problems are reported at once, each with its key, and
// no secret is printed.
func TestBadConfiguration(t *testing.T) {
	d := newDeployment(t, repository.SQLite)
	writeFile(t, d.file, "server:\n  locale: fr\n  port: 80\ntoken:\n  access_ttl: 15\n  algorithm: HS256\ncode:\n  length: 4\nproducts:\n- {type: 0, group: a}\n- {type: 0, group: b}\nlog:\n  level: loud\n")
	d.settings = slices.DeleteFunc(d.settings, func(setting string) bool { return strings.HasPrefix(setting, "LOG_") })
	d.settings = append(d.settings, "SECRET_KEY=canary-secret-key", "SMS_WEBHOOK_SECRET=canary-webhook", "CODE_TTL=1h", "SMS_WEBHOOK_URL=")
	keys := []string{
		"server.locale", "server.port", "token.access_ttl", "token.algorithm", "code.length", "products[1].type", "log.level",
		"secret.key", "sms.webhook.secret", "sms.webhook.url", "code.ttl",
	}
	for _, args := range [][]string{{}, {"check-config"}, {"migrate"}, {"keys", "rotate"}} {
		exit, out, complaint := d.command(t, args...)
		if exit != cli.ExitFailure {
			t.Errorf("%v: exit %d", args, exit)
		}
		for _, key := range keys {
			if !strings.Contains(complaint, key) {
				t.Errorf("%v does not name %s:\n%s", args, key, complaint)
			}
		}
		if strings.Contains(out+complaint, "canary") {
			t.Errorf("%v shows a secret:\n%s%s", args, out, complaint)
		}
	}
	t.Run("production", func(t *testing.T) {
		d := newDeployment(t, repository.SQLite, "ENV=production", "SMS_PROVIDER=log", "CODE_COOLDOWN=0s", "CODE_DAILY_BUDGET=0")
		exit, _, complaint := d.command(t, "check-config")
		for _, key := range []string{"sms.provider", "secret.key", "code.cooldown", "code.daily_budget"} {
			if exit != cli.ExitFailure || !strings.Contains(complaint, key) {
				t.Errorf("exit %d, without %s:\n%s", exit, key, complaint)
			}
		}
	})
	t.Run("file that is not there", func(t *testing.T) {
		p := d.program()
		p.args = []string{"-config", filepath.Join(t.TempDir(), "none.yaml"), "check-config"}
		if exit := run(t.Context(), p); exit != cli.ExitFailure {
			t.Errorf("exit %d", exit)
		}
	})
	t.Run("address in use", func(t *testing.T) {
		first := newDeployment(t, repository.SQLite)
		first.start(t)
		d := newDeployment(t, repository.SQLite, "SERVER_ADDR="+strings.TrimPrefix(first.public, "http://"))
		if exit, _, complaint := d.command(t); exit != cli.ExitFailure || !strings.Contains(complaint, "server.addr") {
			t.Errorf("exit %d: %s", exit, complaint)
		}
	})
}

// TestCheckConfig prints the effective configuration with masked secrets and
// changes nothing.
func TestCheckConfig(t *testing.T) {
	d := newDeployment(t, repository.SQLite, "DATABASE_DRIVER=mysql", "DATABASE_DSN=menshen:canary-password@tcp(127.0.0.1:1)/none", "SECRET_KEY="+secretOf("canary"), "CODE_TTL=90s", "UNHEARD_OF=1")
	exit, out, complaint := d.command(t, "check-config")
	if exit != cli.ExitOK || !strings.Contains(complaint, "MENSHEN_UNHEARD_OF") {
		t.Errorf("exit %d: %s", exit, complaint)
	}
	for _, text := range []string{"ttl: 1m30s", "driver: mysql", "provider: webhook"} {
		if !strings.Contains(out, text) {
			t.Errorf("%q is missing:\n%s", text, out)
		}
	}
	for _, secret := range []string{"canary-password", secretOf("canary"), gatewaySecret, strings.TrimPrefix(gatewaySecret, "whsec_")} {
		if strings.Contains(out+complaint, secret) {
			t.Errorf("it shows %q:\n%s", secret, out)
		}
	}
	if made, _ := filepath.Glob(filepath.Join(d.folder, "*")); len(made) > 0 {
		t.Errorf("made %v", made)
	}
}

// TestMigrate runs the migrations alone, twice.
func TestMigrate(t *testing.T) {
	for _, driver := range dbtest.Drivers(t) {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			d := newDeploymentOn(t, driver, dbtest.DSN(t, driver))
			if exit, out, complaint := d.command(t, "migrate"); exit != cli.ExitOK || !strings.HasPrefix(out, "applied ") || out == "applied 0 migrations\n" {
				t.Errorf("exit %d: %s%s", exit, out, complaint)
			}
			if exit, out, _ := d.command(t, "migrate"); exit != cli.ExitOK || out != "applied 0 migrations\n" {
				t.Errorf("exit %d: %s", exit, out)
			}
			d.value(t, "SELECT COUNT(*) FROM sessions")
			d.start(t)
			d.login(t, form{Mobile: d.number()})
		})
	}
}

// TestKeyCommands rotates and revokes keys while the program is running.
func TestKeyCommands(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, repository.SQLite, "CODE_COOLDOWN=0s")
	d.start(t)
	a := d.login(t, form{Mobile: d.number()})
	old := d.keyFiles(t)[0]

	exit, out, complaint := d.command(t, "keys", "rotate")
	added, found := strings.CutPrefix(out, "added ")
	added = strings.TrimSpace(added)
	if exit != cli.ExitOK || !found || len(d.keyFiles(t)) != 2 || !slices.Contains(d.keyFiles(t), added) {
		t.Fatalf("exit %d: %s%s, files %v", exit, out, complaint, d.keyFiles(t))
	}
	t.Run("a new key verifies at once and signs later", func(t *testing.T) {
		for _, kid := range []string{old, added} { // as another instance would sign
			d.do(t, call{path: "/app/auth/user", as: d.forgeWithKey(t, a.AccessToken.Value, kid)})
		}
		if got := publishedKeys(t, d); len(got) != 2 || !slices.Contains(got, added) {
			t.Errorf("the keys are %v", got)
		}
		if header, _ := parseJWT(t, d.login(t, form{Mobile: d.number()}).AccessToken.Value); header["kid"] != old {
			t.Errorf("%v signs", header["kid"])
		}
	})
	t.Run("a revoked key is gone at once", func(t *testing.T) {
		if exit, out, complaint := d.command(t, "keys", "revoke", old); exit != cli.ExitOK || out != "removed "+old+"\n" {
			t.Fatalf("exit %d: %s%s", exit, out, complaint)
		}
		unknown := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"ES256","kid":"` + strings.Repeat("A", 43) + `","typ":"at+jwt"}`))
		eventually(t, 6*time.Second, "the revoked key is refused", func() bool {
			// A token of an unknown key makes the folder be read again at once.
			d.do(t, call{path: "/app/auth/user", as: unknown + ".e30.AAAA", code: 40100})
			row := call{path: "/app/auth/user", as: a.AccessToken.Value}
			return d.send(t, row.request(t, d.public)).code == 40100
		})
		if got := publishedKeys(t, d); !slices.Equal(got, []string{added}) {
			t.Errorf("the keys are %v", got)
		}
		b := d.login(t, form{Mobile: d.number()})
		if header, _ := parseJWT(t, b.AccessToken.Value); header["kid"] != added {
			t.Errorf("%v signs", header["kid"])
		}
		d.do(t, call{path: refreshPath, body: pairBody(a.AccessToken.Value, a.RefreshToken.Value), code: 40100})
		d.do(t, call{path: "/app/auth/user", as: d.forgeWithKey(t, a.AccessToken.Value, added)}) // the session lives on
	})
	t.Run("unknown", func(t *testing.T) {
		// The thumbprint of a key may begin with a hyphen.
		hyphen, digit := "-i"+strings.Repeat("A", 41), "-0"+strings.Repeat("-", 41)
		for _, args := range [][]string{{old}, {"x"}, {"../secret"}, {hyphen}, {digit}, {"--", hyphen}, {hyphen, "-config", filepath.Join(top, "config.yaml")}} {
			if exit, _, complaint := d.command(t, append([]string{"keys", "revoke"}, args...)...); exit != cli.ExitFailure || !strings.Contains(complaint, "no key") {
				t.Errorf("exit %d: %s", exit, complaint)
			}
		}
		if got := d.keyFiles(t); !slices.Equal(got, []string{added}) {
			t.Errorf("the files are %v", got)
		}
	})
	t.Run("production makes no key by itself", func(t *testing.T) {
		d := newDeployment(t, repository.SQLite, inProduction()...)
		if exit, _, complaint := d.command(t); exit != cli.ExitFailure || !strings.Contains(complaint, "keys rotate") {
			t.Errorf("exit %d: %s", exit, complaint)
		}
		if exit, out, complaint := d.command(t, "keys", "rotate"); exit != cli.ExitOK || !strings.HasPrefix(out, "added ") {
			t.Errorf("exit %d: %s%s", exit, out, complaint)
		}
		d.start(t)
		d.do(t, call{path: "/.well-known/jwks.json"})
	})
}

// TestKeysOfOldPairs: a pair whose access token was signed before two rotations
// can be refreshed: keys verify for as long as refresh tokens live.
func TestKeysOfOldPairs(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, repository.SQLite, "CODE_COOLDOWN=0s", "CODE_PER_IP_HOUR=0", "CODE_PER_IP_DAY=0", "CODE_PER_BLOCK_HOUR=0", "CODE_PER_BLOCK_DAY=0", "TOKEN_KEY_ACTIVATION=0s")
	d.start(t)
	a := d.login(t, form{Mobile: d.number()})
	old, _ := parseJWT(t, a.AccessToken.Value)
	for range 2 {
		exit, out, complaint := d.command(t, "keys", "rotate")
		added := strings.TrimSpace(strings.TrimPrefix(out, "added "))
		if exit != cli.ExitOK {
			t.Fatalf("exit %d: %s", exit, complaint)
		}
		eventually(t, 10*time.Second, "the new key signs", func() bool {
			header, _ := parseJWT(t, d.login(t, form{Mobile: d.number()}).AccessToken.Value)
			return header["kid"] == added
		})
	}
	if files := d.keyFiles(t); len(files) != 3 {
		t.Fatalf("the keys are %v", files)
	}
	next := d.refresh(t, d.expire(t, a.AccessToken.Value), a.RefreshToken.Value)
	if header, _ := parseJWT(t, next.Value); header["kid"] == old["kid"] {
		t.Error("the first key signs still")
	}
}

// forgeWithKey returns the token signed by another key of the folder.
func (d *deployment) forgeWithKey(t *testing.T, raw, kid string) string {
	t.Helper()
	return d.forge(t, raw, func(header, _ claims) { header["kid"] = kid })
}

// publishedKeys returns the kids that the program publishes.
func publishedKeys(t *testing.T, d *deployment) []string {
	t.Helper()
	var set struct{ Keys []struct{ Kid string } }
	if err := json.Unmarshal(d.do(t, call{path: "/.well-known/jwks.json"}).raw, &set); err != nil {
		t.Fatal(err)
	}
	kids := []string{}
	for _, key := range set.Keys {
		kids = append(kids, key.Kid)
	}
	slices.Sort(kids)
	return kids
}

// TestReload changes the file of a running program.
func TestReload(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, repository.SQLite, "CODE_LENGTH=10", "CODE_COOLDOWN=0s")
	writeFile(t, d.file, "server: {locale: zh-CN}\n")
	d.start(t)
	answersWith := func(want string) bool {
		row := call{path: "/none"}
		return d.send(t, row.request(t, d.public)).msg == want
	}
	change := func(t *testing.T, text, line string) {
		t.Helper()
		since := len(d.log.text())
		writeFile(t, d.file, text)
		d.log.await(t, since, line)
	}
	a := d.login(t, form{Mobile: d.number()})
	t.Run("applied", func(t *testing.T) {
		begin := time.Now()
		writeFile(t, d.file, "server: {locale: en}\ncompanies: [{type: 0, name: a, registration: closed}, {type: 7, name: b}]\nlog: {level: info}\n")
		eventually(t, 5*time.Second, "the new sentence", func() bool { return answersWith(sentences(40400)[false]) })
		t.Logf("applied after %s, promised is 2s", time.Since(begin))
	})
	t.Run("sessions live on, rules are new", func(t *testing.T) {
		d.do(t, call{path: "/app/auth/user", as: a.AccessToken.Value})
		d.login(t, form{Mobile: a.UserInfo.Mobile}) // known
		f := form{Mobile: d.number()}
		f.ValidateNo = d.sendCode(t, f.Mobile, 0)
		d.do(t, call{path: "/auth/mobile/login", body: jsonOf(t, f), code: 40002}) // unknown, and the company is shut
		d.login(t, form{Mobile: d.number(), CompanyType: 7})
		d.do(t, call{path: "/auth/mobile/login", body: jsonOf(t, form{Mobile: "1", CompanyType: 1}), code: 40000, fields: []string{"companyType unknown"}})
	})
	t.Run("refused", func(t *testing.T) {
		for text, key := range map[string]string{
			"server: {locale: fr}\n":                                         "server.locale",
			"token: {issuer: another}\nserver: {locale: zh-CN}":              "token.issuer",
			"server: {locale: zh-CN\n":                                       "",
			"env: production\nserver: {locale: zh-CN}\n":                     "env",
			"server: {locale: zh-CN}\nproducts: [{type: 0, group: other}]\n": "products[0].group",
		} {
			change(t, text, "configuration refused")
			if !strings.Contains(d.log.text(), key) {
				t.Errorf("%q: %s is not named", text, key)
			}
			if !answersWith(sentences(40400)[false]) {
				t.Errorf("%q was applied", text)
			}
		}
	})
	t.Run("a product that goes", func(t *testing.T) {
		pc := d.login(t, form{Mobile: a.UserInfo.Mobile, ProductType: 1})
		change(t, "products: [{type: 0, group: app, on_conflict: reject}]\ncode: {max_attempts: 1}\n", "configuration applied")
		d.wantState(t, pc.AccessToken.Value, "device-lives-on", "bound")
		d.refresh(t, pc.AccessToken.Value, pc.RefreshToken.Value)
		d.do(t, call{path: "/auth/mobile/login", body: jsonOf(t, form{Mobile: a.UserInfo.Mobile, ProductType: 1}), code: 40000, fields: []string{"productType unknown"}})
		f := form{Mobile: a.UserInfo.Mobile}
		f.ValidateNo = d.sendCode(t, f.Mobile, 0)
		d.do(t, call{path: "/auth/mobile/login", body: jsonOf(t, f), code: 40900})
		d.do(t, call{path: "/auth/mobile/login", body: jsonOf(t, f), code: 40002}) // one attempt is the most now
	})
	t.Run("a request under way ends with what it began with", func(t *testing.T) {
		f := form{Mobile: d.number()}
		release, answered := make(chan struct{}), make(chan answer, 1)
		d.messages.setResponse("+86"+f.Mobile, func(http.ResponseWriter, *http.Request) { <-release })
		row := call{path: "/auth/mobile/code", body: codeBody(f.Mobile), headers: headersOf("Accept-Language", "fr")}
		go func() { answered <- runAtOnce(1, func(int) answer { return d.send(t, row.request(t, d.public)) })[0] }()
		change(t, "server: {locale: en}\n", "configuration applied")
		close(release)
		if a := <-answered; a.code != 0 || a.msg != sentences(0)[true] {
			t.Errorf("the answer is %s", a.raw)
		}
		if !answersWith(sentences(40400)[false]) {
			t.Error("the change was not applied")
		}
	})
}
