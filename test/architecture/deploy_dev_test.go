package architecture

import (
	"net"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"menshen/app"
)

// TestComposeOfDevelopment: the program starts with what deploy/compose.dev.yaml gives it, with
// the pages of development, and no other machine reaches a port of it.
func TestComposeOfDevelopment(t *testing.T) {
	atTop(t)
	var c composition
	if err := yaml.Unmarshal(readText(t, "deploy/compose.dev.yaml"), &c); err != nil {
		t.Fatal(err)
	}
	service, found := c.Services["menshen"]
	if !found || len(c.Services) != 1 || service.Image != "menshen" {
		t.Fatalf("the services are %v", c.Services)
	}
	environ := []string{"MENSHEN_DATA_DIR=" + t.TempDir()}
	for name, value := range service.Environment {
		environ = append(environ, name+"="+value)
	}
	a, err := app.New(app.Process{Environ: environ, Now: time.Now, Defaults: readText(t, "config.yaml")}, "")
	if err != nil {
		t.Fatal(err)
	}
	if a.Config.Production() || a.Config.Env != "dev" || !a.Config.Dev.Open || a.Config.Database.Driver != "sqlite" || a.Config.SMS.Provider != "log" {
		t.Errorf("the configuration is %s", a.Config.Masked())
	}
	var published []string
	for _, port := range service.Ports {
		parts := strings.Split(port, ":") // address, port there, port of the container
		if len(parts) != 3 || parts[0] != "127.0.0.1" || parts[1] != parts[2] {
			t.Fatalf("the port %s is open to other machines, or another one there", port)
		}
		published = append(published, parts[2])
	}
	for _, addr := range []string{a.Config.Server.Addr, a.Config.Server.AdminAddr} {
		if host, port, err := net.SplitHostPort(addr); err != nil || host != "" || !slices.Contains(published, port) {
			t.Errorf("%s is not published: %q", addr, service.Ports)
		}
	}
	if !slices.Contains(service.Volumes, "data:/data") || !service.ReadOnly || !slices.Equal(service.Dropped, []string{"ALL"}) {
		t.Errorf("volumes %q, read-only %v, dropped %q", service.Volumes, service.ReadOnly, service.Dropped)
	}
}

// TestModuleProxy: the image is built with another module proxy if one is named, and with
// Go's own otherwise. Both compose files hand it on, and both READMEs say how.
func TestModuleProxy(t *testing.T) {
	atTop(t)
	before, _, _ := strings.Cut(string(readText(t, "Dockerfile")), "RUN go mod download")
	if _, stage, _ := strings.Cut(before, "FROM golang"); !regexp.MustCompile(`(?m)^ARG GOPROXY$`).MatchString(stage) {
		t.Error("the Dockerfile takes no GOPROXY, or has a default of its own")
	}
	readme := []string{
		"go env -w GOPROXY=https://goproxy.cn,direct", "--build-arg GOPROXY=https://goproxy.cn,direct",
		"GOPROXY=https://goproxy.cn,direct docker compose -f deploy/compose.dev.yaml up --build",
	}
	for name, want := range map[string][]string{
		"deploy/compose.yaml": {"args: [GOPROXY]"}, "deploy/compose.dev.yaml": {"args: [GOPROXY]"}, "README.md": readme, "README.zh-CN.md": readme,
	} {
		for _, one := range want {
			if !strings.Contains(string(readText(t, name)), one) {
				t.Errorf("%s has no %q", name, one)
			}
		}
	}
}
