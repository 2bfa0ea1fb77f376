package token

import (
	"crypto/sha256"
	"sync"

	"github.com/maypok86/otter/v2"

	"menshen/model"
	"menshen/service/cache"
)

// Cache caches verified access tokens, because verifying a signature costs more than the
// rest of a check. It proves the signature alone: the session is still checked every
// time. The key is the hash of the exact bytes and not a claim, so that a forged token
// cannot pass under a known jti. A nil Cache caches nothing.
type Cache struct {
	Stats *cache.Stats // may be nil

	tokens  *otter.Cache[[sha256.Size]byte, verified]
	buffers sync.Pool // of *[maxToken]byte, for hash
}

// verified is a token that was verified.
type verified struct {
	claims     model.Claims
	generation uint64 // of the key set that verified it
}

// cacheSize is the greatest number of entries, of about 250 bytes each.
const cacheSize = 200_000

// NewCache returns an empty cache. It belongs to one Issuer, because another name or
// audience changes which tokens are valid.
func NewCache() *Cache {
	return &Cache{
		tokens:  otter.Must(&otter.Options[[sha256.Size]byte, verified]{MaximumSize: cacheSize}),
		buffers: sync.Pool{New: func() any { return new([maxToken]byte) }},
	}
}

// hash returns the key of a token of at most maxToken bytes. It copies the token into a
// pooled buffer, because a conversion to []byte would allocate on each call.
func (c *Cache) hash(raw string) [sha256.Size]byte {
	buffer := c.buffers.Get().(*[maxToken]byte)
	n := copy(buffer[:], raw)
	sum := sha256.Sum256(buffer[:n])
	clear(buffer[:n])
	c.buffers.Put(buffer)
	return sum
}

// get returns the claims of a token that the key set of this generation verified
// and that has not expired.
func (c *Cache) get(raw string, generation uint64, now model.Time) (model.Claims, bool) {
	if c == nil || len(raw) > maxToken {
		return model.Claims{}, false
	}
	key := c.hash(raw)
	seen, ok := c.tokens.GetIfPresent(key)
	ok = ok && seen.generation == generation
	if ok && seen.claims.Expired(now) {
		c.tokens.Invalidate(key)
		ok = false
	}
	c.Stats.Record(ok)
	if !ok {
		return model.Claims{}, false
	}
	return seen.claims, true
}

// Size is the number of tokens in the cache, for metrics.
func (c *Cache) Size() int {
	return c.tokens.EstimatedSize()
}

// Sweep removes the tokens that have expired. Without it they stay until the cache is
// full.
func (c *Cache) Sweep(now model.Time) {
	for key, seen := range c.tokens.All() {
		if seen.claims.Expired(now) {
			c.tokens.Invalidate(key)
		}
	}
}

func (c *Cache) put(raw string, generation uint64, claims model.Claims, now model.Time) {
	if c != nil && len(raw) <= maxToken && !claims.Expired(now) {
		c.tokens.Set(c.hash(raw), verified{claims: claims, generation: generation})
	}
}
