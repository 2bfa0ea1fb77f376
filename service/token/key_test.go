package token

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// keyClock is a clock that only Advance moves.
type keyClock struct{ nanos atomic.Int64 }

func newKeyClock() *keyClock {
	clock := &keyClock{}
	clock.nanos.Store(time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC).UnixNano())
	return clock
}

func (c *keyClock) Now() time.Time          { return time.Unix(0, c.nanos.Load()).UTC() }
func (c *keyClock) Advance(d time.Duration) { c.nanos.Add(int64(d)) }

func keyTestOptions(t testing.TB, clock *keyClock) KeyOptions {
	t.Helper()
	return KeyOptions{
		Dir: filepath.Join(t.TempDir(), "keys"), Algorithm: AlgES256,
		Activation: 15 * time.Minute, RefreshTTL: 720 * time.Hour, Generate: true, Now: clock.Now,
	}
}

func mustOpenKeys(t testing.TB, opts KeyOptions) *KeyRing {
	t.Helper()
	ring, err := OpenKeys(opts)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func mustRotateKeys(t testing.TB, ring *KeyRing) KeyChange {
	t.Helper()
	change, err := ring.Rotate()
	if err != nil {
		t.Fatal(err)
	}
	if len(change.Added) != 1 {
		t.Fatalf("Rotate added %v, want one key", change.Added)
	}
	return change
}

func keyIDs(ring *KeyRing) (kids []string) {
	for _, key := range ring.set.Load().keys {
		kids = append(kids, key.kid)
	}
	return kids
}

func keyNames(t testing.TB, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

// keyPEM is the PKCS#8 file that an operator's openssl would make.
func keyPEM(t testing.TB, private any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: keyPEMType, Bytes: der})
}

