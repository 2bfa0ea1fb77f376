//go:build verify

package e2e

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"menshen/repository"
)

// resourceServer is a program of others that lets requests with a good token pass.
type resourceServer struct {
	name, url string
	// byFeed: it hears of ended sessions by the feed and judges tokens by itself.
	byFeed bool
}

// TestVerify runs the resource servers of docs/verify.md against a deployment:
// each accepts a valid token and refuses everything else (contract §7).
func TestVerify(t *testing.T) {
	d := newDeployment(t, repository.SQLite, withClient, "TOKEN_KEY_ACTIVATION=1s", "TOKEN_AUDIENCE=menshen,orders")
	i := d.start(t, data)
	servers := []resourceServer{startNode(t, i), startGo(t, i), startNginx(t, i)}
	s := i.login(t, "", "device")
	each := func(t *testing.T, test func(t *testing.T, r resourceServer)) {
		for _, r := range servers {
			t.Run(r.name, func(t *testing.T) { test(t, r) })
		}
	}
	t.Run("a live token passes", func(t *testing.T) {
		each(t, func(t *testing.T, r resourceServer) { r.wantPass(t, d, s.access) })
	})
	t.Run("others do not", func(t *testing.T) {
		bad := badTokens(t, d, s.access)
		each(t, func(t *testing.T, r resourceServer) {
			for name, token := range bad {
				if status, challenge := r.ask(t, d, token); status != http.StatusUnauthorized || !strings.HasPrefix(challenge, "Bearer") {
					t.Errorf("%s: status %d, WWW-Authenticate %q", name, status, challenge)
				}
			}
			r.wantPass(t, d, s.access) // the one they were made of still does
		})
	})
	t.Run("a key that is new", func(t *testing.T) {
		old := keyOf(t, s.access)
		if out, err := func() ([]byte, error) {
			c := d.command(t, data)
			c.Args = append(c.Args, "keys", "rotate")
			return c.CombinedOutput()
		}(); err != nil {
			t.Fatalf("keys rotate: %v: %s", err, out)
		}
		var fresh *session
		eventually(t, callTime, "the new key signs", func() bool {
			fresh = i.login(t, "", "device")
			return keyOf(t, fresh.access) != old
		})
		each(t, func(t *testing.T, r resourceServer) {
			eventually(t, callTime, "its tokens pass", func() bool { status, _ := r.ask(t, d, fresh.access); return status == http.StatusOK })
			r.wantPass(t, d, s.access) // and those of the old key
		})
	})
	t.Run("a session that ended", func(t *testing.T) {
		each(t, func(t *testing.T, r resourceServer) {
			gone := i.login(t, "", "device")
			r.wantPass(t, d, gone.access)
			i.kick(t, gone)
			took := eventually(t, time.Second, "the token is refused", func() bool { status, _ := r.ask(t, d, gone.access); return status == http.StatusUnauthorized })
			t.Logf("refused after %s", took.Round(time.Millisecond))
			r.wantPass(t, d, s.access)
		})
	})
	t.Run("a session that ended before the start", func(t *testing.T) {
		i.kick(t, s)
		for _, r := range []resourceServer{startNode(t, i), startGo(t, i)} {
			if status, _ := r.ask(t, d, s.access); status != http.StatusUnauthorized {
				t.Errorf("%s: status %d", r.name, status)
			}
		}
	})
	t.Run("the service is away", func(t *testing.T) {
		other := i.login(t, "", "device")
		for _, r := range servers { // both have the keys
			r.wantPass(t, d, other.access)
		}
		i.stop(t)
		each(t, func(t *testing.T, r resourceServer) {
			if status, _ := r.ask(t, d, other.access); (status == http.StatusOK) != r.byFeed || status == http.StatusUnauthorized {
				t.Errorf("status %d", status)
			}
		})
	})
}

// ask sends a request with the token and gives the status and the challenge.
func (r resourceServer) ask(t *testing.T, d *deployment, token string) (status int, challenge string) {
	t.Helper()
	request, err := request{path: "/", token: token}.http(t.Context(), r.url)
	if err != nil {
		t.Fatal(err)
	}
	response, err := d.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	_, _ = io.Copy(io.Discard, response.Body)
	return response.StatusCode, response.Header.Get("WWW-Authenticate")
}

func (r resourceServer) wantPass(t *testing.T, d *deployment, token string) {
	t.Helper()
	if status, _ := r.ask(t, d, token); status != http.StatusOK {
		t.Errorf("%s: a live token has status %d", r.name, status)
	}
}

// keyOf returns the kid of a token.
func keyOf(t *testing.T, raw string) string {
	t.Helper()
	token, _, err := jwt.NewParser().ParseUnverified(raw, jwt.MapClaims{})
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(token.Header["kid"])
}

