package token

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"menshen/model"
)

// cacheScene is tokens with a cache, over a ring with one key.
func cacheScene(t *testing.T) (*Issuer, *keyClock) {
	t.Helper()
	tokens, clock := tokenSetup(t, AlgEdDSA)
	tokens.Cache = NewCache()
	return tokens, clock
}

// kept is the number of tokens that are remembered.
func (c *Cache) kept() int {
	c.tokens.CleanUp()
	return c.tokens.EstimatedSize()
}

func TestTokenCacheHit(t *testing.T) {
	tokens, clock := cacheScene(t)
	claims := tokenTestClaims(clock.Now())
	raw := mustSign(t, elsewhere(tokens), claims)
	if _, ok := tokens.Cache.get(raw, tokens.Keys.Generation(), model.TimeOf(clock.Now())); ok {
		t.Fatal("remembered before it was verified")
	}
	for range 2 {
		if got, err := tokens.Verify(raw); err != nil || got != claims {
			t.Fatalf("claims %+v, error %v", got, err)
		}
	}
	got, ok := tokens.Cache.get(raw, tokens.Keys.Generation(), model.TimeOf(clock.Now()))
	if !ok || got != claims || tokens.Cache.kept() != 1 {
		t.Errorf("remembered: %v, %+v, %d in all", ok, got, tokens.Cache.kept())
	}
	// It is the memory that answers: a ring without the key verifies nothing.
	tokens.Keys.set.Load().byKid = nil
	if _, err := tokens.Verify(raw); err != nil {
		t.Errorf("error %v", err)
	}
	if _, err := tokens.Verify(mustSign(t, elsewhere(tokens), claims)[:len(raw)-2]); !errors.Is(err, model.ErrToken) {
		t.Errorf("error %v", err)
	}
}

// elsewhere is an instance that shares nothing but the keys.
func elsewhere(tokens *Issuer) *Issuer {
	other := *tokens
	other.Cache = NewCache()
	return &other
}

// TestTokenCacheSigned: what is remembered of a token that was signed here is what
// verifying it gives, to the second.
func TestTokenCacheSigned(t *testing.T) {
	tokens, clock := cacheScene(t)
	claims := tokenTestClaims(clock.Now())
	claims.IssuedAt += 999
	claims.ExpiresAt++
	raw := mustSign(t, tokens, claims)
	got, ok := tokens.Cache.get(raw, tokens.Keys.Generation(), model.TimeOf(clock.Now()))
	if want, err := elsewhere(tokens).Verify(raw); !ok || err != nil || got != want {
		t.Errorf("remembered: %v, %+v; verified %+v, %v", ok, got, want, err)
	}
}

