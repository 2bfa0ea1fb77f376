package token

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"menshen/model"
)

var tokenAlgs = []string{AlgES256, AlgEdDSA, AlgRS256}

func newTestTokens(ring *KeyRing, clock *keyClock) *Issuer {
	return &Issuer{Keys: ring, Name: "menshen", Audience: []string{"menshen", "shop"}, Now: clock.Now}
}

// tokenSetup is tokens over a new ring with one key of alg.
func tokenSetup(t testing.TB, alg string) (*Issuer, *keyClock) {
	t.Helper()
	clock := newKeyClock()
	opts := keyTestOptions(t, clock)
	opts.Algorithm = alg
	return newTestTokens(mustOpenKeys(t, opts), clock), clock
}

func tokenTestClaims(now time.Time) model.Claims {
	at := model.TimeOf(now).Second()
	return model.Claims{
		UserID: 4503599627370495, SessionID: "k7s2d4v6c5b3n1m9k7s2d4v6c5", TokenID: "q1w2e3r4t5y6u7i8o9p0a1s2d3",
		Gen: 7, CompanyType: 1, ProductType: 2, IssuedAt: at, ExpiresAt: at.Add(15 * time.Minute),
	}
}

func mustSign(t testing.TB, tokens *Issuer, claims model.Claims) string {
	t.Helper()
	raw, err := tokens.Sign(claims)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// tokenPart decodes a part of a token as a map.
func tokenPart(t *testing.T, raw string, part int) map[string]any {
	t.Helper()
	text, err := base64.RawURLEncoding.DecodeString(strings.Split(raw, ".")[part])
	var members map[string]any
	if err := errors.Join(err, json.Unmarshal(text, &members)); err != nil {
		t.Fatal(err)
	}
	return members
}

func TestTokensRoundTrip(t *testing.T) {
	for _, alg := range tokenAlgs {
		t.Run(alg, func(t *testing.T) {
			tokens, clock := tokenSetup(t, alg)
			claims := tokenTestClaims(clock.Now())
			raw := mustSign(t, tokens, claims)
			got, err := tokens.Verify(raw)
			if diff := cmp.Diff(claims, got); err != nil || diff != "" {
				t.Errorf("error %v, claims differ:\n%s", err, diff)
			}
			header := map[string]any{"alg": alg, "kid": keyIDs(tokens.Keys)[0], "typ": "at+jwt"}
			if diff := cmp.Diff(header, tokenPart(t, raw, 0)); diff != "" {
				t.Errorf("header differs:\n%s", diff)
			}
			payload := map[string]any{
				"iss": "menshen", "sub": "4503599627370495", "aud": []any{"menshen", "shop"},
				"exp": float64(claims.ExpiresAt.Unix()), "iat": float64(claims.IssuedAt.Unix()),
				"jti": claims.TokenID, "sid": claims.SessionID, "gen": 7.0, "company_type": 1.0, "product_type": 2.0,
			}
			if diff := cmp.Diff(payload, tokenPart(t, raw, 1)); diff != "" {
				t.Errorf("payload differs:\n%s", diff)
			}
		})
	}
}

// TestTokensOfNewerInstance: while a deployment is upgraded an instance must accept
// the tokens of a newer one, whatever claims those add (RFC 7519 §4).
func TestTokensOfNewerInstance(t *testing.T) {
	tokens, clock := tokenSetup(t, AlgES256)
	key := tokens.Keys.signer()
	want, err := tokens.Verify(forgeToken(t, key, tokenHeader(key), tokenPayloadText(clock.Now())))
	if err != nil {
		t.Fatal(err)
	}
	for _, value := range []string{`"admin"`, `3`, `1e300`, `null`, `["a",{"b":[]}]`, `{"sid":"other"}`} {
		got, err := tokens.Verify(forgeToken(t, key, tokenHeader(key), tokenPayloadText(clock.Now(), "level", value)))
		if err != nil || got != want {
			t.Errorf("level %s: claims %+v, error %v", value, got, errors.Unwrap(err))
		}
	}
}

func TestTokensCutTimesToSeconds(t *testing.T) {
	tokens, clock := tokenSetup(t, AlgEdDSA)
	claims := tokenTestClaims(clock.Now())
	want := claims
	claims.IssuedAt += 999
	claims.ExpiresAt++
	got, err := tokens.Verify(mustSign(t, tokens, claims))
	if err != nil || got != want {
		t.Errorf("claims %+v, error %v", got, err)
	}
}

func TestTokensOneAudienceIsAnArray(t *testing.T) {
	tokens, clock := tokenSetup(t, AlgEdDSA)
	tokens.Audience = tokens.Audience[:1]
	raw := mustSign(t, tokens, tokenTestClaims(clock.Now()))
	if got := tokenPart(t, raw, 1)["aud"]; !cmp.Equal(got, []any{"menshen"}) {
		t.Errorf("aud is %v", got)
	}
}

func TestTokensSignRefusesWhatVerifyWould(t *testing.T) {
	tokens, clock := tokenSetup(t, AlgEdDSA)
	for name, spoil := range map[string]func(*model.Claims){
		"no user":       func(c *model.Claims) { c.UserID = 0 },
		"no session":    func(c *model.Claims) { c.SessionID = "" },
		"long session":  func(c *model.Claims) { c.SessionID = strings.Repeat("s", 65) },
		"no jti":        func(c *model.Claims) { c.TokenID = "" },
		"odd jti":       func(c *model.Claims) { c.TokenID = "a b" },
		"negative gen":  func(c *model.Claims) { c.Gen = -1 },
		"no iat":        func(c *model.Claims) { c.IssuedAt = 0 },
		"no exp":        func(c *model.Claims) { c.ExpiresAt = 0 },
		"exp for ever":  func(c *model.Claims) { c.ExpiresAt = model.Forever },
		"exp below 1 s": func(c *model.Claims) { c.ExpiresAt = 999 },
	} {
		claims := tokenTestClaims(clock.Now())
		spoil(&claims)
		if raw, err := tokens.Sign(claims); err == nil || raw != "" {
			t.Errorf("%s: signed", name)
		}
	}
}

func TestTokensExpiryIsTheCallers(t *testing.T) {
	tokens, clock := tokenSetup(t, AlgES256)
	raw := mustSign(t, tokens, tokenTestClaims(clock.Now()))
	for _, step := range []struct {
		by      time.Duration
		expired bool
	}{{0, false}, {15*time.Minute - 679*time.Millisecond, false}, {time.Millisecond, true}, {1000 * time.Hour, true}} {
		clock.Advance(step.by)
		claims, err := tokens.Verify(raw)
		if err != nil || claims.Expired(model.TimeOf(clock.Now())) != step.expired {
			t.Errorf("at %v: error %v, expired %v", clock.Now(), err, !step.expired)
		}
	}
}

func TestTokensClockSkew(t *testing.T) {
	tokens, clock := tokenSetup(t, AlgES256)
	for ahead, good := range map[time.Duration]bool{30 * time.Second: true, 32 * time.Second: false} {
		_, err := tokens.Verify(mustSign(t, tokens, tokenTestClaims(clock.Now().Add(ahead))))
		if (err == nil) != good {
			t.Errorf("iat %v ahead: error %v", ahead, err)
		}
	}
}

// TestTokensAfterSetBack: when the clock is set back, a token from before is none from the
// future: it is as good as it was. One that is newer than any time seen is refused.
func TestTokensAfterSetBack(t *testing.T) {
	tokens, clock := tokenSetup(t, AlgES256)
	latest := clock.Now()
	tokens.Latest = func() time.Time { return latest }
	raw, future := mustSign(t, tokens, tokenTestClaims(latest)), mustSign(t, tokens, tokenTestClaims(latest.Add(32*time.Second)))
	for _, step := range []time.Duration{-29 * time.Second, -time.Hour, -24 * time.Hour} {
		clock.Advance(step)
		if _, err := tokens.Verify(raw); err != nil {
			t.Errorf("%s back: %v", step, err)
		}
		if _, err := tokens.Verify(future); !errors.Is(err, model.ErrToken) {
			t.Errorf("%s back, a token from the future: error %v", step, err)
		}
	}
}

func TestTokensOfPendingKeyVerify(t *testing.T) {
	tokens, clock := tokenSetup(t, AlgES256)
	clock.Advance(time.Hour)
	change := mustRotateKeys(t, tokens.Keys)
	pending := tokens.Keys.find(change.Added[0])
	if tokens.Keys.signer() == pending {
		t.Fatal("a new key signs at once")
	}
	raw := forgeToken(t, pending, tokenHeader(pending), tokenPayloadText(clock.Now()))
	if _, err := tokens.Verify(raw); err != nil {
		t.Errorf("a token of a pending key: %v", err)
	}
}

func TestTokensOfForeignRing(t *testing.T) {
	ours, clock := tokenSetup(t, AlgES256)
	theirs, _ := tokenSetup(t, AlgES256)
	if _, err := ours.Verify(mustSign(t, theirs, tokenTestClaims(clock.Now()))); !errors.Is(err, model.ErrToken) {
		t.Errorf("error %v, want ErrToken", err)
	}
	for name, change := range map[string]func(*Issuer){
		"issuer":   func(t *Issuer) { t.Name = "Menshen" },
		"audience": func(t *Issuer) { t.Audience = []string{"bank"} },
		"no aud":   func(t *Issuer) { t.Audience = nil },
	} {
		other := *ours
		change(&other)
		if _, err := ours.Verify(mustSign(t, &other, tokenTestClaims(clock.Now()))); !errors.Is(err, model.ErrToken) {
			t.Errorf("%s: error %v, want ErrToken", name, err)
		}
	}
}

func TestTokensVerifyWhileKeysChange(t *testing.T) {
	tokens, clock := tokenSetup(t, AlgES256)
	kept := mustSign(t, tokens, tokenTestClaims(clock.Now()))
	clock.Advance(time.Minute)                 // the first key stays the oldest, and signs
	other := mustOpenKeys(t, tokens.Keys.opts) // another process on the same folder
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := tokens.Verify(kept); err != nil {
					t.Error(err)
					return
				}
				raw, err := tokens.Sign(tokenTestClaims(clock.Now()))
				if err == nil {
					_, err = tokens.Verify(raw)
				}
				if err != nil {
					t.Error(err)
					return
				}
				_ = tokens.Keys.JWKS()
			}
		})
	}
	for range 20 {
		added, err := other.Rotate()
		err = errors.Join(err, tokens.Keys.Reload())
		_, revoked := other.Revoke(added.Added[0])
		if err := errors.Join(err, revoked, tokens.Keys.Reload()); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	readers.Wait()
}