// badTokens returns tokens like raw, each with one fault. Except the forged ones
// they are signed by the deployment's own key.
func badTokens(t *testing.T, d *deployment, raw string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(d.folder, "keys", keyOf(t, raw)+".pem"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	own, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&own.(*ecdsa.PrivateKey).PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	with := func(method jwt.SigningMethod, key any, edit func(header map[string]any, claims jwt.MapClaims)) string {
		claims := jwt.MapClaims{}
		token, _, err := jwt.NewParser().ParseUnverified(raw, claims)
		if err != nil {
			t.Fatal(err)
		}
		token.Method, token.Header["alg"] = method, method.Alg()
		edit(token.Header, claims)
		signed, err := token.SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return signed
	}
	claim := func(name string, value any) string {
		return with(jwt.SigningMethodES256, own, func(_ map[string]any, claims jwt.MapClaims) { claims[name] = value })
	}
	header := func(name string, value any) func(map[string]any, jwt.MapClaims) {
		return func(header map[string]any, _ jwt.MapClaims) { header[name] = value }
	}
	same := func(map[string]any, jwt.MapClaims) {}
	return map[string]string{
		"none": "", "garbage": "x.y.z", "cut": raw[:len(raw)-10],
		"forged":                 with(jwt.SigningMethodES256, foreign, same),
		"forged by an unknown":   with(jwt.SigningMethodES256, foreign, header("kid", strings.Repeat("A", 43))),
		"unsigned":               with(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, same),
		"HMAC by the public key": with(jwt.SigningMethodHS256, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}), same),
		"of another type":        with(jwt.SigningMethodES256, own, header("typ", "JWT")),
		"expired":                claim("exp", time.Now().Add(-2*time.Minute).Unix()),
		"wrong audience":         claim("aud", "other"),
		"wrong issuer":           claim("iss", "https://other.example.com"),
	}
}

// startNode runs the resource server in Node.
func startNode(t *testing.T, i *instance) resourceServer {
	t.Helper()
	cmd := exec.Command("node", "server.mjs")
	cmd.Dir = "../../tools/verify/node"
	return resourceServer{name: "jose", url: i.startListener(t, cmd), byFeed: true}
}

// startGo runs the resource server in Go.
func startGo(t *testing.T, i *instance) resourceServer {
	t.Helper()
	path := filepath.Join(folder, "resource-server")
	build := exec.Command("go", "build", "-C", "../../tools/verify/go", "-buildvcs=false", "-o", path, ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", build.Args, err, out)
	}
	return resourceServer{name: "jwx", url: i.startListener(t, exec.Command(path)), byFeed: true}
}

// startListener runs a resource server that says where it listens.
func (i *instance) startListener(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	cmd.Env = append(os.Environ(), "ISSUER=menshen", "AUDIENCE=orders", "JWKS_URL="+i.public+"/.well-known/jwks.json",
		"FEED_URL="+i.admin+"/internal/revocations", "CLIENT_ID="+clientID, "CLIENT_SECRET="+clientSecret, "PORT=0")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	runUntilEnd(t, cmd)
	line, err := bufio.NewReader(out).ReadString('\n')
	address, said := strings.CutPrefix(strings.TrimSpace(line), "listening on ")
	if err != nil || !said {
		t.Fatalf("%s says %q, error %v", cmd.Path, line, err)
	}
	return "http://" + address
}

// runUntilEnd runs a program until the test ends.
func runUntilEnd(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
}

// startNginx runs the gateway of docs/verify.md.
func startNginx(t *testing.T, i *instance) resourceServer {
	t.Helper()
	gateway := freeAddress(t)
	runNginx(t, "../../tools/verify/nginx.conf", gateway, "127.0.0.1:8080", strings.TrimPrefix(i.public, "http://"),
		"127.0.0.1:8000", gateway, "127.0.0.1:9000", freeAddress(t))
	return resourceServer{name: "nginx", url: "http://" + gateway}
}

// runNginx runs nginx by a configuration in which texts are replaced, as an
// ordinary process in a folder of its own and never as root, and returns once it
// listens on address.
func runNginx(t *testing.T, file, address string, replace ...string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	home, err := os.MkdirTemp("", "menshen-nginx.")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(home) })
	conf := strings.NewReplacer(replace...).Replace(string(text))
	if err := os.WriteFile(filepath.Join(home, "nginx.conf"), []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("nginx", "-p", home, "-c", filepath.Join(home, "nginx.conf"), "-e", "stderr")
	cmd.Stderr = os.Stderr
	if os.Geteuid() == 0 {
		const nobody = 65534
		if err := os.Chown(home, nobody, nobody); err != nil {
			t.Fatal(err)
		}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	runUntilEnd(t, cmd)
	eventually(t, startTime, "nginx listens", func() bool {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
}

// freeAddress returns an address without a listener.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}
