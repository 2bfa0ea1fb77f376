package e2e

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

// provider is the other end of the webhook: it keeps the codes. That messages
// are signed and well formed is tested in package main.
type provider struct {
	server *httptest.Server

	mu    sync.Mutex
	codes map[string][]string // by number in E.164, oldest first
	holds map[string]*hold
}

// hold keeps the answers to the messages to one number back.
type hold struct {
	arrived chan struct{} // told of each message
	release chan struct{} // closed to let them be answered
}

func newProvider(t *testing.T) *provider {
	t.Helper()
	p := &provider{codes: map[string][]string{}, holds: map[string]*hold{}}
	p.server = httptest.NewServer(p)
	t.Cleanup(p.server.Close)
	return p
}

func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var m struct{ Mobile, Code string }
	if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
		w.WriteHeader(http.StatusBadRequest) // cut off by a kill
		return
	}
	p.mu.Lock()
	p.codes[m.Mobile] = append(p.codes[m.Mobile], m.Code)
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

// sent are the codes that were sent to a number of China, oldest first.
func (p *provider) sent(mobile string) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string{}, p.codes["+86"+mobile]...)
}

// newest is the code that was sent to the number last, "" for none.
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

// total is how many messages were sent.
func (p *provider) total() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, codes := range p.codes {
		n += len(codes)
	}
	return n
}
