package middleware

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"net/url"

	"github.com/gin-gonic/gin"

	"menshen/model"
)

// Clients maps the id of each back end to the hash of its secret.
type Clients map[string][sha256.Size]byte

// Add accepts a client with this id and secret.
func (c Clients) Add(id string, secret model.Secret) { c[id] = sha256.Sum256([]byte(secret)) }

// Guard passes requests with a client's id and secret by HTTP Basic (RFC 6749
// §2.3.1). It refuses all others with 401 in the form of RFC 6749 §5.2, or with
// limit's error once an address has reached limit. limit counts refused requests
// only, and may be nil.
func (c Clients) Guard(limit *Limiter) gin.HandlerFunc {
	return c.guard(limit, func(g *gin.Context) {
		g.Header("Cache-Control", "no-store")
		g.AbortWithStatusJSON(http.StatusUnauthorized, oauthError{Error: "invalid_client"})
	})
}

// GuardFeed is Guard with refusals in the envelope.
func (c Clients) GuardFeed(limit *Limiter) gin.HandlerFunc {
	return c.guard(limit, func(g *gin.Context) { Fail(g, model.ErrToken) })
}

func (c Clients) guard(limit *Limiter, refuse gin.HandlerFunc) gin.HandlerFunc {
	return func(g *gin.Context) {
		if c.authenticate(g.Request) {
			return
		}
		if err := limit.Take(model.AddressKey(exchangeOf(g).IP)); err != nil {
			Fail(g, err)
			return
		}
		g.Header("WWW-Authenticate", basicChallenge)
		refuse(g)
	}
}

const basicChallenge = `Basic realm="menshen"`

func (c Clients) authenticate(r *http.Request) bool {
	id, secret, ok := r.BasicAuth()
	return ok && len(r.Header["Authorization"]) == 1 && (c.matches(id, secret) || c.matchesEncoded(id, secret))
}

// oauthError is the body of a refusal (RFC 6749 §5.2).
type oauthError struct {
	Error string `json:"error"`
}

// matches takes as long for an unknown id as for a known one.
func (c Clients) matches(id, secret string) bool {
	given := sha256.Sum256([]byte(secret))
	kept, known := c[id]
	return subtle.ConstantTimeCompare(kept[:], given[:]) == 1 && known
}

// matchesEncoded is matches for percent-encoded id and secret (RFC 6749 §2.3.1).
func (c Clients) matchesEncoded(id, secret string) bool {
	plainID, errID := url.QueryUnescape(id)
	plainSecret, errSecret := url.QueryUnescape(secret)
	return errID == nil && errSecret == nil && c.matches(plainID, plainSecret)
}
