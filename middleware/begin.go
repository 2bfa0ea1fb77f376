package middleware

import (
	"sync"
	"time"

	"github.com/gin-gonic/gin"
)

// Begin starts the exchange. It comes first in the chain.
func Begin(now func() time.Time, addresses Addresses) gin.HandlerFunc {
	writers := sync.Pool{New: func() any { return new(exchangeWriter) }}
	return func(c *gin.Context) {
		w := writers.Get().(*exchangeWriter)
		w.ResponseWriter = c.Writer
		x := &w.exchange
		x.start = now()
		x.ID, x.clientsID = requestIDs(c.Request, addresses)
		x.IP = addresses.Of(c.Request)
		header := c.Writer.Header()
		header["X-Request-Id"] = []string{x.ID} // not memory of w: the header is read after the handlers
		header["X-Content-Type-Options"] = nosniff
		c.Writer = w
		c.Next()
		c.Writer = w.ResponseWriter
		w.ResponseWriter, w.exchange = nil, exchange{}
		writers.Put(w) // not after a panic: the writer is then left to the garbage collector
	}
}

var nosniff = []string{"nosniff"}
