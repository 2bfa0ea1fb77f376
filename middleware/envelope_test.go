package middleware

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gin-gonic/gin"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"menshen/config"
	"menshen/model"
	"menshen/telemetry"
)

// chain is an engine with the chain around every handler and a clock that advances by
// 1.5 ms each time it is read.
type chain struct {
	*gin.Engine
	logs *observer.ObservedLogs
}

func newChain(t *testing.T, e *Envelope) chain {
	t.Helper()
	gin.SetMode(gin.ReleaseMode)
	core, logs := observer.New(zapcore.DebugLevel)
	e.Log = zap.New(core)
	if e.Locale == "" {
		e.Locale = en
	}
	at := time.Unix(1_700_000_000, 0)
	now := func() time.Time { at = at.Add(1500 * time.Microsecond); return at }
	h := chain{Engine: gin.New(), logs: logs}
	h.HandleMethodNotAllowed = true
	peer, err := NewAddresses([]string{"192.0.2.1"}) // httptest's
	if err != nil {
		t.Fatal(err)
	}
	h.Use(Begin(now, peer), AccessLog(telemetry.NewPlainAccessLog(e.Log), now), e.Render)
	h.NoRoute(func(c *gin.Context) { Fail(c, model.ErrNotFound) })
	h.NoMethod(func(c *gin.Context) { Fail(c, model.ErrMethod) })
	return h
}

// request sends a request with headers, names and values in turn.
func (h chain) request(method, path string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, nil)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestRender(t *testing.T) {
	type view struct {
		A int    `json:"a"`
		B string `json:"b"`
	}
	secret := errors.New("cause that no client may read")
	for _, row := range []struct {
		name   string
		data   any
		err    error
		status int
		body   string
		header http.Header // besides those of every response
	}{
		{"data", view{1, "<b>"}, nil, 200, `{"code":0,"data":{"a":1,"b":"\u003cb\u003e"},"msg":"OK"}`, nil},
		{"list", []view{}, nil, 200, `{"code":0,"data":[],"msg":"OK"}`, nil},
		{"nothing", nil, nil, 200, `{"code":0,"data":null,"msg":"OK"}`, nil},
		{"failure", nil, model.ErrCode, 400, `{"code":40002,"data":null,"msg":"The verification code is wrong or no longer valid."}`, nil},
		{"failure beside data", view{1, "b"}, model.ErrCode, 400, `{"code":40002,"data":null,"msg":"The verification code is wrong or no longer valid."}`, nil},
		{"failure with data", nil, model.MalformedField("a", "b"), 400, `{"code":40000,"data":{"fields":[{"field":"a","reason":"b"}]},"msg":"The request is not valid."}`, nil},
		{"failure with a cause", nil, model.ErrUnavailable.Wrap(secret), 503, `{"code":50300,"data":null,"msg":"The service is temporarily unavailable. Please try again."}`, nil},
		{"failure within an error", nil, fmt.Errorf("doing: %w", model.ErrNotFound.Wrap(secret)), 404, `{"code":40400,"data":null,"msg":"There is no such route or resource."}`, nil},
		{"another error", nil, secret, 500, `{"code":50000,"data":null,"msg":"Something went wrong on our side."}`, nil},
		{"cancelled", nil, context.Canceled, 500, `{"code":50000,"data":null,"msg":"Something went wrong on our side."}`, nil},
		{"token", nil, model.ErrToken.Wrap(secret), 401, `{"code":40100,"data":null,"msg":"The credential is missing or not valid. Please sign in again."}`, http.Header{"Www-Authenticate": {"Bearer"}}},
		{"too many", nil, model.ErrTooMany.After(1001 * time.Millisecond), 429, `{"code":42900,"data":null,"msg":"Too many requests. Please try again later."}`, http.Header{"Retry-After": {"2"}}},
		{"too many, no time known", nil, model.ErrCooldown, 429, `{"code":42901,"data":null,"msg":"A code was sent recently. Please try again later."}`, http.Header{"Retry-After": {"1"}}},
		{"data that is no JSON", func() {}, nil, 500, `{"code":50000,"data":null,"msg":"Something went wrong on our side."}`, nil},
		{"failure whose data is no JSON", nil, model.ErrCode.With(make(chan int)), 500, `{"code":50000,"data":null,"msg":"Something went wrong on our side."}`, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			for _, always200 := range []bool{false, true} {
				h := newChain(t, &Envelope{Always200: always200})
				h.GET("/", Handle(func(*gin.Context) (any, error) { return row.data, row.err }))
				w := h.request(http.MethodGet, "/", "X-Request-Id", "id")
				status := row.status
				if always200 {
					status = 200
				}
				if w.Code != status || w.Body.String() != row.body {
					t.Errorf("%d %s, want %d %s", w.Code, w.Body, status, row.body)
				}
				want := http.Header{
					"X-Request-Id": {"id"}, "X-Content-Type-Options": {"nosniff"}, "Cache-Control": {"no-store"}, "Content-Type": {"application/json; charset=utf-8"},
				}
				for name, values := range row.header {
					want[name] = values
				}
				if fmt.Sprint(w.Header()) != fmt.Sprint(want) {
					t.Errorf("the headers are %v, want %v", w.Header(), want)
				}
			}
		})
	}
}

