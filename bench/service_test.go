package bench

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"menshen/model"
	"menshen/repository"
	"menshen/service"
	"menshen/service/token"
)

// parallel is how many clients act at a time.
const parallel = 64

// preparers is how many clients prepare an act at a time: few, so that a busy
// machine stays within the time limit of sending.
const preparers = 8

// BenchmarkTokens measures what a token costs: to sign, to verify with its
// signature, to find in the cache of verified tokens.
func BenchmarkTokens(b *testing.B) {
	cached := newHarness(b, repository.SQLite).tokens
	uncached := *cached
	uncached.Cache = nil
	tokens := &uncached
	now := model.TimeOf(time.Now()).Second()
	claims := model.Claims{
		UserID: 1 << 52, SessionID: "AAAAAAAAAAAAAAAAAAAAAAAAAA", TokenID: "BBBBBBBBBBBBBBBBBBBBBBBBBB", Gen: 7,
		IssuedAt: now, ExpiresAt: now.Add(time.Hour),
	}
	raw, err := tokens.Sign(claims)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("sign", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := tokens.Sign(claims); err != nil {
				b.Fatal(err)
			}
		}
	})
	for _, state := range []struct {
		name   string
		tokens *token.Issuer
	}{{"miss", tokens}, {"hit", cached}} {
		b.Run("verify/"+state.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := state.tokens.Verify(raw); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkCheck measures the hot check in process: the rule alone, with the
// session in the cache or in the database, and the whole route from the parsed
// request to the written response, with log and metrics.
func BenchmarkCheck(b *testing.B) {
	eachDatabase(b, func(b *testing.B, h *harness) {
		login, err := h.logInNewUser(b.Context(), "device-1")
		if err != nil {
			b.Fatal(err)
		}
		raw := string(login.Access.Value)
		claims, err := h.tokens.Verify(raw)
		if err != nil {
			b.Fatal(err)
		}
		b.Run("live", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				result, err := h.sessions.Check(b.Context(), claims, "device-1", model.Caller{})
				if err != nil || !result.IsLogin {
					b.Fatal(result, err)
				}
			}
		})
		b.Run("database", func(b *testing.B) {
			uncached, endings := *h.sessions, *h.sessions.Endings
			endings.Cache = nil
			uncached.Endings = &endings
			b.ReportAllocs()
			for b.Loop() {
				result, err := uncached.Check(b.Context(), claims, "device-1", model.Caller{})
				if err != nil || !result.IsLogin {
					b.Fatal(result, err)
				}
			}
		})
		b.Run("route", func(b *testing.B) { checkRoute(b, h, raw, "device-1") })
		b.Run("route/parallel", func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				check := newRouteCheck(b, h, raw, "device-1")
				for pb.Next() {
					check()
				}
			})
		})
	})
}

func checkRoute(b *testing.B, h *harness, raw, device string) {
	b.Helper()
	check := newRouteCheck(b, h, raw, device)
	b.ReportAllocs()
	for b.Loop() {
		check()
	}
}

// newRouteCheck returns a check over the whole route. Request and response writer
// are reused, so that they cost the benchmark nothing.
func newRouteCheck(b *testing.B, h *harness, raw, device string) (check func()) {
	b.Helper()
	request, err := http.NewRequestWithContext(b.Context(), http.MethodGet, "/wx/pc/check-login-status?deviceNumber="+device, nil)
	if err != nil {
		b.Fatal(err)
	}
	request.RemoteAddr = "192.0.2.1:4711"
	request.Header.Set("Authorization", "Bearer "+raw)
	w := &discardWriter{header: http.Header{}}
	return func() {
		clear(w.header)
		h.handler.ServeHTTP(w, request)
		if w.status != http.StatusOK || w.header["X-Login-State"][0] != "active" {
			b.Errorf("status %d, state %q", w.status, w.header["X-Login-State"])
		}
	}
}

