package service

import (
	"context"
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
func fuzzTokens(f *testing.F) (*Tokens, *keyClock) {
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
		var problem tokenProblem
		if !errors.Is(err, model.ErrToken) || !errors.As(err, &problem) || claims != (model.Claims{}) {
			t.Errorf("error %v, claims %+v", err, claims)
		}
	})
}

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
		if err := json.Unmarshal([]byte(payload), &members); err != nil || len(members) != 10 {
			t.Errorf("%d members, error %v", len(members), err)
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

// oneSession is storage with one session, which is asked for ids only.
type oneSession struct {
	SessionStore
	session model.Session
	asked   []string
}

func (o *oneSession) ByID(_ context.Context, id string) (model.Session, error) {
	o.asked = append(o.asked, id)
	if id != o.session.ID {
		return model.Session{}, model.ErrNotFound
	}
	return o.session, nil
}

// FuzzRefreshToken: no bytes but the token's own find its session, every refusal
// is the same, and nothing goes to the storage that is not an id's form.
func FuzzRefreshToken(f *testing.F) {
	id := strings.Repeat("AB23", 6) + "CD"
	token, hash := newRefreshToken(id)
	for _, seed := range []string{
		string(token), "", "rt1_", "rt1__", "rt1_" + id, "rt1_" + id + "_", "rt2_" + id + "_x", "rt1_" + strings.ToLower(id) + "_x",
		"rt1_" + id + "_" + id + "_x", "rt1_' OR 1=1 --_x", "rt1_../x_x", "rt1_\x00_x", "RT1_" + id + "_x", "rt1_" + strings.Repeat("A", 300) + "_x",
	} {
		f.Add(seed, true)
		f.Add(seed, false)
	}
	f.Fuzz(func(t *testing.T, raw string, own bool) {
		store := &oneSession{session: model.Session{ID: id, RefreshHash: hash}}
		if own { // the finder is to come close: its bytes behind the right ones
			raw = string(token) + raw
		}
		session, err := (&Sessions{Store: store}).byRefreshToken(t.Context(), model.Secret(raw))
		if right := raw == string(token); (err == nil) != right || right && session.ID != id {
			t.Errorf("%q: session %q, error %v", raw, session.ID, err)
		}
		if err != nil && !errors.Is(err, model.ErrRefreshToken) {
			t.Errorf("%q: error %v", raw, err)
		}
		for _, asked := range store.asked {
			if strings.Trim(asked, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") != "" || asked == "" || len(asked) > 32 {
				t.Errorf("%q: the storage was asked for %q", raw, asked)
			}
		}
	})
}
