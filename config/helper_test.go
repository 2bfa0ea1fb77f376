package config_test

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"menshen/config"
)

// canary is a secret in the wrong place: no message may hold it. It is short and
// plain, so that no check drops it for its form.
const canary = "canary7f3a"

// today is when the tests load configurations.
var today = time.Date(2029, 12, 1, 0, 0, 0, 0, time.UTC)

// shipped is the config.yaml that the binary embeds.
func shipped(t testing.TB) []byte {
	t.Helper()
	text, err := os.ReadFile("../config.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// load merges the text of a file and the variables with the shipped defaults.
func load(t testing.TB, file string, environ ...string) (*config.Config, []string, error) {
	t.Helper()
	o := config.Options{Defaults: shipped(t), Environ: environ, Now: today}
	if file != "" {
		o.File, o.FileRequired = write(t, "config.yaml", file), true
	}
	return config.Load(o)
}

// mustLoad fails the test unless the configuration is valid and without warnings.
func mustLoad(t testing.TB, file string, environ ...string) *config.Config {
	t.Helper()
	cfg, warnings, err := load(t, file, environ...)
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	if len(warnings) > 0 && !cfg.Dev.Open { // which is a warning of its own
		t.Fatalf("Load warns: %q", warnings)
	}
	return cfg
}

// problems fails the test unless err is Problems.
func problems(t testing.TB, err error) config.Problems {
	t.Helper()
	var list config.Problems
	if !errors.As(err, &list) || len(list) == 0 {
		t.Fatalf("Load answers %v, want Problems", err)
	}
	return list
}

func write(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// key makes a secret that looks random: bytes from first upwards.
func key(first, size int) string {
	raw := make([]byte, size)
	for i := range raw {
		raw[i] = byte(first + 7*i)
	}
	return base64.StdEncoding.EncodeToString(raw)
}

// production is the minimal environment of a valid production configuration.
func production(more ...string) []string {
	return append([]string{
		"MENSHEN_ENV=production",
		"MENSHEN_SECRET_KEY=" + key(1, 32),
		"MENSHEN_SMS_PROVIDER=webhook",
		"MENSHEN_SMS_WEBHOOK_URL=https://sms.example.com/send",
		"MENSHEN_SMS_WEBHOOK_SECRET=whsec_" + key(2, 24),
	}, more...)
}

// keysOf lists the dotted keys of a YAML text with their nodes, without the reader of
// the package. A list is one key.
func keysOf(t testing.TB, text []byte) map[string]*yaml.Node {
	t.Helper()
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	keys := map[string]*yaml.Node{}
	var walk func(n *yaml.Node, path string)
	walk = func(n *yaml.Node, path string) {
		if n.Kind != yaml.MappingNode || path == "token.claims" { // which is one key
			keys[path] = n
			return
		}
		for i := 0; i < len(n.Content); i += 2 {
			walk(n.Content[i+1], strings.TrimPrefix(path+"."+n.Content[i].Value, "."))
		}
	}
	walk(document.Content[0], "")
	return keys
}

// variable is the name of a key's environment variable.
func variable(key string) string {
	return "MENSHEN_" + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}

// hashOf is the SHA-256 of an operator's key in the form of the configuration.
func hashOf(key string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(key))) }
