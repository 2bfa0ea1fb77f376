package main

import (
	"net"
	"strings"
	"testing"

	"menshen/repository"
)

// TestHealthcheck: 0 while the instance is ready, 1 when it is not, or not there.
func TestHealthcheck(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, repository.SQLite)
	d.start(t)
	settings := d.settings
	ask := func(addr string) (int, string) {
		d.settings = append(settings, "SERVER_ADDR="+addr)
		exit, out, complaint := d.command(t, "healthcheck")
		return exit, out + complaint
	}
	running := strings.TrimPrefix(d.public, "http://")
	if exit, said := ask(running); exit != exitOK || said != "ready\n" {
		t.Errorf("ready: exit %d, %s", exit, said)
	}
	d.settings = settings
	d.stop(t)
	if exit, said := ask(running); exit != exitFailure || !strings.Contains(said, "refused") {
		t.Errorf("stopped: exit %d, %s", exit, said)
	}
	if exit, said := ask(startUnready(t)); exit != exitFailure || !strings.Contains(said, "not ready: status 503") {
		t.Errorf("not ready: exit %d, %s", exit, said)
	}
	if exit, said := ask("127.0.0.1:0"); exit != exitFailure || !strings.Contains(said, "server.addr") {
		t.Errorf("port 0: exit %d, %s", exit, said)
	}
	if exit, said := ask("nonsense"); exit != exitFailure || !strings.Contains(said, "server.addr") {
		t.Errorf("no address: exit %d, %s", exit, said)
	}
	d.settings = settings
}

// startUnready is something whose answer to everything is 503.
func startUnready(t *testing.T) (addr string) {
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

func TestReadyURL(t *testing.T) {
	for addr, want := range map[string]string{
		":8080": "http://127.0.0.1:8080/readyz", "0.0.0.0:80": "http://127.0.0.1:80/readyz", "[::]:8080": "http://[::1]:8080/readyz",
		"10.1.2.3:8080": "http://10.1.2.3:8080/readyz", "[::1]:8080": "http://[::1]:8080/readyz", "localhost:8080": "http://localhost:8080/readyz",
	} {
		if got, err := readyURL(addr); got != want || err != nil {
			t.Errorf("%s is asked at %s, error %v", addr, got, err)
		}
	}
}
