package middleware

import (
	"context"
	"errors"
	"time"

	"github.com/gin-gonic/gin"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"menshen/model"
)

// AccessLog writes one line a request. It names the route, never the path or
// the query, for those hold what clients send; the cause of a failure is here
// and nowhere else. The line of a success goes to later, which may write it a
// moment later and lose it with the process; no line of a failure does.
func AccessLog(log, later *zap.Logger, now func() time.Time) gin.HandlerFunc {
	return func(c *gin.Context) {
		c.Next()
		x := exchangeOf(c)
		level := zapcore.InfoLevel
		gone := errors.Is(c.Request.Context().Err(), context.Canceled) // nobody hears the answer
		if !gone && (c.Writer.Status() >= 500 || x.code >= 50000) {
			level = zapcore.ErrorLevel
		}
		to := log
		if x.code == 0 && c.Writer.Status() < 400 && x.err == nil && len(c.Errors) == 0 {
			to = later
		}
		entry := to.Check(level, "request")
		if entry == nil {
			return
		}
		fields := append(x.logRoom(),
			zap.String("requestId", x.ID), zap.String("method", knownMethod(c.Request.Method)), zap.String("route", routeOf(c)),
			zap.Int("status", c.Writer.Status()), zap.Int32("code", x.code),
			zap.Float64("durationMs", float64(now().Sub(x.start).Microseconds())/1000), zap.String("ip", x.IP),
		)
		if x.trace != "" {
			fields = append(fields, zap.String("traceId", x.trace))
		}
		if x.err == nil && len(c.Errors) > 0 { // of a handler that wrote by itself
			x.err = c.Errors.Last()
		}
		if cause := causeOf(x.err); cause != nil {
			fields = append(fields, zap.NamedError("cause", cause))
		}
		entry.Write(fields...)
	}
}

// logRoom is where the fields of the exchange's line are put together.
func (x *exchange) logRoom() []zap.Field {
	if x.room == nil { // nobody began it
		return nil
	}
	return x.room.fields[:0]
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
