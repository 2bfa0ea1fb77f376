package scenario

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"menshen/repository"
)

// TestIdleConnections: both listeners keep an idle connection for server.idle_timeout
// and close it in order, so that a load balancer with a shorter time-out closes first.
func TestIdleConnections(t *testing.T) {
	t.Parallel()
	const least = 5 * time.Second
	d := newDeployment(t, repository.SQLite, "SERVER_IDLE_TIMEOUT="+least.String())
	d.start(t)
	for name, base := range map[string]string{"public": d.public, "admin": d.admin} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = conn.Close() })
			_ = conn.SetDeadline(time.Now().Add(time.Minute))
			lines := bufio.NewReader(conn)
			var idle time.Time
			for range 2 { // the second request shows that the connection was kept
				if _, err := io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
					t.Fatal(err)
				}
				response, err := http.ReadResponse(lines, nil)
				if err != nil {
					t.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, response.Body)
				idle = time.Now()
			}
			if _, err := lines.ReadByte(); !errors.Is(err, io.EOF) {
				t.Errorf("the connection ended with %v", err)
			}
			if took := time.Since(idle); took < least-time.Second || took > least+patience {
				t.Errorf("the connection was kept for %s, want %s", took, least)
			}
		})
	}
}

// TestConnectionsOfLoopback: server.max_conns_per_ip does not bind loopback, behind which
// a proxy may stand.
func TestConnectionsOfLoopback(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, repository.SQLite, "SERVER_MAX_CONNS_PER_IP=1")
	d.start(t)
	for range 20 {
		conn, err := net.Dial("tcp", strings.TrimPrefix(d.public, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		_ = conn.SetDeadline(time.Now().Add(time.Minute))
		_, _ = io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
	}
	d.wantMetric(t, "menshen_connections_refused_total 0")
}
