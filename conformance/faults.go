package conformance

import (
	"encoding/json"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"menshen/model"
)

// fault is what the gate does with a request instead of passing it on.
type fault func(x *exchange)

// drop resets the connection.
func (x *exchange) drop(why string) {
	x.gate.finish(x.request, why, nil)
	conn, _, err := http.NewResponseController(x.w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // the server closes the connection
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // a reset, not an end
	}
	_ = conn.Close()
}

// loseAnswer has the service act, and loses what it answered.
func loseAnswer(x *exchange) {
	if _, err := x.forward(); err != nil {
		x.drop("lost on the way: " + err.Error())
		return
	}
	x.drop("done, but the answer is lost")
}

// reset reads the request and resets the connection. The service never learns of it.
func reset(x *exchange) { x.drop("the connection is reset") }

// refuse answers with a row of the program's own table of failures, in its own form.
func refuse(f *model.Failure) fault {
	return func(x *exchange) {
		body, err := json.Marshal(struct {
			Code int32  `json:"code"`
			Data any    `json:"data"`
			Msg  string `json:"msg"`
		}{f.Code, f.Data(), f.En})
		if err != nil {
			x.drop(err.Error())
			return
		}
		header := http.Header{"Content-Type": {"application/json; charset=utf-8"}, "Cache-Control": {"no-store"}}
		if after := f.RetryAfter(); after > 0 {
			header.Set("Retry-After", strconv.FormatInt(after, 10))
		}
		if f.Status() == http.StatusUnauthorized {
			header.Set("WWW-Authenticate", "Bearer")
		}
		x.write(response{f.Status(), header, body})
	}
}

// page answers with a page, as proxies and captive portals do.
func page(status int) fault {
	const text = "<!DOCTYPE html><html><head><title>Please wait</title></head><body><h1>Please wait</h1></body></html>"
	return func(x *exchange) {
		x.write(response{status, http.Header{"Content-Type": {"text/html; charset=utf-8"}}, []byte(text)})
	}
}

// slowly answers after a time, as the service would have at once.
func slowly(d time.Duration) fault {
	return func(x *exchange) {
		answer, err := x.forward()
		if err != nil {
			x.drop("lost on the way: " + err.Error())
			return
		}
		wait(x, d)
		x.write(answer)
	}
}

func wait(x *exchange, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-x.r.Context().Done():
	}
}

// doorway holds requests until it is opened.
type doorway struct {
	open chan struct{}
	once sync.Once
}

func newDoorway() *doorway { return &doorway{open: make(chan struct{})} }

// holdRequest keeps a request from the service until the doorway opens.
func (d *doorway) holdRequest(x *exchange) {
	if !d.pass(x) {
		x.drop("the client has gone")
		return
	}
	x.pass()
}

// holdAnswer has the service act, and keeps its answer from the client until the doorway
// opens.
func (d *doorway) holdAnswer(x *exchange) {
	answer, err := x.forward()
	if err != nil {
		x.drop("lost on the way: " + err.Error())
		return
	}
	if !d.pass(x) {
		x.drop("done, but the client has gone")
		return
	}
	x.write(answer)
}

// pass waits for the doorway and reports whether the client has waited too.
func (d *doorway) pass(x *exchange) bool {
	select {
	case <-d.open:
		return true
	case <-x.r.Context().Done():
		return false
	}
}

// forgeRefreshToken makes the service see another refresh token than the client sent.
func forgeRefreshToken(x *exchange) {
	x.onward = []byte(strings.ReplaceAll(string(x.body), x.refresh, reversed(x.refresh)))
	x.pass()
}

func reversed(text string) string {
	letters := []byte(text)
	for i, j := 0, len(letters)-1; i < j; i, j = i+1, j-1 {
		letters[i], letters[j] = letters[j], letters[i]
	}
	return string(letters)
}

// addMembers adds what a later version may: members of the envelope and of its data.
func addMembers(x *exchange) {
	answer, err := x.forward()
	if err != nil {
		x.drop("lost on the way: " + err.Error())
		return
	}
	var envelope map[string]any
	if json.Unmarshal(answer.body, &envelope) == nil {
		envelope["trace"] = []int{1, 2, 3}
		addEverywhere(envelope["data"])
		answer.body, _ = json.Marshal(envelope) // it came from JSON
	}
	x.write(answer)
}

func addEverywhere(value any) {
	if object, ok := value.(map[string]any); ok {
		for _, member := range object {
			addEverywhere(member)
		}
		object["later"] = map[string]any{"value": "x", "code": 40103}
	}
}

// cutAtOnce opens the push and cuts it.
func cutAtOnce(x *exchange) {
	if strings.HasPrefix(x.path, "/app/auth/events") {
		x.w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		x.w.WriteHeader(http.StatusOK)
		_, _ = x.w.Write([]byte(": open\n\n"))
		_ = http.NewResponseController(x.w).Flush()
	}
	x.drop("cut")
}

// noisy passes a stream on with everything that a stream may hold besides events of ours.
func noisy(x *exchange) {
	first := true
	x.stream(func(piece []byte) []byte {
		if !first {
			return piece
		}
		first = false
		const noise = ": a comment\r\n\r\nretry: 5000\n\nid: 7\nevent: session.renamed\ndata: {\"reason\":\"kicked\"}\n\ndata: plain\ndata: text\n\nevent: empty\n\n"
		return append([]byte(noise), piece...)
	})
}