// TestTokensEveryByteCounts changes each character of a token to each other one.
func TestTokensEveryByteCounts(t *testing.T) {
	tokens, clock := tokenSetup(t, AlgEdDSA)
	raw := mustSign(t, tokens, tokenTestClaims(clock.Now()))
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."
	for i := range raw {
		for _, c := range []byte(alphabet) {
			if c == raw[i] {
				continue
			}
			if _, err := tokens.Verify(raw[:i] + string(c) + raw[i+1:]); !errors.Is(err, model.ErrToken) {
				t.Fatalf("byte %d changed to %c: error %v", i, c, err)
			}
		}
		for _, cut := range []string{raw[:i], raw[i+1:], raw[:i] + raw[i+1:]} {
			if _, err := tokens.Verify(cut); !errors.Is(err, model.ErrToken) {
				t.Fatalf("byte %d cut: error %v", i, err)
			}
		}
	}
}

func TestTokensHugeInputIsCheap(t *testing.T) {
	tokens, _ := tokenSetup(t, AlgES256)
	for _, raw := range []string{strings.Repeat(".", 64<<10), strings.Repeat("a", 64<<10) + ".b.c"} {
		got := testing.AllocsPerRun(100, func() { _, _ = tokens.Verify(raw) })
		if got > 2 {
			t.Errorf("%v allocations for %d bytes", got, len(raw))
		}
	}
}

func BenchmarkTokensSign(b *testing.B) {
	for _, alg := range tokenAlgs {
		b.Run(alg, func(b *testing.B) {
			tokens, clock := tokenSetup(b, alg)
			claims := tokenTestClaims(clock.Now())
			b.ReportAllocs()
			for b.Loop() {
				if _, err := tokens.Sign(claims); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkTokensVerify(b *testing.B) {
	for _, alg := range slices.Concat(tokenAlgs, []string{"forged"}) {
		b.Run(alg, func(b *testing.B) {
			tokens, clock := tokenSetup(b, strings.Replace(alg, "forged", AlgES256, 1))
			raw := mustSign(b, tokens, tokenTestClaims(clock.Now()))
			if alg == "forged" {
				raw = raw[:len(raw)-2] + nextUnusedBit(raw[len(raw)-2]) + raw[len(raw)-1:]
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := tokens.Verify(raw); (err == nil) != (alg != "forged") {
					b.Fatal(err)
				}
			}
		})
	}
}
