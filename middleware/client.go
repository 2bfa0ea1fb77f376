package middleware

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"net/url"

	"github.com/gin-gonic/gin"

	"menshen/model"
)

// Clients are the back ends that may introspect tokens and read the feed: the
// hash of the secret by id.
type Clients map[string][sha256.Size]byte

// Add lets a client in.
func (c Clients) Add(id string, secret model.Secret) { c[id] = sha256.Sum256([]byte(secret)) }

// Guard lets requests pass that bear a client's id and secret by HTTP Basic
// (RFC 6749 §2.3.1). All others are 401 in the form of RFC 6749 §5.2, as long as
// the address's share of bad lasts.
func (c Clients) Guard(bad *Limiter) gin.HandlerFunc {
	return c.guard(bad, func(g *gin.Context) {
		g.Header("Cache-Control", "no-store")
		g.AbortWithStatusJSON(http.StatusUnauthorized, oauthError{Error: "invalid_client"})
	})
}

// GuardFeed is Guard for answers in the envelope.
func (c Clients) GuardFeed(bad *Limiter) gin.HandlerFunc {
	return c.guard(bad, func(g *gin.Context) { Fail(g, model.ErrToken) })
}

func (c Clients) guard(bad *Limiter, refuse gin.HandlerFunc) gin.HandlerFunc {
	return func(g *gin.Context) {
		if c.bears(g.Request) {
			return
		}
		if err := bad.Take(model.AddressKey(exchangeOf(g).IP)); err != nil {
			Fail(g, err)
			return
		}
		g.Header("WWW-Authenticate", basicChallenge)
		refuse(g)
	}
}

const basicChallenge = `Basic realm="menshen"`

func (c Clients) bears(r *http.Request) bool {
	id, secret, ok := r.BasicAuth()
	return ok && len(r.Header["Authorization"]) == 1 && (c.know(id, secret) || c.knowEncoded(id, secret))
}

// oauthError is the form of failures that RFC 6749 shapes.
type oauthError struct {
	Error string `json:"error"`
}

// know compares in constant time; an unknown id costs as much as a known one.
func (c Clients) know(id, secret string) bool {
	given := sha256.Sum256([]byte(secret))
	kept, known := c[id]
	return subtle.ConstantTimeCompare(kept[:], given[:]) == 1 && known
}

// knowEncoded is know for clients that encode id and secret as OAuth 2 asks.
func (c Clients) knowEncoded(id, secret string) bool {
	plainID, errID := url.QueryUnescape(id)
	plainSecret, errSecret := url.QueryUnescape(secret)
	return errID == nil && errSecret == nil && c.know(plainID, plainSecret)
}
