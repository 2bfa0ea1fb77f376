// Package sms holds the senders of verification codes, one file per provider.
//
// A sender's error that wraps model.ErrSendRefused is definite: nothing was or will be
// sent. Any other error leaves the outcome open: the message may arrive. In doubt a
// sender leaves it open, because after a refusal the message is not charged and another
// provider is asked. A status decides only where its meaning is defined. A webhook's
// receiver reports by 500 and 503 that it sent nothing. A vendor's 5xx proves nothing.
package sms

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"menshen/config"
	"menshen/model"
	"menshen/service/outbound"
)

const (
	answerTime = 3 * time.Second

	// A connection is reused only if its response was read to the end. Dialling costs
	// less than reading a response that exceeds these bounds.
	drainBytes = 16 << 10
	drainTime  = 100 * time.Millisecond

	maxAnswer = 256 << 10 // of a vendor's response; usually below 1 KiB, with a hundred receipts some 40
)

// wire speaks HTTP/1.1 with one provider through a transport of its own.
type wire struct {
	name      string // of the provider; every error begins with it
	transport *outbound.Transport
	timeout   time.Duration
}

// roundTrip waits for the head of the response. If no connection was established
// (refused, no such host, TLS), that is a refusal. A time-out at any stage leaves the
// outcome open, as does whatever fails once the request may have left. A time-out wraps
// context.DeadlineExceeded.
func (w wire) roundTrip(request *http.Request) (*http.Response, error) {
	request.Header.Set("User-Agent", "menshen")
	response, err := w.transport.RoundTrip(request)
	switch {
	case errors.Is(err, outbound.ErrUnsent):
		return nil, fmt.Errorf("%s: %w: %w", w.name, model.ErrSendRefused, err)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", w.name, err)
	}
	return response, nil
}

// answer is a vendor's response: a status of 2xx or 4xx, and the body as far as it
// arrived.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// vendorWire is a wire to one of the vendors, whose messages have templates. None of them
// recognizes a message that is sent twice, so each message gets a new connection.
type vendorWire struct {
	wire
	config config.SMS
}

func newVendorWire(name string, c config.SMS) vendorWire {
	return vendorWire{wire{name, outbound.NewTransport(), answerTime}, c}
}

// ask exchanges the request for the message. A missing template is a refusal.
func (w vendorWire) ask(ctx context.Context, m model.Message, build func(context.Context, model.Message, config.Template) (*http.Request, error)) (answer, error) {
	template, found := w.config.Template(w.name, config.Kind{
		Company: m.CompanyType, Product: m.ProductType, Region: m.Region, Purpose: string(m.Purpose), Language: m.Language,
	})
	if !found {
		return answer{}, w.refused("no template")
	}
	return w.exchange(ctx, func(ctx context.Context) (*http.Request, error) { return build(ctx, m, template) })
}

// exchange builds a request, sends it, and reads the whole response within the time-out. A
// redirect is a refusal. The caller judges a 4xx, because the vendor explains it in the body.
// 408 leaves the outcome open, as do a 5xx and a 2xx whose body does not arrive.
func (w vendorWire) exchange(ctx context.Context, build func(context.Context) (*http.Request, error)) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, w.timeout)
	defer cancel()
	request, err := build(ctx)
	if err != nil { // may quote the URL, and with it the code
		return answer{}, w.refused("the request cannot be made")
	}
	response, err := w.roundTrip(request) //nolint:bodyclose // drain closes it
	if err != nil {
		return answer{}, err
	}
	defer drain(response.Body, cancel)
	status := response.StatusCode
	switch {
	case 300 <= status && status <= 399:
		return answer{}, w.refused(fmt.Sprintf("status %d", status))
	case status < 200 || status >= 500 || status == http.StatusRequestTimeout:
		return answer{}, w.open(fmt.Sprintf("status %d", status))
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil && status < 300 {
		return answer{}, fmt.Errorf("%s: %w", w.name, outbound.Cause(ctx, err))
	}
	return answer{status: status, header: response.Header, body: body}, nil
}

// values returns what replaces the placeholders of a template.
func values(m model.Message) config.Values {
	return config.Values{Code: string(m.Code), Minutes: strconv.Itoa(m.Minutes()), Domain: m.Domain, AppHash: m.AppHash}
}

// count is a whole number of an answer, in quotes or not, and 0 if it is none: no message is
// in doubt for its bill.
func count(raw json.RawMessage) int {
	n, _ := strconv.Atoi(strings.Trim(string(raw), `"`))
	return n
}

// drain reads the rest of a response, so that its connection can be reused. It gives up
// on a response that is long or slow.
func drain(body io.ReadCloser, giveUp func()) {
	timer := time.AfterFunc(drainTime, giveUp)
	defer timer.Stop()
	_, _ = io.CopyN(io.Discard, body, drainBytes)
	_ = body.Close()
}

// refused returns a definite refusal. reason is the vendor's code, as far as there is one.
func (w wire) refused(reason string) error {
	return fmt.Errorf("%s: %w: %w", w.name, model.ErrSendRefused, model.VendorCode(reason))
}

// throttled returns a definite refusal because of the vendor's own limit. The client
// gets limit as if the limit were one of ours.
func (w wire) throttled(limit *model.Failure, reason string) error {
	return fmt.Errorf("%s: %w: %w: %w", w.name, model.ErrSendRefused, model.VendorCode(reason), limit)
}

// open returns an error that leaves the outcome open: the message may arrive.
func (w wire) open(reason string) error {
	return fmt.Errorf("%s: %w", w.name, model.VendorCode(reason))
}

// codeForm is the form of vendors' error codes. It has no room for the digits of a number
// or of a code.
var codeForm = regexp.MustCompile(`\A[A-Za-z][A-Za-z_.]{0,79}([0-9]{1,3}[A-Za-z_.]{0,9})?\z`)

// Times after which a request may succeed that met a vendor's limit. They are its whole
// window, since no vendor reports the remaining time.
const (
	minute = time.Minute
	hour   = time.Hour
	day    = 24 * time.Hour
)
