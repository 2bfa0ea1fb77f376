// Package middleware holds the chain around every handler: the one writer of the
// envelope, guards, rate limits, access log and metrics. A guard is a function that
// calls Fail to refuse a request.
package middleware

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"strconv"
	"sync"

	"github.com/gin-gonic/gin"
	"go.uber.org/zap"

	"menshen/model"
)

// Handler returns the data of a response, or an error. It writes only responses
// whose form is a standard's, and returns nil and nil then.
type Handler func(c *gin.Context) (data any, err error)

// Handle adapts a Handler to gin.
func Handle(h Handler) gin.HandlerFunc {
	return func(c *gin.Context) {
		data, err := h(c)
		if err != nil {
			Fail(c, err)
			return
		}
		x := exchangeOf(c)
		x.data, x.set = data, true
	}
}

// Fail ends the request with an error: no later handler runs. An error that wraps no
// failure of the table is model.ErrInternal.
func Fail(c *gin.Context, err error) {
	x := exchangeOf(c)
	x.err, x.set = err, true
	c.Abort()
}

// Envelope is the only writer of {"code","data","msg"}.
type Envelope struct {
	Locale    string // language of sentences if Accept-Language names none
	Always200 bool   // for old clients: every response has status 200; its code is as otherwise
	Log       *zap.Logger

	static sync.Map // *StaticData to bodyByLanguage
}

// envelope is the form of every response whose form is not a standard's.
type envelope struct {
	Code int32  `json:"code"`
	Data any    `json:"data"`
	Msg  string `json:"msg"`
}

// Render runs the rest of the chain and writes its outcome, also that of a panic.
func (e *Envelope) Render(c *gin.Context) {
	x := exchangeOf(c)
	x.Language = localeOf(c.GetHeader("Accept-Language"), e.Locale)
	defer func() {
		if recovered := recover(); recovered != nil {
			if recovered == http.ErrAbortHandler { //nolint:errorlint // as net/http compares it
				panic(recovered)
			}
			e.Log.Error("panic", zap.String("requestId", x.ID), zap.String("route", c.FullPath()),
				zap.String("panic", fmt.Sprintf("%T", recovered)), zap.ByteString("stack", debug.Stack()))
			Fail(c, model.ErrInternal)
		}
		if x.set && !c.Writer.Written() {
			e.write(c, x)
		}
	}()
	c.Next()
}

func (e *Envelope) write(c *gin.Context, x *exchange) {
	var text []byte
	var err error
	status := http.StatusOK
	if x.err == nil {
		text, err = e.success(x.data, x.Language)
	} else {
		f := model.AsFailure(x.err)
		x.code, status = f.Code, f.Status()
		text, err = json.Marshal(envelope{Code: f.Code, Data: f.Data(), Msg: sentence(f, x.Language)})
		failureHeaders(c, f)
	}
	if err != nil {
		x.err = errors.Join(model.ErrInternal, fmt.Errorf("render answer: %w", err))
		f := model.ErrInternal
		x.code, status = f.Code, f.Status()
		text = []byte(`{"code":` + strconv.Itoa(int(f.Code)) + `,"data":null,"msg":"` + sentence(f, x.Language) + `"}`)
	}
	if e.Always200 {
		status = http.StatusOK
	}
	header := c.Writer.Header()
	header["Content-Type"] = jsonType
	header["Cache-Control"] = noStore
	c.Writer.WriteHeader(status)
	_, _ = c.Writer.Write(text) // fails only if the client has disconnected
}

// StaticData is data whose body is encoded once for each language. Envelope recognizes
// it by its pointer. It must not change.
type StaticData struct{ Data any }

// bodyByLanguage holds the encoded bodies of one StaticData.
type bodyByLanguage map[string][]byte

// success encodes the body of a success.
func (e *Envelope) success(data any, language string) ([]byte, error) {
	static, ok := data.(*StaticData)
	if !ok {
		return json.Marshal(envelope{Data: data, Msg: successIn[language]})
	}
	if encoded, ok := e.static.Load(static); ok {
		return encoded.(bodyByLanguage)[language], nil
	}
	bodies := bodyByLanguage{}
	for language, msg := range successIn {
		body, err := json.Marshal(envelope{Data: static.Data, Msg: msg})
		if err != nil {
			return nil, err
		}
		bodies[language] = body
	}
	e.static.Store(static, bodies)
	return bodies[language], nil
}

// Header values that all responses share. They must not change.
var (
	jsonType = []string{"application/json; charset=utf-8"}
	noStore  = []string{"no-store"}
)

// failureHeaders sets the headers that some failures need (RFC 6750 §3, RFC 9110
// §10.2.3).
func failureHeaders(c *gin.Context, f *model.Failure) {
	if f.Status() == http.StatusUnauthorized && c.Writer.Header().Get("WWW-Authenticate") == "" {
		challenge := "Bearer"
		if exchangeOf(c).Token != "" {
			challenge = `Bearer error="invalid_token"`
		}
		c.Header("WWW-Authenticate", challenge)
	}
	if seconds := f.RetryAfter(); seconds > 0 {
		c.Header("Retry-After", strconv.FormatInt(seconds, 10))
	}
}
