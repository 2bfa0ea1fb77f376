package middleware

import (
	"crypto/sha256"
	"crypto/subtle"

	"github.com/gin-gonic/gin"

	"menshen/model"
)

// AdminKeys maps the SHA-256 of each operator's key to the operator's name. A fast hash
// is enough for keys that are long and random (ASVS 11.4.2).
type AdminKeys map[[sha256.Size]byte]string

// Add accepts the key with this hash as the operator's.
func (a AdminKeys) Add(name string, hash [sha256.Size]byte) { a[hash] = name }

// Guard passes requests with an operator's key and sets the request's actor to the
// operator's name. It refuses all others with model.ErrToken, or with limit's error
// once an address has reached limit. limit counts refused requests only, and may be
// nil.
func (a AdminKeys) Guard(limit *Limiter) gin.HandlerFunc {
	return func(c *gin.Context) {
		x := exchangeOf(c)
		if token, err := BearerToken(c.Request.Header); err == nil {
			x.Actor = a.nameOf(token)
		}
		if x.Actor == "" {
			limit.refuse(c, model.ErrToken.ToOperator())
		}
	}
}

// nameOf is the name of the operator with this key, "" if there is none.
func (a AdminKeys) nameOf(key model.Secret) string {
	given, found := sha256.Sum256([]byte(key)), ""
	for hash, name := range a { // all of them, so that the time does not depend on the key
		if subtle.ConstantTimeCompare(hash[:], given[:]) == 1 {
			found = name
		}
	}
	return found
}
