package middleware

import (
	"context"

	"github.com/gin-gonic/gin"

	"menshen/model"
)

// RequireToken is the guard of routes for which a token with our signature is enough,
// even if it has expired or its session has ended. limit counts refused requests by
// address, and may be nil; once an address has reached it, the error is that of limit.
func RequireToken(verify func(raw string) (model.Claims, error), limit *Limiter) gin.HandlerFunc {
	return func(c *gin.Context) {
		x := exchangeOf(c)
		var err error
		if x.Token, err = BearerToken(c.Request.Header); err == nil {
			x.Claims, err = verify(string(x.Token))
		}
		if err != nil {
			limit.refuse(c, err)
		}
	}
}

// RequireSession is the guard of routes that need a token of an active session.
func RequireSession(authenticate func(ctx context.Context, raw model.Secret) (model.Session, error)) gin.HandlerFunc {
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
