package token

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// KeyChange lists the kids that an act added to the folder and removed from it.
type KeyChange struct {
	Added, Removed []string
	// Unusable names each file of the folder that is no usable key. It is as it was, and a
	// running instance keeps the key that it has read from it before.
	Unusable []error
}

// Rotate adds a key of the configured algorithm, which is published at once and signs
// after the activation time. Then it removes the keys that were last used for signing
// longer ago than any session lives. A key's last use is when a newer key took over
// under the configured algorithm: the folder does not record a switch and back. Files that
// cannot be used do not prevent it.
func (r *KeyRing) Rotate() (change KeyChange, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, err := r.reload(); err != nil && len(r.files) > 0 {
		return change, err
	}
	if err := r.add(&change); err != nil {
		return change, err
	}
	now := r.opts.Now()
	for _, key := range r.set.Load().keys {
		if r.outlived(key, now) {
			err = errors.Join(err, r.remove(&change, key.kid))
		}
	}
	unusable, problem := r.reload()
	change.Unusable = unusable
	return change, errors.Join(err, problem)
}

// Revoke removes a key at once: the tokens that it signed are void once the folder is
// read again. If no other key is left, Revoke first makes one of the configured
// algorithm. A file that is named after the key is removed even if it cannot be used, since
// a running instance may have read the key before. Other files that cannot be used do not
// prevent the revocation. An unknown kid is an error.
func (r *KeyRing) Revoke(kid string) (change KeyChange, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	unusable, err := r.reload()
	known := r.set.Load().byKid
	if known[kid] == nil && r.unusableFile(kid) == "" {
		unknown := fmt.Errorf("no key with kid %q in %s", kid, r.opts.Dir)
		return change, errors.Join(append([]error{unknown, err}, unusable...)...)
	}
	if len(known) == 0 || len(known) == 1 && known[kid] != nil {
		if err := r.add(&change); err != nil {
			return change, err
		}
	}
	if err := r.remove(&change, kid); err != nil {
		return change, err
	}
	change.Unusable, err = r.reload()
	return change, err
}

// unusableFile returns the path of the file that is named after the kid but holds no usable
// key, "" if there is none.
func (r *KeyRing) unusableFile(kid string) string {
	name := kid + keyFileSuffix
	path := filepath.Join(r.opts.Dir, name)
	if _, usable := r.files[name]; usable || !plausibleKid(kid) {
		return ""
	}
	if _, err := os.Lstat(path); err != nil {
		return ""
	}
	return path
}

// outlived reports whether every session that could hold a token of the key has ended.
func (r *KeyRing) outlived(key *keyEntry, now time.Time) bool {
	margin := r.opts.RefreshTTL + time.Duration(r.activation.Load()) + keyPruneMargin
	keys := r.set.Load().keys
	for _, newer := range keys[slices.Index(keys, key)+1:] {
		takesOver := newer.alg == r.opts.Algorithm || key.alg != r.opts.Algorithm
		if takesOver && now.Sub(r.activeAt(newer)) > margin {
			return true
		}
	}
	return false
}

// add makes a key and reads it. r.mu must be held.
func (r *KeyRing) add(change *KeyChange) error {
	kid, err := makeKeyFile(r.opts.Dir, r.opts.Algorithm, r.opts.Now())
	if err != nil {
		return err
	}
	change.Added = append(change.Added, kid)
	_, err = r.reload()
	return err
}

// remove deletes a key from the folder. r.mu must be held.
func (r *KeyRing) remove(change *KeyChange, kid string) error {
	paths := []string{}
	for name, file := range r.files {
		if file.key.kid == kid {
			paths = append(paths, filepath.Join(r.opts.Dir, name))
		}
	}
	if path := r.unusableFile(kid); path != "" {
		paths = append(paths, path)
	}
	if err := removeKeyFiles(r.opts.Dir, paths); err != nil {
		return err
	}
	change.Removed = append(change.Removed, kid)
	return nil
}