func newP256(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func writeTestFile(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestOpenKeysMakesFirstKey(t *testing.T) {
	for _, alg := range []string{AlgES256, AlgEdDSA, AlgRS256} {
		t.Run(alg, func(t *testing.T) {
			opts := keyTestOptions(t, newKeyClock())
			opts.Algorithm = alg
			ring := mustOpenKeys(t, opts)
			names := keyNames(t, opts.Dir)
			if want := []string{keyIDs(ring)[0] + ".pem"}; !slices.Equal(names, want) {
				t.Errorf("files %v, want %v", names, want)
			}
			folder, _ := os.Stat(opts.Dir)
			file, _ := os.Stat(filepath.Join(opts.Dir, names[0]))
			if folder.Mode().Perm() != 0o700 || file.Mode().Perm() != 0o600 {
				t.Errorf("modes %v and %v, want 0700 and 0600", folder.Mode().Perm(), file.Mode().Perm())
			}
			again := mustOpenKeys(t, opts)
			if !slices.Equal(keyIDs(again), keyIDs(ring)) {
				t.Error("a folder that holds a key got another")
			}
			if made := again.signer(); made.alg != alg || !made.created.Equal(opts.Now()) {
				t.Errorf("read back %s of %v", made.alg, made.created)
			}
			if key, ok := ring.signer().private.(*rsa.PrivateKey); ok && key.N.BitLen() != 3072 {
				t.Errorf("RSA key of %d bits", key.N.BitLen())
			}
		})
	}
}

func TestOpenKeysMakesNoneUnlessAllowed(t *testing.T) {
	opts := keyTestOptions(t, newKeyClock())
	opts.Generate = false
	for _, made := range []bool{false, true} {
		if made {
			_ = os.Mkdir(opts.Dir, 0o700)
		}
		if _, err := OpenKeys(opts); err == nil || !strings.Contains(err.Error(), "menshen keys rotate") {
			t.Errorf("error %v does not tell the remedy", err)
		}
	}
	opts.Lenient = true
	ring := mustOpenKeys(t, opts)
	if ring.signer() != nil || string(ring.JWKS()) != `{"keys":[]}` {
		t.Errorf("an empty ring signs or publishes %s", ring.JWKS())
	}
	change := mustRotateKeys(t, ring)
	if got := keyIDs(ring); !slices.Equal(got, change.Added) {
		t.Errorf("keys %v, added %v", got, change.Added)
	}
	opts.Algorithm = "HS256"
	if _, err := OpenKeys(opts); err == nil {
		t.Error("HS256 was accepted")
	}
}

func TestKeyRingOverlooksOtherFiles(t *testing.T) {
	opts := keyTestOptions(t, newKeyClock())
	kids := keyIDs(mustOpenKeys(t, opts))
	for _, name := range []string{".key-123", ".hidden.pem", "README", "old.pem.bak"} {
		writeTestFile(t, filepath.Join(opts.Dir, name), []byte("anything"))
	}
	copied, _ := os.ReadFile(filepath.Join(opts.Dir, kids[0]+".pem"))
	writeTestFile(t, filepath.Join(opts.Dir, "copy.pem"), copied)
	ring := mustOpenKeys(t, opts)
	if got := keyIDs(ring); !slices.Equal(got, kids) {
		t.Errorf("keys %v, want %v", got, kids)
	}
	if _, err := ring.Revoke(kids[0]); err != nil {
		t.Fatal(err)
	}
	if slices.Contains(keyNames(t, opts.Dir), "copy.pem") {
		t.Error("a copy of a revoked key is still there")
	}
}

func TestKeyRingReloadKeepsWhatItHad(t *testing.T) {
	clock := newKeyClock()
	opts := keyTestOptions(t, clock)
	ring := mustOpenKeys(t, opts)
	changes := func() uint64 { return ring.Generation() - 1 }
	first := keyIDs(ring)[0]
	path := filepath.Join(opts.Dir, first+".pem")
	whole, _ := os.ReadFile(path)

	writeTestFile(t, path, whole[:len(whole)/2])
	if err := ring.Reload(); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("half a file: error %v", err)
	}
	if got := keyIDs(ring); !slices.Equal(got, []string{first}) || changes() != 0 {
		t.Errorf("half a file left %v, %d changes", got, changes())
	}
	writeTestFile(t, filepath.Join(opts.Dir, "new.pem"), keyPEM(t, newP256(t)))
	if err := ring.Reload(); err == nil || len(keyIDs(ring)) != 2 || changes() != 1 {
		t.Errorf("beside a broken file a new key counts: error %v, keys %v, %d changes", err, keyIDs(ring), changes())
	}
	writeTestFile(t, path, whole)
	if err := ring.Reload(); err != nil || changes() != 1 {
		t.Errorf("healed: error %v, %d changes", err, changes())
	}
	if err := os.Rename(opts.Dir, opts.Dir+"-away"); err != nil {
		t.Fatal(err)
	}
	if err := ring.Reload(); err == nil || len(keyIDs(ring)) != 2 {
		t.Errorf("folder away: error %v, keys %v", err, keyIDs(ring))
	}
	_ = os.Mkdir(opts.Dir, 0o700)
	if err := ring.Reload(); err == nil || len(keyIDs(ring)) != 2 || len(keyNames(t, opts.Dir)) != 0 {
		t.Errorf("folder empty: error %v, keys %v", err, keyIDs(ring))
	}
}

func TestKeyRingRun(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	synctest.Test(t, func(t *testing.T) {
		var problems atomic.Int32
		ring := mustOpenKeys(t, KeyOptions{
			Dir: dir, Algorithm: AlgES256, Generate: true, Now: time.Now,
			OnError: func(error) { problems.Add(1) },
		})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { ring.Run(ctx, KeyReloadEvery); close(ended) }()
		tick := func() { <-time.After(KeyReloadEvery + 1); synctest.Wait() } // bubble time: no sleep

		tick()
		writeTestFile(t, filepath.Join(dir, "new.pem"), keyPEM(t, newP256(t)))
		tick()
		if len(keyIDs(ring)) != 2 || ring.Generation() != 2 {
			t.Errorf("keys %v after a tick, %d changes", keyIDs(ring), ring.Generation()-1)
		}
		writeTestFile(t, filepath.Join(dir, "broken.pem"), nil)
		tick()
		tick()
		if problems.Load() != 1 {
			t.Errorf("one lasting problem was reported %d times", problems.Load())
		}
		_ = os.Remove(filepath.Join(dir, "broken.pem"))
		tick()
		writeTestFile(t, filepath.Join(dir, "broken.pem"), nil)
		tick()
		if problems.Load() != 2 {
			t.Errorf("a problem that came back: %d reports", problems.Load())
		}
		stop()
		<-ended
	})
}

func TestKeyRingJWKS(t *testing.T) {
	clock := newKeyClock()
	opts := keyTestOptions(t, clock)
	ring := mustOpenKeys(t, opts)
	for _, alg := range []string{AlgEdDSA, AlgRS256} {
		ring.opts.Algorithm = alg
		clock.Advance(time.Minute)
		mustRotateKeys(t, ring)
	}
	var document struct{ Keys []map[string]any }
	var parsed jose.JSONWebKeySet
	if err := errors.Join(json.Unmarshal(ring.JWKS(), &document), json.Unmarshal(ring.JWKS(), &parsed)); err != nil {
		t.Fatal(err)
	}
	members := map[string]string{"EC": "alg crv kid kty use x y", "OKP": "alg crv kid kty use x", "RSA": "alg e kid kty n use"}
	algs := map[string]string{"EC": AlgES256, "OKP": AlgEdDSA, "RSA": AlgRS256}
	if len(document.Keys) != 3 {
		t.Fatalf("%d keys published, want 3", len(document.Keys))
	}
	for i, key := range document.Keys {
		var names []string
		for name := range key {
			names = append(names, name)
		}
		slices.Sort(names)
		kty, _ := key["kty"].(string)
		if got := strings.Join(names, " "); got != members[kty] || key["use"] != "sig" || key["alg"] != algs[kty] {
			t.Errorf("%s: members %s, use %v, alg %v", kty, got, key["use"], key["alg"])
		}
		thumbprint, err := parsed.Keys[i].Thumbprint(crypto.SHA256)
		if err != nil || base64.RawURLEncoding.EncodeToString(thumbprint) != key["kid"] || key["kid"] != keyIDs(ring)[i] {
			t.Errorf("%s: kid %v is not the thumbprint, error %v", kty, key["kid"], err)
		}
		if !parsed.Keys[i].IsPublic() {
			t.Errorf("%s: private", kty)
		}
	}
}
