package e2e

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/go-sql-driver/mysql"
)

// wire is a proxy of MySQL's protocol that sees each statement before the server does
// (dev.mysql.com/doc/dev/mysql-server, "Client/Server Protocol", without TLS).
type wire struct {
	target string

	mu sync.Mutex
	// before is called with a statement's text and the number of its connection. False
	// withholds the statement and ends the connection.
	before func(conn int, text string) bool
}

// Commands of the protocol.
const (
	comQuery       = 0x03
	comStmtPrepare = 0x16
	comStmtExecute = 0x17
)

// startWire puts a wire between the deployment's instances and the database. It returns
// the setting for the instances.
func (d *deployment) startWire(t *testing.T) (*wire, string) {
	t.Helper()
	config, err := mysql.ParseDSN(d.dsn)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{target: config.Addr}
	var all sync.WaitGroup
	all.Go(func() {
		for n := 1; ; n++ {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			all.Go(func() { w.serve(client, n) })
		}
	})
	t.Cleanup(func() { _ = listener.Close(); all.Wait() })
	config.Addr = listener.Addr().String()
	return w, "DATABASE_DSN=" + config.FormatDSN()
}

// watch sets what is called before each statement; nil for nothing.
func (w *wire) watch(before func(conn int, text string) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.before = before
}

func (w *wire) pass(conn int, text string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.before == nil || w.before(conn, text)
}

// serve forwards one connection until either side ends it.
func (w *wire) serve(client net.Conn, n int) {
	defer func() { _ = client.Close() }()
	server, err := net.Dial("tcp", w.target)
	if err != nil {
		return
	}
	prepared := &preparedTexts{texts: map[uint32]string{}}
	var back sync.WaitGroup
	back.Go(func() {
		defer func() { _ = client.Close() }()
		prepared.forward(client, server)
	})
	w.statements(server, bufio.NewReader(client), n, prepared)
	_ = server.Close()
	back.Wait()
}

// statements forwards the packets of the client.
func (w *wire) statements(server io.Writer, client *bufio.Reader, n int, prepared *preparedTexts) {
	for {
		packet, err := readPacket(client)
		if err != nil {
			return
		}
		if body := packet[4:]; packet[3] == 0 && len(body) > 0 {
			text := ""
			switch body[0] {
			case comQuery:
				text = string(body[1:])
			case comStmtExecute:
				text = prepared.text(binary.LittleEndian.Uint32(body[1:]))
			case comStmtPrepare:
				prepared.expect(string(body[1:]))
			}
			if text != "" && !w.pass(n, text) {
				return
			}
		}
		if _, err := server.Write(packet); err != nil {
			return
		}
	}
}

// readPacket reads one packet with its head of four bytes.
func readPacket(from *bufio.Reader) ([]byte, error) {
	head, err := from.Peek(4)
	if err != nil {
		return nil, err
	}
	packet := make([]byte, 4+(int(head[0])|int(head[1])<<8|int(head[2])<<16))
	_, err = io.ReadFull(from, packet)
	return packet, err
}

// preparedTexts are the prepared statements of one connection, by the server's numbers.
type preparedTexts struct {
	mu      sync.Mutex
	pending string // its number comes next
	texts   map[uint32]string
}

func (p *preparedTexts) expect(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pending = text
}

func (p *preparedTexts) text(id uint32) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.texts[id]
}

// forward forwards the packets of the server, and keeps the numbers that it gives to
// statements: the first packet after a COM_STMT_PREPARE begins with 0 and the number.
func (p *preparedTexts) forward(client io.Writer, server io.Reader) {
	from := bufio.NewReader(server)
	for {
		packet, err := readPacket(from)
		if err != nil {
			return
		}
		p.mu.Lock()
		if p.pending != "" {
			if body := packet[4:]; len(body) >= 5 && body[0] == 0 {
				p.texts[binary.LittleEndian.Uint32(body[1:])] = p.pending
			}
			p.pending = ""
		}
		p.mu.Unlock()
		if _, err := client.Write(packet); err != nil {
			return
		}
	}
}

// attemptStage counts the statements of the transaction in which an attempt is counted,
// from the one that counts on.
type attemptStage struct {
	stop       int // the statement before which stopped is called; 0: never
	stopped    func()
	conn       int
	statements []string
	committed  bool // COMMIT was let through
}

func (s *attemptStage) before(conn int, text string) bool {
	if s.conn == 0 && strings.HasPrefix(text, "UPDATE codes SET") && strings.Contains(text, "attempts + 1") {
		s.conn = conn
	}
	if conn != s.conn || s.committed {
		return true
	}
	s.statements = append(s.statements, text)
	if len(s.statements) == s.stop {
		s.stopped()
		return false
	}
	s.committed = text == "COMMIT"
	return true
}

func (s *attemptStage) String() string {
	return fmt.Sprintf("%d statements:\n%s", len(s.statements), strings.Join(s.statements, "\n"))
}
