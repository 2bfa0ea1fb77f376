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

// InTurn makes the work of a request on the storage take turns by the address of its client.
func InTurn(c *gin.Context) {
	c.Request = c.Request.WithContext(model.WithAddress(c.Request.Context(), exchangeOf(c).IP))
}

// Deadline bounds all work of a request once its body has been received: a slow client
// is no fault of the storage. It includes InTurn.
func Deadline(d time.Duration) gin.HandlerFunc {
	return func(c *gin.Context) {
		receiveBody(c.Request)
		ctx, cancel := context.WithTimeout(model.WithAddress(c.Request.Context(), exchangeOf(c).IP), d)
		defer cancel()
		c.Request = c.Request.WithContext(ctx)
		c.Next()
	}
}

// bodyBuffer holds every body of legal size, and shows that a larger one is too large.
const bodyBuffer = 16<<10 + 1

// receiveBody waits until bodyBuffer bytes of the body, or all of it, are here. A
// read error is returned again to the handler that reads the body.
func receiveBody(r *http.Request) {
	if r.Body == nil || r.Body == http.NoBody {
		return
	}
	text, _ := io.ReadAll(io.LimitReader(r.Body, bodyBuffer))
	r.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(text), r.Body), r.Body}
}
