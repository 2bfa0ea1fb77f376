// Package clients tests that the generators that people use make clients of the admin API
// from its document, and that these clients work.
package clients

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	_ "github.com/oapi-codegen/nullable" // what the generated Go client imports
	_ "github.com/oapi-codegen/runtime"
)

const adminKey = "clients-admin-key-0123456789-0123456789"

// TestClients generates a client of each kind, compiles it and calls a running service.
func TestClients(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	document, modules := filepath.Join(root, "router/openapi-admin.yaml"), filepath.Join(root, "tools/openapi/node_modules")
	t.Setenv("ADMIN_URL", startService(t, root))
	t.Setenv("ADMIN_KEY", adminKey)
	t.Run("oapi-codegen", func(t *testing.T) {
		folder := t.TempDir()
		for name, from := range map[string]string{"go.mod": "../go.mod", "go.sum": "../go.sum", "main.go": "testdata/main.go.txt"} {
			copyFile(t, from, filepath.Join(folder, name))
		}
		write(t, filepath.Join(folder, "oapi.yaml"), "package: main\noutput: client.gen.go\ngenerate: {models: true, client: true}\noutput-options: {nullable-type: true}\n")
		run(t, folder, "go", "tool", "oapi-codegen", "-version") // Its build may say that it downloads.
		if warned := run(t, folder, "go", "tool", "oapi-codegen", "-config", "oapi.yaml", document); len(warned) > 0 {
			t.Errorf("oapi-codegen says: %s", warned)
		}
		run(t, folder, "go", "run", ".")
	})
	t.Run("openapi-ts", func(t *testing.T) {
		folder := t.TempDir()
		copyFile(t, "testdata/main.ts", filepath.Join(folder, "main.ts"))
		write(t, filepath.Join(folder, "tsconfig.json"), `{"compilerOptions": {"target": "ES2022", "module": "CommonJS", "lib": ["ES2022", "DOM", "DOM.Iterable"],
"types": [], "strict": true, "noUncheckedIndexedAccess": true, "noUnusedLocals": true, "outDir": "out"}, "include": ["."]}`)
		run(t, folder, filepath.Join(modules, ".bin/openapi-ts"), "-i", document, "-o", "admin")
		run(t, folder, filepath.Join(modules, ".bin/tsc"), "-p", ".")
		run(t, folder, "node", "out/main.js")
	})
}

// startService runs the program in development and returns the URL of its admin listener.
func startService(t *testing.T, root string) string {
	t.Helper()
	folder := t.TempDir()
	run(t, root, "go", "build", "-o", filepath.Join(folder, "menshen"), ".")
	service := exec.Command(filepath.Join(folder, "menshen"))
	service.Dir = folder
	service.Env = append(os.Environ(), "MENSHEN_ENV=dev", "MENSHEN_LOG_FORMAT=json", "MENSHEN_SERVER_ADDR=127.0.0.1:0", "MENSHEN_SERVER_ADMIN_ADDR=127.0.0.1:0",
		`MENSHEN_ADMIN_KEYS=[{"name":"clients","key":"`+adminKey+`"}]`)
	log, err := service.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	service.Stderr = os.Stderr
	if err := service.Start(); err != nil {
		t.Fatal(err)
	}
	served, ended := make(chan string, 1), make(chan struct{})
	go func() {
		defer close(ended)
		for lines := bufio.NewScanner(log); lines.Scan(); {
			var line struct{ Msg, AdminAddr string }
			if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "serving" {
				served <- "http://" + line.AdminAddr
			}
		}
	}()
	t.Cleanup(func() {
		_ = service.Process.Signal(syscall.SIGTERM)
		<-ended
		if err := service.Wait(); err != nil {
			t.Error(err)
		}
	})
	select {
	case admin := <-served:
		return admin
	case <-ended:
		t.Fatal("the service ended")
	case <-time.After(time.Minute):
		t.Fatal("the service does not serve")
	}
	return ""
}

// run runs a command, which must succeed, and returns its output.
func run(t *testing.T, folder, name string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = folder
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", filepath.Base(name), args, err, out)
	}
	return out
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	write(t, to, string(text))
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
