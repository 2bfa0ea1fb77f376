package challenge

import (
	"context"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"menshen/model"
	"menshen/service/outbound"
)

// Siteverify verifies tokens by the protocol that Google's reCAPTCHA began and that
// Turnstile and hCaptcha share: a form with secret and response, a JSON object with success
// and error-codes. Each accepts a token once, and for some minutes. Build it with
// NewTurnstile, NewHCaptcha or NewReCAPTCHA.
//
// The site key of a widget is public: pages of others may show it, and have other people
// solve what it asks. The vendor reports where that was.
type Siteverify struct {
	Hostnames []string // hosts of pages whose answers count; empty: any
	Action    string   // the widget's action; empty: any

	vendor
	secret       model.Secret
	siteKey      string   // of the widget that the token must be from; "" where that is not asked
	maxToken     int      // characters
	clientFaults []string // the error-codes about the client's answer; all others are about our request or the vendor
}

// NewTurnstile returns a verifier for Cloudflare Turnstile at address, with the widget's
// secret key (https://developers.cloudflare.com/turnstile/get-started/server-side-validation).
// Its idempotency_key would allow a request to be repeated; a lost verdict stays unknown.
func NewTurnstile(address string, secret model.Secret) (*Siteverify, error) {
	return newSiteverify("turnstile", address, Siteverify{
		secret: secret, maxToken: 2048, // as the vendor says
		clientFaults: []string{"missing-input-response", "invalid-input-response", "timeout-or-duplicate"},
	})
}

// NewHCaptcha returns a verifier for hCaptcha (https://docs.hcaptcha.com/#verify-the-user-response-server-side).
// With a site key, tokens of other widgets are refused.
func NewHCaptcha(address string, secret model.Secret, siteKey string) (*Siteverify, error) {
	return newSiteverify("hcaptcha", address, Siteverify{
		secret: secret, siteKey: siteKey, maxToken: maxToken,
		clientFaults: []string{
			"missing-input-response", "invalid-input-response", "expired-input-response", "already-seen-response", "invalid-or-already-seen-response",
			"sitekey-secret-mismatch", // a token of a widget that is not ours
		},
	})
}

// NewReCAPTCHA returns a verifier for Google's reCAPTCHA, versions 2 and 3
// (https://developers.google.com/recaptcha/docs/verify, …/v3).
func NewReCAPTCHA(address string, secret model.Secret) (*Siteverify, error) {
	return newSiteverify("recaptcha", address, Siteverify{
		secret: secret, maxToken: maxToken,
		clientFaults: []string{"missing-input-response", "invalid-input-response", "timeout-or-duplicate", "incorrect-captcha-sol", "browser-error"},
	})
}

func newSiteverify(name, address string, s Siteverify) (*Siteverify, error) {
	var err error
	s.vendor, err = newVendor(name, address, s.secret)
	return &s, err
}

// verdict holds the members of siteverify's response that are needed.
type verdict struct {
	Success    *bool    `json:"success"`
	Hostname   string   `json:"hostname"`
	Action     string   `json:"action"`
	Score      *float64 `json:"score"` // of reCAPTCHA 3 alone: 1 is a person
	ErrorCodes []string `json:"error-codes"`
}

// leastScore is where reCAPTCHA's documents draw the line.
const leastScore = 0.5

// Verify asks the vendor whether the token is right, until ctx ends. Text that cannot be
// a token is refused without a request.
func (s *Siteverify) Verify(ctx context.Context, token model.Secret, asker model.Asker) error {
	if len(token) == 0 || len(token) > s.maxToken {
		return s.no("its length")
	}
	form := url.Values{"secret": {string(s.secret)}, "response": {string(token)}, "remoteip": {asker.IP}}
	if s.siteKey != "" {
		form.Set("sitekey", s.siteKey)
	}
	request, err := s.post(ctx, s.target, typeForm, form.Encode())
	if err != nil {
		return err
	}
	var answer verdict
	ok, err := s.ask(request, &answer)
	if err != nil {
		return err
	}
	switch {
	case answer.Success == nil || *answer.Success && !ok:
		return s.open("the answer says nothing")
	case *answer.Success:
		return s.own(answer)
	}
	for _, code := range answer.ErrorCodes {
		if !slices.Contains(s.clientFaults, code) {
			return s.open("refused: " + outbound.Quotable(code, codeForm)) // such as invalid-input-secret
		}
	}
	return s.no("so the vendor says")
}

// own refuses the right answer to a widget of another page or for another action.
func (s *Siteverify) own(answer verdict) error {
	switch {
	case len(s.Hostnames) > 0 && !slices.Contains(s.Hostnames, strings.ToLower(answer.Hostname)):
		return s.no("a page of another host")
	case s.Action != "" && s.Action != answer.Action:
		return s.no("another action")
	case answer.Score != nil && *answer.Score < leastScore:
		return s.no("its score")
	}
	return nil
}

// codeForm matches the vendors' error codes about our request and about the vendor.
var codeForm = regexp.MustCompile(`\A(missing-input-secret|invalid-input-secret|invalid-parsed-secret|invalid-widget-id|` +
	`missing-remoteip|invalid-remoteip|not-using-dummy-passcode|not-using-dummy-secret|invalid-keys|bad-request|internal-error)\z`)
