package e2e

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	"menshen/repository"
)

// provider is the other end of the webhook: it keeps the codes. That messages
// are signed and well formed is tested in package main.
type provider struct {
	server *httptest.Server

	mu    sync.Mutex
	codes map[string][]message // by number in E.164, oldest first
	holds map[string]*hold
}

// message is what a number received.
type message struct {
	code    string
	product int32
}

// hold keeps the answers to the messages to one number back.
type hold struct {
	arrived chan struct{} // told of each message
	release chan struct{} // closed to let them be answered
}

func newProvider(t *testing.T) *provider {
	t.Helper()
	p := &provider{codes: map[string][]message{}, holds: map[string]*hold{}}
	p.server = httptest.NewServer(p)
	t.Cleanup(p.server.Close)
	return p
}

func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var m struct {
		Mobile, Code string
		ProductType  int32
	}
	if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
		w.WriteHeader(http.StatusBadRequest) // cut off by a kill
		return
	}
	p.mu.Lock()
	p.codes[m.Mobile] = append(p.codes[m.Mobile], message{m.Code, m.ProductType})
	held := p.holds[m.Mobile]
	p.mu.Unlock()
	if held != nil {
		held.arrived <- struct{}{}
		select {
		case <-held.release:
		case <-r.Context().Done():
		}
	}
	w.WriteHeader(http.StatusNoContent)
}

// sent returns the codes that were sent to a number of China, oldest first.
func (p *provider) sent(mobile string) (codes []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.codes["+86"+mobile] {
		codes = append(codes, m.code)
	}
	return codes
}

// newestOf returns the code that was sent to the number last for a product, "" for none.
func (p *provider) newestOf(mobile string, product int32) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range slices.Backward(p.codes["+86"+mobile]) {
		if m.product == product {
			return m.code
		}
	}
	return ""
}

// newest returns the code that was sent to the number last, "" for none.
func (p *provider) newest(mobile string) string {
	if sent := p.sent(mobile); len(sent) > 0 {
		return sent[len(sent)-1]
	}
	return ""
}

// hold keeps messages to the number unanswered until release is closed.
func (p *provider) hold(mobile string) *hold {
	h := &hold{arrived: make(chan struct{}, 16), release: make(chan struct{})}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.holds["+86"+mobile] = h
	return h
}

// total returns how many messages were sent.
func (p *provider) total() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, codes := range p.codes {
		n += len(codes)
	}
	return n
}

// TestUnsolicitedBytes: bytes that a provider sends after its response are not
// logged, since they may echo the message with its code. net/http would write them
// to the standard logger.
func TestUnsolicitedBytes(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go echo(conn)
		}
	}()
	d := newDeployment(t, repository.SQLite, "SMS_WEBHOOK_URL=http://"+listener.Addr().String()+"/sms")
	i := d.start(t, data)
	mobile := d.number()
	i.call(codeRequest(mobile)).wantSuccess(t)
	eventually(t, callTime, "the log tells that a library spoke", func() bool { return i.log.count("a library said something") > 0 })
	if i.log.count(mobile) > 0 || i.log.count("Unsolicited") > 0 {
		t.Error("the log quotes the provider")
	}
}

// echo answers a request and then sends its body back.
func echo(conn net.Conn) {
	defer conn.Close()
	request, err := http.ReadRequest(bufio.NewReader(conn))
	if err != nil {
		return
	}
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return
	}
	_, _ = io.WriteString(conn, "HTTP/1.1 204 No Content\r\n\r\n")
	_, _ = conn.Write(body)
	_, _ = io.Copy(io.Discard, conn) // until the client has had enough
}
