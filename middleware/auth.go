package middleware

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"menshen/model"
)

// Verified is the guard of calls that need no more than a token that is signed
// by us; whether it has expired, or its session ended, is the handler's matter.
// Forged tokens use up the address's share of bad, which may be nil.
func Verified(verify func(raw string) (model.Claims, error), bad *Limiter) gin.HandlerFunc {
	return func(c *gin.Context) {
		x := exchangeOf(c)
		var err error
		if x.Token, err = BearerToken(c.Request.Header); err == nil {
			x.Claims, err = verify(string(x.Token))
		}
		if err == nil {
			return
		}
		if limited := bad.Take(model.AddressKey(x.IP)); limited != nil {
			err = limited
		}
		Fail(c, err)
	}
}

// Authenticated is the guard of calls that need a live session.
func Authenticated(authenticate func(ctx context.Context, raw model.Secret) (model.Session, error)) gin.HandlerFunc {
	return func(c *gin.Context) {
		x := exchangeOf(c)
		var err error
		if x.Token, err = BearerToken(c.Request.Header); err == nil {
			x.Session, err = authenticate(c.Request.Context(), x.Token)
		}
		if err != nil {
			Fail(c, err)
		}
	}
}

// Deadline bounds all work of a request, waits for the database included, so
// that a fault is answered in time. The time begins when the body has come: a
// slow client is no fault of the storage.
func Deadline(d time.Duration) gin.HandlerFunc {
	return func(c *gin.Context) {
		receive(c.Request)
		ctx, cancel := context.WithTimeout(c.Request.Context(), d)
		defer cancel()
		c.Request = c.Request.WithContext(ctx)
		c.Next()
	}
}

// Reachable refuses requests whose work may take long while the storage does not
// answer at all: to wait for a report is one thing, to wait for nothing another.
func Reachable(ping func(ctx context.Context) error, within time.Duration) gin.HandlerFunc {
	return func(c *gin.Context) {
		ctx, cancel := context.WithTimeout(c.Request.Context(), within)
		defer cancel()
		if err := ping(ctx); err != nil {
			Fail(c, err)
		}
	}
}

// bodyBuffer holds every body that is not too large, and enough of one that is.
const bodyBuffer = 16<<10 + 1

// receive waits for the body, as far as anybody will read it. An error comes
// again to who reads.
func receive(r *http.Request) {
	if r.Body == nil || r.Body == http.NoBody {
		return
	}
	text, _ := io.ReadAll(io.LimitReader(r.Body, bodyBuffer))
	r.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(text), r.Body), r.Body}
}
