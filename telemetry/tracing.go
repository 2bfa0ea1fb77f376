package telemetry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"menshen/config"
	"menshen/model"
	"menshen/service"
	"menshen/service/code"
)

const (
	// exportTime bounds the export of one batch, and so how long a stop waits for the
	// last one.
	exportTime = 2 * time.Second
	// tracesPath is where collectors accept spans by OTLP/HTTP.
	tracesPath = "/v1/traces"
	// maxAnswer bounds what is read of a collector's response, in bytes.
	maxAnswer = 64 << 10
)

// Tracing exports spans of requests, transactions and messages, without data from a
// client. A nil *Tracing makes none.
type Tracing struct {
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
	client   *http.Client
}

// OpenTracing returns nil if no collector is configured. It does not connect. While a
// collector is unavailable, spans are lost and no request is delayed. What a collector
// answers is not logged. log returns the current logger.
func OpenTracing(ctx context.Context, cfg config.Tracing, version string, log func() *zap.Logger) (*Tracing, error) {
	if cfg.Endpoint == "" {
		return nil, nil
	}
	quoteNothing(log)
	endpoint, err := url.Parse(cfg.Endpoint)
	if err != nil {
		return nil, fmt.Errorf("tracing.endpoint: %w", err)
	}
	if endpoint.Path == "" {
		endpoint.Path = tracesPath
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxResponseHeaderBytes = maxAnswer
	client := &http.Client{
		Transport: statusTransport{transport}, Timeout: exportTime,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	exporter, err := otlptrace.New(ctx, otlptracehttp.NewClient(
		otlptracehttp.WithEndpointURL(endpoint.String()), otlptracehttp.WithHTTPClient(client), otlptracehttp.WithTimeout(exportTime),
		otlptracehttp.WithRetry(otlptracehttp.RetryConfig{Enabled: false}), otlptracehttp.WithMaxResponseSize(maxAnswer),
	))
	if err != nil {
		return nil, fmt.Errorf("tracing: %w", err)
	}
	quiet := &quietExporter{SpanExporter: exporter, report: func(why string) { log().Warn("traces are lost", zap.String("error", why)) }}
	provider := sdktrace.NewTracerProvider(
		// The ratio decides for each trace. Every request starts one (middleware.Trace), so
		// that a client's trace does not decide which spans are kept.
		sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(cfg.Ratio))),
		sdktrace.WithBatcher(quiet, sdktrace.WithExportTimeout(exportTime)),
		sdktrace.WithResource(resource.NewSchemaless(
			attribute.String("service.name", "menshen"), attribute.String("service.version", version),
		)),
	)
	return &Tracing{provider: provider, tracer: provider.Tracer("menshen"), client: client}, nil
}

// quoteNothing replaces the loggers of OpenTelemetry, which write to the standard error and
// quote what they cannot read: headers of OTEL_EXPORTER_OTLP_HEADERS, which hold
// credentials, and names of files. They belong to the process, not to a Tracing.
func quoteNothing(log func() *zap.Logger) {
	report := func(why string) { log().Warn("tracing", zap.String("error", why)) }
	otel.SetLogger(logr.New(wordsOnly{report}))
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(error) { report("an error of OpenTelemetry, which is not quoted") }))
}

// wordsOnly reports of an error only what was being done, which is a constant.
type wordsOnly struct{ report func(doing string) }

// Init does nothing.
func (wordsOnly) Init(logr.RuntimeInfo) {}

// Enabled is false: errors are logged without it.
func (wordsOnly) Enabled(int) bool { return false }

// Info does nothing.
func (wordsOnly) Info(int, string, ...any) {}

// Error reports msg.
func (w wordsOnly) Error(_ error, msg string, _ ...any) { w.report("OpenTelemetry: " + msg) }

// WithValues forgets the values.
func (w wordsOnly) WithValues(...any) logr.LogSink { return w }

// WithName forgets the name.
func (w wordsOnly) WithName(string) logr.LogSink { return w }

// Close exports the remaining spans, within exportTime and before ctx ends. A second
// call does nothing.
func (t *Tracing) Close(ctx context.Context) {
	if t == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, exportTime)
	defer cancel()
	_ = t.provider.Shutdown(ctx) // the exporter has reported lost spans
	t.client.CloseIdleConnections()
}

// Tracer returns the tracer of requests, nil without tracing.
func (t *Tracing) Tracer() trace.Tracer {
	if t == nil {
		return nil
	}
	return t.tracer
}

// Tx returns db with a span for each transaction of a request.
func (t *Tracing) Tx(db service.Tx) service.Tx {
	if t == nil {
		return db
	}
	return tracedTx{Tx: db, tracer: t.tracer}
}

// Sender returns s with a span for each message of a request.
func (t *Tracing) Sender(provider string, s code.Gateway) code.Gateway {
	if t == nil {
		return s
	}
	return tracedSender{Gateway: s, provider: provider, tracer: t.tracer}
}

// quietExporter reports lost spans once until an export succeeds. It is not safe for
// concurrent use.
type quietExporter struct {
	sdktrace.SpanExporter
	report  func(why string)
	failing bool
}

// ExportSpans exports a batch. It reports an error itself and returns none.
func (q *quietExporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	err := q.SpanExporter.ExportSpans(ctx, spans)
	if err != nil && !q.failing {
		q.report(whyLost(ctx, err))
	}
	q.failing = err != nil
	return nil
}

// tracedTx makes a span of each transaction of a request. Background work has no spans.
type tracedTx struct {
	service.Tx
	tracer trace.Tracer
}

// Within is [service.Tx.Within].
func (t tracedTx) Within(ctx context.Context, act func(ctx context.Context) error) error {
	if !trace.SpanContextFromContext(ctx).IsSampled() {
		return t.Tx.Within(ctx, act)
	}
	ctx, span := t.tracer.Start(ctx, "transaction", trace.WithSpanKind(trace.SpanKindClient))
	defer span.End()
	tries := 0
	err := t.Tx.Within(ctx, func(ctx context.Context) error {
		tries++
		return act(ctx)
	})
	span.SetAttributes(attribute.Int("menshen.tries", tries))
	span.SetAttributes(attribute.String("menshen.outcome", choose(err == nil, "committed", "undone")))
	if errors.Is(err, model.ErrUnavailable) { // a refusal by a rule is no error of the transaction
		span.SetStatus(codes.Error, "")
	}
	return err
}

// tracedSender makes a span of each message.
type tracedSender struct {
	code.Gateway
	provider string
	tracer   trace.Tracer
}

// Send is [code.Gateway.Send].
func (t tracedSender) Send(ctx context.Context, message model.Message) (model.Sent, error) {
	ctx, span := t.tracer.Start(ctx, "send sms", trace.WithSpanKind(trace.SpanKindClient))
	defer span.End()
	sent, err := t.Gateway.Send(ctx, message)
	outcome := code.OutcomeOf(err)
	span.SetAttributes(attribute.String("menshen.provider", t.provider), attribute.String("menshen.outcome", string(outcome)))
	if outcome != code.OutcomeSent {
		span.SetStatus(codes.Error, "")
	}
	return sent, err
}
