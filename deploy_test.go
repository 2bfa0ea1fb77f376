package main

import (
	"crypto/rand"
	"encoding/base64"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"menshen/config"
)

// composition is what of deploy/compose.yaml concerns the program.
type composition struct {
	Services map[string]struct {
		Image       string
		Environment map[string]string
		Secrets     []string
		Volumes     []string
		Networks    any // names, or addresses by name
	}
	Networks map[string]struct {
		Ipam struct {
			Config []struct {
				Subnet string
				Range  string `yaml:"ip_range"`
			}
		}
	}
	Secrets map[string]struct{ File string }
	Volumes map[string]any
}

// freshSecrets are what its comment puts into the files of its secrets.
func freshSecrets() map[string]string {
	random := make([]byte, 32)
	_, _ = rand.Read(random)
	key := base64.StdEncoding.EncodeToString(random)
	return map[string]string{
		"dsn": "menshen:" + rand.Text() + "@tcp(mysql:3306)/menshen", "secret_key": key + "\n", "webhook_secret": "whsec_" + key,
		"admin_keys": `[{"name":"alice","key":"` + rand.Text() + rand.Text() + `"}]`, "clients": `[{"id":"orders","secret":"` + rand.Text() + rand.Text() + `"}]`,
	}
}

// TestCompose: the program starts with what deploy/compose.yaml gives it, and both
// instances and nginx agree.
func TestCompose(t *testing.T) {
	var c composition
	if err := yaml.Unmarshal(readText(t, "deploy/compose.yaml"), &c); err != nil {
		t.Fatal(err)
	}
	gateway, instances := string(readText(t, "deploy/nginx.conf")), 0
	for name, service := range c.Services {
		for _, secret := range service.Secrets {
			if c.Secrets[secret].File != "./secrets/"+secret {
				t.Errorf("%s: the secret %s is in %q", name, secret, c.Secrets[secret].File)
			}
		}
		if service.Image != "menshen" {
			continue
		}
		instances++
		cfg := composed(t, service.Environment, service.Secrets)
		if !cfg.Production() || cfg.Database.Driver != "mysql" || len(cfg.Clients) != 1 || len(cfg.Admin.Keys) != 1 {
			t.Errorf("%s: %s", name, cfg.Masked())
		}
		if !strings.Contains(gateway, "server "+name+cfg.Server.Addr+" ") {
			t.Errorf("nginx does not know %s", name)
		}
		if !slices.Contains(service.Volumes, "data:/data") || !strings.HasPrefix(cfg.KeyDir(), "/data/") {
			t.Errorf("%s: the keys are in %s, the volumes are %q", name, cfg.KeyDir(), service.Volumes)
		}
		if nginx := c.address(t, "nginx"); !slices.Equal(cfg.Server.TrustedProxies, []string{nginx + "/32"}) || c.address(t, name) == nginx {
			t.Errorf("%s: trusts %q, nginx is %s", name, cfg.Server.TrustedProxies, nginx)
		}
	}
	if instances != 2 {
		t.Errorf("%d instances", instances)
	}
}

// address is the service's fixed one, which no other container is given.
func (c composition) address(t *testing.T, service string) string {
	t.Helper()
	networks, _ := c.Services[service].Networks.(map[string]any)
	inside, _ := networks["inside"].(map[string]any)
	text, _ := inside["ipv4_address"].(string)
	address, err := netip.ParseAddr(text)
	pool := c.Networks["inside"].Ipam.Config[0]
	if err != nil || !netip.MustParsePrefix(pool.Subnet).Contains(address) || netip.MustParsePrefix(pool.Range).Contains(address) {
		t.Errorf("%s has the address %q in %+v", service, text, pool)
	}
	return text
}

