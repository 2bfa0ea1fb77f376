package telemetry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"
)

// statusTransport turns every response of a collector but a success into a statusError
// and reads no more of it.
type statusTransport struct{ *http.Transport }

// RoundTrip is [http.RoundTripper.RoundTrip].
func (t statusTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := t.Transport.RoundTrip(r)
	if err != nil || response.StatusCode/100 == 2 {
		return response, err
	}
	_ = response.Body.Close()
	return nil, statusError(response.StatusCode)
}

// statusError is the status of a collector that took no spans.
type statusError int

// Error names the status.
func (e statusError) Error() string {
	return fmt.Sprintf("the collector answers with status %d", int(e))
}

// whyLost returns in the program's own words why an export within ctx failed. The error
// itself may quote what the collector answered, and that may echo a secret.
func whyLost(ctx context.Context, err error) string {
	var status statusError
	var system syscall.Errno
	var name *net.DNSError
	var slow interface{ Timeout() bool }
	switch {
	case errors.As(err, &status):
		return status.Error()
	case ctx.Err() != nil, errors.As(err, &slow) && slow.Timeout():
		return "no answer in time"
	case errors.As(err, &system):
		return system.Error()
	case errors.As(err, &name):
		return name.Error()
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "connection closed before the whole answer"
	}
	if why := whyDistrusted(err); why != "" {
		return why
	}
	return "the answer is none of OTLP over HTTP, or not all spans were taken"
}

// whyDistrusted returns what is wrong with the collector's certificate, "" if the error has
// another cause. The certificate is not quoted: it is the collector's own text.
func whyDistrusted(err error) string {
	_, unknown := errors.AsType[x509.UnknownAuthorityError](err)
	_, otherHost := errors.AsType[x509.HostnameError](err)
	invalid, dated := errors.AsType[x509.CertificateInvalidError](err)
	_, certificate := errors.AsType[*tls.CertificateVerificationError](err)
	switch {
	case otherHost:
		return "the certificate is for another host"
	case unknown:
		return "the certificate is signed by an unknown authority"
	case dated && invalid.Reason == x509.Expired:
		return "the certificate has expired or is not yet valid"
	case certificate:
		return "the certificate is not valid"
	}
	return ""
}
