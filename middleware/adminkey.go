package middleware

import (
	"crypto/sha256"
	"crypto/subtle"

	"github.com/gin-gonic/gin"

	"menshen/model"
)

// AdminKeys are the operators' keys: names by the SHA-256 of the key, which no
// memory keeps in clear. A fast hash will do: keys are long and random, nobody
// guesses them (ASVS 11.4.2 asks for slow ones where people choose). A user's
// token never passes, whatever it claims.
type AdminKeys map[[sha256.Size]byte]string

// Add lets the key of this hash in under the operator's name.
func (a AdminKeys) Add(name string, hash [sha256.Size]byte) { a[hash] = name }

// Guard lets requests with an operator's key pass and names the operator as the
// request's actor; all others are model.ErrToken, as long as the address's share
// of bad lasts. A right key is never limited.
func (a AdminKeys) Guard(bad *Limiter) gin.HandlerFunc {
	return func(c *gin.Context) {
		x := exchangeOf(c)
		token, err := BearerToken(c.Request.Header)
		if err == nil {
			x.Actor = a.operator(token)
		}
		if x.Actor != "" {
			return
		}
		if err := bad.Take(model.AddressKey(x.IP)); err != nil {
			Fail(c, err)
			return
		}
		Fail(c, model.ErrToken)
	}
}

// operator is the name of the key's owner, "" when it is nobody's.
func (a AdminKeys) operator(key model.Secret) string {
	given, owner := sha256.Sum256([]byte(key)), ""
	for hash, name := range a { // all of them, so that the time tells nothing
		if subtle.ConstantTimeCompare(hash[:], given[:]) == 1 {
			owner = name
		}
	}
	return owner
}
