package token

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestOpenKeysTakesOperatorsKey(t *testing.T) {
	clock := newKeyClock()
	made := clock.Now().Add(-time.Hour).Truncate(time.Second)
	der, _ := x509.MarshalPKCS8PrivateKey(newP256(t))
	header := pem.EncodeToMemory(&pem.Block{Type: keyPEMType, Bytes: der,
		Headers: map[string]string{"Created": made.Format(time.RFC3339)}})
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{
		"file time":    keyPEM(t, newP256(t)),
		"RSA of 2048":  keyPEM(t, rsaKey),
		"block header": header,
		"line before":  append([]byte("# ours\r\nCreated: "+made.Format(time.RFC3339)+"\r\n"), keyPEM(t, newP256(t))...),
	} {
		t.Run(name, func(t *testing.T) {
			opts := keyTestOptions(t, clock)
			_ = os.Mkdir(opts.Dir, 0o700)
			path := filepath.Join(opts.Dir, "ours.pem")
			writeTestFile(t, path, data)
			if err := os.Chtimes(path, made, made); err != nil {
				t.Fatal(err)
			}
			if key := mustOpenKeys(t, opts).signer(); !key.created.Equal(made) {
				t.Errorf("created %v, want %v", key.created, made)
			}
			if names := keyNames(t, opts.Dir); len(names) != 1 {
				t.Errorf("files %v", names)
			}
		})
	}
}

// unusableKeys are files that no ring may take.
func unusableKeys(t *testing.T) map[string][]byte {
	t.Helper()
	weak, err := rsa.GenerateKey(rand.Reader, 1024) //nolint:gosec // too weak, which is the test
	p384, err2 := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	x25519, err3 := ecdh.X25519().GenerateKey(rand.Reader)
	good := newP256(t)
	sec1, err4 := x509.MarshalECPrivateKey(good)
	public, err5 := x509.MarshalPKIXPublicKey(good.Public())
	if err := errors.Join(err, err2, err3, err4, err5); err != nil {
		t.Fatal(err)
	}
	whole := keyPEM(t, good)
	return map[string][]byte{
		"weak RSA":     keyPEM(t, weak),
		"P-384":        keyPEM(t, p384),
		"X25519":       keyPEM(t, x25519),
		"SEC 1":        pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: sec1}),
		"public":       pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}),
		"not DER":      pem.EncodeToMemory(&pem.Block{Type: keyPEMType, Bytes: []byte("secret")}),
		"encrypted":    pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: sec1}),
		"empty":        nil,
		"half":         whole[:len(whole)/2],
		"two keys":     slices.Concat(whole, whole),
		"too large":    bytes.Repeat([]byte("#\n"), 1<<20),
		"wrong time":   append([]byte("Created: yesterday\n"), whole...),
		"HMAC secret":  []byte(strings.Repeat("k", 32)),
		"JWK":          []byte(`{"kty":"oct","k":"c2VjcmV0"}`),
		"certificate?": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: public}),
	}
}

func TestOpenKeysNamesUnusableFile(t *testing.T) {
	for name, data := range unusableKeys(t) {
		t.Run(name, func(t *testing.T) {
			opts := keyTestOptions(t, newKeyClock())
			mustOpenKeys(t, opts)
			path := filepath.Join(opts.Dir, "odd.pem")
			writeTestFile(t, path, data)
			_, err := OpenKeys(opts)
			if err == nil || !strings.Contains(err.Error(), path) {
				t.Errorf("error %v does not name %s", err, path)
			}
		})
	}
	for name, make := range map[string]func(path string) error{
		"folder":                    func(path string) error { return os.Mkdir(path, 0o700) },
		"link to a folder":          func(path string) error { return os.Symlink(".", path) },
		"dangling link":             func(path string) error { return os.Symlink("none", path) },
		"loop of links":             func(path string) error { return os.Symlink(filepath.Base(path), path) },
		"FIFO":                      func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"link to an endless device": func(path string) error { return os.Symlink("/dev/zero", path) },
		"link to the null device":   func(path string) error { return os.Symlink(os.DevNull, path) },
	} {
		t.Run(name, func(t *testing.T) {
			opts := keyTestOptions(t, newKeyClock())
			ring := mustOpenKeys(t, opts)
			path := filepath.Join(opts.Dir, "odd.pem")
			if err := make(path); err != nil {
				t.Fatal(err)
			}
			_, err := OpenKeys(opts)
			for when, err := range map[string]error{"start": err, "reload": ring.Reload()} {
				if err == nil || !strings.Contains(err.Error(), path) {
					t.Errorf("%s: error %v does not name %s", when, err, path)
				}
			}
			if ring.Size() != 1 {
				t.Errorf("%d keys", ring.Size())
			}
		})
	}
}

// TestKeyOfALinkGoes: a key whose link leads nowhere any more is revoked.
func TestKeyOfALinkGoes(t *testing.T) {
	opts := keyTestOptions(t, newKeyClock())
	mustOpenKeys(t, opts)
	target := filepath.Join(t.TempDir(), "key")
	writeTestFile(t, target, keyPEM(t, newP256(t)))
	if err := os.Symlink(target, filepath.Join(opts.Dir, "link.pem")); err != nil {
		t.Fatal(err)
	}
	ring := mustOpenKeys(t, opts)
	if ring.Size() != 2 {
		t.Fatalf("%d keys", ring.Size())
	}
	if err := os.Remove(target); err != nil {
		t.Fatal(err)
	}
	if err := ring.Reload(); err == nil || !strings.Contains(err.Error(), "link.pem") || ring.Size() != 1 {
		t.Errorf("error %v, %d keys", err, ring.Size())
	}
}

func FuzzKeyPEM(f *testing.F) {
	f.Add([]byte("Created: 2026-01-02T03:04:05Z\n-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n"))
	f.Add(append([]byte("Created: 2026-01-02T03:04:05.678Z\n"), keyPEM(f, newP256(f))...))
	f.Add(keyPEM(f, ed25519.NewKeyFromSeed(make([]byte, 32))))
	f.Fuzz(func(t *testing.T, data []byte) {
		private, created, err := parseKeyPEM(data)
		if err != nil {
			return
		}
		entry, err := newKeyEntry(private, created)
		if err == nil && (entry.method.Alg() != entry.alg || !plausibleKid(entry.kid)) {
			t.Errorf("entry %s %s", entry.alg, entry.kid)
		}
	})
}
