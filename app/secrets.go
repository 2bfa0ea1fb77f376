package app

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"go.uber.org/zap"

	"menshen/config"
	"menshen/internal/atomicfile"
	"menshen/internal/smallfile"
	"menshen/service/token"
)

// secretSize is the length of secret.key, in bytes.
const secretSize = 32

// openSecrets is readSecrets for a start. Outside production it creates a missing
// secret.
func openSecrets(cfg *config.Config) ([][]byte, error) {
	if cfg.Secret.Current() == nil {
		if _, err := readOrCreate(cfg.SecretKeyFile(), newSecret); err != nil {
			return nil, fmt.Errorf("secret.key: %w", err)
		}
	}
	return readSecrets(cfg)
}

// readSecrets returns the existing secrets, the current one first: the configured ones,
// or those of the file, one on each line, and secret.previous.
func readSecrets(cfg *config.Config) ([][]byte, error) {
	if current := cfg.Secret.Current(); current != nil {
		return append([][]byte{current}, cfg.Secret.Retired()...), nil
	}
	text, err := smallfile.Read(cfg.SecretKeyFile())
	if err != nil {
		return nil, fmt.Errorf("secret.key: %w", err)
	}
	var secrets [][]byte
	for line := range strings.Lines(strings.TrimSpace(string(text)) + "\n") {
		secret, err := base64.StdEncoding.DecodeString(strings.TrimSpace(line))
		if err != nil || len(secret) != secretSize {
			return nil, fmt.Errorf("secret.key: %s does not hold base64 of %d bytes a line", cfg.SecretKeyFile(), secretSize)
		}
		secrets = append(secrets, secret)
	}
	return append(secrets, cfg.Secret.Retired()...), nil
}

func newSecret() string {
	key := make([]byte, secretSize)
	_, _ = rand.Read(key) // never fails
	return base64.StdEncoding.EncodeToString(key)
}

// readOrCreate returns the content of the file, or creates it with the content that
// generate returns. Of several processes exactly one creates it.
func readOrCreate(path string, generate func() string) (string, error) {
	text, err := smallfile.Read(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := atomicfile.Create(path, []byte(generate()+"\n")); err != nil && !errors.Is(err, fs.ErrExist) {
			return "", err
		}
		if text, err = smallfile.Read(path); errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%s is a link to a missing file", path)
		}
	}
	return strings.TrimSpace(string(text)), err
}

// RotateSecret generates a new secret. If secrets are in a file, it becomes the first
// line, and path names the file. If they are configured, it is only returned.
func (a *App) RotateSecret() (secret, path string, err error) {
	if a.Config.Secret.Current() != nil {
		return newSecret(), "", nil
	}
	path = a.Config.SecretKeyFile()
	if err := prependSecret(path); err != nil {
		return "", "", fmt.Errorf("secret.key: %w", err)
	}
	return "", path, nil
}

// prependSecret puts a new secret before the content of the file. A lock file makes the
// second of two concurrent rotations fail; an interrupted one leaves it behind.
func prependSecret(path string) (err error) {
	lock, err := os.OpenFile(path+".new", os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) //nolint:gosec // a path of the configuration
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s.new is there: another rotation is under way, or was broken off; then remove it", path)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Close(), os.Remove(lock.Name())) }()
	old, err := smallfile.Read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is not there: the first start makes it", path)
	}
	if err != nil {
		return err
	}
	return atomicfile.Replace(path, []byte(newSecret()+"\n"+string(bytes.TrimSpace(old))+"\n"))
}

// OpenKeys opens the signing keys of an instance. log returns the current logger.
func (a *App) OpenKeys(log func() *zap.Logger) (*token.KeyRing, error) {
	options := a.keyOptions()
	options.OnError = func(err error) { log().Warn("re-read signing keys", zap.Error(err)) }
	keys, err := token.OpenKeys(options)
	if err != nil {
		return nil, fmt.Errorf("token.key_dir: %w", err)
	}
	if signing := keys.Algorithm(); signing != a.Config.Token.Algorithm {
		log().Warn("no active key is of token.algorithm: \"menshen keys rotate\" makes one, which signs after token.key_activation",
			zap.String("algorithm", a.Config.Token.Algorithm), zap.String("signing", signing))
	}
	return keys, nil
}

// JoinKeys opens the signing keys for a command. The folder may be empty, and files in it
// may be damaged.
func (a *App) JoinKeys() (*token.KeyRing, error) {
	options := a.keyOptions()
	options.Generate, options.Lenient = false, true
	return token.OpenKeys(options)
}

// keyOptions are the options of the key ring. In production an operator makes the keys.
func (a *App) keyOptions() token.KeyOptions {
	cfg := a.Config
	longest := cfg.Token.RefreshTTL
	for _, product := range cfg.Products {
		longest = max(longest, product.RefreshTTL)
	}
	return token.KeyOptions{
		Dir: cfg.KeyDir(), Algorithm: cfg.Token.Algorithm, Activation: cfg.Token.KeyActivation,
		RefreshTTL: longest, Generate: !cfg.Production(), Now: a.Now,
	}
}
