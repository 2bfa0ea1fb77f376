package middleware

import (
	"context"
	"time"

	"github.com/gin-gonic/gin"

	"menshen/model"
)

// Verified is the guard of calls that need no more than a token that is signed
// by us; whether it has expired, or its session ended, is the handler's matter.
func Verified(verify func(raw string) (model.Claims, error)) gin.HandlerFunc {
	return func(c *gin.Context) {
		x := exchangeOf(c)
		var err error
		if x.Token, err = BearerToken(c.Request.Header); err == nil {
			x.Claims, err = verify(string(x.Token))
		}
		if err != nil {
			Fail(c, err)
		}
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
// that a fault is answered in time.
func Deadline(d time.Duration) gin.HandlerFunc {
	return func(c *gin.Context) {
		ctx, cancel := context.WithTimeout(c.Request.Context(), d)
		defer cancel()
		c.Request = c.Request.WithContext(ctx)
		c.Next()
	}
}
