package app

import (
	"io"
	"net"
	"testing"
)

// TestAcceptNow: what waits is accepted and works; without a connection there is no wait.
func TestAcceptNow(t *testing.T) {
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	if conn := acceptNow(l); conn != nil {
		t.Fatal("a connection that no client made")
	}
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	conn := acceptNow(l)
	if conn == nil {
		t.Fatal("the connection is left waiting")
	}
	if _, err := conn.Write([]byte("hello")); err != nil {
		t.Error(err)
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
	if text, err := io.ReadAll(client); err != nil || string(text) != "hello" {
		t.Errorf("the client reads %q, error %v", text, err)
	}
	if conn := acceptNow(l); conn != nil {
		t.Error("a second connection")
	}
	_ = l.Close()
	if conn := acceptNow(l); conn != nil {
		t.Error("a connection of a closed listener")
	}
}
