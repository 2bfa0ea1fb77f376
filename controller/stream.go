package controller

import (
	"context"
	"fmt"
	"net/http"

	"github.com/gin-gonic/gin"

	"menshen/middleware"
)

// Events is GET /app/auth/events: server-sent events. A client that was away gets the
// end of its session when it connects again, whatever Last-Event-ID it sends. HEAD gets the
// head alone. The connection is taken over from net/http, so that an open stream holds
// neither the request nor its buffers and goroutines.
func (h Session) Events(c *gin.Context) (any, error) {
	if !canHijack(c.Writer) {
		return nil, fmt.Errorf("take over the connection: %w", http.ErrNotSupported)
	}
	stream, err := h.Sessions.Follow(c.Request.Context(), middleware.RequestOf(c).Claims)
	if err != nil {
		return nil, err
	}
	conn, _, err := c.Writer.Hijack() // bytes that the client sent after its request are dropped
	if err != nil {
		stream.Leave()
		return nil, fmt.Errorf("take over the connection: %w", err)
	}
	s := &streamConn{Stream: stream, conn: conn, now: h.Now, onError: h.OnStreamError}
	if s.open(c.Writer.Header(), c.Request.Method == http.MethodHead) {
		go s.run(context.WithoutCancel(c.Request.Context()))
	} else {
		s.close()
	}
	return nil, nil
}

// canHijack reports whether the connection can be taken over. Gin's writer panics where
// it cannot.
func canHijack(w http.ResponseWriter) bool {
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
