package scenario

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	webhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

const gatewaySecret = "whsec_bWVuc2hlbi10ZXN0LWdhdGV3YXktc2VjcmV0LTMyYnk="

// gateway is the provider of messages at the other end of the webhook: it checks
// every signature with the official library and keeps the codes.
type gateway struct {
	t       *testing.T
	server  *httptest.Server
	signer  *webhooks.Webhook
	secrets *canaries

	mu      sync.Mutex
	inboxes map[string]chan message
	moods   map[string]http.HandlerFunc // by number: how it answers instead of 204
}

// message is the request to a provider (contract §9).
type message struct {
	Mobile      string `json:"mobile"`
	Code        string `json:"code"`
	CompanyType *int32 `json:"companyType"`
	ProductType *int32 `json:"productType"`
	Expire      string `json:"expire"`
	Purpose     string `json:"purpose"`
	Language    string `json:"language"`
	Domain      string `json:"domain"`
	AppHash     string `json:"appHash"`
}

func newGateway(t *testing.T, secrets *canaries) *gateway {
	t.Helper()
	signer, err := webhooks.NewWebhook(gatewaySecret)
	if err != nil {
		t.Fatal(err)
	}
	g := &gateway{t: t, signer: signer, secrets: secrets, inboxes: map[string]chan message{}, moods: map[string]http.HandlerFunc{}}
	g.server = httptest.NewServer(g)
	t.Cleanup(g.server.Close)
	return g
}

// The path and the query of the URL must come through as they are.
func (g *gateway) url() string { return g.server.URL + "/sms/send?account=7" }

func (g *gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		g.t.Errorf("message: %v", err)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	if err := g.signer.Verify(body, r.Header); err != nil {
		g.t.Errorf("message: %v", err)
	}
	if r.Method != http.MethodPost || r.URL.String() != "/sms/send?account=7" || r.Header.Get("Content-Type") != "application/json" {
		g.t.Errorf("message: %s %s with %v", r.Method, r.URL, r.Header)
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	var m message
	if err := decoder.Decode(&m); err != nil || m.CompanyType == nil || m.ProductType == nil || len(m.Expire) != len("2019-08-24T14:15:22Z") {
		g.t.Errorf("message %s: %v", body, err)
	}
	g.secrets.add(kindCode, m.Code)
	g.inbox(m.Mobile) <- m
	g.mu.Lock()
	mood := g.moods[m.Mobile]
	g.mu.Unlock()
	if mood == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	mood(w, r)
}

// inbox returns the messages to a number in E.164.
func (g *gateway) inbox(mobile string) chan message {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.inboxes[mobile] == nil {
		g.inboxes[mobile] = make(chan message, 128)
	}
	return g.inboxes[mobile]
}

// setResponse makes the provider respond differently to messages to a number.
func (g *gateway) setResponse(mobile string, answer http.HandlerFunc) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.moods[mobile] = answer
}

// nextMessage returns the oldest message to the number that was not returned yet.
// It arrived before the request that caused it was answered.
func (g *gateway) nextMessage(t *testing.T, mobile string) message {
	t.Helper()
	select {
	case m := <-g.inbox(mobile):
		return m
	default:
		t.Fatalf("no message came to %s", mobile)
		return message{}
	}
}

// wantNoMessage checks that no further message was sent to the number.
func (g *gateway) wantNoMessage(t *testing.T, mobile string) {
	t.Helper()
	select {
	case <-g.inbox(mobile):
		t.Errorf("a message came to %s", mobile)
	default:
	}
}
