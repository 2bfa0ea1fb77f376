package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"go.uber.org/zap"

	"menshen/config"
	"menshen/repository"
	"menshen/service"
)

// secretSize is the length of secret.key, in bytes.
const secretSize = 32

// masterSecrets are the secrets of a start, the current one first. Outside
// production a missing one is made once and kept in a file.
func masterSecrets(cfg *config.Config) ([][]byte, error) {
	if cfg.Secret.Current() == nil {
		if _, err := madeOnce(cfg.SecretKeyFile(), freshSecret); err != nil {
			return nil, fmt.Errorf("secret.key: %w", err)
		}
	}
	return heldSecrets(cfg)
}

// heldSecrets are the secrets that there are: the configured ones, or those of
// the file, one a line with the current one first, and secret.previous.
func heldSecrets(cfg *config.Config) ([][]byte, error) {
	if current := cfg.Secret.Current(); current != nil {
		return append([][]byte{current}, cfg.Secret.Retired()...), nil
	}
	text, err := os.ReadFile(cfg.SecretKeyFile())
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

func freshSecret() string {
	var key [secretSize]byte
	_, _ = rand.Read(key[:])
	return base64.StdEncoding.EncodeToString(key[:])
}

// madeOnce is the text of a file, which is made, whole and with mode 0600, when
// there is none. Of several processes that start at once one makes it.
func madeOnce(path string, fresh func() string) (string, error) {
	for {
		text, err := os.ReadFile(path) //nolint:gosec // a path of the configuration
		if err == nil {
			return strings.TrimSpace(string(text)), nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		draft, err := os.CreateTemp(filepath.Dir(path), ".made-*") // mode 0600
		if err != nil {
			return "", err
		}
		_, err = io.WriteString(draft, fresh()+"\n")
		err = errors.Join(err, draft.Sync(), draft.Close())
		if err == nil {
			err = os.Link(draft.Name(), path) // refuses when another was faster
		}
		err = errors.Join(ignore(err, fs.ErrExist), os.Remove(draft.Name()))
		if err != nil {
			return "", err
		}
	}
}

func ignore(err, expected error) error {
	if errors.Is(err, expected) {
		return nil
	}
	return err
}

// rotateSecret makes a new secret. One that is kept in a file takes the first
// place there, before the old one; a configured one is only printed, since
// where it is kept and how many instances share it is the operator's to know.
func rotateSecret(_ context.Context, j job) error {
	if j.cfg.Secret.Current() != nil {
		_, err := fmt.Fprintf(j.out, rotationSteps, freshSecret())
		return err
	}
	path := j.cfg.SecretKeyFile()
	if err := prependSecret(path); err != nil {
		return fmt.Errorf("secret.key: %w", err)
	}
	_, err := fmt.Fprintf(j.out, fileSteps, path)
	return err
}

const rotationSteps = `A new secret, which is kept nowhere yet:

    %s

Nobody is logged out if all instances take each step before the next:
1. Add it to secret.previous; leave secret.key. Restart. (With a single instance skip this.)
2. Make it secret.key, and put the one that was there into secret.previous. Restart.
3. When "menshen secrets status" says that the old one is not needed, take it out. Restart.
Keep the old one as long as a backup of the database from before step 3.
`

const fileSteps = `%s has a new secret in its first line and the old one behind it.

1. Restart. Nobody is logged out.
2. When "menshen secrets status" says that the old one is not needed, delete its line. Restart.
Keep the old one as long as a backup of the database from before step 2.
`

// prependSecret replaces the file by one that has a new secret before what was
// there: whole, with mode 0600, and on the disk before it is in place. Of two at
// once one is refused.
func prependSecret(path string) (err error) {
	draft, err := os.OpenFile(path+".new", os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) //nolint:gosec // a path of the configuration
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s.new is there: another rotation is under way, or was broken off; then remove it", path)
	}
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, ignore(os.Remove(draft.Name()), fs.ErrNotExist))
		}
	}()
	old, err := os.ReadFile(path) //nolint:gosec // a path of the configuration
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%s is not there: the first start makes it", path)
	}
	if err == nil {
		_, err = io.WriteString(draft, freshSecret()+"\n"+string(bytes.TrimSpace(old))+"\n")
	}
	if err := errors.Join(err, draft.Sync(), draft.Close()); err != nil {
		return err
	}
	if err := os.Rename(draft.Name(), path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// syncFolder makes what was renamed in a folder outlive a loss of power.
func syncFolder(path string) error {
	folder, err := os.Open(path) //nolint:gosec // a path of the configuration
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// secretStatus tells what is sealed under which secret, and whether the older
// ones can go. It changes nothing.
func secretStatus(ctx context.Context, j job) error {
	res, err := joinDeployment(ctx, j)
	if err != nil {
		return err
	}
	defer func() { _ = res.db.Close() }()
	counts, unknown, err := res.vault.Seals(ctx, repository.Vault{DB: res.db}, repository.Users{DB: res.db})
	if err != nil {
		return err
	}
	var text strings.Builder
	older := unknown
	for i, c := range counts {
		name, also := "secret.key", ""
		if i > 0 {
			name = "older"
			older += c.Numbers
		}
		if c.Lookup {
			also = ", and the look-up key"
		}
		_, _ = fmt.Fprintf(&text, "%-10s  %s  seals %d numbers%s\n", name, c.Secret, c.Numbers, also)
	}
	if unknown > 0 {
		_, _ = fmt.Fprintf(&text, "%d numbers are sealed under secrets that are not given here, and cannot be opened.\n", unknown)
	}
	switch {
	case len(counts) == 1 && older == 0:
		text.WriteString("There is no older secret.\n")
	case !counts[0].Lookup:
		text.WriteString("The older secrets are needed: no instance was started with this secret.key yet.\n")
	case older > 0:
		text.WriteString("The older secrets are needed: running instances seal these numbers anew.\n")
	default:
		text.WriteString("The older secrets are not needed once every instance has run with this secret.key for 10 minutes.\n")
	}
	_, err = io.WriteString(j.out, text.String())
	return err
}

// tellSeals logs what became known of the older secrets.
func tellSeals(log *zap.Logger, state service.SealState) {
	if state.Broken > 0 {
		log.Warn("numbers under secret.previous do not open", zap.Int("numbers", state.Broken))
	}
	if state.Needed {
		log.Info("secret.previous is needed: numbers are sealed under it, or codes may be")
		return
	}
	log.Info("secret.previous is not needed any more: every number is sealed under secret.key")
}
