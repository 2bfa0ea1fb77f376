package middleware

import (
	"crypto/sha256"
	"crypto/subtle"

	"github.com/gin-gonic/gin"

	"menshen/model"
)

// AdminKeys maps the SHA-256 of each operator's key to what the key is for. A fast hash
// is enough for keys that are long and random (ASVS 11.4.2).
type AdminKeys map[[sha256.Size]byte]model.AdminKey

// Add accepts the key with this hash.
func (a AdminKeys) Add(key model.AdminKey, hash [sha256.Size]byte) { a[hash] = key }

// Guard passes requests with an operator's key and sets the key of the request. It refuses all others with model.ErrToken, or with limit's error
// once an address has reached limit. limit counts refused requests only, and may be
// nil.
func (a AdminKeys) Guard(limit *Limiter) gin.HandlerFunc {
	return func(c *gin.Context) {
		x := exchangeOf(c)
		if token, err := BearerToken(c.Request.Header); err == nil {
			x.Key = a.find(token)
		}
		if x.Key.Name == "" {
			limit.refuse(c, model.ErrToken.ToOperator())
		}
	}
}

// find returns the key with this text, the zero value if there is none.
func (a AdminKeys) find(text model.Secret) (found model.AdminKey) {
	given := sha256.Sum256([]byte(text))
	for hash, key := range a { // all of them, so that the time does not depend on the key
		if subtle.ConstantTimeCompare(hash[:], given[:]) == 1 {
			found = key
		}
	}
	return found
}
