// Package outbound is how the program speaks to vendors.
//
// A connection that was kept from an earlier request may be closed by the vendor at the
// moment at which the next one is written. No client can tell whether that request was
// read, so a request that must not be made twice never meets a kept connection.
package outbound

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"regexp"
	"sync/atomic"
	"syscall"
	"time"
)

// idleTime is how long a connection is kept. It is shorter than what common servers
// allow (gunicorn 2 s, Node and Apache 5 s), so that they do not close first.
const idleTime = time.Second

// ErrUnsent marks a request of which nothing was sent, because no connection was
// established.
var ErrUnsent = errors.New("no connection")

var (
	errBroken = errors.New("connection broken before the answer")
	errForm   = errors.New("the answer is not HTTP")
)

// Transport speaks HTTP/1.1 with one vendor. It follows no redirect, compresses nothing,
// and uses no proxy from HTTP_PROXY and its kin, so that codes and secrets go where the
// configuration says and nowhere else. Use it and not an http.Client: a Client follows
// Location.
type Transport struct {
	first *http.Transport // keeps connections, or is fresh
	fresh *http.Transport // a new connection for each request
}

// NewTransport returns a transport that makes no request twice: each one gets a new
// connection. TLS sessions are resumed.
func NewTransport() *Transport {
	fresh := newTransport(&tls.Config{MinVersion: tls.VersionTLS12, ClientSessionCache: tls.NewLRUClientSessionCache(1)})
	fresh.DisableKeepAlives = true
	return &Transport{first: fresh, fresh: fresh}
}

// NewKeepingTransport returns a transport that keeps at most idle connections. If a kept
// one is reset before a byte of the answer, the request is made once more, on a new
// connection. So its receiver must be able to recognize a repeated request, and every
// request needs GetBody.
func NewKeepingTransport(idle int) *Transport {
	t := NewTransport()
	t.first = newTransport(t.fresh.TLSClientConfig)
	t.first.MaxIdleConns, t.first.MaxIdleConnsPerHost, t.first.IdleConnTimeout = idle, idle, idleTime
	return t
}

// dialTime bounds the opening of a connection, which net/http goes on with when the
// request that it was for has ended.
const dialTime = 3 * time.Second

func newTransport(secure *tls.Config) *http.Transport {
	transport := &http.Transport{
		Proxy: nil, Protocols: new(http.Protocols), TLSClientConfig: secure, DisableCompression: true, MaxResponseHeaderBytes: 64 << 10,
		DialContext: (&net.Dialer{Timeout: dialTime}).DialContext, TLSHandshakeTimeout: dialTime,
	}
	transport.Protocols.SetHTTP1(true)
	return transport
}

// CloseIdleConnections closes the kept connections.
func (t *Transport) CloseIdleConnections() { t.first.CloseIdleConnections() }

// RoundTrip waits for the head of the response. Its errors are those of Cause. One that
// wraps ErrUnsent is definite: nothing was sent.
func (t *Transport) RoundTrip(request *http.Request) (*http.Response, error) {
	response, sent, err := try(t.first, request)
	if err != nil && sent.lost {
		again := request.Clone(request.Context())
		if again.Body, err = request.GetBody(); err != nil {
			return nil, errBroken
		}
		left := sent.left
		response, sent, err = try(t.fresh, again)
		sent.left = sent.left || left
	}
	switch {
	case err != nil && sent.left:
		return nil, Cause(request.Context(), err)
	case err != nil:
		return nil, unsent(request.Context(), err)
	case response.StatusCode == http.StatusSwitchingProtocols: // its body has no end and obeys no context
		_ = response.Body.Close()
		response.Body = http.NoBody
	}
	return response, nil
}

// fate is what became of a request without a response.
type fate struct {
	left bool // a part of it may have left
	lost bool // a kept connection was reset before a byte of the response
}

// closedIdle is the text of net/http's error for a kept connection that was found closed
// before the request was written to it.
const closedIdle = "http: server closed idle connection"

// try makes the request once. net/http itself makes a POST again if nothing of it was
// written, and never otherwise.
func try(transport *http.Transport, request *http.Request) (*http.Response, fate, error) {
	var connected, kept bool
	var answered atomic.Bool
	trace := httptrace.ClientTrace{
		GetConn:              func(string) { connected = false },
		GotConn:              func(got httptrace.GotConnInfo) { connected, kept = true, got.Reused },
		GotFirstResponseByte: func() { answered.Store(true) },
	}
	response, err := transport.RoundTrip(request.WithContext(httptrace.WithClientTrace(request.Context(), &trace)))
	if err == nil || !connected {
		return response, fate{}, err
	}
	unwritten := err.Error() == closedIdle
	reset := errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
	return nil, fate{left: !unwritten, lost: kept && !answered.Load() && (unwritten || reset)}, err
}

// Cause returns why a response, or the rest of one, did not arrive. It wraps the error
// of ctx, or context.DeadlineExceeded for any other time-out. It names causes and does
// not quote them: net/http quotes what a server sent, which may echo our request, and
// the URL.
func Cause(ctx context.Context, err error) error {
	network, _ := errors.AsType[net.Error](err)
	_, broken := errors.AsType[*net.OpError](err)
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("no answer: %w", ctx.Err())
	case network != nil && network.Timeout():
		return fmt.Errorf("no answer: %w", context.DeadlineExceeded)
	case broken || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || err.Error() == closedIdle:
		return errBroken
	}
	return errForm
}

// unsent returns the error for a request without a connection. A time-out is one at any
// stage. Certificates are not quoted: they are the server's own text, of any length.
func unsent(ctx context.Context, err error) error {
	if cause := Cause(ctx, err); errors.Is(cause, context.DeadlineExceeded) || errors.Is(cause, context.Canceled) {
		return cause
	}
	reason := "no TLS"
	operation, _ := errors.AsType[*net.OpError](err)
	_, otherHost := errors.AsType[x509.HostnameError](err)
	_, unknown := errors.AsType[x509.UnknownAuthorityError](err)
	invalid, dated := errors.AsType[x509.CertificateInvalidError](err)
	_, certificate := errors.AsType[*tls.CertificateVerificationError](err)
	switch {
	case operation != nil && operation.Op == "dial":
		reason = operation.Err.Error()
	case otherHost:
		reason = "the certificate is for another host"
	case unknown:
		reason = "the certificate is signed by an unknown authority"
	case dated && invalid.Reason == x509.Expired:
		reason = "the certificate has expired or is not yet valid"
	case certificate:
		reason = "the certificate is not valid"
	}
	return fmt.Errorf("%w: %s", ErrUnsent, reason)
}

// Quotable returns a vendor's error code as an error may quote it: the code itself if
// it has the form. Any other may echo what the vendor was sent.
func Quotable(code string, form *regexp.Regexp) string {
	if form.MatchString(code) {
		return code
	}
	return "a code of an unknown form"
}
