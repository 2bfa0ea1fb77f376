// Package challenge verifies the answers to challenges that distinguish people from
// programs, one file per provider.
//
// An error that wraps model.ErrChallengeFailed is definite: the answer is wrong, too old
// or was used before. Any other error leaves it open whether the answer is right. Among
// them are the faults that only the operator can mend.
package challenge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"menshen/model"
	"menshen/service/outbound"
)

const (
	maxToken  = 2048     // characters, as the vendor says
	maxAnswer = 16 << 10 // bytes of the vendor's response; usually about 200
)

// clientFaults are the error-codes about the client's answer. All others are about our
// request or the vendor.
var clientFaults = []string{"missing-input-response", "invalid-input-response", "timeout-or-duplicate"}

// Turnstile verifies the tokens of Cloudflare Turnstile through its siteverify, which
// accepts each token once and for 300 s
// (https://developers.cloudflare.com/turnstile/get-started/server-side-validation). Its
// idempotency_key would allow a request to be repeated. A new connection for each request
// needs no repetition, and a lost verdict stays unknown. Build it with NewTurnstile.
//
// The site key of a widget is public: pages of others may show it, and have other people
// solve what it asks. The vendor reports where that was.
type Turnstile struct {
	Hostnames []string // hosts of pages whose answers count; empty: any
	Action    string   // the widget's action; empty: any

	target    string
	secret    model.Secret
	transport *outbound.Transport
}

// NewTurnstile returns a verifier that sends requests to address, an absolute http or
// https URL, with the widget's secret key.
func NewTurnstile(address string, secret model.Secret) (*Turnstile, error) {
	target, err := url.Parse(address)
	if err != nil || target.Host == "" || (target.Scheme != "http" && target.Scheme != "https") {
		return nil, errors.New("turnstile: url is not an absolute http or https URL")
	}
	if secret == "" {
		return nil, errors.New("turnstile: there is no secret")
	}
	return &Turnstile{target: target.String(), secret: secret, transport: outbound.NewTransport()}, nil
}

// verdict holds the members of siteverify's response that are needed.
type verdict struct {
	Success    *bool    `json:"success"`
	Hostname   string   `json:"hostname"`
	Action     string   `json:"action"`
	ErrorCodes []string `json:"error-codes"`
}

// Verify asks the vendor whether the token is right, until ctx ends. ip is the client's
// address. Text that cannot be a token is refused without a request.
func (t *Turnstile) Verify(ctx context.Context, token model.Secret, ip string) error {
	if len(token) == 0 || len(token) > maxToken {
		return fmt.Errorf("turnstile: %w: its length", model.ErrChallengeFailed)
	}
	answer, err := t.ask(ctx, url.Values{"secret": {string(t.secret)}, "response": {string(token)}, "remoteip": {ip}})
	switch {
	case err != nil:
		return err
	case answer.Success == nil:
		return errors.New("turnstile: the answer says nothing")
	case *answer.Success:
		return t.own(answer)
	}
	for _, code := range answer.ErrorCodes {
		if !slices.Contains(clientFaults, code) {
			return fmt.Errorf("turnstile: refused: %s", outbound.Quotable(code, codeForm)) // such as invalid-input-secret
		}
	}
	return fmt.Errorf("turnstile: %w", model.ErrChallengeFailed)
}

// own refuses the right answer to a widget of another page or for another action.
func (t *Turnstile) own(answer verdict) error {
	if len(t.Hostnames) > 0 && !slices.Contains(t.Hostnames, strings.ToLower(answer.Hostname)) {
		return fmt.Errorf("turnstile: %w: a page of another host", model.ErrChallengeFailed)
	}
	if t.Action != "" && t.Action != answer.Action {
		return fmt.Errorf("turnstile: %w: another action", model.ErrChallengeFailed)
	}
	return nil
}

// ask posts the form. Its errors name causes and do not quote them: net/http quotes the
// URL, and a server may echo our request.
func (t *Turnstile) ask(ctx context.Context, form url.Values) (verdict, error) {
	var answer verdict
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, t.target, strings.NewReader(form.Encode()))
	if err != nil {
		return answer, errors.New("turnstile: url")
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("User-Agent", "menshen")
	response, err := t.transport.RoundTrip(request)
	if err != nil {
		return answer, fmt.Errorf("turnstile: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	switch {
	case err != nil:
		return answer, fmt.Errorf("turnstile: %w", outbound.Cause(ctx, err))
	case json.Unmarshal(text, &answer) == nil && (response.StatusCode == http.StatusOK || response.StatusCode == http.StatusBadRequest):
		return answer, nil // the status may be 400 for a wrong token
	}
	return answer, fmt.Errorf("turnstile: status %d without a verdict", response.StatusCode)
}

// codeForm matches the vendor's error codes about our request and about the vendor.
var codeForm = regexp.MustCompile(`\A(missing-input-secret|invalid-input-secret|invalid-parsed-secret|invalid-widget-id|bad-request|internal-error)\z`)
