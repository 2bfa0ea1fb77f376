package e2e

import (
	"net"
	"sync"
	"testing"

	"github.com/go-sql-driver/mysql"
)

// proxy is a network between an instance and its database that can fail.
type proxy struct {
	listener net.Listener
	target   string
	work     sync.WaitGroup

	mu    sync.Mutex
	moved *sync.Cond
	state network
	conns map[net.Conn]struct{}
}

type network int

const (
	whole network = iota
	cut           // connections are reset, new ones too
	hole          // connections are taken and nothing ever comes through
)

// behind puts a proxy between the deployment's instances and the database.
func (d *deployment) behind(t *testing.T) (*proxy, string) {
	t.Helper()
	config, err := mysql.ParseDSN(d.dsn)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: listener, target: config.Addr, conns: map[net.Conn]struct{}{}}
	p.moved = sync.NewCond(&p.mu)
	p.work.Go(p.accept)
	t.Cleanup(func() { _ = listener.Close(); p.become(cut); p.work.Wait() })
	config.Addr = listener.Addr().String()
	return p, "DATABASE_DSN=" + config.FormatDSN()
}

func (p *proxy) accept() {
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.work.Go(func() { p.serve(conn) })
	}
}

func (p *proxy) serve(client net.Conn) {
	defer p.drop(client)
	if !p.keep(client) || !p.pass() {
		return
	}
	server, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	defer p.drop(server)
	if !p.keep(server) {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { p.pump(server, client) })
	both.Go(func() { p.pump(client, server) })
	both.Wait()
}

func (p *proxy) pump(to, from net.Conn) {
	defer p.drop(to)
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil || !p.pass() {
			return
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// pass waits until the network is whole, and reports false when it was cut.
func (p *proxy) pass() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.state == hole {
		p.moved.Wait()
	}
	return p.state == whole
}

func (p *proxy) keep(conn net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns[conn] = struct{}{}
	return p.state != cut
}

func (p *proxy) drop(conn net.Conn) {
	_ = conn.(*net.TCPConn).SetLinger(0) // a reset, not an end
	_ = conn.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, conn)
}

func (p *proxy) become(state network) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state = state
	p.moved.Broadcast()
	if state != cut {
		return
	}
	for conn := range p.conns {
		_ = conn.(*net.TCPConn).SetLinger(0)
		_ = conn.Close()
	}
}
