package main

import (
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
)

// provider takes messages by the webhook and keeps the newest code of a number.
type provider struct {
	url         string
	server      *httptest.Server
	codes       sync.Map
	connections atomic.Int64 // that were accepted
}

func newProvider() (*provider, error) {
	p := &provider{}
	p.server = httptest.NewUnstartedServer(p)
	p.server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			p.connections.Add(1)
		}
	}
	p.server.Start()
	p.url = p.server.URL
	return p, nil
}

func (p *provider) close() {
	p.server.CloseClientConnections()
	p.server.Close()
}

// ServeHTTP takes one message.
func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var m struct { // menshen's message, or the hook of Supabase Auth
		Mobile, Code string
		User         struct{ Phone string }
		SMS          struct{ OTP string }
	}
	if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if m.User.Phone != "" {
		p.codes.Store("+"+m.User.Phone, m.SMS.OTP)
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte("{}"))
		return
	}
	p.codes.Store(m.Mobile, m.Code)
	w.WriteHeader(http.StatusNoContent)
}

// code is the newest code of a number of the default region.
func (p *provider) code(mobile string) (string, bool) {
	code, ok := p.codes.LoadAndDelete("+86" + mobile)
	if !ok {
		return "", false
	}
	return code.(string), true
}
