package middleware

import (
	"context"
	"errors"
	"io"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"menshen/model"
)

// AccessLog writes one line a request. It names the route, never the path or
// the query, for those hold what clients send; the cause of a failure is here
// and nowhere else. The line of a success goes to later, which may write it a
// moment later and lose it with the process; no line of a failure does. When later
// writes JSON, lines is where: lines of success are put together there at a
// fraction of the cost; else it is nil.
func AccessLog(log, later *zap.Logger, lines io.Writer, now func() time.Time) gin.HandlerFunc {
	var stamps Stamps
	return func(c *gin.Context) {
		c.Next()
		x := exchangeOf(c)
		status := c.Writer.Status()
		to, level := log, zapcore.InfoLevel
		if status >= 500 || x.code >= 50000 {
			if !errors.Is(c.Request.Context().Err(), context.Canceled) { // else nobody hears the answer
				level = zapcore.ErrorLevel
			}
		}
		if x.code == 0 && status < 400 && x.err == nil && len(c.Errors) == 0 {
			to = later
			if w := writerOf(c); w != nil && lines != nil && to.Core().Enabled(level) {
				took := x.duration(now)
				at := stamps.Text(x.start.Add(took))
				_, _ = lines.Write(x.line(w.line[:0], at, knownMethod(c.Request.Method), routeOf(c), status, took)) // who could be told?
				return
			}
		}
		if entry := to.Check(level, "request"); entry != nil {
			entry.Write(x.fields(c, now)...)
		}
	}
}

// fields are what the exchange's line says.
func (x *exchange) fields(c *gin.Context, now func() time.Time) []zap.Field {
	fields := []zap.Field{
		zap.String("requestId", x.ID), zap.String("method", knownMethod(c.Request.Method)), zap.String("route", routeOf(c)),
		zap.Int("status", c.Writer.Status()), zap.Int32("code", x.code),
		zap.Float64("durationMs", milliseconds(x.duration(now))), zap.String("ip", x.IP),
	}
	if x.trace != "" {
		fields = append(fields, zap.String("traceId", x.trace))
	}
	if x.err == nil && len(c.Errors) > 0 { // of a handler that wrote by itself
		x.err = c.Errors.Last()
	}
	if cause := causeOf(x.err); cause != nil {
		fields = append(fields, zap.NamedError("cause", cause))
	}
	return fields
}

// lineRoom holds nearly every line of a success.
const lineRoom = 512

// line appends the line of a success as the log would write it by LogForm, at a
// fraction of the cost. No text in it needs quoting: ids are plain, methods and
// routes are ours, and an address is an address.
func (x *exchange) line(to []byte, at, method, route string, status int, took time.Duration) []byte {
	to = append(to, `{"level":"info","ts":"`...)
	to = append(to, at...)
	to = append(to, `","msg":"request","requestId":"`...)
	to = append(to, x.ID...)
	to = append(to, `","method":"`...)
	to = append(to, method...)
	to = append(to, `","route":"`...)
	to = append(to, route...)
	to = append(to, `","status":`...)
	to = strconv.AppendInt(to, int64(status), 10)
	to = append(to, `,"code":0,"durationMs":`...)
	to = strconv.AppendFloat(to, milliseconds(took), 'f', -1, 64)
	to = append(to, `,"ip":"`...)
	to = append(to, x.IP...)
	if x.trace != "" {
		to = append(to, `","traceId":"`...)
		to = append(to, x.trace...)
	}
	return append(to, "\"}\n"...)
}

// milliseconds of a duration, to the microsecond.
func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// LogForm is the form of every line of the log.
func LogForm() zapcore.EncoderConfig {
	var stamps Stamps
	form := zap.NewProductionEncoderConfig()
	form.EncodeTime = func(t time.Time, to zapcore.PrimitiveArrayEncoder) { to.AppendString(stamps.Text(t)) }
	form.EncodeDuration = zapcore.MillisDurationEncoder
	return form
}

// Stamps writes times as RFC 3339 says, with milliseconds. All lines of one
// millisecond share a text.
type Stamps struct{ last atomic.Pointer[stamp] }

type stamp struct {
	ms   int64 // Unix
	text string
}

// Text is the time in its own zone.
func (s *Stamps) Text(t time.Time) string {
	last := s.last.Load()
	if ms := t.UnixMilli(); last == nil || last.ms != ms {
		last = &stamp{ms, t.Format("2006-01-02T15:04:05.000Z07:00")}
		s.last.Store(last)
	}
	return last.text
}

// causeOf is what stands behind a failure, nil when the failure says all.
func causeOf(err error) error {
	if err == nil {
		return nil
	}
	f := model.AsFailure(err)
	if cause := f.Unwrap(); cause != nil || f.Status() < 500 {
		return cause
	}
	return err
}

// knownMethod keeps a client's invention out of the log.
func knownMethod(method string) string {
	switch method {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT":
		return method
	}
	return "other"
}
