package sms

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"log"
	bigint "math/big"
	"net"
	"net/http"
	"net/http/httputil"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// TestMain also proves that no goroutine of an exchange remains. The standard log, which
// quotes what a provider sends unrequested, is redacted by the program.
func TestMain(m *testing.M) {
	log.SetOutput(io.Discard)
	goleak.VerifyTestMain(m)
}

// maxError bounds an error's text, so that no line of the log exceeds 4 KiB.
const maxError = 200

// ways are the providers that are asked over the network.
var ways = append(slices.Clone(allVendors), vendor{name: "webhook", yes: "{}"})

// open returns the provider's sender for an endpoint.
func (v vendor) open(t *testing.T, endpoint string) (sender, *wire) {
	t.Helper()
	if v.build == nil {
		w := newWebhook(t, strings.Replace(endpoint, "://", "://user:pass@", 1)+"/sms?key=hush")
		return w, &w.wire
	}
	s := v.at(t, endpoint)
	return s, wireOf(s)
}

// misbehave is a provider that answers the first request of each connection with raw
// bytes. At the end of the test it closes its connections.
func misbehave(t *testing.T, secure *tls.Config, answer func(conn net.Conn, request []byte)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	var mu sync.Mutex
	var conns []net.Conn
	wait.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			if secure != nil {
				conn = tls.Server(conn, secure)
			}
			mu.Lock()
			conns = append(conns, conn)
			mu.Unlock()
			wait.Go(func() {
				r, err := http.ReadRequest(bufio.NewReader(conn))
				if err != nil {
					_ = conn.Close()
					return
				}
				request, _ := httputil.DumpRequest(r, true)
				answer(conn, request)
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		mu.Lock()
		for _, conn := range conns {
			_ = conn.Close()
		}
		mu.Unlock()
		wait.Wait()
	})
	return "http://" + listener.Addr().String()
}

// text answers with fixed bytes and closes the connection.
func text(parts ...string) func(net.Conn, []byte) {
	return func(conn net.Conn, _ []byte) {
		_, _ = io.WriteString(conn, strings.Join(parts, ""))
		_ = conn.Close()
	}
}

// stall answers with fixed bytes and keeps the connection open.
func stall(parts ...string) func(net.Conn, []byte) {
	return func(conn net.Conn, _ []byte) { _, _ = io.WriteString(conn, strings.Join(parts, "")) }
}

// flood answers with a head, and with more of the same until the client leaves.
func flood(head, more string) func(net.Conn, []byte) {
	return func(conn net.Conn, _ []byte) {
		_, err := io.WriteString(conn, head)
		for sent := 0; err == nil && sent < 10<<20; sent += len(more) {
			_, err = io.WriteString(conn, more)
		}
		_ = conn.Close()
	}
}

// drip answers with a head, and with one byte after the other until the client leaves.
func drip(head string) func(net.Conn, []byte) {
	return func(conn net.Conn, _ []byte) {
		_, err := io.WriteString(conn, head)
		for err == nil {
			time.Sleep(time.Millisecond)
			_, err = io.WriteString(conn, "x")
		}
	}
}

// echo answers with the request, whole and in one line, in a form.
func echo(form string) func(net.Conn, []byte) {
	return func(conn net.Conn, request []byte) {
		line := string(bytes.Map(func(r rune) rune {
			if r < ' ' || r == '"' || r == '\\' {
				return ' '
			}
			return r
		}, request)) + " +8613800138000 13800138000 012345"
		_, _ = io.WriteString(conn, strings.ReplaceAll(form, "ECHO", line))
		_ = conn.Close()
	}
}

const (
	okHead   = "HTTP/1.1 200 OK\r\n"
	badHead  = "HTTP/1.1 400 Bad\r\nContent-Type: application/json\r\n\r\n"
	big      = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	longLine = "X-Long: " + big + "\r\n"
)