func TestRenderWithoutHandler(t *testing.T) {
	h := newChain(t, &Envelope{Locale: zhCN})
	h.POST("/only", Handle(func(*gin.Context) (any, error) { return nil, nil }))
	h.GET("/own", func(c *gin.Context) { c.String(http.StatusTeapot, "own") })
	h.GET("/silent", func(*gin.Context) {})
	for _, row := range []struct {
		method, path string
		status       int
		body         string
	}{
		{"GET", "/none", 404, `{"code":40400,"data":null,"msg":"请求的资源不存在"}`},
		{"GET", "/only", 405, `{"code":40500,"data":null,"msg":"不支持的请求方法"}`},
		{"BREW", "/only", 405, `{"code":40500,"data":null,"msg":"不支持的请求方法"}`},
		{"GET", "/own", 418, "own"}, // a form of its own
		{"GET", "/silent", 200, ""},
	} {
		w := h.request(row.method, row.path)
		if w.Code != row.status || w.Body.String() != row.body {
			t.Errorf("%s %s: %d %s", row.method, row.path, w.Code, w.Body)
		}
		if (w.Code == 405) != (w.Header().Get("Allow") == "POST") {
			t.Errorf("%s %s: Allow is %q", row.method, row.path, w.Header().Get("Allow"))
		}
	}
}

func TestRenderPanic(t *testing.T) {
	h := newChain(t, &Envelope{})
	h.GET("/panic", Handle(func(*gin.Context) (any, error) { panic("token-in-a-panic") }))
	h.GET("/nil", Handle(func(*gin.Context) (any, error) { var e *Envelope; return e.Locale, nil }))
	h.GET("/late", func(c *gin.Context) { c.String(http.StatusOK, "begun"); panic(errors.New("late")) })
	h.GET("/abort", Handle(func(*gin.Context) (any, error) { panic(http.ErrAbortHandler) }))
	h.GET("/guarded", func(*gin.Context) { panic("guard") }, Handle(func(*gin.Context) (any, error) { t.Error("the handler ran"); return nil, nil }))
	const internal = `{"code":50000,"data":null,"msg":"Something went wrong on our side."}`
	for _, path := range []string{"/panic", "/nil", "/guarded"} {
		w := h.request(http.MethodGet, path)
		if w.Code != 500 || w.Body.String() != internal || w.Header().Get("X-Request-Id") == "" {
			t.Errorf("%s: %d %s %v", path, w.Code, w.Body, w.Header())
		}
	}
	if w := h.request(http.MethodGet, "/late"); w.Body.String() != "begun" {
		t.Errorf("after the panic came %s", w.Body)
	}
	func() {
		defer func() {
			if recovered := recover(); recovered != http.ErrAbortHandler { //nolint:errorlint // the very value
				t.Errorf("recovered %v", recovered)
			}
		}()
		h.request(http.MethodGet, "/abort")
		t.Error("http.ErrAbortHandler was swallowed")
	}()
	panics := h.logs.FilterMessage("panic").All()
	if len(panics) != 4 {
		t.Fatalf("%d panics are in the log", len(panics))
	}
	for _, entry := range panics {
		text := fmt.Sprint(entry.ContextMap())
		if entry.Level != zapcore.ErrorLevel || !strings.Contains(text, "goroutine") || !strings.Contains(text, "requestId") || strings.Contains(text, "token-in-a-panic") {
			t.Errorf("the log says %s", text)
		}
	}
	if got := h.logs.FilterMessage("request").FilterField(zap.Int("status", 500)).Len(); got != 3 {
		t.Errorf("%d requests with status 500 are in the log", got)
	}
}

