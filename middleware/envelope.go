// Package middleware holds what stands before and behind every handler: the
// one writer of the envelope, guards, limits and logs. A guard is a function
// that ends in Fail.
package middleware

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
	"go.uber.org/zap"

	"menshen/model"
)

// Handler answers a request with data or an error and never writes itself.
type Handler func(c *gin.Context) (data any, err error)

// exchange is a request with its outcome. It is used again by later requests:
// nothing may hold it when the answer has been written.
type exchange struct {
	model.Request
	start time.Time
	data  any
	err   error
	set   bool  // there is an outcome to render; otherwise the handler wrote by itself
	code  int32 // of the envelope that was written
	took  time.Duration
	trace string // id of the trace that is kept; "": none
}

// duration is how long the exchange took: until it is asked for the first time.
func (x *exchange) duration(now func() time.Time) time.Duration {
	if x.took == 0 {
		x.took = now().Sub(x.start)
	}
	return x.took
}

// exchangeWriter writes the answer of its exchange. Whoever has gin's context
// finds the exchange by it, at less cost than by a key.
type exchangeWriter struct {
	gin.ResponseWriter
	exchange exchange
	own      ids            // of requests that bring none
	line     [lineRoom]byte // for the exchange's line in the access log
}

// Asked is the request that is answered.
func (w *exchangeWriter) Asked() *model.Request { return &w.exchange.Request }

// Unwrap is for http.ResponseController.
func (w *exchangeWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func exchangeOf(c *gin.Context) *exchange {
	if w := writerOf(c); w != nil {
		return &w.exchange
	}
	return &exchange{}
}

// writerOf finds the writer below any that others have put around it; nil when
// nobody began an exchange.
func writerOf(c *gin.Context) *exchangeWriter {
	for w := http.ResponseWriter(c.Writer); w != nil; {
		if ours, ok := w.(*exchangeWriter); ok {
			return ours
		}
		outer, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return nil
		}
		w = outer.Unwrap()
	}
	return nil
}

// Handle makes a gin handler of a Handler.
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

// Fail ends the request with an error. What is not a failure of the table is
// model.ErrInternal.
func Fail(c *gin.Context, err error) {
	x := exchangeOf(c)
	x.err, x.set = err, true
	c.Abort()
}

// Envelope is the only writer of {"code","data","msg"}.
type Envelope struct {
	Locale    string // of sentences, when Accept-Language names none of ours
	Always200 bool   // old clients: status 200 for every answer; the code stays
	Log       *zap.Logger

	constants sync.Map // *model.Constant to constantText
}

// envelope is the form of every answer that no standard shapes.
type envelope struct {
	Code int32  `json:"code"`
	Data any    `json:"data"`
	Msg  string `json:"msg"`
}

// Render runs the request and writes its outcome, that of guards, panics and
// unknown routes included.
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
	_, _ = c.Writer.Write(text) // a client that has gone reads nothing
}

// success renders an answer of success; a constant's, the first time it is asked for.
func (e *Envelope) success(data any, language string) ([]byte, error) {
	constant, ok := data.(*model.Constant)
	if !ok {
		return json.Marshal(envelope{Data: data, Msg: successIn[language]})
	}
	if known, ok := e.constants.Load(constant); ok {
		return known.(constantText)[language], nil
	}
	texts := constantText{}
	for language, msg := range successIn {
		text, err := json.Marshal(envelope{Data: constant.Data, Msg: msg})
		if err != nil {
			return nil, err
		}
		texts[language] = text
	}
	e.constants.Store(constant, texts)
	return texts[language], nil
}

// constantText is an answer that is the same every time, by language.
type constantText map[string][]byte

// Header values that never change, shared by all answers.
var (
	jsonType = []string{"application/json; charset=utf-8"}
	noStore  = []string{"no-store"}
)

// failureHeaders are what HTTP asks of some failures (RFC 6750 §3, RFC 9110 §10.2.3).
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
