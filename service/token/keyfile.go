package token

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"menshen/internal/atomicfile"
	"menshen/internal/smallfile"
)

// The algorithms that a key may have (RFC 7518 §3.1, RFC 8037). None is symmetric.
const (
	AlgES256 = "ES256" // P-256
	AlgEdDSA = "EdDSA" // Ed25519
	AlgRS256 = "RS256" // 3072 bits if made here, at least 2048 if made elsewhere
)

const (
	keyFileSuffix = ".pem"
	keyPEMType    = "PRIVATE KEY" // PKCS#8
	keyCreated    = "Created"

	keyBitsNew = 3072
	keyBitsMin = 2048
)

// keyEntry is one key. It is immutable.
type keyEntry struct {
	kid     string // RFC 7638 thumbprint
	alg     string // the only algorithm that this key signs and verifies by
	created time.Time
	method  jwt.SigningMethod
	private crypto.Signer
	public  jose.JSONWebKey
	parser  *jwt.Parser
}

// verifier is the jwt.Keyfunc of this key. The key has a type of its own, so that the
// HMAC methods could not use it even if they were not refused by name.
func (k *keyEntry) verifier(*jwt.Token) (any, error) { return k.public.Key, nil }

// keyFile is a file of the folder as it was last read.
type keyFile struct {
	sum [sha256.Size]byte
	key *keyEntry
}

// scanKeys reads the folder's key files by name; have is its previous result. A file
// that cannot be used is named in unusable and keeps its entry of have, if any; a link
// to a missing file keeps none. The other files take effect all the same, so that a
// half-copied file delays neither a new key nor a revocation. An error is about the folder.
func scanKeys(dir string, have map[string]keyFile) (found map[string]keyFile, unusable []error, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return have, nil, fmt.Errorf("read key folder: %w", err)
	}
	found = make(map[string]keyFile, len(entries))
	for _, entry := range entries {
		name := entry.Name()
		if strings.HasPrefix(name, ".") || !strings.HasSuffix(name, keyFileSuffix) {
			continue
		}
		path := filepath.Join(dir, name)
		file, err := readKeyFile(path, have[name])
		if errors.Is(err, fs.ErrNotExist) {
			if _, err := os.Lstat(path); err == nil {
				unusable = append(unusable, fmt.Errorf("key file %s: a link to a missing file", path))
			}
			continue // removed, perhaps since the folder was listed
		}
		if err != nil {
			unusable = append(unusable, fmt.Errorf("key file %s: %w", path, err))
			if file = have[name]; file.key == nil {
				continue
			}
		}
		found[name] = file
	}
	return found, unusable, nil
}

// readKeyFile reads one file. It parses the file unless its content is that of have.
func readKeyFile(path string, have keyFile) (keyFile, error) {
	data, err := smallfile.Read(path)
	if err != nil {
		return keyFile{}, err
	}
	sum := sha256.Sum256(data)
	if have.key != nil && have.sum == sum {
		return have, nil
	}
	private, created, err := parseKeyPEM(data)
	if err != nil {
		return keyFile{}, err
	}
	if created.IsZero() {
		info, err := os.Stat(path)
		if err != nil {
			return keyFile{}, err
		}
		created = info.ModTime()
	}
	key, err := newKeyEntry(private, created)
	return keyFile{sum: sum, key: key}, err
}

// parseKeyPEM reads one PKCS#8 key (RFC 5958) in PEM (RFC 7468), and its creation time
// if the file has it: in a line "Created: <RFC 3339>" before the block, which openssl
// ignores, or in a header of the block.
func parseKeyPEM(data []byte) (any, time.Time, error) {
	block, rest := pem.Decode(data)
	switch {
	case block == nil:
		return nil, time.Time{}, errors.New("no complete PEM block")
	case block.Type != keyPEMType:
		return nil, time.Time{}, fmt.Errorf("PEM type %q is not an unencrypted PKCS#8 %q", block.Type, keyPEMType)
	case len(bytes.TrimSpace(rest)) > 0:
		return nil, time.Time{}, errors.New("more than one PEM block")
	}
	created, err := parseKeyCreated(data, block.Headers)
	if err != nil {
		return nil, time.Time{}, err
	}
	private, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	return private, created, err
}