// TestTokenCacheExactBytes: another spelling of a token that was verified is not
// that token, although a decoder that is not strict would read the same from it.
func TestTokenCacheExactBytes(t *testing.T) {
	tokens, clock := cacheScene(t)
	claims := tokenTestClaims(clock.Now())
	raw := mustSign(t, tokens, claims)
	if _, err := tokens.Verify(raw); err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(raw, ".")
	last := raw[len(raw)-1]
	spellings := map[string]string{
		"line break":           raw + "\n",
		"break in signature":   raw[:len(raw)-5] + "\r\n" + raw[len(raw)-5:],
		"space":                " " + raw,
		"padding":              raw + "==",
		"bits that are unused": raw[:len(raw)-1] + string(otherBits(last)),
		"other alphabet":       strings.NewReplacer("-", "+", "_", "/").Replace(raw) + "+",
		"fourth part":          raw + ".",
		"no signature":         parts[0] + "." + parts[1] + ".",
		"upper case":           strings.ToUpper(raw),
		"cut":                  raw[:len(raw)-1],
		"empty":                "",
		"header anew":          base64.RawURLEncoding.EncodeToString([]byte(`{"typ":"at+jwt","alg":"EdDSA","kid":"`+keyIDs(tokens.Keys)[0]+`"}`)) + "." + parts[1] + "." + parts[2],
		"another payload":      parts[0] + "." + parts[1][:len(parts[1])-4] + "AAAA." + parts[2],
		"too long":             raw + strings.Repeat("A", maxToken),
	}
	for name, spelling := range spellings {
		if _, ok := tokens.Cache.get(spelling, tokens.Keys.Generation(), model.TimeOf(clock.Now())); ok {
			t.Errorf("%s: taken for the token that was verified", name)
		}
		if _, err := tokens.Verify(spelling); !errors.Is(err, model.ErrToken) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if tokens.Cache.kept() != 1 {
		t.Errorf("%d tokens are remembered, want the good one", tokens.Cache.kept())
	}
	// The same jti under another signature is another token, good or not.
	again := claims
	again.Gen++
	other := mustSign(t, tokens, again)
	if got, err := tokens.Verify(other); err != nil || got.Gen != again.Gen {
		t.Errorf("claims %+v, error %v", got, err)
	}
}

// otherBits is a character of base64url that differs in the two lowest bits,
// which the last one of 86 does not use.
func otherBits(c byte) byte {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return alphabet[strings.IndexByte(alphabet, c)^1]
}

// TestTokenCacheExpiry: a token is forgotten at its end, and one that has
// expired is never remembered; Verify knows it still, for a refresh needs it.
func TestTokenCacheExpiry(t *testing.T) {
	tokens, clock := cacheScene(t)
	claims := tokenTestClaims(clock.Now())
	raw := mustSign(t, tokens, claims)
	found := func() bool {
		_, ok := tokens.Cache.get(raw, tokens.Keys.Generation(), model.TimeOf(clock.Now()))
		return ok
	}
	if _, err := tokens.Verify(raw); err != nil {
		t.Fatal(err)
	}
	clock.Advance(claims.ExpiresAt.Std().Sub(clock.Now()) - time.Millisecond)
	if !found() {
		t.Error("forgotten before its end")
	}
	clock.Advance(time.Millisecond)
	if found() || tokens.Cache.kept() != 0 {
		t.Errorf("remembered at its end: %v, %d in all", found(), tokens.Cache.kept())
	}
	if got, err := tokens.Verify(raw); err != nil || got != claims {
		t.Errorf("claims %+v, error %v", got, err)
	}
	if tokens.Cache.kept() != 0 {
		t.Error("an expired token is remembered")
	}
}

// TestTokenCacheSweep: a sweep removes what has expired, although it is not asked for, and
// keeps the rest.
func TestTokenCacheSweep(t *testing.T) {
	tokens, clock := cacheScene(t)
	old := tokenTestClaims(clock.Now())
	mustSign(t, tokens, old)
	clock.Advance(time.Minute)
	young := tokenTestClaims(clock.Now())
	young.TokenID = "young"
	raw := mustSign(t, tokens, young)
	for _, step := range []struct {
		at   model.Time
		kept int
	}{{old.ExpiresAt - 1, 2}, {old.ExpiresAt, 1}, {young.ExpiresAt, 0}} {
		tokens.Cache.Sweep(step.at)
		if got := tokens.Cache.kept(); got != step.kept {
			t.Errorf("%d tokens are remembered at %s, want %d", got, step.at.Std(), step.kept)
		}
	}
	if _, err := tokens.Verify(raw); err != nil || tokens.Cache.kept() != 1 {
		t.Errorf("error %v, %d remembered", err, tokens.Cache.kept())
	}
}

// TestTokenCacheKeys: when the set of keys changes, every token is verified once
// more; a token of a key that was revoked is refused at once.
func TestTokenCacheKeys(t *testing.T) {
	tokens, clock := cacheScene(t)
	raw := mustSign(t, tokens, tokenTestClaims(clock.Now()))
	verify := func() error {
		_, err := tokens.Verify(raw)
		return err
	}
	if err := verify(); err != nil {
		t.Fatal(err)
	}
	old := keyIDs(tokens.Keys)[0]
	mustRotateKeys(t, tokens.Keys)
	if _, ok := tokens.Cache.get(raw, tokens.Keys.Generation(), model.TimeOf(clock.Now())); ok {
		t.Error("remembered over a change of the keys")
	}
	if err := verify(); err != nil {
		t.Errorf("after a rotation: %v", err)
	}
	if _, ok := tokens.Cache.get(raw, tokens.Keys.Generation(), model.TimeOf(clock.Now())); !ok {
		t.Error("not remembered under the new set of keys")
	}
	other, err := OpenKeys(tokens.Keys.opts) // a command in another process
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Revoke(old); err != nil {
		t.Fatal(err)
	}
	if err := tokens.Keys.Reload(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := verify(); !errors.Is(err, model.ErrToken) {
			t.Errorf("the token of a revoked key: %v", err)
		}
	}
}

// TestTokenCacheRace: a verification under keys that were changed meanwhile
// leaves nothing behind that the new keys would not let pass.
func TestTokenCacheRace(t *testing.T) {
	tokens, clock := cacheScene(t)
	raw, now := mustSign(t, tokens, tokenTestClaims(clock.Now())), model.TimeOf(clock.Now())
	before := tokens.Keys.Generation()
	claims, err := tokens.verify(raw)
	if err != nil {
		t.Fatal(err)
	}
	mustRotateKeys(t, tokens.Keys)
	tokens.Cache.put(raw, before, claims, now)
	if _, ok := tokens.Cache.get(raw, tokens.Keys.Generation(), now); ok {
		t.Error("what was verified under the old keys passes under the new ones")
	}
}

func TestTokenCacheNil(t *testing.T) {
	var c *Cache
	c.put("a.b.c", 1, model.Claims{ExpiresAt: 9}, 1)
	if _, ok := c.get("a.b.c", 1, 1); ok {
		t.Error("the nil cache knows a token")
	}
	if got := NewCache().tokens.GetMaximum(); got != cacheSize {
		t.Errorf("the bound is %d", got)
	}
}