// TestFailEndsTheRequest: no handler runs after a guard that fails; its failure is the
// response.
func TestFailEndsTheRequest(t *testing.T) {
	h := newChain(t, &Envelope{})
	h.GET("/", func(c *gin.Context) { Fail(c, model.ErrTooLarge) }, func(*gin.Context) { t.Error("the next one ran") })
	if w := h.request(http.MethodGet, "/"); w.Code != 413 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	// Without Begin, as in other tests, Fail must not panic.
	Fail(&gin.Context{Request: httptest.NewRequest(http.MethodGet, "/", nil)}, model.ErrTooLarge)
}

func TestBegin(t *testing.T) {
	h := newChain(t, &Envelope{})
	var seen model.Request // a copy: the next request uses the same memory
	h.GET("/", Handle(func(c *gin.Context) (any, error) {
		seen = *RequestOf(c)
		return nil, nil
	}))
	for _, given := range []string{"a", "A.b_c-9", "7", strings.Repeat("x", 64)} {
		if w := h.request(http.MethodGet, "/", "X-Request-Id", given); w.Header().Get("X-Request-Id") != given || seen.ID != given {
			t.Errorf("%q: %q, %q", given, w.Header().Get("X-Request-Id"), seen.ID)
		}
	}
	ids := []string{}
	for _, given := range [][]string{
		nil, {"X-Request-Id", ""}, {"X-Request-Id", strings.Repeat("x", 65)}, {"X-Request-Id", "a b"}, {"X-Request-Id", "a\nb"}, {"X-Request-Id", "é"}, {"X-Request-Id", "a/b"},
		{"X-Request-Id", "a", "X-Request-Id", "a"}, {"X-Request-Id", "\x00"}, {"X-Request-Id", "\"},{\""},
	} {
		w := h.request(http.MethodGet, "/", given...)
		id := w.Header().Get("X-Request-Id")
		if len(id) < 20 || id != seen.ID || slices.Contains(ids, id) || len(w.Header().Values("X-Request-Id")) != 1 {
			t.Errorf("%q: %q", given, id)
		}
		ids = append(ids, id)
	}
	if seen.IP != "192.0.2.1" {
		t.Errorf("the address is %s", seen.IP)
	}
	for _, peer := range []string{"198.51.100.7:1", "[::1]:1", "@"} { // no trusted proxy
		r, w := httptest.NewRequest(http.MethodGet, "/", nil), httptest.NewRecorder()
		r.RemoteAddr = peer
		r.Header.Set("X-Request-Id", "id")
		r.Header.Set("X-Forwarded-For", "192.0.2.1")
		h.ServeHTTP(w, r)
		lines := h.logs.FilterMessage("request").All()
		line := lines[len(lines)-1].ContextMap()
		if id := w.Header().Get("X-Request-Id"); len(id) < 20 || id != seen.ID || line["requestId"] != id || line["clientRequestId"] != "id" {
			t.Errorf("from %s: %q, %v", peer, id, line)
		}
	}
}