// composed is the configuration that an environment gives in the image. Every
// variable of it must be known.
func composed(t *testing.T, variables map[string]string, secrets []string) *config.Config {
	t.Helper()
	environ := []string{"MENSHEN_DATA_DIR=/data"} // the Dockerfile's
	for name, value := range variables {
		if secret, given := strings.CutPrefix(value, "/run/secrets/"); given {
			if !slices.Contains(secrets, secret) {
				t.Errorf("%s: the service has no secret %s", name, secret)
			}
			value = filepath.Join(t.TempDir(), secret)
			writeFile(t, value, freshSecrets()[secret])
		}
		environ = append(environ, name+"="+value)
	}
	cfg, warnings, err := config.Load(config.Options{Defaults: defaults, File: "config.yaml.none", Environ: environ})
	if err != nil || len(warnings) > 0 {
		t.Fatalf("error %v, warnings %q", err, warnings)
	}
	if err := rehearse(cfg); err != nil {
		t.Error(err)
	}
	return cfg
}

// TestBackupOfCompose: what docs/operations.md has backed up of the compose file
// has the secret without which the rest is worthless, and the keys.
func TestBackupOfCompose(t *testing.T) {
	secret := regexp.MustCompile(`(?m)^  secret_key: \{file: \./(\S+)\}$`).FindSubmatch(readText(t, "deploy/compose.yaml"))
	_, text, _ := strings.Cut(string(readText(t, "docs/operations.md")), "## Back up")
	text, _, _ = strings.Cut(text, "## Restore")
	for _, want := range []string{"docker compose exec -T mysql", "docker compose cp menshen-1:/data/keys", " " + string(secret[1]) + "\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("the backup has no %q", want)
		}
	}
}

// TestDockerfile: the image is built as `make build` builds, and has the data
// folder that the configuration names.
func TestDockerfile(t *testing.T) {
	dockerfile, module, makefile := string(readText(t, "Dockerfile")), string(readText(t, "go.mod")), string(readText(t, "Makefile"))
	version := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(module)[1]
	tags := regexp.MustCompile(`-tags=([a-z,]+)\)`).FindStringSubmatch(makefile)[1]
	for _, want := range []string{
		"FROM golang:" + version + "-", " -tags=" + tags + " ", "-X main.version=", "FROM scratch", "ca-certificates.crt", "USER 65532:65532", "--chown=65532:65532 /out/data /data",
		"ENV MENSHEN_DATA_DIR=/data", `CMD ["/menshen", "healthcheck"]`, `ENTRYPOINT ["/menshen"]`,
	} {
		if !strings.Contains(dockerfile, want) {
			t.Errorf("the Dockerfile has no %q", want)
		}
	}
	before, _, _ := strings.Cut(dockerfile, "RUN go mod download")
	for _, local := range regexp.MustCompile(`=> \./(\w+)/`).FindAllStringSubmatch(module, -1) {
		if !strings.Contains(before, "COPY "+local[1]+" "+local[1]+"\n") {
			t.Errorf("go mod download misses %s", local[1])
		}
	}
}

func readText(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestAlarms: each alarm is explained in docs/operations.md and played, and asks
// for metrics that there are.
func TestAlarms(t *testing.T) {
	rules, played := string(readText(t, "deploy/prometheus/alerts.yaml")), string(readText(t, "deploy/prometheus/alerts_test.yaml"))
	_, told, _ := strings.Cut(string(readText(t, "docs/operations.md")), "## What each alarm means")
	var alarms, explained []string
	for _, found := range regexp.MustCompile(`(?m)^ +- alert: (\w+)$`).FindAllStringSubmatch(rules, -1) {
		alarms = append(alarms, found[1])
		for _, how := range []string{" rings\n", " is quiet\n"} {
			if !strings.Contains(played, "- name: "+found[1]+how) {
				t.Errorf("alerts_test.yaml has no %s%s", found[1], how)
			}
		}
	}
	for _, found := range regexp.MustCompile("(?m)^\\| `(Menshen\\w+)`").FindAllStringSubmatch(told, -1) {
		explained = append(explained, found[1])
	}
	if len(alarms) == 0 || !slices.Equal(alarms, explained) {
		t.Errorf("the alarms are %q, explained are %q", alarms, explained)
	}
	metrics := documented(t)
	for _, name := range regexp.MustCompile(`menshen_[a-z_]+`).FindAllString(rules, -1) {
		if !metrics[family(name)] {
			t.Errorf("there is no metric %s", name)
		}
	}
}
