// Package sms holds the senders of verification codes, one file per provider.
//
// A sender's error says one of two things. One that wraps model.ErrSendRefused
// is definite: nothing was or will be sent. Every other one leaves the outcome
// open: the message may arrive. When in doubt a sender leaves it open, because
// a refusal takes back what the message was charged.
package sms

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"time"

	webhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"menshen/model"
)

const (
	webhookTimeout = 3 * time.Second
	webhookIdle    = 64 // connections kept, so that a busy minute dials no more than its parallelism
	secretPrefix   = "whsec_"

	// A connection is used again only when its answer was read to the end. An
	// answer that is longer or slower than this is not worth that.
	drainBytes = 16 << 10
	drainTime  = 100 * time.Millisecond
)

// Webhook hands messages to an operator's own endpoint, signed by the Standard
// Webhooks scheme (https://www.standardwebhooks.com). Build it with NewWebhook.
//
// It speaks HTTP/1.1 through a transport of its own: never a redirect followed,
// never a request sent twice, no compression, and no proxy from HTTP_PROXY and
// its kin, so that codes go where the configuration says and nowhere else.
type Webhook struct {
	target    *url.URL // without user-info
	auth      string   // Authorization header from the URL's user-info, or ""
	signer    *webhooks.Webhook
	transport *http.Transport
	now       func() time.Time
	timeout   time.Duration
}

// NewWebhook makes a sender to address, an absolute http or https URL, signing
// with secret = whsec_<base64>. User-info in the URL is sent as HTTP Basic.
// Its errors show neither.
func NewWebhook(address string, secret model.Secret, now func() time.Time) (*Webhook, error) {
	target, err := url.Parse(address)
	if err != nil || target.Host == "" || (target.Scheme != "http" && target.Scheme != "https") {
		return nil, errors.New("webhook: url is not an absolute http or https URL")
	}
	if !strings.HasPrefix(string(secret), secretPrefix) || len(secret) == len(secretPrefix) {
		return nil, errors.New("webhook: secret is not of the form whsec_<base64>")
	}
	signer, err := webhooks.NewWebhook(string(secret))
	if err != nil {
		return nil, errors.New("webhook: secret is not base64 after whsec_")
	}
	var auth string
	if user := target.User; user != nil {
		password, _ := user.Password()
		header := http.Request{Header: http.Header{}}
		header.SetBasicAuth(user.Username(), password)
		auth, target.User = header.Header.Get("Authorization"), nil
	}
	transport := &http.Transport{
		Proxy:                  nil,
		Protocols:              new(http.Protocols),
		MaxIdleConns:           webhookIdle,
		MaxIdleConnsPerHost:    webhookIdle,
		IdleConnTimeout:        30 * time.Second,
		DisableCompression:     true,
		MaxResponseHeaderBytes: 64 << 10,
	}
	transport.Protocols.SetHTTP1(true)
	return &Webhook{target: target, auth: auth, signer: signer, transport: transport, now: now, timeout: webhookTimeout}, nil
}

// webhookBody is the request as contract §9 fixes it. Purpose is an addition,
// left out for the purpose that every receiver knows.
type webhookBody struct {
	Mobile      string        `json:"mobile"`
	Code        string        `json:"code"`
	CompanyType int32         `json:"companyType"`
	ProductType int32         `json:"productType"`
	Expire      string        `json:"expire"`
	Purpose     model.Purpose `json:"purpose,omitempty"`
}

// Send posts the message and waits at most 3 s for the head of the answer: any
// 2xx is success, whatever happens to its body. Every other status, and every
// failure before there was a connection to write to (refused, no such host, TLS),
// wraps model.ErrSendRefused. A time-out at any stage, and whatever breaks once
// the request may have left, is an unknown outcome; a time-out wraps
// context.DeadlineExceeded.
func (w *Webhook) Send(ctx context.Context, m model.Message) error {
	ctx, cancel := context.WithTimeout(ctx, w.timeout)
	defer cancel()

	connected := false
	trace := httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected = true }}
	request, err := w.request(httptrace.WithClientTrace(ctx, &trace), m)
	if err != nil {
		return err
	}
	// The transport and not a Client: a Client would look at Location, and its
	// errors carry the URL.
	response, err := w.transport.RoundTrip(request)
	if err != nil {
		return failure(ctx, err, connected)
	}
	defer drain(response.Body, cancel)
	if response.StatusCode < 200 || response.StatusCode > 299 {
		return fmt.Errorf("webhook: %w: status %d", model.ErrSendRefused, response.StatusCode)
	}
	return nil
}

func (w *Webhook) request(ctx context.Context, m model.Message) (*http.Request, error) {
	purpose := m.Purpose
	if purpose == model.PurposeLogin {
		purpose = ""
	}
	body, err := json.Marshal(webhookBody{
		Mobile:      m.Mobile.E164(),
		Code:        string(m.Code),
		CompanyType: m.CompanyType,
		ProductType: m.ProductType,
		Expire:      m.Expire.String(),
		Purpose:     purpose,
	})
	if err != nil {
		return nil, fmt.Errorf("webhook: %w: encode: %w", model.ErrSendRefused, err)
	}
	now := w.now()
	signature, err := w.signer.Sign(m.ID, now, body)
	if err != nil {
		return nil, fmt.Errorf("webhook: %w: sign: %w", model.ErrSendRefused, err)
	}
	// NewRequest gives the request a GetBody, with which the transport turns to
	// another connection when a kept one is dead before anything was written.
	// Once something was, a POST is never sent again.
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, w.target.String(), bytes.NewReader(body))
	if err != nil { // would quote the URL
		return nil, fmt.Errorf("webhook: %w: url", model.ErrSendRefused)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "menshen")
	request.Header.Set(webhooks.HeaderWebhookID, m.ID)
	request.Header.Set(webhooks.HeaderWebhookTimestamp, strconv.FormatInt(now.Unix(), 10))
	request.Header.Set(webhooks.HeaderWebhookSignature, signature)
	if w.auth != "" {
		request.Header.Set("Authorization", w.auth)
	}
	return request, nil
}

// failure judges a request that got no answer. The causes of a broken exchange
// are named, not quoted: net/http quotes what a server sent, and a server may
// send back what it was sent.
func failure(ctx context.Context, err error, connected bool) error {
	var network net.Error
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("webhook: no answer: %w", ctx.Err())
	case errors.As(err, &network) && network.Timeout():
		return fmt.Errorf("webhook: no answer: %w", context.DeadlineExceeded)
	case !connected:
		return fmt.Errorf("webhook: %w: connect: %w", model.ErrSendRefused, err)
	}
	var operation *net.OpError
	if errors.As(err, &operation) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("webhook: connection broken before the answer")
	}
	return errors.New("webhook: the answer is not HTTP")
}

// drain reads what is left of an answer, so that its connection can be used
// again, and gives up on one that is long or slow.
func drain(body io.ReadCloser, giveUp func()) {
	timer := time.AfterFunc(drainTime, giveUp)
	defer timer.Stop()
	_, _ = io.CopyN(io.Discard, body, drainBytes)
	_ = body.Close()
}
