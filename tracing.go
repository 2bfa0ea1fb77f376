package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

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
)

const (
	// exportTime bounds the delivery of one batch of spans, and what a stop waits
	// for the last one: well within drainTime.
	exportTime = 2 * time.Second
	// tracesPath is where collectors take spans by OTLP/HTTP.
	tracesPath = "/v1/traces"
)

// tracing makes spans of requests, of their transactions and of the messages
// sent, and brings them to a collector. What a client sends is in none of them.
// The nil tracing makes none and stands in nobody's way.
type tracing struct {
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
	client   *http.Client
}

// openTracing asks nothing of the collector: one that is away costs spans and a
// line of the log, no request. A full queue drops spans.
func openTracing(ctx context.Context, cfg config.Tracing, log func() *zap.Logger) (*tracing, error) {
	if cfg.Endpoint == "" {
		return nil, nil
	}
	endpoint, err := url.Parse(cfg.Endpoint)
	if err != nil {
		return nil, fmt.Errorf("tracing.endpoint: %w", err)
	}
	if endpoint.Path == "" {
		endpoint.Path = tracesPath
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	client := &http.Client{
		Transport: transport, Timeout: exportTime,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	exporter, err := otlptrace.New(ctx, otlptracehttp.NewClient(
		otlptracehttp.WithEndpointURL(endpoint.String()), otlptracehttp.WithHTTPClient(client), otlptracehttp.WithTimeout(exportTime),
		otlptracehttp.WithRetry(otlptracehttp.RetryConfig{Enabled: false}),
	))
	if err != nil {
		return nil, fmt.Errorf("tracing: %w", err)
	}
	quiet := &quietExporter{SpanExporter: exporter, report: func(err error) { log().Warn("traces are lost", zap.Error(err)) }}
	provider := sdktrace.NewTracerProvider(
		// Every request is a root: whoever calls has no say in what is kept.
		sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(cfg.Ratio))),
		sdktrace.WithBatcher(quiet, sdktrace.WithExportTimeout(exportTime)),
		sdktrace.WithResource(resource.NewSchemaless(
			attribute.String("service.name", "menshen"), attribute.String("service.version", version),
		)),
	)
	return &tracing{provider: provider, tracer: provider.Tracer("menshen"), client: client}, nil
}

// close delivers what is left, within exportTime and before ctx ends, once.
func (t *tracing) close(ctx context.Context) {
	if t == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, exportTime)
	defer cancel()
	_ = t.provider.Shutdown(ctx) // what was lost has been reported
	t.client.CloseIdleConnections()
}

// requests is the tracer of requests, nil when there is none.
func (t *tracing) requests() trace.Tracer {
	if t == nil {
		return nil
	}
	return t.tracer
}

// tx is db with a span for each transaction of a request.
func (t *tracing) tx(db service.Tx) service.Tx {
	if t == nil {
		return db
	}
	return tracedTx{Tx: db, tracer: t.tracer}
}

// sender is s with a span for each message of a request.
func (t *tracing) sender(provider string, s service.Sender) service.Sender {
	if t == nil {
		return s
	}
	return tracedSender{Sender: s, provider: provider, tracer: t.tracer}
}

// quietExporter reports that spans are lost once, until some get through again.
// It is for one caller at a time, as exporters are.
type quietExporter struct {
	sdktrace.SpanExporter
	report  func(err error)
	failing bool
}

// ExportSpans delivers a batch and has no error that anybody would handle.
func (q *quietExporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	err := q.SpanExporter.ExportSpans(ctx, spans)
	if err != nil && !q.failing {
		q.report(err)
	}
	q.failing = err != nil
	return nil
}

// tracedTx makes a span of each transaction; the work in the background has none.
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
	switch {
	case err == nil:
		span.SetAttributes(attribute.String("menshen.outcome", "committed"))
	default:
		// A refusal by a rule undoes a transaction as well, and is no error of it.
		span.SetAttributes(attribute.String("menshen.outcome", "undone"))
		if errors.Is(err, model.ErrUnavailable) {
			span.SetStatus(codes.Error, "")
		}
	}
	return err
}

// tracedSender makes a span of each message.
type tracedSender struct {
	service.Sender
	provider string
	tracer   trace.Tracer
}

// Send is [service.Sender.Send].
func (t tracedSender) Send(ctx context.Context, message model.Message) error {
	ctx, span := t.tracer.Start(ctx, "send sms", trace.WithSpanKind(trace.SpanKindClient))
	defer span.End()
	err := t.Sender.Send(ctx, message)
	outcome := service.OutcomeOf(err)
	span.SetAttributes(attribute.String("menshen.provider", t.provider), attribute.String("menshen.outcome", string(outcome)))
	if outcome != service.OutcomeSent {
		span.SetStatus(codes.Error, "")
	}
	return err
}
