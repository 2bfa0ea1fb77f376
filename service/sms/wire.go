// Package sms holds the senders of verification codes, one file per provider.
//
// A sender's error says one of two things. One that wraps model.ErrSendRefused
// is definite: nothing was or will be sent. Every other one leaves the outcome
// open: the message may arrive. When in doubt a sender leaves it open, because
// a refusal takes back what the message was charged, and lets another provider
// be asked. A status alone is no doubt where its meaning is agreed upon: a
// webhook's receiver says by 500 and 503 that it sent nothing, a vendor's 5xx says
// nothing.
package sms

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"regexp"
	"time"

	"menshen/model"
)

const (
	answerTime = 3 * time.Second
	idle       = 64 // connections kept, so that a busy minute dials no more than its parallelism

	// A connection is used again only when its answer was read to the end. An
	// answer that is longer or slower than this is not worth that.
	drainBytes = 16 << 10
	drainTime  = 100 * time.Millisecond

	maxAnswer = 64 << 10 // of a vendor; theirs are below 1 KiB
)

// wire speaks HTTP/1.1 with one provider through a transport of its own: never a
// redirect followed, never a request sent twice, no compression, and no proxy
// from HTTP_PROXY and its kin, so that codes go where the configuration says and
// nowhere else. It tells, too, whether a request can have left: that is what the
// difference between a refusal and an open outcome hangs on.
type wire struct {
	name      string // of the provider, to begin its errors
	transport *http.Transport
	timeout   time.Duration
}

func newWire(name string) wire {
	transport := &http.Transport{
		Proxy:                  nil,
		Protocols:              new(http.Protocols),
		MaxIdleConns:           idle,
		MaxIdleConnsPerHost:    idle,
		IdleConnTimeout:        30 * time.Second,
		DisableCompression:     true,
		MaxResponseHeaderBytes: 64 << 10,
	}
	transport.Protocols.SetHTTP1(true)
	return wire{name: name, transport: transport, timeout: answerTime}
}

// roundTrip waits for the head of the answer. Every failure before there was a
// connection to write to (refused, no such host, TLS) is a refusal. A time-out
// at any stage, and whatever breaks once the request may have left, is open; a
// time-out wraps context.DeadlineExceeded.
func (w wire) roundTrip(request *http.Request) (*http.Response, error) {
	connected := false
	trace := httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected = true }}
	ctx := request.Context()
	// The transport and not a Client: a Client would look at Location, and its
	// errors carry the URL.
	response, err := w.transport.RoundTrip(request.WithContext(httptrace.WithClientTrace(ctx, &trace)))
	if err != nil {
		return nil, w.failure(ctx, err, connected)
	}
	return response, nil
}

// failure judges a request that got no answer. The causes of a broken exchange
// are named, not quoted: net/http quotes what a server sent, and a server may
// send back what it was sent.
func (w wire) failure(ctx context.Context, err error, connected bool) error {
	var network net.Error
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("%s: no answer: %w", w.name, ctx.Err())
	case errors.As(err, &network) && network.Timeout():
		return fmt.Errorf("%s: no answer: %w", w.name, context.DeadlineExceeded)
	case !connected:
		return fmt.Errorf("%s: %w: connect: %w", w.name, model.ErrSendRefused, err)
	}
	var operation *net.OpError
	if errors.As(err, &operation) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return w.open("connection broken before the answer")
	}
	return w.open("the answer is not HTTP")
}

// answer is what a vendor said: a status of 2xx or 4xx, and the body as far as
// it came.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// ask builds the request, sends it, and reads the whole answer within the time-out.
// A redirect is a refusal. A 4xx is the caller's to judge, since the vendor
// explains it in the body, but for 408, which is open like a 5xx and a 2xx whose
// body does not come.
func (w wire) ask(ctx context.Context, build func(ctx context.Context) (*http.Request, error)) (answer, error) {
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
		return answer{}, w.failure(ctx, err, true)
	}
	return answer{status: status, header: response.Header, body: body}, nil
}

// drain reads what is left of an answer, so that its connection can be used
// again, and gives up on one that is long or slow.
func drain(body io.ReadCloser, giveUp func()) {
	timer := time.AfterFunc(drainTime, giveUp)
	defer timer.Stop()
	_, _ = io.CopyN(io.Discard, body, drainBytes)
	_ = body.Close()
}

// refused is a definite no.
func (w wire) refused(reason string) error {
	return fmt.Errorf("%s: %w: %s", w.name, model.ErrSendRefused, reason)
}

// throttled is a definite no because of the vendor's own limit, which the client
// is told of as of one of ours.
func (w wire) throttled(limit *model.Failure, reason string) error {
	return fmt.Errorf("%s: %w: %s: %w", w.name, model.ErrSendRefused, reason, limit)
}

// open leaves it open whether the message arrives.
func (w wire) open(reason string) error { return fmt.Errorf("%s: %s", w.name, reason) }

var wordOfCode = regexp.MustCompile(`\A[A-Za-z][A-Za-z0-9_.]{0,79}\z`)

// quotable is a vendor's error code as an error may repeat it. A code that does
// not look like one may be what the vendor was sent.
func quotable(code string) string {
	if wordOfCode.MatchString(code) {
		return code
	}
	return "a code of an unknown form"
}

// Times after which a vendor's limit is worth another try: its whole window,
// since no vendor says how much of it is left.
const (
	minute = time.Minute
	hour   = time.Hour
	day    = 24 * time.Hour
)
