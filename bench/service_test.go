package bench

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"menshen/model"
	"menshen/service"
)

// parallel is how many clients act at a time.
const parallel = 64

// preparers make what acts need: few, so that a busy machine keeps the bounds of sending.
const preparers = 8

// BenchmarkTokens is what a token costs: to sign, to verify with its signature,
// to find again.
func BenchmarkTokens(b *testing.B) {
	tokens := newTokens(b)
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
	cached := *tokens
	cached.Seen = service.NewTokenCache()
	for _, state := range []struct {
		name   string
		tokens *service.Tokens
	}{{"miss", tokens}, {"hit", &cached}} {
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

// BenchmarkCheck is the hot check in process: the rule alone with a session that
// is remembered, and the whole route from the parsed request to the written
// answer, with log and metrics.
func BenchmarkCheck(b *testing.B) {
	eachDatabase(b, func(b *testing.B, s *stack) {
		login, err := s.newUser(b.Context(), "device-1")
		if err != nil {
			b.Fatal(err)
		}
		raw := string(login.Access.Value)
		claims, err := s.tokens.Verify(raw)
		if err != nil {
			b.Fatal(err)
		}
		b.Run("live", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				result, err := s.sessions.Check(b.Context(), claims, "device-1", service.Caller{})
				if err != nil || !result.IsLogin {
					b.Fatal(result, err)
				}
			}
		})
		b.Run("database", func(b *testing.B) {
			forgetful := *s.sessions
			forgetful.Live = nil
			b.ReportAllocs()
			for b.Loop() {
				result, err := forgetful.Check(b.Context(), claims, "device-1", service.Caller{})
				if err != nil || !result.IsLogin {
					b.Fatal(result, err)
				}
			}
		})
		b.Run("route", func(b *testing.B) { checkRoute(b, s, raw, "device-1") })
		b.Run("route/parallel", func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				ask := newAsker(b, s, raw, "device-1")
				for pb.Next() {
					ask()
				}
			})
		})
	})
}

func checkRoute(b *testing.B, s *stack, raw, device string) {
	b.Helper()
	ask := newAsker(b, s, raw, device)
	b.ReportAllocs()
	for b.Loop() {
		ask()
	}
}

// newAsker is a client whose request and answer cost the benchmark nothing.
func newAsker(b *testing.B, s *stack, raw, device string) (ask func()) {
	b.Helper()
	request, err := http.NewRequestWithContext(b.Context(), http.MethodGet, "/wx/pc/check-login-status?deviceNumber="+device, nil)
	if err != nil {
		b.Fatal(err)
	}
	request.RemoteAddr = "192.0.2.1:4711"
	request.Header.Set("Authorization", "Bearer "+raw)
	w := &writer{header: http.Header{}}
	return func() {
		clear(w.header)
		s.handler.ServeHTTP(w, request)
		if w.status != http.StatusOK || w.header["X-Login-State"][0] != "active" {
			b.Errorf("status %d, state %q", w.status, w.header["X-Login-State"])
		}
	}
}

// writer takes an answer and drops it.
type writer struct {
	header http.Header
	status int
}

func (w *writer) Header() http.Header         { return w.header }
func (w *writer) WriteHeader(status int)      { w.status = status }
func (w *writer) Write(p []byte) (int, error) { return len(p), nil }

// BenchmarkActs is what writes cost when 64 clients act at a time: ns/op is the
// time from one to the next, ms-* how long each one waits. What an act needs is
// made before, outside of the time.
func BenchmarkActs(b *testing.B) {
	for _, act := range []struct {
		name string
		run  func(b *testing.B, s *stack)
	}{
		{"bind", bindAct}, {"login/register", registerAct}, {"login/displace", displaceAct}, {"refresh", refreshAct},
	} {
		b.Run(act.name, func(b *testing.B) { eachDatabase(b, act.run) })
	}
}

// timeActs measures one act for each of 0…b.N-1.
func timeActs(b *testing.B, act func(i int) error) {
	b.Helper()
	b.ReportAllocs()
	b.ResetTimer()
	took := each(b, b.N, parallel, act)
	b.StopTimer()
	took.report(b, "")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "acts/s")
}

// bindAct is the first check of a session with a device number.
func bindAct(b *testing.B, s *stack) {
	claims := make([]model.Claims, b.N)
	each(b, b.N, preparers, func(i int) error {
		login, err := s.newUser(b.Context(), "")
		if err == nil {
			claims[i], err = s.tokens.Verify(string(login.Access.Value))
		}
		return err
	})
	timeActs(b, func(i int) error {
		result, err := s.sessions.Check(b.Context(), claims[i], "device-1", service.Caller{})
		if err == nil && result.State != service.StateBound {
			err = fmt.Errorf("state %q", result.State)
		}
		return err
	})
}

// registerAct is the first login of a number.
func registerAct(b *testing.B, s *stack) {
	mobiles := sendAll(b, s, nil)
	timeActs(b, func(i int) error {
		_, err := s.enter(b.Context(), mobiles[i], "")
		return err
	})
}

// displaceAct is a login that takes the place of another one of the same user.
func displaceAct(b *testing.B, s *stack) {
	mobiles := sendAll(b, s, nil)
	each(b, b.N, preparers, func(i int) error {
		_, err := s.enter(b.Context(), mobiles[i], "")
		return err
	})
	sendAll(b, s, mobiles)
	timeActs(b, func(i int) error {
		login, err := s.enter(b.Context(), mobiles[i], "")
		if err == nil && login.Displaced != 1 {
			err = fmt.Errorf("%d were displaced", login.Displaced)
		}
		return err
	})
}

// sendAll sends b.N codes, to new numbers when there are none.
func sendAll(b *testing.B, s *stack, mobiles []string) []string {
	b.Helper()
	if mobiles == nil {
		mobiles = make([]string, b.N)
		for i := range mobiles {
			mobiles[i] = s.number()
		}
	}
	each(b, b.N, preparers, func(i int) error { return s.send(b.Context(), mobiles[i]) })
	return mobiles
}

// refreshAct is a refresh with the current pair, each client with its own.
func refreshAct(b *testing.B, s *stack) {
	type pair struct{ access, refresh model.Secret }
	idle := make(chan pair, parallel)
	each(b, parallel, preparers, func(int) error {
		login, err := s.newUser(b.Context(), "")
		idle <- pair{login.Access.Value, login.Refresh.Value}
		return err
	})
	timeActs(b, func(int) error {
		p := <-idle
		token, err := s.sessions.Refresh(b.Context(), p.access, p.refresh, service.Caller{IP: "192.0.2.1"})
		idle <- pair{token.Value, p.refresh}
		if err == nil && token.Value == p.access {
			err = errors.New("the token was not replaced")
		}
		return err
	})
}
