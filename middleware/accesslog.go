package middleware

import (
	"context"
	"errors"
	"time"

	"github.com/gin-gonic/gin"

	"menshen/model"
	"menshen/telemetry"
)

// AccessLog writes one line for each request, with the route and never the path or the
// query. The cause of a failure is logged here and nowhere else.
func AccessLog(log *telemetry.AccessLog, now func() time.Time) gin.HandlerFunc {
	return func(c *gin.Context) {
		c.Next()
		x := exchangeOf(c)
		if x.err == nil && len(c.Errors) > 0 { // of a handler that wrote its response itself
			x.err = c.Errors.Last()
		}
		took, status := x.duration(now), c.Writer.Status()
		record := telemetry.AccessRecord{
			RequestID: x.ID, ClientsID: x.clientsID, Method: knownMethod(c.Request.Method), Route: routeOf(c), Status: status, Code: x.code,
			End: x.start.Add(took), Duration: took, IP: x.IP, Actor: x.Key.Name, TraceID: x.trace, Cause: causeOf(x.err),
		}
		if x.code == 0 && status < 400 && x.err == nil {
			record.Quiet = watched(record.Route)
			log.Success(record)
			return
		}
		abandoned := errors.Is(c.Request.Context().Err(), context.Canceled) // the client has disconnected
		record.Fault = (status >= 500 || x.code >= 50000) && !abandoned
		log.Failure(record)
	}
}

// watched reports whether machines ask for the route every few seconds.
func watched(route string) bool {
	return route == "/healthz" || route == "/readyz" || route == "/metrics"
}

// causeOf is the cause of a failure, nil if the failure of the table says all.
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

// knownMethod is the method, or "other" for one that HTTP does not define.
func knownMethod(method string) string {
	switch method {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT":
		return method
	}
	return "other"
}