// misbehaviours are what a provider can do wrong. A 2xx head says all that a webhook has
// to say, and each other status but 408 and 504 is its refusal.
var misbehaviours = []struct {
	name            string
	answer          func(net.Conn, []byte)
	vendor, webhook outcome
	slow            bool // goes on until the time-out
}{
	{"hangs before the head", stall(), unknown, unknown, true},
	{"hangs within the head", stall("HTTP/1.1 200 O"), unknown, unknown, true},
	{"hangs before the body", stall(okHead, "Content-Length: 9\r\n\r\n"), unknown, sent, true},
	{"hangs within the body", stall(okHead, "Content-Length: 9\r\n\r\n{"), unknown, sent, true},
	{"hangs in informational answers", stall("HTTP/1.1 103 Early Hints\r\n\r\n"), unknown, unknown, true},
	{"drips the head", drip("HTTP/1.1 200 OK\r\nX: "), unknown, unknown, true},
	{"drips the body", drip(okHead + "\r\n"), unknown, sent, true},
	{"switches protocols and hangs", stall("HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"), unknown, refused, false},

	{"redirects 301", echo("HTTP/1.1 301 ECHO\r\nLocation: http://127.0.0.1:1/ECHO\r\n\r\nECHO"), refused, refused, false},
	{"redirects 302", echo("HTTP/1.1 302 ECHO\r\nLocation: /ECHO\r\n\r\nECHO"), refused, refused, false},
	{"redirects 303", echo("HTTP/1.1 303 ECHO\r\nLocation: ECHO\r\n\r\n"), refused, refused, false},
	{"redirects 307", echo("HTTP/1.1 307 ECHO\r\nLocation: //ECHO\r\n\r\nECHO"), refused, refused, false},
	{"redirects 308", echo("HTTP/1.1 308 ECHO\r\nLocation: http://[ECHO\r\n\r\nECHO"), refused, refused, false},

	{"10 MB of body", flood(okHead+"\r\n", big), unknown, sent, false},
	{"10 MB of body in a refusal", flood(badHead, big), refused, refused, false},
	{"10 MB of body in a redirect", flood("HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n", big), refused, refused, false},
	{"10 MB of body in a fault", flood("HTTP/1.1 502 Bad\r\n\r\n", big), unknown, refused, false},
	{"10 MB of header", flood(okHead, longLine), unknown, unknown, false},
	{"10 MB of one header", flood(okHead+"X: ", big), unknown, unknown, false},
	{"10 MB of status line", flood("HTTP/1.1 200 ", big), unknown, unknown, false},
	{"10 MB of informational answers", flood("", "HTTP/1.1 103 Early Hints\r\n"+longLine+"\r\n"), unknown, unknown, false},
	{"10 MB of nesting", flood(okHead+"\r\n", strings.Repeat("[", 64)), unknown, sent, false},
	{"10 MB of trailer", flood(okHead+"Transfer-Encoding: chunked\r\n\r\n0\r\n", longLine), unknown, sent, false},

	{"echoes without HTTP", echo("ECHO\r\n\r\n"), unknown, unknown, false},
	{"echoes as its status", echo("HTTP/1.1 ECHO\r\n\r\n"), unknown, unknown, false},
	{"echoes as a header's name", echo(okHead + "ECHO: 1\r\n\r\n"), unknown, unknown, false},
	{"echoes as its length", echo(okHead + "Content-Length: ECHO\r\n\r\n"), unknown, unknown, false},
	{"echoes as its encoding", echo(okHead + "Transfer-Encoding: ECHO\r\n\r\n"), unknown, unknown, false},
	{"echoes as a chunk's length", echo(okHead + "Transfer-Encoding: chunked\r\n\r\nECHO\r\n"), unknown, sent, false},
	{"echoes in a success", echo(okHead + "X: ECHO\r\nContent-Type: ECHO\r\nSet-Cookie: ECHO\r\n\r\nECHO"), unknown, sent, false},
	{"echoes in a refusal", echo("HTTP/1.1 400 ECHO\r\nX: ECHO\r\nRetry-After: ECHO\r\n\r\nECHO"), refused, refused, false},
	{"echoes in a fault", echo("HTTP/1.1 500 ECHO\r\nX: ECHO\r\n\r\nECHO"), unknown, refused, false},
	{"echoes as a sentence", echo(badHead + `{"code":"ECHO","Code":"ECHO","Response":{"Error":{"Code":"ECHO"}}}`), refused, refused, false},
	{"echoes as a code", echo(badHead + `{"Code":"E13800138000","Response":{"Error":{"Code":"E.13800138000"}}}`), refused, refused, false},
	{"echoes as a code of digits", echo(badHead + `{"code":13800138000,"Response":{"Error":{"Code":"isv.012345"}}}`), refused, refused, false},

	{"echoes as a code in XML", echo(badHead + "<E><Error><Code>ECHO</Code></Error></E>"), refused, refused, false},
	{"echoes as a code of digits in XML", echo(badHead + "<E><Error><Code>E13800138000</Code></Error></E>"), refused, refused, false},

	{"closes without an answer", text(), unknown, unknown, false},
	{"is not HTTP", text("220 smtp.example ESMTP\r\n"), unknown, unknown, false},
	{"is HTTP/2", text("\x00\x00\x12\x04\x00\x00\x00\x00\x00"), unknown, unknown, false},
	{"is a later HTTP", text("HTTP/9.9 200 OK\r\n\r\n{}"), unknown, sent, false},
	{"has two lengths", text(okHead, "Content-Length: 1\r\nContent-Length: 2\r\n\r\n{}"), unknown, unknown, false},
	{"has a length below 0", text(okHead, "Content-Length: -1\r\n\r\n{}"), unknown, unknown, false},
	{"ends within the body", text(okHead, "Content-Length: 100\r\n\r\n{"), unknown, sent, false},
	{"is empty", text(okHead, "Content-Length: 0\r\n\r\n"), unknown, sent, false},
	{"has no content", text("HTTP/1.1 204 No Content\r\n\r\n"), unknown, sent, false},
	{"lies with a page", text(okHead, "Content-Type: text/html\r\n\r\n<html>Welcome to the hotel</html>"), unknown, sent, false},
	{"lies with null", text(okHead, "\r\nnull"), unknown, sent, false},
	{"lies with a list", text(okHead, "\r\n[]"), unknown, sent, false},
	{"lies with an object", text(okHead, "\r\n{}"), unknown, sent, false},
	{"lies with a word", text(okHead, "\r\n", `"OK"`), unknown, sent, false},
	{"lies with types", text(okHead, "\r\n", `{"Code":0,"code":"OK","Response":[],"sid":1}`), unknown, sent, false},
	{"lies with XML", text(okHead, "\r\n", `<PublishResponse><MessageId>1</MessageId></PublishResponse>`), unknown, sent, false},
	{"lies with bytes", text(okHead, "Content-Encoding: gzip\r\n\r\n\x1f\x8b\x08\x00"), unknown, sent, false},
	{"is halfway through", text("HTTP/1.1 202 Accepted\r\n\r\n"), unknown, sent, false},
}

