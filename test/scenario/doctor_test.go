package scenario

import (
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"menshen/cli"
	"menshen/model"
	"menshen/repository"
	"menshen/repository/dbtest"
)

// doctor runs the command and returns its checks by name.
func (d *deployment) doctor(t *testing.T) (exit int, checks map[string]model.Check) {
	t.Helper()
	exit, out, complaint := d.command(t, "doctor", "-json")
	var answer struct {
		Checks []model.Check `json:"checks"`
	}
	if err := json.Unmarshal([]byte(out), &answer); err != nil || len(answer.Checks) == 0 {
		t.Fatalf("doctor: exit %d, %v, %q, %q", exit, err, out, complaint)
	}
	checks = map[string]model.Check{}
	for _, c := range answer.Checks {
		if _, twice := checks[c.Name]; twice || c.Detail == "" {
			t.Errorf("check %+v, twice or without a detail", c)
		}
		checks[c.Name] = c
	}
	return exit, checks
}

// wantCheck fails unless the check ended so and says part.
func wantCheck(t *testing.T, checks map[string]model.Check, name string, ok bool, part string) {
	t.Helper()
	if c, found := checks[name]; !found || c.OK != ok || !strings.Contains(c.Detail, part) {
		t.Errorf("check %q is %+v, want %v with %q", name, c, ok, part)
	}
}

// TestDoctor: a running deployment is well, a fresh one too, and each fault is one failed
// check and exit code 1.
func TestDoctor(t *testing.T) {
	t.Parallel()
	for _, driver := range dbtest.Drivers(t) {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			d := newDeployment(t, driver)
			exit, checks := d.doctor(t)
			if exit != cli.ExitOK {
				t.Errorf("fresh: exit %d, %+v", exit, checks)
			}
			wantCheck(t, checks, "key folder", true, "could not look")
			if _, err := os.Stat(d.folder); err == nil {
				t.Error("doctor made the folder of data")
			}
			d.start(t)
			exit, checks = d.doctor(t)
			for name, c := range checks {
				if !c.OK {
					t.Errorf("%s: %s", name, c.Detail)
				}
			}
			wantCheck(t, checks, "database", true, "this program's")
			wantCheck(t, checks, "key folder", true, "1 keys")
			wantCheck(t, checks, "vendor webhook", true, "accepts connections")
			if exit != cli.ExitOK {
				t.Errorf("exit %d", exit)
			}
			d.wantFaults(t)
		})
	}
}

// wantFaults breaks one thing after the other.
func (d *deployment) wantFaults(t *testing.T) {
	t.Helper()
	settings := d.settings
	for _, row := range []struct{ setting, check, part string }{
		{"SECRET_KEY=MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=", "database", "secret.key"},
		{"TOKEN_ALGORITHM=EdDSA", "key folder", "keys rotate"},
		{"SMS_WEBHOOK_URL=http://127.0.0.1:1/", "vendor webhook", "127.0.0.1:1"},
		{"SMS_WEBHOOK_URL=http://no-such-host.invalid/", "dns", "no-such-host.invalid"},
		{"LOG_LEVEL=loud", "configuration", "log.level"},
	} {
		d.settings = append(settings[:len(settings):len(settings)], row.setting)
		exit, checks := d.doctor(t)
		wantCheck(t, checks, row.check, false, row.part)
		if exit != cli.ExitFailure {
			t.Errorf("%s: exit %d", row.check, exit)
		}
	}
	d.settings = settings
	wide := filepath.Join(d.folder, "secret.key")
	if err := os.Chmod(wide, 0o644); err != nil {
		t.Fatal(err)
	}
	_, checks := d.doctor(t)
	wantCheck(t, checks, "file modes", false, wide)
	if err := os.Chmod(wide, 0o600); err != nil {
		t.Fatal(err)
	}
	if d.driver == repository.MySQL {
		d.skew.Store(int64(time.Hour))
		_, checks = d.doctor(t)
		wantCheck(t, checks, "database clock", false, "NTP")
		d.skew.Store(0)
	}
}

// TestDoctorAsksVendors: a vendor is asked for the head of its front page alone; its clock
// and its certificate are compared.
func TestDoctorAsksVendors(t *testing.T) {
	t.Parallel()
	late := time.Now().Add(-time.Hour)
	serve := func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodHead || r.URL.Path != "/" || len(r.Header.Get("Authorization")) > 0 {
			t.Errorf("asked %s %s", r.Method, r.URL)
		}
		w.Header().Set("Date", late.UTC().Format(http.TimeFormat))
		w.WriteHeader(http.StatusForbidden)
	}
	plain := httptest.NewServer(http.HandlerFunc(serve))
	defer plain.Close()
	untrusted := httptest.NewUnstartedServer(http.HandlerFunc(serve))
	untrusted.Config.ErrorLog = log.New(io.Discard, "", 0)
	untrusted.StartTLS()
	defer untrusted.Close()
	d := newDeployment(t, repository.SQLite, "SMS_PROVIDER=aliyun", "SMS_ALIYUN_ENDPOINT="+plain.URL, "SMS_ALIYUN_ACCESS_KEY_ID=id", "SMS_ALIYUN_ACCESS_KEY_SECRET=canary-vendor-secret",
		`SMS_TEMPLATES=[{"provider":"aliyun","languages":["zh-CN","en"],"sign":"s","template":"1"}]`)
	exit, checks := d.doctor(t)
	wantCheck(t, checks, "vendor aliyun", true, "status 403")
	wantCheck(t, checks, "time", false, "-1h0m")
	if exit != cli.ExitFailure {
		t.Errorf("exit %d", exit)
	}
	d.settings = append(d.settings, "SMS_ALIYUN_ENDPOINT="+untrusted.URL)
	_, checks = d.doctor(t)
	wantCheck(t, checks, "tls", false, "certificate")
	wantCheck(t, checks, "vendor aliyun", false, "certificate")
	wantCheck(t, checks, "time", true, "could not")
	for name, c := range checks {
		if strings.Contains(c.Detail, "canary") {
			t.Errorf("%s shows a secret: %s", name, c.Detail)
		}
	}
	_, text, _ := d.command(t, "doctor")
	if !strings.Contains(text, "FAIL  tls") || !strings.Contains(text, "ok    database") {
		t.Errorf("in words: %s", text)
	}
}
