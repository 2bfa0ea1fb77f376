package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
)

// exchange is one request under way.
type exchange struct {
	*request
	gate   *gate
	w      http.ResponseWriter
	r      *http.Request
	onward []byte // the body that the service gets
}

// response is what the service answered, whole.
type response struct {
	status int
	header http.Header
	body   []byte
}

// open sends the request to the service. The caller closes the body.
func (x *exchange) open(ctx context.Context) (*http.Response, error) {
	onward, err := http.NewRequestWithContext(ctx, x.r.Method, x.gate.service.public+x.path, bytes.NewReader(x.onward))
	if err != nil {
		return nil, err
	}
	onward.Header = x.header.Clone()
	onward.Header.Del("Accept-Encoding") // the gate reads the answers
	return x.gate.service.client.Do(onward)
}

// forward has the service answer, whether or not the client still waits.
func (x *exchange) forward() (response, error) {
	opened, err := x.open(context.WithoutCancel(x.r.Context()))
	if err != nil {
		return response{}, err
	}
	defer func() { _ = opened.Body.Close() }()
	body, err := io.ReadAll(opened.Body)
	if x.route == onLogin {
		x.gate.learn(body)
	}
	return response{opened.StatusCode, opened.Header, body}, err
}

// pass has the service answer the client.
func (x *exchange) pass() {
	if x.route == onPush {
		x.stream(nil)
		return
	}
	answer, err := x.forward()
	if err != nil {
		x.drop("lost on the way: " + err.Error())
		return
	}
	x.write(answer)
}

// write answers the client.
func (x *exchange) write(a response) {
	header := x.w.Header()
	for name, values := range a.header {
		if name != "Content-Length" && name != "Connection" {
			header[name] = slices.Clone(values)
		}
	}
	x.w.WriteHeader(a.status)
	_, _ = x.w.Write(a.body)
	x.gate.finish(x.request, outcomeOf(a), a.header)
}

func outcomeOf(a response) string {
	var got struct{ Code *int32 }
	if json.Unmarshal(a.body, &got) != nil || got.Code == nil {
		return fmt.Sprintf("%d, %.40q", a.status, a.body)
	}
	return fmt.Sprintf("%d, code %d", a.status, *got.Code)
}

// stream passes a push on as it comes. edit, if not nil, changes each piece.
func (x *exchange) stream(edit func([]byte) []byte) {
	ctx, cut := context.WithCancel(x.r.Context())
	defer cut()
	x.gate.opened(x.request, cut)
	opened, err := x.open(ctx)
	if err != nil {
		x.drop("cut")
		return
	}
	defer func() { _ = opened.Body.Close() }()
	if !strings.HasPrefix(opened.Header.Get("Content-Type"), "text/event-stream") {
		body, err := io.ReadAll(opened.Body)
		if err != nil {
			x.drop("cut")
			return
		}
		x.write(response{opened.StatusCode, opened.Header, body})
		return
	}
	x.w.Header().Set("Content-Type", opened.Header.Get("Content-Type"))
	x.w.WriteHeader(opened.StatusCode)
	control, piece := http.NewResponseController(x.w), make([]byte, 4096)
	for {
		n, err := opened.Body.Read(piece)
		text := piece[:n]
		if edit != nil && n > 0 {
			text = edit(text)
		}
		_, _ = x.w.Write(text)
		_ = control.Flush()
		if err != nil {
			if ctx.Err() != nil {
				x.drop("cut")
				return
			}
			x.gate.finish(x.request, "the stream ended", nil)
			return
		}
	}
}
