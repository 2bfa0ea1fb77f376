package architecture

import (
	"crypto/rand"
	"encoding/base64"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"menshen/app"
	"menshen/config"
)

// composition is what of deploy/compose.yaml concerns the program.
type composition struct {
	Services map[string]struct {
		Image       string
		Environment map[string]string
		Secrets     []string
		Volumes     []string
		Ports       []string
		Networks    any // names, or addresses by name

		ReadOnly      bool     `yaml:"read_only"`
		Privileged    bool     `yaml:"privileged"`
		Capabilities  []string `yaml:"cap_add"`
		Dropped       []string `yaml:"cap_drop"`
		Security      []string `yaml:"security_opt"`
		Processes     int      `yaml:"pids_limit"`
		Memory        string   `yaml:"mem_limit"`
		MemoryAndSwap string   `yaml:"memswap_limit"`
		Ulimits       map[string]int
		Logging       struct{ Driver string }
	}
	Networks map[string]struct {
		Internal bool
		Ipam     struct {
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
		"dsn": "menshen:" + rand.Text() + "@tcp(mysql:3306)/menshen?tls=skip-verify", "secret_key": key + "\n", "webhook_secret": "whsec_" + key,
		"admin_keys": `[{"name":"alice","key":"` + rand.Text() + rand.Text() + `"}]`, "clients": `[{"id":"orders","secret":"` + rand.Text() + rand.Text() + `"}]`,
	}
}

// TestCompose: the program starts with what deploy/compose.yaml gives it, and both
// instances and nginx agree.
func TestCompose(t *testing.T) {
	atTop(t)
	var c composition
	readComposition(t, &c)
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
		if kept := regexp.MustCompile(`(?s)upstream .*?keepalive_timeout (\d+s);`).FindStringSubmatch(gateway); kept == nil {
			t.Error("nginx does not say how long it keeps idle connections")
		} else if d, _ := time.ParseDuration(kept[1]); d >= cfg.Server.IdleTimeout {
			t.Errorf("nginx keeps idle connections for %s, %s for %s", d, name, cfg.Server.IdleTimeout)
		}
		if !strings.Contains(gateway, "server "+name+cfg.Server.Addr+" ") {
			t.Errorf("nginx does not know %s", name)
		}
		if host, _, _ := net.SplitHostPort(cfg.Server.AdminAddr); host != c.address(t, name) {
			t.Errorf("%s: the admin listener is on %s, not on the network inside", name, cfg.Server.AdminAddr)
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

func readComposition(t *testing.T, c *composition) {
	t.Helper()
	if err := yaml.Unmarshal(readText(t, "deploy/compose.yaml"), c); err != nil {
		t.Fatal(err)
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
	environ := []string{"MENSHEN_ENV=production", "MENSHEN_DATA_DIR=/data"} // the Dockerfile's
	for name, value := range variables {
		if secret, given := strings.CutPrefix(value, "/run/secrets/"); given {
			if !slices.Contains(secrets, secret) {
				t.Errorf("%s: the service has no secret %s", name, secret)
			}
			value = filepath.Join(t.TempDir(), secret)
			if err := os.WriteFile(value, []byte(freshSecrets()[secret]), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		environ = append(environ, name+"="+value)
	}
	a, err := app.New(app.Process{Environ: environ, Now: time.Now, Defaults: readText(t, "config.yaml")}, "")
	if err != nil || len(a.Warnings) > 0 {
		t.Fatalf("error %v, warnings %q", err, a.Warnings)
	}
	if err := a.Check(); err != nil {
		t.Error(err)
	}
	return a.Config
}

// TestBackupOfCompose: what docs/operations.md has backed up of the compose file
// has the secret without which the rest is worthless, and the keys.
func TestBackupOfCompose(t *testing.T) {
	atTop(t)
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
	atTop(t)
	dockerfile, module, makefile := string(readText(t, "Dockerfile")), string(readText(t, "go.mod")), string(readText(t, "Makefile"))
	version := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(module)[1]
	tags := regexp.MustCompile(`-tags=([a-z,]+)\)`).FindStringSubmatch(makefile)[1]
	for _, want := range []string{
		"FROM golang:" + version + "-", " -tags=" + tags + " ", "-X main.version=", "FROM scratch", "ca-certificates.crt", "USER 65532:65532", "--chown=65532:65532 /out/data /data",
		"ENV MENSHEN_ENV=production MENSHEN_DATA_DIR=/data\n", `CMD ["/menshen", "healthcheck"]`, `ENTRYPOINT ["/menshen"]`,
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
