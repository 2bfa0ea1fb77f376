package sms

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	webhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"menshen/model"
	"menshen/service/outbound"
)

const (
	secretPrefix = "whsec_"
	idle         = 64 // connections kept, so that a busy minute dials no more than its parallelism
)

// Webhook posts messages to an operator's own endpoint, signed by the Standard Webhooks
// scheme (https://www.standardwebhooks.com). Build it with NewWebhook.
//
// Connections are kept. If a kept one is reset before a byte of the response, the same
// request is made once more: its webhook-id lets the receiver send one message. A kept
// connection that is closed in order may have brought the request to an end, so that
// the outcome stays open.
type Webhook struct {
	// Language is the deployment's default. The body leaves out the language of a
	// message if it is the default.
	Language string

	wire
	target *url.URL // without user-info
	auth   string   // Authorization header from the URL's user-info, or ""
	signer *webhooks.Webhook
	now    func() time.Time
}

// NewWebhook returns a sender to address, an absolute http or https URL, signing with
// secret = whsec_<base64>. User-info in the URL is sent as HTTP Basic. Its errors show
// neither.
func NewWebhook(address string, secret model.Secret, now func() time.Time) (*Webhook, error) {
	target, err := url.Parse(address)
	if err != nil || target.Host == "" || (target.Scheme != "http" && target.Scheme != "https") {
		return nil, errors.New("webhook: url is not an absolute http or https URL")
	}
	signer, err := newSigner(secret)
	if err != nil {
		return nil, err
	}
	var auth string
	if user := target.User; user != nil {
		password, _ := user.Password()
		header := http.Request{Header: http.Header{}}
		header.SetBasicAuth(user.Username(), password)
		auth, target.User = header.Header.Get("Authorization"), nil
	}
	return &Webhook{wire: wire{"webhook", outbound.NewKeepingTransport(idle), answerTime}, target: target, auth: auth, signer: signer, now: now}, nil
}

// newSigner returns the signer of a secret whsec_<base64>.
func newSigner(secret model.Secret) (*webhooks.Webhook, error) {
	if !strings.HasPrefix(string(secret), secretPrefix) || len(secret) == len(secretPrefix) {
		return nil, errors.New("webhook: secret is not of the form whsec_<base64>")
	}
	signer, err := webhooks.NewWebhook(string(secret))
	if err != nil {
		return nil, errors.New("webhook: secret is not base64 after whsec_")
	}
	return signer, nil
}

// webhookBody is the request as contract §9 defines it. Purpose and language are
// additions. They are left out for the purpose and the language that every receiver
// assumes. So are domain and hash of the app for products that have none.
type webhookBody struct {
	Mobile      string        `json:"mobile"`
	Code        string        `json:"code"`
	CompanyType int32         `json:"companyType"`
	ProductType int32         `json:"productType"`
	Expire      string        `json:"expire"`
	Purpose     model.Purpose `json:"purpose,omitempty"`
	Language    string        `json:"language,omitempty"`
	Domain      string        `json:"domain,omitempty"`
	AppHash     string        `json:"appHash,omitempty"`
}

// Send posts the message and waits at most 3 s for the head of the response. Any 2xx is
// success, whatever happens to its body. 408 and 504, which report a time-out on the way,
// leave the outcome open. Every other status wraps model.ErrSendRefused. See roundTrip
// for failures without a response. The message's id is known even if the response is not.
func (w *Webhook) Send(ctx context.Context, m model.Message) (model.Sent, error) {
	return model.Sent{MessageID: m.ID}, w.send(ctx, m)
}

func (w *Webhook) send(ctx context.Context, m model.Message) error {
	ctx, cancel := context.WithTimeout(ctx, w.timeout)
	defer cancel()
	request, err := w.request(ctx, m)
	if err != nil {
		return err
	}
	response, err := w.roundTrip(request) //nolint:bodyclose // drain closes it
	if err != nil {
		return err
	}
	defer drain(response.Body, cancel)
	status := response.StatusCode
	switch {
	case 200 <= status && status <= 299:
		return nil
	case status == http.StatusRequestTimeout, status == http.StatusGatewayTimeout:
		return w.open(fmt.Sprintf("status %d", status))
	}
	return w.refused(fmt.Sprintf("status %d", status))
}

func (w *Webhook) request(ctx context.Context, m model.Message) (*http.Request, error) {
	purpose := m.Purpose
	if purpose == model.PurposeLogin {
		purpose = ""
	}
	language := m.Language
	if language == w.Language {
		language = ""
	}
	body, err := json.Marshal(webhookBody{
		Mobile:      m.Mobile.E164(),
		Code:        string(m.Code),
		CompanyType: m.CompanyType,
		ProductType: m.ProductType,
		Expire:      m.Expire.String(),
		Purpose:     purpose,
		Language:    language,
		Domain:      m.Domain,
		AppHash:     m.AppHash,
	})
	if err != nil {
		return nil, fmt.Errorf("webhook: %w: encode: %w", model.ErrSendRefused, err)
	}
	now := w.now()
	signature, err := w.signer.Sign(m.ID, now, body)
	if err != nil {
		return nil, fmt.Errorf("webhook: %w: sign: %w", model.ErrSendRefused, err)
	}
	// NewRequest sets GetBody. With it the transport switches to another connection if a
	// kept one is dead.
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, w.target.String(), bytes.NewReader(body))
	if err != nil { // would quote the URL
		return nil, w.refused("url")
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set(webhooks.HeaderWebhookID, m.ID)
	request.Header.Set(webhooks.HeaderWebhookTimestamp, strconv.FormatInt(now.Unix(), 10))
	request.Header.Set(webhooks.HeaderWebhookSignature, signature)
	if w.auth != "" {
		request.Header.Set("Authorization", w.auth)
	}
	return request, nil
}
