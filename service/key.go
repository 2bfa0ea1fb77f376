package service

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// KeyReloadEvery is how often Run is to re-read the folder (contract §7).
const KeyReloadEvery = 5 * time.Second

const (
	// keyMissEvery bounds the re-reads that unknown kids ask for.
	keyMissEvery = time.Second
	// keyPruneMargin covers the time until the last instance has read a new key.
	keyPruneMargin = 2 * KeyReloadEvery
	// keysMaxAge is the longest that published keys may be cached.
	keysMaxAge = 5 * time.Minute
)

// KeysMaxAge is how long published keys may be cached when a new one signs after
// activation: every instance has published it for twice that long before its
// first use, so that no cache meets a token whose key it cannot have.
func KeysMaxAge(activation time.Duration) time.Duration {
	return min(keysMaxAge, max(0, (activation-KeyReloadEvery)/2))
}

// KeyOptions say where a KeyRing has its keys from and how it uses them.
type KeyOptions struct {
	Dir        string        // folder of PKCS#8 files, shared by the instances of a deployment
	Algorithm  string        // of new keys, and preferred for signing
	Activation time.Duration // a new key signs this long after it was made
	// RefreshTTL is the longest life of a session, over all products: Rotate
	// removes no key within it of the key's last use.
	RefreshTTL time.Duration
	Generate   bool // make a key if the folder holds none
	AllowEmpty bool // a folder without keys is no error: for a Rotate that makes the first one
	Now        func() time.Time
	Changed    func()      // optional: called after the set of keys changed; must not block
	Report     func(error) // optional: called by Run and by look-ups with a problem of re-reading, once per problem
}

// KeyChange lists the kids that an act added to the folder and removed from it.
type KeyChange struct {
	Added, Removed []string
}

// keySet is what the ring knew at one moment. It is never changed once made.
type keySet struct {
	keys       []*keyEntry // oldest first
	byKid      map[string]*keyEntry
	jwks       []byte
	generation uint64
}

// KeyRing holds the keys that sign and verify access tokens: the folder as it
// was last read. All its methods may be called at the same time; signing and
// verifying take no lock. Instances and commands share a folder without
// talking to each other: each writes whole files and re-reads.
type KeyRing struct {
	opts       KeyOptions
	activation atomic.Int64
	set        atomic.Pointer[keySet]

	mu      sync.Mutex // guards the folder's reading and what follows
	files   map[string]keyFile
	missAt  time.Time // last re-read for an unknown kid
	problem string    // last one reported
}

// OpenKeys reads the folder. Any file that is no usable key is an error that
// names it. A folder without keys gets one if opts.Generate says so, else it is
// an error that tells the remedy: production makes no key silently. Two
// processes that open one empty folder at once may each make a key, and come
// to know both.
func OpenKeys(opts KeyOptions) (*KeyRing, error) {
	if !slices.Contains([]string{AlgES256, AlgEdDSA, AlgRS256}, opts.Algorithm) {
		return nil, fmt.Errorf("algorithm %q is not supported", opts.Algorithm)
	}
	ring := &KeyRing{opts: opts}
	ring.SetActivation(opts.Activation)
	if opts.Generate || opts.AllowEmpty {
		if err := makeKeyFolder(opts.Dir); err != nil {
			return nil, err
		}
	}
	files, err := scanKeys(opts.Dir, nil)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil // a folder that is not there holds no key
	}
	if err == nil && len(files) == 0 && opts.Generate {
		if _, err = makeKeyFile(opts.Dir, opts.Algorithm, opts.Now()); err == nil {
			files, err = scanKeys(opts.Dir, nil)
		}
	}
	if err != nil {
		return nil, err
	}
	if len(files) == 0 && !opts.AllowEmpty {
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

// SetActivation changes how long after its making a key begins to sign.
func (r *KeyRing) SetActivation(d time.Duration) { r.activation.Store(int64(d)) }

// Generation changes with the set of keys. A cache of verified tokens notes it
// before a verification and keeps the result only under it.
func (r *KeyRing) Generation() uint64 { return r.set.Load().generation }

// JWKS is the public half of all keys, those included that do not sign yet, as
// a ready JWK Set (RFC 7517 §5). The bytes must not be changed.
func (r *KeyRing) JWKS() []byte { return r.set.Load().jwks }

// Age is how old the key is that signs now, for metrics.
func (r *KeyRing) Age() time.Duration {
	if key := r.signer(); key != nil {
		return r.opts.Now().Sub(key.created)
	}
	return 0
}

// Size is the number of keys, for metrics.
func (r *KeyRing) Size() int { return len(r.set.Load().keys) }

// Run re-reads the folder at each interval until ctx ends.
func (r *KeyRing) Run(ctx context.Context, every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			r.report(r.Reload())
		}
	}
}

