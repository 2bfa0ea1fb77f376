package middleware

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"io"
	"net/http"

	"github.com/gin-gonic/gin"

	"menshen/model"
)

// Bounds of bodies, in bytes: of requests, and of what vendors of messages send.
const (
	MaxBody = 16 << 10
	MaxHook = 256 << 10
)

// PathTokens are the hashes of the tokens that are good as the last part of a path.
type PathTokens [][sha256.Size]byte

// Add accepts a token.
func (t *PathTokens) Add(token model.Secret) { *t = append(*t, sha256.Sum256([]byte(token))) }

// Guard passes requests whose parameter "token" is good, at the cost of a wrong one. It
// refuses all others as if there were no such route, or with limit's error once an address has
// reached limit. limit counts refused requests only, and may be nil.
func (t PathTokens) Guard(limit *Limiter) gin.HandlerFunc {
	return func(c *gin.Context) {
		given, good := sha256.Sum256([]byte(c.Param("token"))), 0
		for _, token := range t {
			good |= subtle.ConstantTimeCompare(token[:], given[:])
		}
		if good != 1 || c.Param("token") == "" {
			limit.refuse(c, model.ErrNotFound)
		}
	}
}

// Signed passes requests whose body verify accepts. It refuses all others with verify's error,
// or with limit's error once an address has reached limit. limit counts refused requests only,
// and may be nil. Without verify there is no such route.
func Signed(verify func(header http.Header, body []byte) error, limit *Limiter) gin.HandlerFunc {
	return func(c *gin.Context) {
		if verify == nil {
			limit.refuse(c, model.ErrNotFound)
			return
		}
		body, err := ReadBody(c.Request, MaxBody)
		if err == nil {
			err = verify(c.Request.Header, body)
		}
		if err != nil {
			limit.refuse(c, err)
			return
		}
		c.Request.Body = io.NopCloser(bytes.NewReader(body))
	}
}

// ReadBody reads a body of at most size bytes. Errors: model.ErrTooLarge, and
// model.ErrMalformed for a body that does not arrive: too slow, cut off, or badly chunked.
func ReadBody(r *http.Request, size int64) ([]byte, error) {
	if r.ContentLength > size {
		return nil, model.ErrTooLarge
	}
	if r.Body == nil || r.ContentLength == 0 {
		return nil, nil
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, size+1))
	var limit *http.MaxBytesError
	switch {
	case int64(len(body)) > size, errors.As(err, &limit):
		return nil, model.ErrTooLarge
	case err != nil:
		return nil, model.MalformedField("body", model.ReasonFormat).Wrap(err)
	}
	return body, nil
}
