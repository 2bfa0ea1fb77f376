// Package challenge verifies the answers to challenges that tell people from
// programs, one file per provider.
//
// An error says one of two things. One that wraps model.ErrChallengeFailed is
// definite: the answer is wrong, too old or was used before. Every other one
// leaves it open, among them those that are the operator's to mend.
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
	"time"

	"menshen/model"
)

const (
	maxToken  = 2048     // characters, as the vendor says
	maxAnswer = 16 << 10 // bytes of the vendor's answer; its own are of some 200
	maxIdle   = 16       // connections kept
)

// clientFaults are the error-codes that speak of the answer; all others speak of
// our request or of the vendor.
var clientFaults = []string{"missing-input-response", "invalid-input-response", "timeout-or-duplicate"}

// Turnstile verifies the tokens of Cloudflare Turnstile by its siteverify, for
// which each token is good once and for 300 s
// (https://developers.cloudflare.com/turnstile/get-started/server-side-validation).
// Build it with NewTurnstile.
//
// Like the senders it speaks through a transport of its own: never a redirect
// followed, never a request sent twice, no proxy from HTTP_PROXY and its kin.
type Turnstile struct {
	target    string
	secret    model.Secret
	transport *http.Transport
}

// NewTurnstile makes a verifier that asks address, an absolute http or https
// URL, with the widget's secret key.
func NewTurnstile(address string, secret model.Secret) (*Turnstile, error) {
	target, err := url.Parse(address)
	if err != nil || target.Host == "" || (target.Scheme != "http" && target.Scheme != "https") {
		return nil, errors.New("turnstile: url is not an absolute http or https URL")
	}
	if secret == "" {
		return nil, errors.New("turnstile: there is no secret")
	}
	transport := &http.Transport{
		Proxy: nil, Protocols: new(http.Protocols), MaxIdleConns: maxIdle, MaxIdleConnsPerHost: maxIdle,
		IdleConnTimeout: 30 * time.Second, DisableCompression: true, MaxResponseHeaderBytes: 64 << 10,
	}
	transport.Protocols.SetHTTP1(true)
	return &Turnstile{target: target.String(), secret: secret, transport: transport}, nil
}

// verdict is what siteverify answers; what is not here is not needed.
type verdict struct {
	Success    *bool    `json:"success"`
	ErrorCodes []string `json:"error-codes"`
}

// Verify asks whether the token is right, until ctx ends. ip is the client's
// address. A token that cannot be one is refused without asking.
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
		return nil
	}
	for _, code := range answer.ErrorCodes {
		if !slices.Contains(clientFaults, code) {
			return fmt.Errorf("turnstile: refused: %s", quotable(code)) // such as invalid-input-secret
		}
	}
	return fmt.Errorf("turnstile: %w", model.ErrChallengeFailed)
}

// ask posts the form. Causes are named and not quoted: net/http quotes the URL,
// and what a server sent may be what it was sent.
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
		return answer, unanswered(ctx)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	switch {
	case err != nil:
		return answer, unanswered(ctx)
	case json.Unmarshal(text, &answer) == nil && (response.StatusCode == http.StatusOK || response.StatusCode == http.StatusBadRequest):
		return answer, nil // a wrong token may come with 400 as well
	}
	return answer, fmt.Errorf("turnstile: status %d without a verdict", response.StatusCode)
}

func unanswered(ctx context.Context) error {
	if ctx.Err() != nil {
		return fmt.Errorf("turnstile: no answer: %w", ctx.Err())
	}
	return errors.New("turnstile: no answer: connection refused or broken")
}

var wordOfCode = regexp.MustCompile(`\A[a-z-]{1,64}\z`)

// quotable is a vendor's error code as an error may repeat it. A code that does
// not look like one may be what the vendor was sent.
func quotable(code string) string {
	if wordOfCode.MatchString(code) {
		return code
	}
	return "a code of an unknown form"
}
