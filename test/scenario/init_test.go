package scenario

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"menshen/cli"
	"menshen/config"
	"menshen/repository"
)

// filledIn are values for what init leaves open, by line of its file.
var filledIn = map[string]string{
	`dsn: ""`: `dsn: "menshen:password@tcp(db.example.com:3306)/menshen?tls=true"`, `url: ""`: `url: "https://sms.example.com/send"`,
	`access_key_id: ""`: `access_key_id: "LTAI5tHq7n2"`, `access_key_secret: ""`: `access_key_secret: "Zx81pQm4vN7sLw"`,
	`secret_id: ""`: `secret_id: "AKID81pQm4vN7s"`, `secret_key: ""`: `secret_key: "Zx81pQm4vN7sLw"`, `app_id: ""`: `app_id: "1400006666"`,
	`account_sid: ""`: `account_sid: "AC0123456789abcdef0123456789abcdef"`, `auth_token: ""`: `auth_token: "Zx81pQm4vN7sLw"`, `from: ""`: `from: "+14155550123"`,
	`sign: "", template: ""`: `sign: "门神", template: "SMS_154950909"`,
}

// TestInit: init writes a closed file with fresh secrets. What is left to fill in is what
// check-config names; filled in, it is a production configuration without a problem.
func TestInit(t *testing.T) {
	t.Parallel()
	for driver, open := range map[string][]string{"": nil, "sqlite": nil, "mysql": {"database.dsn"}} {
		for provider, keys := range map[string][]string{
			"": {"sms.webhook.url"}, "webhook": {"sms.webhook.url"},
			"aliyun":  {"sms.aliyun.access_key_id", "sms.aliyun.access_key_secret", "sms.templates[0].sign", "sms.templates[0].template"},
			"tencent": {"sms.tencent.secret_id", "sms.tencent.secret_key", "sms.tencent.app_id", "sms.templates[0].template"},
			"twilio":  {"sms.twilio.account_sid", "sms.twilio.auth_token", "sms.twilio.from"},
		} {
			t.Run(driver+" "+provider, func(t *testing.T) {
				t.Parallel()
				d := newDeployment(t, repository.SQLite)
				d.settings, d.file = nil, ""
				path := filepath.Join(t.TempDir(), "menshen.yaml")
				args := []string{"init", "-yes", "-o", path}
				if driver != "" {
					args = append(args, "-driver", driver)
				}
				if provider != "" {
					args = append(args, "-provider="+provider)
				}
				exit, out, complaint := d.command(t, args...)
				if exit != cli.ExitOK || complaint != "" {
					t.Fatalf("exit %d, %q, %q", exit, out, complaint)
				}
				d.wantOpen(t, path, out, append(slices.Clone(open), keys...))
			})
		}
	}
}

// wantOpen fails unless the file that init wrote lacks the values of exactly these keys.
func (d *deployment) wantOpen(t *testing.T, path, report string, keys []string) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%s: %v, mode %s", path, err, info.Mode())
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	problems := config.Problems{}
	exit, _, complaint := d.command(t, "-config", path, "check-config")
	for line := range strings.Lines(complaint) {
		if key, _, is := strings.Cut(strings.TrimPrefix(line, "menshen: "), ": "); is && !strings.HasPrefix(line, "warning") {
			problems = append(problems, config.Problem{Key: key})
		}
	}
	if exit != cli.ExitFailure || len(problems) != len(keys) {
		t.Errorf("check-config of the file: exit %d, %q, want %v", exit, complaint, keys)
	}
	for _, key := range keys {
		if !slices.ContainsFunc(problems, func(p config.Problem) bool { return p.Key == key }) || !strings.Contains(report, "\n"+key+": ") {
			t.Errorf("%s is not named by check-config, %q, and by init, %q", key, complaint, report)
		}
	}
	whole := string(text)
	for left, value := range filledIn {
		whole = strings.ReplaceAll(whole, " "+left, " "+value)
	}
	writeFile(t, path, whole)
	if exit, out, complaint := d.command(t, "check-config", "-config", path); exit != cli.ExitOK || !strings.Contains(out, "env: production") {
		t.Errorf("filled in: exit %d, %q, %q", exit, out, complaint)
	}
}

// TestInitIsFresh: two files share no secret, a file that is there stays as it is, and a
// wrong flag writes nothing.
func TestInitIsFresh(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, repository.SQLite)
	folder := t.TempDir()
	secrets := map[string]bool{}
	for _, name := range []string{"a.yaml", "b.yaml"} {
		exit, out, _ := d.command(t, "init", "-o", filepath.Join(folder, name))
		text, err := os.ReadFile(filepath.Join(folder, name))
		if exit != cli.ExitOK || err != nil {
			t.Fatalf("exit %d, %v", exit, err)
		}
		for line := range strings.Lines(string(text) + out) {
			if strings.Contains(line, "whsec_") || strings.Contains(line, " key: ") || strings.Contains(line, "sha256:") || strings.Contains(line, "admin API") {
				if secrets[line] {
					t.Errorf("used twice: %s", line)
				}
				secrets[line] = true
			}
		}
	}
	if len(secrets) != 8 {
		t.Errorf("%d secrets in two files and their reports, want 8", len(secrets))
	}
	mine := filepath.Join(folder, "mine.yaml")
	writeFile(t, mine, "env: dev\n")
	if exit, _, complaint := d.command(t, "init", "-yes", "-o", mine); exit != cli.ExitFailure || !strings.Contains(complaint, "stays as it is") {
		t.Errorf("over a file: exit %d, %q", exit, complaint)
	}
	if text, _ := os.ReadFile(mine); string(text) != "env: dev\n" {
		t.Errorf("the file is %q", text)
	}
	for _, args := range [][]string{{"-provider", "log"}, {"-provider", "pigeon"}, {"-driver", "oracle"}, {"x"}, {"-o"}} {
		exit, out, complaint := d.command(t, append([]string{"init", "-o", filepath.Join(folder, "none.yaml")}, args...)...)
		if exit != cli.ExitUsage || out != "" || !strings.Contains(complaint, "menshen") {
			t.Errorf("%q: exit %d, %q, %q", args, exit, out, complaint)
		}
	}
	if _, err := os.Stat(filepath.Join(folder, "none.yaml")); err == nil {
		t.Error("a wrong flag wrote a file")
	}
}
