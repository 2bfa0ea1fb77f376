package token

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"

	"menshen/internal/loop"
	"menshen/internal/private"
	"menshen/model"
)

// KeyReloadEvery is the interval at which Run re-reads the folder (contract §7).
const KeyReloadEvery = 5 * time.Second

const (
	// keyMissEvery is the least time between two re-reads for unknown kids.
	keyMissEvery = time.Second
	// keyPruneMargin covers the time until the last instance has read a new key.
	keyPruneMargin = 2 * KeyReloadEvery
	// keysMaxAge is the longest that published keys may be cached.
	keysMaxAge = 5 * time.Minute
)

// KeysMaxAge returns how long published keys may be cached if a new key signs after
// activation. Every instance has published the key for twice that long before its first
// use, so no cache meets a token whose key it cannot have.
func KeysMaxAge(activation time.Duration) time.Duration {
	return min(keysMaxAge, max(0, (activation-KeyReloadEvery)/2))
}

// KeyOptions say where a KeyRing finds its keys and how it uses them.
type KeyOptions struct {
	Dir        string        // folder of PKCS#8 files, shared by the instances of a deployment
	Algorithm  string        // of new keys; its keys are preferred for signing
	Activation time.Duration // time from a key's creation to its first signature
	// RefreshTTL is the longest life of a session, over all products. Rotate removes no
	// key within this time after the key's last use.
	RefreshTTL time.Duration
	Generate   bool // make a key if the folder holds none
	// Lenient is for commands that mend a folder: it is made if it is missing, and neither
	// a folder without keys nor a file that cannot be used is an error.
	Lenient bool
	Now     func() time.Time
	// OnError receives each problem that Run or a look-up has with re-reading, once
	// until it changes or ends. It may be nil and must not block.
	OnError func(error)
}

// keySet is the content of the folder at one moment. It is immutable.
type keySet struct {
	keys       []*keyEntry // oldest first
	byKid      map[string]*keyEntry
	jwks       []byte
	generation uint64
}

// KeyRing holds the keys that sign and verify access tokens: the folder as it was last
// read. It is safe for concurrent use; signing and verifying take no lock. Instances and
// commands share a folder without further coordination: each writes whole files and
// re-reads.
type KeyRing struct {
	opts       KeyOptions
	activation atomic.Int64
	set        atomic.Pointer[keySet]

	mu      sync.Mutex // guards reading the folder, and the fields below
	files   map[string]keyFile
	missAt  time.Time // last re-read for an unknown kid
	problem string    // reported last
}

// OpenKeys reads the folder. A file that is not a usable key is an error that names the
// file, unless opts.Lenient is set. If the folder has no keys, OpenKeys makes one if opts.Generate is set; otherwise
// the error names the remedy. Two processes that open one empty folder at once may each
// make a key; both then read both keys.
func OpenKeys(opts KeyOptions) (*KeyRing, error) {
	if !slices.Contains([]string{AlgES256, AlgEdDSA, AlgRS256}, opts.Algorithm) {
		return nil, fmt.Errorf("algorithm %q is not supported", opts.Algorithm)
	}
	ring := &KeyRing{opts: opts}
	ring.SetActivation(opts.Activation)
	if opts.Generate || opts.Lenient {
		if err := private.MakeFolder(opts.Dir); err != nil {
			return nil, fmt.Errorf("make key folder: %w", err)
		}
	}
	files, unusable, err := scanKeys(opts.Dir, nil)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil // a missing folder holds no key
	}
	if err == nil && len(files)+len(unusable) == 0 && opts.Generate {
		if _, err = makeKeyFile(opts.Dir, opts.Algorithm, opts.Now()); err == nil {
			files, unusable, err = scanKeys(opts.Dir, nil)
		}
	}
	if err == nil && !opts.Lenient {
		err = errors.Join(unusable...)
	}
	if err != nil {
		return nil, err
	}
	if len(files) == 0 && !opts.Lenient {
		return nil, fmt.Errorf("no key in %s: run `menshen keys rotate` to make one", opts.Dir)
	}
	ring.files = files
	set, err := newKeySet(files, 1)
	if err != nil {
		return nil, err
	}
	ring.set.Store(set)
	return ring, nil
}

// SetActivation changes the time from a key's creation to its first signature.
func (r *KeyRing) SetActivation(d time.Duration) { r.activation.Store(int64(d)) }

// Generation changes with the set of keys. A cache of verified tokens reads it before a
// verification and keeps the result only under it.
func (r *KeyRing) Generation() uint64 { return r.set.Load().generation }

// JWKS returns the public half of all keys, including those that do not sign yet, as a
// JWK Set (RFC 7517 §5). The bytes must not be changed.
func (r *KeyRing) JWKS() []byte { return r.set.Load().jwks }

// Age returns the age of the key that signs now, for metrics.
func (r *KeyRing) Age() time.Duration {
	if key := r.signer(); key != nil {
		return r.opts.Now().Sub(key.created)
	}
	return 0
}

// Algorithm returns the algorithm of the key that signs now.
func (r *KeyRing) Algorithm() string {
	if key := r.signer(); key != nil {
		return key.alg
	}
	return ""
}

// Size returns the number of keys, for metrics.
func (r *KeyRing) Size() int { return len(r.set.Load().keys) }

