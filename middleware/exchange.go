package middleware

import (
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"menshen/model"
)

// exchange is a request with its outcome. Its memory is used again by later
// requests: nothing may hold it once the response is written.
type exchange struct {
	model.Request
	start time.Time
	data  any
	err   error
	set   bool  // whether there is an outcome to render; if not, the handler wrote by itself
	code  int32 // of the envelope that was written
	took  time.Duration
	trace string // id of the sampled trace; "": none

	clientsID string // X-Request-Id of a client that is no trusted proxy, "": none
}

// duration is the time from the start of the exchange to the first call.
func (x *exchange) duration(now func() time.Time) time.Duration {
	if x.took == 0 {
		x.took = now().Sub(x.start)
	}
	return x.took
}

// exchangeWriter carries the exchange, which costs less than a key of the context.
type exchangeWriter struct {
	gin.ResponseWriter
	exchange exchange
}

// Unwrap is for http.ResponseController.
func (w *exchangeWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// RequestOf is what the guards found out about the request. Without Begin it is
// empty. A handler must not keep it.
func RequestOf(c *gin.Context) *model.Request { return &exchangeOf(c).Request }

// exchangeOf finds the exchange in the writer of Begin, below any writers that wrap it.
// Without Begin it is empty.
func exchangeOf(c *gin.Context) *exchange {
	for w := http.ResponseWriter(c.Writer); w != nil; {
		if ours, ok := w.(*exchangeWriter); ok {
			return &ours.exchange
		}
		outer, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			break
		}
		w = outer.Unwrap()
	}
	return &exchange{}
}
