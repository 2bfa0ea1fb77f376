package scenario

import (
	"net"
	"strings"
	"testing"

	"menshen/cli"
	"menshen/repository"
)

// TestHealthcheck: exit code 0 while the instance is ready, 1 if it is not or does
// not run.
func TestHealthcheck(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, repository.SQLite)
	d.start(t)
	settings := d.settings
	healthcheck := func(addr string) (int, string) {
		d.settings = append(settings, "SERVER_ADDR="+addr)
		exit, out, complaint := d.command(t, "healthcheck")
		return exit, out + complaint
	}
	running := strings.TrimPrefix(d.public, "http://")
	if exit, said := healthcheck(running); exit != cli.ExitOK || said != "ready\n" {
		t.Errorf("ready: exit %d, %s", exit, said)
	}
	d.settings = settings
	d.stop(t)
	if exit, said := healthcheck(running); exit != cli.ExitFailure || !strings.Contains(said, "refused") {
		t.Errorf("stopped: exit %d, %s", exit, said)
	}
	if exit, said := healthcheck(startUnhealthy(t)); exit != cli.ExitFailure || !strings.Contains(said, "not ready: status 503") {
		t.Errorf("not ready: exit %d, %s", exit, said)
	}
	if exit, said := healthcheck("127.0.0.1:0"); exit != cli.ExitFailure || !strings.Contains(said, "server.addr") {
		t.Errorf("port 0: exit %d, %s", exit, said)
	}
	if exit, said := healthcheck("nonsense"); exit != cli.ExitFailure || !strings.Contains(said, "server.addr") {
		t.Errorf("no address: exit %d, %s", exit, said)
	}
	d.settings = settings
}

// startUnhealthy starts a server that answers 503 to every request.
func startUnhealthy(t *testing.T) (addr string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Read(make([]byte, 4<<10))
			_, _ = conn.Write([]byte("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"))
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() { _ = listener.Close(); <-done })
	return listener.Addr().String()
}