// TestMisbehaviour: whatever a provider answers, the outcome is the right one, in time,
// and the error is short and quotes nothing.
func TestMisbehaviour(t *testing.T) {
	for _, v := range ways {
		for _, row := range misbehaviours {
			t.Run(v.name+" "+row.name, func(t *testing.T) {
				t.Parallel()
				want := row.vendor
				if v.name == "webhook" {
					want = row.webhook
				}
				s, w := v.open(t, misbehave(t, nil, row.answer))
				if row.slow {
					w.timeout = 200 * time.Millisecond
				}
				checkMisbehaviour(t, s, want, row.slow && want == unknown)
			})
		}
		t.Run(v.name+" answers in another type", func(t *testing.T) {
			s, _ := v.open(t, misbehave(t, nil, text("HTTP/1.1 201 Created\r\nContent-Type: text/html\r\n\r\n", v.yes)))
			checkMisbehaviour(t, s, sent, false)
		})
		t.Run(v.name+" says more than its answer", func(t *testing.T) {
			s, _ := v.open(t, misbehave(t, nil, echo(fmt.Sprintf("%sContent-Length: %d\r\n\r\n%sECHO", okHead, len(v.yes), v.yes))))
			checkMisbehaviour(t, s, sent, false)
		})
	}
}

func checkMisbehaviour(t *testing.T, s sender, want outcome, timeout bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second) // the sender's own time-out is shorter
	defer cancel()
	err := errOf(s.Send(ctx, vendorMessage()))
	checkOutcome(t, err, want)
	if ctx.Err() != nil || timeout && !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("no time-out: %v", err)
	}
	if err != nil && (len(err.Error()) > maxError || strings.ContainsAny(err.Error(), "\r\n\x00")) {
		t.Errorf("the error has %d bytes: %q", len(err.Error()), err)
	}
}

