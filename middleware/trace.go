package middleware

import (
	"github.com/gin-gonic/gin"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// Trace makes a span of each request, with its route, status and code and nothing
// that the client has sent. The trace is always one of ours, sampled as we sample:
// the trace that a client names (W3C Trace Context) is linked to, by its ids alone,
// since its state is a text of the client's. Health and metrics have no span.
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
		theirs := trace.SpanContextFromContext(propagation.TraceContext{}.Extract(ctx, propagation.HeaderCarrier(c.Request.Header)))
		if theirs.IsValid() {
			options = append(options, trace.WithLinks(trace.Link{SpanContext: theirs.WithTraceState(trace.TraceState{})}))
		}
		ctx, span := tracer.Start(ctx, method+" "+route, options...)
		defer span.End()
		x := exchangeOf(c)
		if ours := span.SpanContext(); ours.IsSampled() {
			x.trace = ours.TraceID().String()
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
