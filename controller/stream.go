package controller

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"menshen/model"
)

// maxWait is how many seconds a check may be held.
const maxWait = 30

// waitOf is the parameter "wait": whole seconds up to maxWait, 0 without it.
func waitOf(c *gin.Context) (time.Duration, error) {
	text, given, err := queryValue(c, "wait")
	if err != nil || !given {
		return 0, err
	}
	seconds, err := strconv.ParseUint(text, 10, 16)
	if err != nil || seconds > maxWait || len(text) > 2 {
		return 0, model.Malformed1("wait", model.ReasonRange)
	}
	return time.Duration(seconds) * time.Second, nil
}

// hold prepares the connection for an answer that may come late: the server's
// own deadline is for answers that come at once.
func (h Session) hold(c *gin.Context, wait time.Duration) error {
	if wait == 0 {
		return nil
	}
	return http.NewResponseController(c.Writer).SetWriteDeadline(h.Now().Add(wait + streamWrite))
}

// Events is GET /app/auth/events: server-sent events that tell of the session's
// end, at once, and then close. What the client missed while away it hears when
// it connects, whatever it says that it has heard before.
//
// The connection is taken over from net/http, so that an open stream holds
// neither the request nor the buffers and the goroutines that served it. The
// request is over when the stream is open.
func (h Session) Events(c *gin.Context) (any, error) {
	if !mayHijack(c.Writer) {
		return nil, fmt.Errorf("take over the connection: %w", http.ErrNotSupported)
	}
	stream, err := h.Sessions.Follow(c.Request.Context(), requestOf(c).Claims)
	if err != nil {
		return nil, err
	}
	conn, _, err := c.Writer.Hijack() // what the client sent after its request is dropped
	if err != nil {
		stream.Leave()
		return nil, fmt.Errorf("take over the connection: %w", err)
	}
	s := &streamConn{Stream: stream, conn: conn, now: h.Now, report: h.Report}
	if s.open(c.Writer.Header()) {
		go s.run(context.WithoutCancel(c.Request.Context()))
	} else {
		s.close()
	}
	return nil, nil
}

// mayHijack reports whether the connection can be taken over: gin's writer
// panics where it cannot, as over HTTP/2, which this program does not serve.
func mayHijack(w http.ResponseWriter) bool {
	for {
		outer, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			break
		}
		w = outer.Unwrap()
	}
	_, ok := w.(http.Hijacker)
	return ok
}
