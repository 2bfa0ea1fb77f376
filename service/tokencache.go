package service

import (
	"crypto/sha256"
	"sync"

	"github.com/maypok86/otter/v2"

	"menshen/model"
)

// TokenCache remembers access tokens that were verified, because a signature
// costs more than everything else that a check does. It proves the signature
// alone: the session is looked at every time. The key is the hash of the exact
// bytes, never a claim, lest a forged token pass under a known jti. The nil
// TokenCache remembers nothing.
type TokenCache struct {
	Looks *Looks // optional

	tokens  *otter.Cache[[sha256.Size]byte, seenToken]
	buffers sync.Pool // of *[tokenMax]byte, for hash
}

type seenToken struct {
	claims     model.Claims
	generation uint64 // of the key set that verified it
}

// seenTokens bounds the cache: about 250 bytes each.
const seenTokens = 200_000

// NewTokenCache is an empty cache. It belongs to one Tokens: another issuer or
// audience judges anew.
func NewTokenCache() *TokenCache {
	return &TokenCache{
		tokens:  otter.Must(&otter.Options[[sha256.Size]byte, seenToken]{MaximumSize: seenTokens}),
		buffers: sync.Pool{New: func() any { return new([tokenMax]byte) }},
	}
}

// hash is the key of a token of at most tokenMax bytes. SHA-256 takes bytes that
// it may keep, so a string would be copied onto the heap each time.
func (c *TokenCache) hash(raw string) [sha256.Size]byte {
	buffer := c.buffers.Get().(*[tokenMax]byte)
	n := copy(buffer[:], raw)
	sum := sha256.Sum256(buffer[:n])
	clear(buffer[:n])
	c.buffers.Put(buffer)
	return sum
}

// find is the claims of a token that the key set of this generation verified
// and that has not expired.
func (c *TokenCache) find(raw string, generation uint64, now model.Time) (model.Claims, bool) {
	if c == nil || len(raw) > tokenMax {
		return model.Claims{}, false
	}
	claims, ok := c.recall(raw, generation, now)
	c.Looks.note(ok)
	return claims, ok
}

func (c *TokenCache) recall(raw string, generation uint64, now model.Time) (model.Claims, bool) {
	key := c.hash(raw)
	seen, ok := c.tokens.GetIfPresent(key)
	if !ok || seen.generation != generation {
		return model.Claims{}, false
	}
	if seen.claims.Expired(now) {
		c.tokens.Invalidate(key)
		return model.Claims{}, false
	}
	return seen.claims, true
}

func (c *TokenCache) keep(raw string, generation uint64, claims model.Claims, now model.Time) {
	if c != nil && len(raw) <= tokenMax && !claims.Expired(now) {
		c.tokens.Set(c.hash(raw), seenToken{claims: claims, generation: generation})
	}
}