// Reload re-reads the folder. A file that is broken just now (half copied) is
// named in the error and changes nothing; what else changed in the folder
// counts. A folder that can't be read or has lost all keys changes nothing.
func (r *KeyRing) Reload() error {
	return r.locked(r.reload)
}

// Rotate adds a key of the configured algorithm, which is published at once and
// signs after the activation time. Then it removes the keys whose last use for
// signing is longer ago than any session lives. A key's last use is when a
// newer key took over under the configured algorithm: switching the algorithm
// to and fro leaves no other trace.
func (r *KeyRing) Rotate() (KeyChange, error) {
	var change KeyChange
	err := r.locked(func() error {
		if err := r.reload(); err != nil && len(r.files) > 0 {
			return err
		}
		if err := r.add(&change); err != nil {
			return err
		}
		now := r.opts.Now()
		for _, key := range r.set.Load().keys {
			if !r.outlived(key, now) {
				continue
			}
			if err := r.remove(&change, key.kid); err != nil {
				return err
			}
		}
		return r.reload()
	})
	return change, err
}

// Revoke removes a key at once: what it signed is void from the next reading
// on. When it was the last key, one of the configured algorithm takes its
// place. An unknown kid is an error. An error beside a change that lists the kid
// tells of another file: the key is gone all the same.
func (r *KeyRing) Revoke(kid string) (KeyChange, error) {
	var change KeyChange
	err := r.locked(func() error {
		broken := r.reload() // must not save a key from revocation
		set := r.set.Load()
		if set.byKid[kid] == nil {
			return errors.Join(fmt.Errorf("no key with kid %q in %s", kid, r.opts.Dir), broken)
		}
		if len(set.keys) == 1 {
			if err := r.add(&change); err != nil {
				return err
			}
		}
		if err := r.remove(&change, kid); err != nil {
			return err
		}
		return r.reload()
	})
	return change, err
}

// signer is the key to sign with now: the newest one that is activated, those
// of the configured algorithm before others. While none is activated the oldest
// signs, so that a fresh deployment need not wait. Nil only without any key.
func (r *KeyRing) signer() *keyEntry {
	keys := r.set.Load().keys
	now := r.opts.Now()
	var other *keyEntry
	for _, key := range slices.Backward(keys) {
		if r.activeAt(key).After(now) {
			continue
		}
		if key.alg == r.opts.Algorithm {
			return key
		}
		if other == nil {
			other = key
		}
	}
	if other == nil && len(keys) > 0 {
		return keys[0]
	}
	return other
}

// find is the key of that kid, or nil. A kid that is not known makes the folder
// be read again, at most once per keyMissEvery, and only if it could be a
// thumbprint: it never is more than the key of a map.
func (r *KeyRing) find(kid string) *keyEntry {
	if key := r.set.Load().byKid[kid]; key != nil {
		return key
	}
	if !keyIDPlausible(kid) {
		return nil
	}
	var problem error
	_ = r.locked(func() error {
		if r.set.Load().byKid[kid] != nil {
			return nil // another request has just read it
		}
		now := r.opts.Now()
		if since := now.Sub(r.missAt); since >= 0 && since < keyMissEvery {
			return nil
		}
		r.missAt = now
		problem = r.reload()
		return nil
	})
	if problem != nil {
		r.report(problem)
	}
	return r.set.Load().byKid[kid]
}

