// Package challenge poses challenges that distinguish people from programs, or cost
// programs too much, and verifies the answers: by vendors (siteverify.go serves three of
// them), and by puzzles of our own (pow.go).
//
// An error that wraps model.ErrChallengeFailed is definite: the answer is wrong, too old,
// of another site, or was used before. Any other error leaves it open whether the answer
// is right. Among them are the faults that only the operator can mend. Whatever a client
// can bring about by its answer alone is definite, so that no client chooses its vendor.
package challenge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"menshen/model"
	"menshen/service/outbound"
)

const (
	maxToken  = 8 << 10  // characters of an answer, if the vendor names no bound
	maxAnswer = 16 << 10 // bytes of a vendor's response; usually below 1 KiB
)

// vendor speaks with one vendor. Each verification gets a new connection: it would be
// spent by the first of two requests, and needs no repetition.
type vendor struct {
	name      string // every error begins with it
	target    string
	params    map[string]string // for the client's widget, beside its site key
	transport *outbound.Transport
}

// newVendor returns a vendor at address, an absolute http or https URL. No secret may be
// missing.
func newVendor(name, address string, secrets ...model.Secret) (vendor, error) {
	target, err := url.Parse(address)
	if err != nil || target.Host == "" || (target.Scheme != "http" && target.Scheme != "https") {
		return vendor{}, errors.New(name + ": url is not an absolute http or https URL")
	}
	if slices.Contains(secrets, "") {
		return vendor{}, errors.New(name + ": there is no secret")
	}
	return vendor{name, target.String(), map[string]string{}, outbound.NewTransport()}, nil
}

// Params returns what the widget needs beside its site key.
func (v vendor) Params(context.Context, model.Asker) (any, error) { return v.params, nil }

// no is the definite refusal of an answer.
func (v vendor) no(why string) error {
	return fmt.Errorf("%s: %w: %s", v.name, model.ErrChallengeFailed, why)
}

// open leaves it open whether the answer is right.
func (v vendor) open(why string) error { return errors.New(v.name + ": " + why) }

// post makes a request.
func (v vendor) post(ctx context.Context, target, contentType, body string) (*http.Request, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, target, strings.NewReader(body))
	if err != nil {
		return nil, v.open("url")
	}
	request.Header.Set("Content-Type", contentType)
	return request, nil
}

// Media types of requests.
const (
	typeForm = "application/x-www-form-urlencoded"
	typeJSON = "application/json; charset=utf-8"
)

// ask sends the request and decodes the response, one JSON value, into said. Vendors
// explain by such a value what they refuse with a status of 4xx; a yes counts only if ok.
// The errors of ask name causes and do not quote them: net/http quotes the URL, and a
// server may echo our request.
func (v vendor) ask(request *http.Request, said any) (ok bool, err error) {
	request.Header.Set("User-Agent", "menshen")
	response, err := v.transport.RoundTrip(request)
	if err != nil {
		return false, fmt.Errorf("%s: %w", v.name, err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	switch status := response.StatusCode; {
	case err != nil:
		return false, fmt.Errorf("%s: %w", v.name, outbound.Cause(request.Context(), err))
	case json.Unmarshal(text, said) == nil && (status == http.StatusOK || 400 <= status && status < 500 && status != http.StatusTooManyRequests):
		return status == http.StatusOK, nil
	default:
		return false, fmt.Errorf("%s: status %d without a verdict", v.name, status)
	}
}
