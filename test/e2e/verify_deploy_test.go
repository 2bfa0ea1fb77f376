//go:build verify

package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"menshen/repository"
)

// TestVerifyGateway runs deploy/nginx.conf in front of two instances, one of which
// does not run.
func TestVerifyGateway(t *testing.T) {
	d := newDeployment(t, repository.SQLite, "SERVER_TRUSTED_PROXIES=127.0.0.1")
	d.client.Transport.(*http.Transport).TLSClientConfig = &tls.Config{InsecureSkipVerify: true} //nolint:gosec // a certificate of its own
	i := d.start(t, data)
	certificate, key := writeCertificate(t)
	plain, secure := freeAddress(t), freeAddress(t)
	runNginx(t, "../../deploy/nginx.conf", secure, "menshen-1:8080", strings.TrimPrefix(i.public, "http://"), "menshen-2:8080", freeAddress(t),
		"listen 80;", "listen "+plain+";", "listen 443 ssl;", "listen "+secure+" ssl;", "tls/fullchain.pem", certificate, "tls/privkey.pem", key,
		"worker_rlimit_nofile 65536;", "daemon off; pid nginx.pid;", "worker_connections 16384;", "worker_connections 256;", "limit_conn addresses 2000;", "limit_conn addresses 10;",
		"server_tokens off;", "server_tokens off; client_body_temp_path a; proxy_temp_path b; fastcgi_temp_path c; uwsgi_temp_path d; scgi_temp_path e;")
	gateway := &instance{d: d, name: "gateway", public: "https://" + secure, admin: i.admin}

	t.Run("requests pass, whichever instance is gone", func(t *testing.T) {
		for range 10 {
			s := gateway.login(t, "", "device")
			gateway.wantState(t, s, "active")
			gateway.refreshSession(t, s)
		}
	})
	t.Run("the client's address is not what it says", func(t *testing.T) {
		s := gateway.login(t, "", "device")
		request, err := loginRequest(s.mobile, gateway.sendCode(t, s.mobile), "device").http(t.Context(), gateway.public)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("X-Forwarded-For", "203.0.113.9")
		response, err := d.client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		var ips []string
		rows, err := d.sql(t).QueryContext(t.Context(), "SELECT DISTINCT ip FROM sessions WHERE user_id = ?", s.user)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var ip string
			if err := rows.Scan(&ip); err != nil {
				t.Fatal(err)
			}
			ips = append(ips, ip)
		}
		if strings.Join(ips, " ") != "127.0.0.1" || rows.Err() != nil {
			t.Errorf("the addresses are %q, error %v", ips, rows.Err())
		}
	})
	t.Run("streams and held checks", func(t *testing.T) {
		s := gateway.login(t, "", "")
		held := gateway.holdCheck(t, s, "device")
		stream := gateway.events(t, s)
		i.kick(t, s)
		stream.wantEnded(t, "kicked", time.Second)
		if answer := <-held; answer.state() != "kicked" {
			t.Errorf("the held check: %s", answer)
		}
	})
	t.Run("what an address holds is bounded", func(t *testing.T) {
		s := gateway.login(t, "", "device")
		var held []<-chan answer
		for range 9 {
			held = append(held, gateway.holdCheck(t, s, "device"))
		}
		stream := gateway.events(t, s)
		var beyond answer
		eventually(t, callTime, "a call beyond it", func() bool { // once the last check has arrived
			beyond = gateway.call(request{path: "/app/auth/user", token: s.access})
			return beyond.status == http.StatusTooManyRequests
		})
		if beyond.code != 42900 || beyond.header.Get("Retry-After") != "1" {
			t.Errorf("beyond it: %s", beyond)
		}
		i.kick(t, s)
		for _, check := range held {
			if a := <-check; a.state() != "kicked" {
				t.Errorf("within it: %s", a)
			}
		}
		stream.wantEnded(t, "kicked", callTime)
	})
	t.Run("refusals are the service's own", func(t *testing.T) {
		for path, code := range map[string]int32{"/metrics": 40400, "/admin/users": 40400, "/internal/revocations": 40400, "/app/auth/user": 40100} {
			if answer := gateway.call(request{path: path}); answer.code != code {
				t.Errorf("%s: %s", path, answer)
			}
		}
		if answer := gateway.call(request{path: "/auth/mobile/login", body: strings.Repeat("x", 20<<10)}); answer.code != 41300 {
			t.Errorf("a large body: %s", answer)
		}
		if answer := gateway.call(request{path: "/hooks/sms/aliyun/none", body: strings.Repeat("x", 200<<10)}); answer.code != 40400 {
			t.Errorf("a large batch of receipts: %s", answer)
		}
	})
	t.Run("without TLS", func(t *testing.T) {
		answer := d.exchange(t.Context(), "http://"+plain, request{path: "/app/auth/user"})
		if answer.status != http.StatusPermanentRedirect || !strings.HasPrefix(answer.header.Get("Location"), "https://") {
			t.Errorf("%s to %s", answer, answer.header.Get("Location"))
		}
	})
}

// writeCertificate makes a certificate and returns the files of it and of its key.
func writeCertificate(t *testing.T) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"}}
	public, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	home, err := os.MkdirTemp("", "menshen-tls.")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(home) })
	if err := os.Chmod(home, 0o755); err != nil { // for nginx, which runs as another user
		t.Fatal(err)
	}
	certificate, key = filepath.Join(home, "fullchain.pem"), filepath.Join(home, "privkey.pem")
	for file, block := range map[string]*pem.Block{certificate: {Type: "CERTIFICATE", Bytes: public}, key: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return certificate, key
}