// keyIDPlausible reports whether kid has the form of a SHA-256 thumbprint.
func keyIDPlausible(kid string) bool {
	const length = 43
	if len(kid) != length {
		return false
	}
	sum, err := base64.RawURLEncoding.Strict().DecodeString(kid)
	return err == nil && len(sum) == 32
}

func (r *KeyRing) activeAt(key *keyEntry) time.Time {
	return key.created.Add(time.Duration(r.activation.Load()))
}

// outlived reports whether no session can hold a token of the key any more.
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

// locked runs act under the lock, and then the hook if the keys have changed.
func (r *KeyRing) locked(act func() error) error {
	changed, err := func() (bool, error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		before := r.Generation()
		err := act()
		return r.Generation() != before, err
	}()
	if changed && r.opts.Changed != nil {
		r.opts.Changed()
	}
	return err
}

// report passes a problem of re-reading on, once until it changes or goes away.
func (r *KeyRing) report(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	r.mu.Lock()
	fresh := text != r.problem
	r.problem = text
	r.mu.Unlock()
	if fresh && err != nil && r.opts.Report != nil {
		r.opts.Report(err)
	}
}

// reload is Reload; the lock is held.
func (r *KeyRing) reload() error {
	files, problem := scanKeys(r.opts.Dir, r.files)
	if len(files) == 0 {
		return errors.Join(fmt.Errorf("no key in %s: keeping the %d known", r.opts.Dir, len(r.files)), problem)
	}
	r.files = files
	old := r.set.Load()
	set, err := newKeySet(files, old.generation+1)
	if err != nil {
		return errors.Join(err, problem)
	}
	same := slices.EqualFunc(old.keys, set.keys, func(a, b *keyEntry) bool {
		return a.kid == b.kid && a.created.Equal(b.created)
	})
	if !same {
		r.set.Store(set)
	}
	return problem
}

// add makes a key and reads it; the lock is held.
func (r *KeyRing) add(change *KeyChange) error {
	kid, err := makeKeyFile(r.opts.Dir, r.opts.Algorithm, r.opts.Now())
	if err != nil {
		return err
	}
	change.Added = append(change.Added, kid)
	return r.reload()
}

// remove takes a key out of the folder; the lock is held.
func (r *KeyRing) remove(change *KeyChange, kid string) error {
	if err := removeKeyFiles(r.opts.Dir, kid, r.files); err != nil {
		return err
	}
	change.Removed = append(change.Removed, kid)
	return nil
}

// newKeySet orders the keys by age and publishes their public halves. Of two
// files with one key the older counts; of one age the kid decides, so that all
// instances agree.
func newKeySet(files map[string]keyFile, generation uint64) (*keySet, error) {
	set := &keySet{byKid: make(map[string]*keyEntry, len(files)), generation: generation}
	for _, file := range files {
		if have := set.byKid[file.key.kid]; have == nil || file.key.created.Before(have.created) {
			set.byKid[file.key.kid] = file.key
		}
	}
	for _, key := range set.byKid {
		set.keys = append(set.keys, key)
	}
	slices.SortFunc(set.keys, func(a, b *keyEntry) int {
		return cmp.Or(a.created.Compare(b.created), cmp.Compare(a.kid, b.kid))
	})
	public := jose.JSONWebKeySet{Keys: make([]jose.JSONWebKey, 0, len(set.keys))}
	for _, key := range set.keys {
		public.Keys = append(public.Keys, key.public)
	}
	jwks, err := json.Marshal(public)
	if err != nil {
		return nil, fmt.Errorf("encode JWKS: %w", err)
	}
	set.jwks = jwks
	return set, nil
}