// TestExchangeBelowOtherWriters: a writer that wraps the exchange's hides neither
// the exchange from the access log nor the request from the handler.
func TestExchangeBelowOtherWriters(t *testing.T) {
	h := newChain(t, &Envelope{})
	wrap := func(c *gin.Context) {
		c.Writer = struct {
			gin.ResponseWriter
			unwrapper
		}{c.Writer, unwrapper{c.Writer}}
	}
	h.GET("/no", wrap, wrap, Handle(func(c *gin.Context) (any, error) {
		if id := RequestOf(c).ID; id != "id" {
			t.Errorf("the handler has the id %q", id)
		}
		return nil, model.ErrCode
	}))
	if w := h.request(http.MethodGet, "/no", "X-Request-Id", "id"); w.Code != 400 || !strings.Contains(w.Body.String(), "40002") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if code := h.logs.All()[0].ContextMap()["code"]; code != int64(40002) && code != int32(40002) {
		t.Errorf("the log says %v", code)
	}
}

type unwrapper struct{ inner http.ResponseWriter }

func (u unwrapper) Unwrap() http.ResponseWriter { return u.inner }

// TestRequestIDsAreUnique: generated ids have the form that a client's id may have,
// and none is generated twice.
func TestRequestIDsAreUnique(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		id, _ := requestIDs(&http.Request{}, Addresses{})
		if !isPlainID(id) || seen[id] {
			t.Fatalf("%q after %d", id, len(seen))
		}
		seen[id] = true
	}
}

// TestExchangeIsReset: a request finds nothing of the request before, which used the
// same memory.
func TestExchangeIsReset(t *testing.T) {
	h := newChain(t, &Envelope{})
	h.GET("/fill", Handle(func(c *gin.Context) (any, error) {
		r := RequestOf(c)
		r.Token, r.Key.Name, r.Claims.SessionID, r.Session.ID = "t", "a", "s", "s"
		return "data", nil
	}))
	h.GET("/look", func(c *gin.Context) {
		x := exchangeOf(c)
		if x.Token != "" || x.Key.Name != "" || x.Claims != (model.Claims{}) || x.Session.ID != "" || x.data != nil || x.err != nil || x.set || x.code != 0 {
			t.Errorf("left: %+v", x.Request)
		}
		if len(c.Keys) != 0 {
			t.Errorf("keys %v", c.Keys)
		}
	})
	for range 100 { // a pool may drop an exchange, but not each time
		h.request(http.MethodGet, "/fill")
		h.request(http.MethodGet, "/nowhere")
		h.request(http.MethodGet, "/look")
	}
}