// discardWriter keeps the status and the headers of a response, and drops its body.
type discardWriter struct {
	header http.Header
	status int
}

func (w *discardWriter) Header() http.Header         { return w.header }
func (w *discardWriter) WriteHeader(status int)      { w.status = status }
func (w *discardWriter) Write(p []byte) (int, error) { return len(p), nil }

// BenchmarkActs measures writes while 64 clients act at a time: ns/op is the time
// from one to the next, ms-* how long each one takes. What an act needs is
// prepared outside of the measured time.
func BenchmarkActs(b *testing.B) {
	for _, act := range []struct {
		name string
		run  func(b *testing.B, h *harness)
	}{
		{"bind", bindAct}, {"login/register", registerAct}, {"login/displace", displaceAct}, {"refresh", refreshAct},
	} {
		b.Run(act.name, func(b *testing.B) { eachDatabase(b, act.run) })
	}
}

// timeActs measures act for each of 0…b.N-1.
func timeActs(b *testing.B, act func(i int) error) {
	b.Helper()
	b.ReportAllocs()
	b.ResetTimer()
	took := each(b, b.N, parallel, act)
	b.StopTimer()
	took.report(b, "")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "acts/s")
}

// bindAct measures the first check of a session with a device number.
func bindAct(b *testing.B, h *harness) {
	claims := make([]model.Claims, b.N)
	each(b, b.N, preparers, func(i int) error {
		login, err := h.logInNewUser(b.Context(), "")
		if err == nil {
			claims[i], err = h.tokens.Verify(string(login.Access.Value))
		}
		return err
	})
	timeActs(b, func(i int) error {
		result, err := h.sessions.Check(b.Context(), claims[i], "device-1", model.Caller{})
		if err == nil && result.State != service.StateBound {
			err = fmt.Errorf("state %q", result.State)
		}
		return err
	})
}

// registerAct measures the first login of a number.
func registerAct(b *testing.B, h *harness) {
	mobiles := sendAll(b, h, nil)
	timeActs(b, func(i int) error {
		_, err := h.logIn(b.Context(), mobiles[i], "")
		return err
	})
}

// displaceAct measures a login that displaces another session of the same user.
func displaceAct(b *testing.B, h *harness) {
	mobiles := sendAll(b, h, nil)
	each(b, b.N, preparers, func(i int) error {
		_, err := h.logIn(b.Context(), mobiles[i], "")
		return err
	})
	sendAll(b, h, mobiles)
	timeActs(b, func(i int) error {
		login, err := h.logIn(b.Context(), mobiles[i], "")
		if err == nil && login.Displaced != 1 {
			err = fmt.Errorf("%d were displaced", login.Displaced)
		}
		return err
	})
}

// sendAll sends b.N codes, to new numbers if mobiles is nil.
func sendAll(b *testing.B, h *harness, mobiles []string) []string {
	b.Helper()
	if mobiles == nil {
		mobiles = make([]string, b.N)
		for i := range mobiles {
			mobiles[i] = h.number()
		}
	}
	each(b, b.N, preparers, func(i int) error { return h.sendCode(b.Context(), mobiles[i]) })
	return mobiles
}

// refreshAct measures a refresh with the current pair; each client has its own.
func refreshAct(b *testing.B, h *harness) {
	type pair struct{ access, refresh model.Secret }
	idle := make(chan pair, parallel)
	each(b, parallel, preparers, func(int) error {
		login, err := h.logInNewUser(b.Context(), "")
		idle <- pair{login.Access.Value, login.Refresh.Value}
		return err
	})
	timeActs(b, func(int) error {
		p := <-idle
		token, err := h.sessions.Refresh(b.Context(), p.access, p.refresh, model.Caller{IP: "192.0.2.1"})
		idle <- pair{token.Value, p.refresh}
		if err == nil && token.Value == p.access {
			err = errors.New("the token was not replaced")
		}
		return err
	})
}
