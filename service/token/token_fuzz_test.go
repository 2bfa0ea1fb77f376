package token

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"menshen/model"
)

// fuzzTokens are tokens over fixed keys, so that what one process of the fuzzer
// finds means the same to the others.
func fuzzTokens(f *testing.F) (*Issuer, *keyClock) {
	f.Helper()
	clock := newKeyClock()
	opts := keyTestOptions(f, clock)
	scalar := []byte(strings.Repeat("menshen.", 4))
	p256, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), scalar)
	if err := errors.Join(err, os.Mkdir(opts.Dir, 0o700)); err != nil {
		f.Fatal(err)
	}
	writeTestFile(f, filepath.Join(opts.Dir, "ec.pem"), keyPEM(f, p256))
	writeTestFile(f, filepath.Join(opts.Dir, "ed.pem"), keyPEM(f, ed25519.NewKeyFromSeed(scalar)))
	return newTestTokens(mustOpenKeys(f, opts), clock), clock
}

// FuzzVerify: no bytes make Verify panic, every refusal is ErrToken with a
// constant cause, and nothing verifies but to the claims that were signed.
func FuzzVerify(f *testing.F) {
	tokens, clock := fuzzTokens(f)
	payload := tokenPayloadText(clock.Now())
	signed := model.Claims{}
	for _, key := range tokens.Keys.set.Load().keys {
		raw := forgeToken(f, key, tokenHeader(key), payload)
		claims, err := tokens.Verify(raw)
		if err != nil {
			f.Fatal(err)
		}
		signed = claims
		f.Add(raw)
		for _, spelling := range forgedSpellings(raw) {
			f.Add(spelling)
		}
		for _, header := range forgedHeaders(key, "http://127.0.0.1:1/") {
			f.Add(tokenInput(header, payload) + ".")
		}
	}
	f.Fuzz(func(t *testing.T, raw string) {
		claims, err := tokens.Verify(raw)
		if err == nil {
			if claims != signed {
				t.Errorf("verifies to %+v", claims)
			}
			return
		}
		var problem problem
		if !errors.Is(err, model.ErrToken) || !errors.As(err, &problem) || claims != (model.Claims{}) {
			t.Errorf("error %v, claims %+v", err, claims)
		}
	})
}

// claimNames are the claims that a token must have.
var claimNames = []string{"iss", "sub", "aud", "exp", "iat", "jti", "sid", "gen", "company_type", "product_type"}

// FuzzTokenPayload signs any payload: what verifies has each claim once by its
// exact name, and can be signed again to the same claims.
func FuzzTokenPayload(f *testing.F) {
	tokens, clock := fuzzTokens(f)
	f.Add(tokenPayloadText(clock.Now()))
	for _, payload := range forgedPayloads(clock.Now()) {
		f.Add(payload)
	}
	var key *keyEntry
	for _, key = range tokens.Keys.set.Load().keys {
		if key.alg == AlgEdDSA {
			break
		}
	}
	f.Fuzz(func(t *testing.T, payload string) {
		claims, err := tokens.Verify(forgeToken(t, key, tokenHeader(key), payload))
		if err != nil {
			if !errors.Is(err, model.ErrToken) {
				t.Errorf("error %v", err)
			}
			return
		}
		var members map[string]any
		if err := json.Unmarshal([]byte(payload), &members); err != nil {
			t.Errorf("error %v", err)
		}
		for _, name := range claimNames {
			if members[name] == nil {
				t.Errorf("no %s in %s", name, payload)
			}
		}
		if members["sid"] != claims.SessionID || members["jti"] != claims.TokenID || members["iss"] != "menshen" {
			t.Errorf("claims %+v of %s", claims, payload)
		}
		again, err := tokens.Verify(mustSign(t, tokens, claims))
		if err != nil || again != claims {
			t.Errorf("signed again: %+v, error %v", again, err)
		}
	})
}