func TestAccessLog(t *testing.T) {
	cause := errors.New("connection refused")
	for _, row := range []struct {
		name, method, path string
		err                error
		level              zapcore.Level
		want               string
	}{
		{"success", "GET", "/known/secret?token=secret", nil, zapcore.InfoLevel, "code:0 durationMs:1.5 ip:192.0.2.1 method:GET requestId:id route:/known/:name status:200"},
		{"refusal", "GET", "/known/secret", model.ErrCode, zapcore.InfoLevel, "code:40002 durationMs:1.5 ip:192.0.2.1 method:GET requestId:id route:/known/:name status:400"},
		{"refusal with a cause", "GET", "/known/secret", model.ErrToken.Wrap(cause), zapcore.InfoLevel, "cause:connection refused code:40100 durationMs:1.5 ip:192.0.2.1 method:GET requestId:id route:/known/:name status:401"},
		{"fault", "GET", "/known/secret", model.ErrUnavailable.Wrap(cause), zapcore.ErrorLevel, "cause:connection refused code:50300 durationMs:1.5 ip:192.0.2.1 method:GET requestId:id route:/known/:name status:503"},
		{"fault within", "GET", "/known/secret", fmt.Errorf("doing: %w", model.ErrUnavailable.Wrap(cause)), zapcore.ErrorLevel, "cause:connection refused code:50300 durationMs:1.5 ip:192.0.2.1 method:GET requestId:id route:/known/:name status:503"},
		{"fault without a cause", "GET", "/known/secret", model.ErrProvider, zapcore.ErrorLevel, "cause:50301 The message could not be sent. Please try again later. code:50301 durationMs:1.5 ip:192.0.2.1 method:GET requestId:id route:/known/:name status:503"},
		{"unknown error", "GET", "/known/secret", cause, zapcore.ErrorLevel, "cause:connection refused code:50000 durationMs:1.5 ip:192.0.2.1 method:GET requestId:id route:/known/:name status:500"},
		{"no route", "GET", "/secret", nil, zapcore.InfoLevel, "code:40400 durationMs:1.5 ip:192.0.2.1 method:GET requestId:id route:none status:404"},
		{"no method", "DELETE", "/known/secret", nil, zapcore.InfoLevel, "code:40500 durationMs:1.5 ip:192.0.2.1 method:DELETE requestId:id route:none status:405"},
		{"invented method", "SECRET", "/known/secret", nil, zapcore.InfoLevel, "code:40500 durationMs:1.5 ip:192.0.2.1 method:other requestId:id route:none status:405"},
	} {
		t.Run(row.name, func(t *testing.T) {
			h := newChain(t, &Envelope{})
			h.GET("/known/:name", Handle(func(*gin.Context) (any, error) { return nil, row.err }))
			h.request(row.method, row.path, "X-Request-Id", "id", "User-Agent", "secret", "X-Device-Number", "secret", "Authorization", "Bearer secret", "Referer", "secret")
			entries := h.logs.All()
			if len(entries) != 1 || entries[0].Message != "request" || entries[0].Level != row.level {
				t.Fatalf("the log has %v", entries)
			}
			if got := fmt.Sprint(entries[0].ContextMap()); got != "map["+row.want+"]" {
				t.Errorf("the line says %s, want %s", got, row.want)
			}
		})
	}
	t.Run("always 200 hides no fault from the log", func(t *testing.T) {
		h := newChain(t, &Envelope{Always200: true})
		h.GET("/", Handle(func(*gin.Context) (any, error) { return nil, cause }))
		h.request(http.MethodGet, "/")
		if entry := h.logs.All()[0]; entry.Level != zapcore.ErrorLevel || entry.ContextMap()["status"] != int64(200) || entry.ContextMap()["code"] != int32(50000) && entry.ContextMap()["code"] != int64(50000) {
			t.Errorf("the line is %v %v", entry.Level, entry.ContextMap())
		}
	})
	t.Run("only a success may wait", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { // time stands still, so that the buffer is not flushed
			var text bytes.Buffer
			out := telemetry.NewLogWriter(&text)
			engine := gin.New()
			envelope := Envelope{Locale: en, Always200: true, Log: zap.NewNop()}
			log := telemetry.NewAccessLog(config.Log{Level: "info", Format: "console"}, out)
			engine.Use(Begin(time.Now, Addresses{}), AccessLog(log, time.Now), envelope.Render)
			engine.GET("/yes", Handle(func(*gin.Context) (any, error) { return nil, nil }))
			engine.GET("/no", Handle(func(*gin.Context) (any, error) { return nil, model.ErrCode }))
			engine.GET("/status", func(c *gin.Context) { c.Status(http.StatusServiceUnavailable) })
			engine.GET("/error", func(c *gin.Context) { _ = c.Error(cause) })
			for path, want := range map[string]int{"/no": 1, "/status": 1, "/error": 1, "/yes": 0} {
				text.Reset()
				engine.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, path, nil))
				synctest.Wait() // for the goroutine that writes
				if got := strings.Count(text.String(), path); got != want {
					t.Errorf("%s: %d lines at once, want %d", path, got, want)
				}
				if out.Flush(); strings.Count(text.String(), path) != 1 {
					t.Errorf("%s: the log has %q", path, text.String())
				}
			}
		})
	})
	t.Run("a level that is off costs nothing", func(t *testing.T) {
		core, logs := observer.New(zapcore.ErrorLevel)
		engine := gin.New()
		engine.Use(AccessLog(telemetry.NewPlainAccessLog(zap.New(core)), time.Now))
		engine.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
		if logs.Len() != 0 {
			t.Errorf("the log has %v", logs.All())
		}
	})
}

