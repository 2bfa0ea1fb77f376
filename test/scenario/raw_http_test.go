package scenario

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"menshen/repository"
)

// rawConn is a connection to the public listener on which a test speaks by itself.
type rawConn struct {
	net.Conn
	lines *bufio.Reader
}

// dial opens a connection and writes text to it.
func (d *deployment) dial(t *testing.T, text string) rawConn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(d.public, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	return rawConn{conn, bufio.NewReader(conn)}
}

// readAnswers are the status and, of envelopes, the code of every answer until the
// other side closes.
func (w rawConn) readAnswers(t *testing.T) (all []string) {
	t.Helper()
	for {
		response, err := http.ReadResponse(w.lines, nil)
		if err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) && !isReset(err) {
				t.Fatalf("after %v: %v", all, err)
			}
			return all
		}
		body, _ := io.ReadAll(response.Body)
		one := fmt.Sprint(response.StatusCode)
		if code, found := strings.CutPrefix(string(body), `{"code":`); found {
			one, _, _ = strings.Cut(code, ",")
		}
		all = append(all, one)
	}
}

func isReset(err error) bool {
	return strings.Contains(err.Error(), "connection reset")
}

// TestFraming: where a message ends is never a matter of taste. What could
// be read in two ways is refused and its connection closed; nothing that is in a
// body is ever taken for a request.
func TestFraming(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, repository.SQLite)
	d.start(t)
	const (
		post = "POST /auth/mobile/code HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
		// The body: a server that takes a part of it for a request answers 40400 as well.
		inside = "GET /inside HTTP/1.1\r\nHost: x\r\n\r\n"
	)
	length := fmt.Sprintf("Content-Length: %d\r\n", len(inside))
	chunk := fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(inside), inside)
	end := "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
	for _, row := range []struct{ name, text, want string }{
		{"one after the other", post + length + "\r\n" + inside + end, "40000 200"},
		{"chunks", post + "Transfer-Encoding: chunked\r\n\r\n" + chunk + end, "40000 200"},
		{"chunks win over a length", post + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk + end, "40000 200"},
		{"two lengths", post + length + "Content-Length: 4\r\n\r\n" + inside, "400"},
		{"two lengths in one", post + "Content-Length: 4, 5\r\n\r\n" + inside, "400"},
		{"a length with a sign", post + "Content-Length: +4\r\n\r\n" + inside, "400"},
		{"a negative length", post + "Content-Length: -1\r\n\r\n" + inside, "400"},
		{"a length in hexadecimal", post + "Content-Length: 0x4\r\n\r\n" + inside, "400"},
		{"a length over 64 bits", post + "Content-Length: 18446744073709551620\r\n\r\n" + inside, "400"},
		{"another coding", post + "Transfer-Encoding: xchunked\r\n\r\n" + chunk, "501"},
		{"two codings", post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n" + chunk, "501"},
		{"codings in a list", post + "Transfer-Encoding: gzip, chunked\r\n\r\n" + chunk, "501"},
		{"a coding with a control character", post + "Transfer-Encoding: \x0bchunked\r\n\r\n" + chunk, "400"},
		{"a chunk that ends with LF alone", post + "Transfer-Encoding: chunked\r\n\r\n" + strings.Replace(chunk, "\r\n", "\n", 1), "40000"},
		{"a chunk size with a sign", post + "Transfer-Encoding: chunked\r\n\r\n+" + chunk, "40000"},
		{"a chunk longer than it says", post + "Transfer-Encoding: chunked\r\n\r\n2\r\n" + inside, "40000"},
		{"a space before the colon", post + "Content-Length : 4\r\n\r\n" + inside, "400"},
		{"a folded line is a part of the header before", post + "X-A: b\r\n Content-Length: 4\r\n\r\n" + end, "40000 200"},
		{"a NUL in a header", post + "X-A: \x00\r\n\r\n", "400"},
		{"a CR in a header", post + "X-A: a\rb\r\n\r\n", "400"},
		{"no host", "GET /healthz HTTP/1.1\r\n\r\n", "400"},
		{"two hosts", "GET /healthz HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", "400"},
		{"another protocol", "GET /healthz HTTP/3.0\r\nHost: x\r\n\r\n", "505"},
		{"no protocol", "GET /healthz\r\n\r\n", "400"},
		{"TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", "400"},
		{"CONNECT to elsewhere", "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\nConnection: close\r\n\r\n", "40400"},
		{"CONNECT", "CONNECT /auth/mobile/login HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "40500"},
		{"TRACE", "TRACE /auth/mobile/login HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "40500"},
		{"an absolute address", "GET http://elsewhere/app/auth/user HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "40100"},
		{"OPTIONS of everything", "OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "40400"},
		{"an upgrade to HTTP/2", "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n", "200"},
		{"HTTP/2 at once", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "40400"},
		{"headers of nearly 16 KiB", "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-A: " + strings.Repeat("a", 16<<10-200) + "\r\n\r\n", "200"},
		{"more headers than 16 KiB", "GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: " + strings.Repeat("a", 16<<10) + "\r\n\r\n", "431"},
		{"more headers than that, many", "GET /healthz HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("X-A: a\r\n", 8<<10) + "\r\n", "431"},
		{"an address of 2 KiB and more", "GET /healthz?" + strings.Repeat("a", 2048) + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "40000"},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := strings.Join(d.dial(t, row.text).readAnswers(t), " "); got != row.want {
				t.Errorf("answered %q, want %q", got, row.want)
			}
		})
	}
}

// TestSlowClients: hundreds of clients that never complete a header or a body are
// disconnected after 5 and 10 seconds and delay no other client.
func TestSlowClients(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, repository.SQLite)
	d.start(t)
	const each = 150
	begin := time.Now()
	heads, bodies := make([]rawConn, each), make([]rawConn, each)
	for i := range each {
		heads[i] = d.dial(t, "POST /auth/mobile/login HTTP/1.1\r\nHost: x\r\nX-Slow: ")
		bodies[i] = d.dial(t, "POST /auth/mobile/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
	}
	for range 5 {
		a := d.login(t, form{Mobile: d.number()})
		d.do(t, call{path: "/app/auth/user", as: a.AccessToken.Value})
		if after := d.do(t, call{path: "/healthz"}); after.took > requestTime {
			t.Errorf("beside slow clients /healthz takes %s", after.took)
		}
	}
	for _, group := range []struct {
		slow  []rawConn
		bound time.Duration
	}{{heads, headerTime}, {bodies, requestTime}} {
		for _, w := range group.slow {
			_, _ = io.Copy(io.Discard, w) // ends when the program closes
		}
		if took := time.Since(begin); took < group.bound-time.Second || took > group.bound+patience {
			t.Errorf("slow clients were let go after %s, want %s", took, group.bound)
		}
	}
}

// commonPaths are what scanners ask every server for.
func commonPaths() (paths []string) {
	for _, folder := range []string{"", "/api", "/v1", "/app", "/auth", "/actuator", "/debug", "/internal", "/admin", "/.well-known"} {
		for _, name := range []string{
			"metrics", "debug", "pprof", "debug/pprof/", "debug/pprof/heap", "debug/vars", "health", "healthcheck", "status", "info", "env", "heapdump", "config", "config.yaml", "config.json",
			".env", ".git/HEAD", ".git/config", "backup.sql", "menshen.db", "secret.key", "keys", "server-status", "swagger.json", "openapi.json", "openapi.yaml", "graphql", "console", "users", "audit", "stats",
		} {
			paths = append(paths, folder+"/"+name)
		}
	}
	return append(paths, "/admin", "/admin/", "/login", "/phpmyadmin/", "/wp-login.php", "/cgi-bin/", "/robots.txt", "/sitemap.xml", "/favicon.ico", "/index.html", "/server-info",
		"/data/secret.key", "/data/menshen.db", "/data/keys/", "/..%2fconfig.yaml", "/%2e%2e/config.yaml", "/static/../config.yaml", "/swagger/../data/secret.key")
}

// TestCommonPaths: on the public listener there is nothing but the API, with and
// without its documents.
func TestCommonPaths(t *testing.T) {
	t.Parallel()
	for _, docs := range []string{"true", "false"} {
		d := newDeployment(t, repository.SQLite, "SERVER_DOCS="+docs)
		d.start(t)
		for _, path := range commonPaths() {
			d.do(t, call{path: path, code: 40400, want: "null", header: map[string]string{"Location": ""}})
		}
		status := map[string]int32{"true": 0, "false": 40400}[docs]
		d.do(t, call{path: "/swagger/index.html", code: status})
		for _, path := range []string{"/swagger", "/swagger/"} {
			response, err := d.client.Get(d.public + path)
			if err != nil {
				t.Fatal(err)
			}
			_ = response.Body.Close()
			if want := map[string]string{"true": "302 /swagger/index.html", "false": "404 "}[docs]; fmt.Sprint(response.StatusCode, " ", response.Header.Get("Location")) != want {
				t.Errorf("documents %s: %s answers %d to %q", docs, path, response.StatusCode, response.Header.Get("Location"))
			}
		}
	}
}

// TestChurn: clients that come and go, in the middle of requests and of streams
// too, leave no goroutine and no open file behind. It runs alone, because
// it counts what the whole process has.
func TestChurn(t *testing.T) {
	d := newDeployment(t, repository.SQLite, "CODE_LENGTH=10", "CODE_COOLDOWN=0s", "CODE_PER_IP_HOUR=0", "CODE_PER_IP_DAY=0", "CODE_PER_BLOCK_HOUR=0", "CODE_PER_BLOCK_DAY=0")
	d.start(t)
	a := d.login(t, form{Mobile: d.number(), DeviceNumber: "device-of-churn"})
	head := "GET /app/auth/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + a.AccessToken.Value + "\r\n\r\n"
	round := func() {
		runAtOnce(20, func(i int) answer {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*time.Millisecond)
			defer cancel()
			request := call{path: checkPath("device-of-churn") + "&wait=20", as: a.AccessToken.Value}.request(t, d.public).WithContext(ctx)
			if response, err := d.client.Do(request); err == nil {
				_ = response.Body.Close()
			}
			return answer{}
		})
		for i := range 5 {
			stream := d.dial(t, head)
			if _, err := http.ReadResponse(stream.lines, nil); err != nil {
				t.Fatal(err)
			}
			_ = stream.Close()
			_ = d.dial(t, head[:len(head)-i-1]).Close()
			a := d.login(t, form{Mobile: d.number()})
			d.do(t, call{method: http.MethodPost, path: "/app/auth/logout", as: a.AccessToken.Value})
		}
		d.client.CloseIdleConnections()
	}
	count := func() (goroutines, files int) {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return runtime.NumGoroutine(), len(entries)
	}
	round() // opens what stays open: connections to the database, the provider's
	var goroutines, files int
	eventually(t, 20*time.Second, "the first round is over", func() bool {
		g, f := count()
		steady := g == goroutines && f == files
		goroutines, files = g, f
		return steady
	})
	for range 10 {
		round()
	}
	const slack = 8 // one leak a round would be 10, one a client hundreds
	eventually(t, 20*time.Second, fmt.Sprintf("no more than %d goroutines and %d files again", goroutines, files), func() bool {
		g, f := count()
		return g <= goroutines+slack && f <= files+slack
	})
}
