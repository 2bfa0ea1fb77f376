package middleware

import (
	"github.com/gin-gonic/gin"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// Trace makes a span of each request but health and metrics. Each starts a trace of its
// own, which links to the one that the client sends (W3C Trace Context) by its ids
// alone.
func Trace(tracer trace.Tracer) gin.HandlerFunc {
	return func(c *gin.Context) {
		route := routeOf(c)
		switch route {
		case "/healthz", "/readyz", "/metrics":
			return
		}
		method := knownMethod(c.Request.Method)
		options := []trace.SpanStartOption{
			trace.WithNewRoot(), trace.WithSpanKind(trace.SpanKindServer),
			trace.WithAttributes(attribute.String("http.request.method", method), attribute.String("http.route", route)),
		}
		ctx := c.Request.Context()
		remote := trace.SpanContextFromContext(propagation.TraceContext{}.Extract(ctx, propagation.HeaderCarrier(c.Request.Header)))
		if remote.IsValid() {
			options = append(options, trace.WithLinks(trace.Link{SpanContext: remote.WithTraceState(trace.TraceState{})}))
		}
		ctx, span := tracer.Start(ctx, method+" "+route, options...)
		defer span.End()
		x := exchangeOf(c)
		if own := span.SpanContext(); own.IsSampled() {
			x.trace = own.TraceID().String()
		}
		c.Request = c.Request.WithContext(ctx)
		c.Next()
		status := c.Writer.Status()
		span.SetAttributes(attribute.Int("http.response.status_code", status), attribute.Int("menshen.code", int(x.code)))
		if status >= 500 || x.code >= 50000 {
			span.SetStatus(codes.Error, "")
		}
	}
}
