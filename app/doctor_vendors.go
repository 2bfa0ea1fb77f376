package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"menshen/config"
	"menshen/service/outbound"
)

// destination is where the program sends requests.
type destination struct {
	name string // of the check
	url  *url.URL
	asks bool // whether a request for the head of its front page does no harm
}

// destinations are where the configuration sends requests.
func (e *examination) destinations() (all []destination) {
	add := func(name, address string, asks bool) {
		if u, err := url.Parse(address); err == nil && u.Host != "" {
			all = append(all, destination{name, u, asks})
		}
	}
	sms := e.Config.SMS
	for _, provider := range sms.Providers() {
		switch provider {
		case config.ProviderAliyun:
			add("vendor aliyun", sms.Aliyun.Endpoint, true)
		case config.ProviderTencent:
			add("vendor tencent", sms.Tencent.Endpoint, true)
		case config.ProviderTwilio:
			add("vendor twilio", sms.Twilio.Endpoint, true)
		case config.ProviderSNS:
			add("vendor sns", sms.SNS.Address(), true)
		case config.ProviderWebhook:
			add("vendor webhook", sms.Webhook.URL, false)
		}
	}
	c := e.Config.Challenge
	for name, address := range map[string]string{
		config.ChallengeTurnstile: c.OfTurnstile().URL, config.ChallengeHCaptcha: c.HCaptcha.URL, config.ChallengeReCAPTCHA: c.ReCAPTCHA.URL,
		config.ChallengeGeeTest: c.GeeTest.URL, config.ChallengeAliyun: c.Aliyun.URL, config.ChallengeTencent: c.Tencent.URL,
	} {
		if c.Uses(name) {
			add("challenge "+name, address, true)
		}
	}
	add("traces", e.Config.Tracing.Endpoint, false)
	return all
}

// vendors looks at the name, the certificate and the answer of each destination, and
// compares the clocks.
func (e *examination) vendors(ctx context.Context) {
	all := e.destinations()
	visits := make([]visit, len(all))
	var wait sync.WaitGroup
	for i, d := range all {
		wait.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, doctorTime)
			defer cancel()
			visits[i] = d.visit(ctx, e.Now)
		})
	}
	wait.Wait()
	e.names(all, visits)
	e.certificates(all, visits)
	var dated *visit
	for i, v := range visits {
		if v.err != nil {
			e.fail(all[i].name, "%s: %s", all[i].url.Host, v.err)
			continue
		}
		e.ok(all[i].name, "%s %s", all[i].url.Host, v.outcome)
		if !v.date.IsZero() {
			dated = &visits[i]
		}
	}
	if dated == nil {
		e.unknown("time", "there is no vendor whose clock could be compared")
		return
	}
	e.compareClocks("time", "a vendor's", dated.ahead, dateLimit)
}

func (e *examination) names(all []destination, visits []visit) {
	const name = "dns"
	var unresolved, resolved []string
	for i, v := range visits {
		if host := all[i].url.Hostname(); v.dns != nil {
			unresolved = append(unresolved, fmt.Sprintf("%s: %s", host, v.dns))
		} else {
			resolved = append(resolved, host)
		}
	}
	switch {
	case len(unresolved) > 0:
		e.fail(name, "%s", strings.Join(unresolved, "; "))
	case len(resolved) == 0:
		e.unknown(name, "the configuration names no other host")
	default:
		e.ok(name, "resolved: %s", strings.Join(resolved, ", "))
	}
}

func (e *examination) certificates(all []destination, visits []visit) {
	const name = "tls"
	var wrong, right []string
	for i, v := range visits {
		host := all[i].url.Hostname()
		switch left := v.expires.Sub(e.Now()); {
		case v.certificate != nil:
			wrong = append(wrong, fmt.Sprintf("%s: %s", host, v.certificate))
		case v.expires.IsZero():
		case left < certLimit:
			wrong = append(wrong, fmt.Sprintf("%s: its certificate ends on %s", host, v.expires.Format(time.DateOnly)))
		default:
			right = append(right, fmt.Sprintf("%s until %s", host, v.expires.Format(time.DateOnly)))
		}
	}
	switch {
	case len(wrong) > 0:
		e.fail(name, "%s", strings.Join(wrong, "; "))
	case len(right) == 0:
		e.unknown(name, "no https host was reached")
	default:
		e.ok(name, "certificates: %s", strings.Join(right, ", "))
	}
}

// visit is what one destination showed.
type visit struct {
	dns, certificate error
	err              error // whatever keeps messages from getting there
	expires          time.Time
	date             time.Time // of the answer
	ahead            time.Duration
	outcome          string
}

func (d destination) visit(ctx context.Context, now func() time.Time) (v visit) {
	if _, err := net.DefaultResolver.LookupHost(ctx, d.url.Hostname()); err != nil {
		v.dns, v.err = err, errors.New("its name cannot be resolved")
		return v
	}
	port := d.url.Port()
	if port == "" {
		port = d.url.Scheme
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(d.url.Hostname(), port))
	if err != nil {
		v.err = err
		return v
	}
	defer func() { _ = conn.Close() }()
	v.outcome = "accepts connections"
	if d.url.Scheme == "https" {
		secure := tls.Client(conn, &tls.Config{ServerName: d.url.Hostname(), MinVersion: tls.VersionTLS12})
		if v.err = secure.HandshakeContext(ctx); v.err != nil {
			v.certificate = v.err
			return v
		}
		v.expires = secure.ConnectionState().PeerCertificates[0].NotAfter
	}
	if d.asks {
		v.ask(ctx, d.url, now)
	}
	return v
}

// ask requests the head of the front page. Whatever the status is, the vendor is there.
func (v *visit) ask(ctx context.Context, of *url.URL, now func() time.Time) {
	front := url.URL{Scheme: of.Scheme, Host: of.Host, Path: "/"}
	request, err := http.NewRequestWithContext(ctx, http.MethodHead, front.String(), nil)
	if err != nil {
		v.err = err
		return
	}
	before := now()
	response, err := outbound.NewTransport().RoundTrip(request)
	if err != nil {
		v.err = err
		return
	}
	_ = response.Body.Close()
	v.outcome = fmt.Sprintf("answers with status %d", response.StatusCode)
	if date, err := http.ParseTime(response.Header.Get("Date")); err == nil {
		after := now()
		v.date, v.ahead = date, date.Sub(before.Add(after.Sub(before)/2))
	}
}