func TestGuards(t *testing.T) {
	claims, session := model.Claims{SessionID: "S"}, model.Session{ID: "S"}
	judge := func(raw string) error {
		if raw != "good" {
			return model.ErrToken
		}
		return nil
	}
	h := newChain(t, &Envelope{})
	var seen model.Request
	show := Handle(func(c *gin.Context) (any, error) {
		seen = *RequestOf(c)
		return nil, nil
	})
	h.GET("/verified", RequireToken(func(raw string) (model.Claims, error) { return claims, judge(raw) }, nil), show)
	h.GET("/live", RequireSession(func(_ context.Context, raw model.Secret) (model.Session, error) { return session, judge(string(raw)) }), show)
	for path, want := range map[string]model.Request{
		"/verified": {Token: "good", Claims: claims},
		"/live":     {Token: "good", Session: session},
	} {
		seen = model.Request{}
		if w := h.request(http.MethodGet, path, "Authorization", "Bearer good"); w.Code != 200 {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
		if seen.Token != want.Token || seen.Claims != want.Claims || seen.Session.ID != want.Session.ID {
			t.Errorf("%s: the handler saw %+v", path, seen)
		}
		for given, challenge := range map[string]string{"": "Bearer", "Basic good": "Bearer", "Bearer bad": `Bearer error="invalid_token"`} {
			seen = model.Request{}
			w := h.request(http.MethodGet, path, "Authorization", given)
			if w.Code != 401 || w.Header().Get("WWW-Authenticate") != challenge || seen.ID != "" {
				t.Errorf("%s with %q: %d, %q, the handler saw %+v", path, given, w.Code, w.Header().Get("WWW-Authenticate"), seen)
			}
		}
	}
}

func TestDeadline(t *testing.T) {
	h := newChain(t, &Envelope{})
	var ctx context.Context
	h.GET("/", Deadline(time.Minute), Handle(func(c *gin.Context) (any, error) {
		ctx = c.Request.Context()
		return nil, ctx.Err()
	}))
	if w := h.request(http.MethodGet, "/"); w.Code != 200 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if at, ok := ctx.Deadline(); !ok || time.Until(at) > time.Minute || ctx.Err() == nil {
		t.Errorf("the deadline is %v, the context afterwards %v", at, ctx.Err())
	}
	if address := model.AddressOf(ctx); address != "192.0.2.1" {
		t.Errorf("the work is for %q", address)
	}
}

func TestInTurn(t *testing.T) {
	h := newChain(t, &Envelope{})
	h.GET("/", InTurn, Handle(func(c *gin.Context) (any, error) { return model.AddressOf(c.Request.Context()), nil }))
	if w := h.request(http.MethodGet, "/"); !strings.Contains(w.Body.String(), `"data":"192.0.2.1"`) {
		t.Errorf("%s", w.Body)
	}
}

// TestStaticData: static data has the body that any other data has, in the
// language of each request.
func TestStaticData(t *testing.T) {
	h := newChain(t, &Envelope{})
	data := struct {
		A int `json:"a"`
	}{7}
	static := []*StaticData{{Data: data}, {Data: nil}}
	for i, data := range static {
		h.GET(fmt.Sprintf("/static/%d", i), Handle(func(*gin.Context) (any, error) { return data, nil }))
		h.GET(fmt.Sprintf("/each/%d", i), Handle(func(*gin.Context) (any, error) { return data.Data, nil }))
	}
	h.GET("/unfit", Handle(func(*gin.Context) (any, error) { return &StaticData{Data: func() {}}, nil }))
	get := func(path, language string) (int, string) {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.Header.Set("Accept-Language", language)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code, w.Body.String()
	}
	for range 2 {
		for i := range static {
			for _, language := range []string{"en", "zh-CN"} {
				_, each := get(fmt.Sprintf("/each/%d", i), language)
				if status, once := get(fmt.Sprintf("/static/%d", i), language); status != http.StatusOK || once != each {
					t.Errorf("%s: %d %s, want %s", language, status, once, each)
				}
			}
		}
		if status, text := get("/unfit", "en"); status != http.StatusInternalServerError || !strings.Contains(text, `"code":50000`) {
			t.Errorf("what cannot be rendered: %d %s", status, text)
		}
	}
}