func parseKeyCreated(data []byte, headers map[string]string) (time.Time, error) {
	value := headers[keyCreated]
	before, _, _ := bytes.Cut(data, []byte("-----BEGIN"))
	for line := range strings.Lines(string(before)) {
		if after, ok := strings.CutPrefix(line, keyCreated+":"); ok {
			value = strings.TrimSpace(after)
		}
	}
	if value == "" {
		return time.Time{}, nil
	}
	created, err := time.Parse(time.RFC3339, value)
	if err != nil {
		return time.Time{}, fmt.Errorf("%s is not an RFC 3339 time", keyCreated)
	}
	return created, nil
}

// newKeyEntry derives the algorithm and the kid from the key. It refuses keys that are
// weak (RFC 7518 §3.3) or of another kind.
func newKeyEntry(private any, created time.Time) (*keyEntry, error) {
	entry := &keyEntry{created: created}
	switch key := private.(type) {
	case *ecdsa.PrivateKey:
		if key.Curve != elliptic.P256() {
			return nil, fmt.Errorf("curve %s is not supported, only P-256", key.Curve.Params().Name)
		}
		entry.private, entry.method = key, jwt.SigningMethodES256
	case ed25519.PrivateKey:
		entry.private, entry.method = key, jwt.SigningMethodEdDSA
	case *rsa.PrivateKey:
		if bits := key.N.BitLen(); bits < keyBitsMin {
			return nil, fmt.Errorf("RSA key of %d bits is weak, at least %d are needed", bits, keyBitsMin)
		}
		entry.private, entry.method = key, jwt.SigningMethodRS256
	default:
		return nil, fmt.Errorf("key type %T is not supported", private)
	}
	entry.alg = entry.method.Alg()
	entry.public = jose.JSONWebKey{Key: entry.private.Public(), Algorithm: entry.alg, Use: "sig"}
	thumbprint, err := entry.public.Thumbprint(crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("compute kid: %w", err)
	}
	entry.kid = base64.RawURLEncoding.EncodeToString(thumbprint)
	entry.public.KeyID = entry.kid
	entry.parser = jwt.NewParser(jwt.WithValidMethods([]string{entry.alg}),
		jwt.WithStrictDecoding(), jwt.WithoutClaimsValidation())
	return entry, nil
}

// makeKeyFile makes a key and writes it into the folder under its kid. No other key has
// that kid, so no file is replaced. atomicfile.Create would need hard links.
func makeKeyFile(dir, algorithm string, now time.Time) (string, error) {
	private, err := generateKey(algorithm)
	if err != nil {
		return "", fmt.Errorf("make key: %w", err)
	}
	entry, err := newKeyEntry(private, now)
	if err != nil {
		return "", err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return "", fmt.Errorf("encode key: %w", err)
	}
	text := fmt.Appendf(nil, "%s: %s\n", keyCreated, now.UTC().Format(time.RFC3339Nano))
	text = append(text, pem.EncodeToMemory(&pem.Block{Type: keyPEMType, Bytes: der})...)
	if err := atomicfile.Replace(filepath.Join(dir, entry.kid+keyFileSuffix), text); err != nil {
		return "", fmt.Errorf("write key file: %w", err)
	}
	return entry.kid, nil
}

func generateKey(algorithm string) (any, error) {
	switch algorithm {
	case AlgES256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case AlgEdDSA:
		_, private, err := ed25519.GenerateKey(rand.Reader)
		return private, err
	case AlgRS256:
		return rsa.GenerateKey(rand.Reader, keyBitsNew)
	}
	return nil, fmt.Errorf("algorithm %q is not supported", algorithm)
}

// removeKeyFiles removes files of the folder, as many as it can. A file that is already
// gone is no error.
func removeKeyFiles(dir string, paths []string) (err error) {
	for _, path := range paths {
		if removed := os.Remove(path); removed != nil && !errors.Is(removed, fs.ErrNotExist) {
			err = errors.Join(err, fmt.Errorf("remove key file: %w", removed))
		}
	}
	return errors.Join(err, atomicfile.SyncFolder(dir))
}
