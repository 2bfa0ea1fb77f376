package controller

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"menshen/model"
	"menshen/service"
)

// The stream's own times. The write deadline is renewed with every write,
// because the server's is for answers that end.
const (
	heartbeatEvery = 15 * time.Second
	streamWrite    = 10 * time.Second
	retryHint      = "retry: 3000\n\n"
	maxWait        = 30 // seconds that a check may be held
)

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
// it connects.
func (h Session) Events(c *gin.Context) (any, error) {
	stream, err := h.Sessions.Follow(c.Request.Context(), requestOf(c).Claims)
	if err != nil {
		return nil, err
	}
	defer stream.Leave()
	w := streamWriter{c: c, control: http.NewResponseController(c.Writer), now: h.Now}
	header := c.Writer.Header()
	header.Set("Content-Type", "text/event-stream; charset=utf-8")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Accel-Buffering", "no") // a proxy that buffers tells late
	c.Writer.WriteHeader(http.StatusOK)
	if w.send(retryHint) {
		h.follow(c, stream, w)
	}
	return nil, nil
}

// follow writes until the session ends, the token expires, the client leaves or
// the process stops. The state is read once the stream is open, for nobody tells
// of an end before that.
func (h Session) follow(c *gin.Context, stream service.Stream, w streamWriter) {
	heartbeat := time.NewTicker(heartbeatEvery)
	defer heartbeat.Stop()
	for told := false; ; {
		ended, left, err := stream.State(c.Request.Context())
		switch {
		case ended != nil:
			w.sendEnded(*ended)
			return
		case err != nil, told: // the client comes again and hears then
			return
		case left == 0: // the token has expired
			return
		}
		var more bool
		if told, more = h.idle(c, stream, w, heartbeat.C, left); !more {
			return
		}
	}
}

// idle keeps the stream alive until the state is to be read again: because the
// end was told, or because left is over. It reports no more when nobody wants to
// know any longer.
func (h Session) idle(c *gin.Context, stream service.Stream, w streamWriter, heartbeat <-chan time.Time, left time.Duration) (told, more bool) {
	turn := time.NewTimer(left)
	defer turn.Stop()
	for {
		select {
		case <-heartbeat:
			if !w.send(": heartbeat\n\n") {
				return false, false
			}
		case <-stream.Ended:
			return true, true
		case <-turn.C:
			return false, true
		case <-stream.Stopped:
			return false, false
		case <-c.Request.Context().Done():
			return false, false
		}
	}
}

// streamWriter writes with a deadline each: who does not read is dropped, and
// delays nobody.
type streamWriter struct {
	c       *gin.Context
	control *http.ResponseController
	now     func() time.Time
}

func (w streamWriter) send(text string) bool {
	if err := w.control.SetWriteDeadline(w.now().Add(streamWrite)); err != nil {
		return false
	}
	if _, err := w.c.Writer.WriteString(text); err != nil {
		return false
	}
	return w.control.Flush() == nil
}

func (w streamWriter) sendEnded(ended service.Ended) {
	data, err := json.Marshal(ended)
	if err == nil {
		w.send("event: session.ended\ndata: " + string(data) + "\n\n")
	}
}