// Describe lists the keys, oldest first, for operators.
func (r *KeyRing) Describe() []model.SigningKey {
	signer, keys := r.signer(), []model.SigningKey{}
	for _, key := range r.set.Load().keys {
		keys = append(keys, model.SigningKey{ID: key.kid, Algorithm: key.alg, CreatedAt: model.TimeOf(key.created), Signs: key == signer})
	}
	return keys
}

// Run re-reads the folder at each interval until ctx ends.
func (r *KeyRing) Run(ctx context.Context, interval time.Duration) {
	loop.Every(ctx, interval, func(context.Context) error {
		r.report(r.Reload())
		return nil
	}, nil)
}

// Reload re-reads the folder. A file that cannot be used (half copied, for example) is
// named in the error and its key stays as it was; other changes of the folder take
// effect. If the folder cannot be read or has lost all keys, nothing changes.
func (r *KeyRing) Reload() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.reloadAll()
}

// signer returns the key that signs now: the newest activated one of the configured
// algorithm, otherwise the newest activated one. While none is activated the oldest
// signs, so that a fresh deployment need not wait. It returns nil only if there is no
// key.
func (r *KeyRing) signer() *keyEntry {
	keys := r.set.Load().keys
	now := r.opts.Now()
	var other *keyEntry
	for _, key := range slices.Backward(keys) {
		switch active := !r.activeAt(key).After(now); {
		case active && key.alg == r.opts.Algorithm:
			return key
		case active && other == nil:
			other = key
		}
	}
	if other == nil && len(keys) > 0 {
		return keys[0]
	}
	return other
}

// find returns the key of the kid, or nil. An unknown kid causes a re-read of the
// folder, at most once per keyMissEvery and only if the kid could be a thumbprint. The
// kid is used only as the key of a map.
func (r *KeyRing) find(kid string) *keyEntry {
	if key := r.set.Load().byKid[kid]; key != nil {
		return key
	}
	if plausibleKid(kid) {
		if err := r.reloadFor(kid); err != nil {
			r.report(err)
		}
	}
	return r.set.Load().byKid[kid]
}

// reloadFor is Reload because of an unknown kid.
func (r *KeyRing) reloadFor(kid string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.set.Load().byKid[kid] != nil {
		return nil // another request has just read it
	}
	now := r.opts.Now()
	if since := now.Sub(r.missAt); since >= 0 && since < keyMissEvery {
		return nil
	}
	r.missAt = now
	return r.reloadAll()
}

// plausibleKid reports whether kid has the form of a SHA-256 thumbprint.
func plausibleKid(kid string) bool {
	sum, err := base64.RawURLEncoding.Strict().DecodeString(kid)
	return err == nil && len(sum) == sha256.Size && len(kid) == base64.RawURLEncoding.EncodedLen(sha256.Size)
}

func (r *KeyRing) activeAt(key *keyEntry) time.Time {
	return key.created.Add(time.Duration(r.activation.Load()))
}

// report passes a problem of re-reading to OnError, once until it changes or ends.
func (r *KeyRing) report(err error) {
	text := fmt.Sprint(err)
	r.mu.Lock()
	fresh := text != r.problem
	r.problem = text
	r.mu.Unlock()
	if fresh && err != nil && r.opts.OnError != nil {
		r.opts.OnError(err)
	}
}

// reloadAll is Reload. r.mu must be held.
func (r *KeyRing) reloadAll() error {
	unusable, err := r.reload()
	return errors.Join(append([]error{err}, unusable...)...)
}

// reload re-reads the folder. An error means that the keys are as they were; unusable are
// the files that cannot be used. r.mu must be held.
func (r *KeyRing) reload() (unusable []error, err error) {
	files, unusable, err := scanKeys(r.opts.Dir, r.files)
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("no key in %s: keeping the %d known", r.opts.Dir, len(r.files))
	}
	if err != nil {
		return unusable, err
	}
	r.files = files
	old := r.set.Load()
	set, err := newKeySet(files, old.generation+1)
	if err != nil {
		return unusable, err
	}
	same := func(a, b *keyEntry) bool { return a.kid == b.kid && a.created.Equal(b.created) }
	if !slices.EqualFunc(old.keys, set.keys, same) {
		r.set.Store(set)
	}
	return unusable, nil
}

// newKeySet orders the keys by age and publishes their public halves. Of two files with
// one key the older counts. Keys of the same age are ordered by kid, so that all
// instances agree.
func newKeySet(files map[string]keyFile, generation uint64) (*keySet, error) {
	set := &keySet{byKid: make(map[string]*keyEntry, len(files)), generation: generation}
	for _, file := range files {
		if have := set.byKid[file.key.kid]; have == nil || file.key.created.Before(have.created) {
			set.byKid[file.key.kid] = file.key
		}
	}
	set.keys = slices.SortedFunc(maps.Values(set.byKid), func(a, b *keyEntry) int {
		return cmp.Or(a.created.Compare(b.created), cmp.Compare(a.kid, b.kid))
	})
	public := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	for _, key := range set.keys {
		public.Keys = append(public.Keys, key.public)
	}
	var err error
	if set.jwks, err = json.Marshal(public); err != nil {
		return nil, fmt.Errorf("encode JWKS: %w", err)
	}
	return set, nil
}