// TestEarlierConnectionsCostNothing: a provider that takes one message on a connection
// and closes it in order at the next one loses none of a vendor. If it resets the
// connection, it loses none of a webhook either.
func TestEarlierConnectionsCostNothing(t *testing.T) {
	for _, v := range ways {
		t.Run(v.name, func(t *testing.T) {
			s, _ := v.open(t, misbehave(t, nil, func(conn net.Conn, _ []byte) {
				_, _ = fmt.Fprintf(conn, "%sContent-Length: %d\r\n\r\n%s", okHead, len(v.yes), v.yes)
				_, _ = http.ReadRequest(bufio.NewReader(conn))
				if v.name == "webhook" {
					_ = conn.(*net.TCPConn).SetLinger(0)
				}
				_ = conn.Close()
			}))
			for range 20 {
				checkMisbehaviour(t, s, sent, false)
			}
		})
	}
}

// TestMisbehaviourOfTLS: without a connection nothing was sent, so that each failure but
// a time-out is a refusal, and no certificate is quoted.
func TestMisbehaviourOfTLS(t *testing.T) {
	now := time.Now()
	names := []string{"localhost"}
	var crowd []string
	for i := range 99 {
		crowd = append(crowd, fmt.Sprintf("code-012345.number-13800138000.%d.%s.example", i, big[:60]))
	}
	forged := func(change func(*x509.Certificate)) *tls.Config { return forge(t, change) }
	noCipher := forged(func(c *x509.Certificate) { c.DNSNames = names })
	noCipher.MinVersion, noCipher.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	for _, row := range []struct {
		name   string
		secure *tls.Config
		want   string // a part of the error
	}{
		{"unknown authority", forged(func(c *x509.Certificate) { c.DNSNames = names }), "unknown authority"},
		{"authority with a message", forged(func(c *x509.Certificate) {
			c.DNSNames, c.Issuer.CommonName, c.Subject.CommonName = names, "+8613800138000 012345", strings.Repeat("hush", 9999)
		}), "unknown authority"},
		{"another host", forged(func(c *x509.Certificate) { c.DNSNames = []string{"hush.example"} }), "another host"},
		{"a hundred hosts", forged(func(c *x509.Certificate) { c.DNSNames = crowd }), "another host"},
		{"expired", forged(func(c *x509.Certificate) { c.DNSNames, c.NotAfter = names, now.Add(-time.Hour) }), "expired"},
		{"not yet valid", forged(func(c *x509.Certificate) { c.DNSNames, c.NotBefore = names, now.Add(time.Hour) }), "not yet valid"},
		{"another use", forged(func(c *x509.Certificate) {
			c.DNSNames, c.ExtKeyUsage = names, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		}), "certificate"},
		{"old TLS", noCipher, "no TLS"},
		{"no TLS", nil, "no TLS"},
	} {
		address := strings.NewReplacer("http://127.0.0.1", "https://localhost").Replace(misbehave(t, row.secure, stall()))
		for _, v := range ways {
			t.Run(v.name+" "+row.name, func(t *testing.T) {
				s, w := v.open(t, address)
				checkMisbehaviour(t, s, refused, false)
				if err := errOf(s.Send(t.Context(), vendorMessage())); !strings.Contains(err.Error(), row.want) {
					t.Errorf("error %v, want %q", err, row.want)
				}
				w.transport.CloseIdleConnections()
			})
		}
	}
}

// forge returns a certificate that signs itself.
func forge(t *testing.T, change func(*x509.Certificate)) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: bigint.NewInt(2), Subject: pkix.Name{CommonName: "x"}, NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	change(template)
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, MinVersion: tls.VersionTLS12}
}
