// Package tracing follows sampled publications with OpenTelemetry, from the publisher to the
// sockets.
//
//	publishing ── Publish ──▶ span "publish" ── traceparent ──▶ broker ──▶ hub of each instance
//	                                                                        └─ Deliver ──▶ "deliver"
//	outbox ── Delivery.Written, at each socket ──▶ "write", until the last member's socket has it
//
// Spans go to a collector by OTLP over HTTP. A nil *Tracer is off and costs nothing. What is traced
// is where a message went and when, never its data, nor who published it.
package tracing

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/zonecast/zonecast/backend/internal/logging"
	"github.com/zonecast/zonecast/backend/wire"
)

// unknown is more than the members of any room.
const unknown = 1 << 40

// writeTimeout is how long a delivery waits for the sockets of all members: one that is behind may
// never take the message.
const writeTimeout = 10 * time.Second

// Options of a [Tracer]. All but Log are needed.
type Options struct {
	// Endpoint is the collector's URL, like http://127.0.0.1:4318. /v1/traces is appended to one
	// without a path.
	Endpoint string
	// SampleRatio is the share of the publications that are traced where the publisher sends no
	// trace context, from 0 to 1. One that sends it decides for itself.
	SampleRatio float64
	Node        string // name of this instance
	Version     string // of this program
	Log         *slog.Logger
}

// A Tracer makes spans. It is safe for concurrent use; nil makes none.
type Tracer struct {
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
	context  propagation.TraceContext
}

// CheckEndpoint returns what is wrong with the URL of a collector.
func CheckEndpoint(endpoint string) error {
	u, err := url.Parse(endpoint)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("%.80q is no URL of an OTLP collector: write for example http://127.0.0.1:4318", endpoint)
	}
	return nil
}

// New returns a tracer. The collector need not be there: what can't be sent is dropped. The log
// says when that begins and when it is over.
func New(o Options) (*Tracer, error) {
	if err := CheckEndpoint(o.Endpoint); err != nil {
		return nil, err
	}
	u, _ := url.Parse(o.Endpoint)
	if u.Path == "" || u.Path == "/" {
		u.Path = "/v1/traces"
	}
	client := &exporter{url: u.String(), sent: func(error) {}}
	if o.Log != nil {
		client.sent = sayOnce(o.Log, o.Endpoint)
		log := logging.Sampled(o.Log, "traces")
		otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Warn("traces", "error", logging.WithoutURL(err)) }))
	}
	spans, err := otlptrace.New(context.Background(), client)
	if err != nil {
		return nil, fmt.Errorf("exporter of traces: %w", err)
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(spans),
		sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(o.SampleRatio))),
		sdktrace.WithResource(resource.NewSchemaless(attribute.String("service.name", "zonecast"),
			attribute.String("service.instance.id", o.Node), attribute.String("service.version", o.Version))))
	return &Tracer{provider: provider, tracer: provider.Tracer("github.com/zonecast/zonecast")}, nil
}

// sayOnce logs when spans begin to be lost, and when they are sent again.
func sayOnce(log *slog.Logger, endpoint string) func(error) {
	failing := false // the batches are sent one after the other
	return func(err error) {
		switch {
		case err != nil && !failing:
			log.Warn("traces not sent: is the collector there?", "endpoint", logging.URL(endpoint), "error", logging.WithoutURL(err))
		case err == nil && failing:
			log.Info("traces are sent again", "endpoint", logging.URL(endpoint))
		}
		failing = err != nil
	}
}

// Flush sends what waits, until ctx ends.
func (t *Tracer) Flush(ctx context.Context) error { return t.provider.ForceFlush(ctx) }

// Close sends what waits, until ctx ends.
func (t *Tracer) Close(ctx context.Context) error {
	if t == nil {
		return nil
	}
	return t.provider.Shutdown(ctx)
}

// A Span is a publication under way; nil for one that is not traced.
type Span struct{ span trace.Span }

// Publish begins the span of a publication, as part of the trace that traceparent names (W3C Trace
// Context); one that is empty or not valid begins a new trace. It returns what the message carries
// on, empty if it is not sampled.
func (t *Tracer) Publish(ctx context.Context, traceparent, via string, room wire.Room, event string) (_ context.Context, _ *Span, carried string) {
	if t == nil {
		return ctx, nil, ""
	}
	ctx = t.extract(ctx, traceparent)
	ctx, span := t.tracer.Start(ctx, "publish", trace.WithSpanKind(trace.SpanKindProducer), trace.WithAttributes(
		attribute.String("messaging.system", "zonecast"), attribute.String("messaging.destination.name", room.String()),
		attribute.String("zonecast.event", event), attribute.String("zonecast.via", via)))
	if !span.SpanContext().IsSampled() {
		return ctx, nil, ""
	}
	carrier := propagation.MapCarrier{}
	t.context.Inject(ctx, carrier)
	return ctx, &Span{span}, carrier["traceparent"]
}

func (t *Tracer) extract(ctx context.Context, traceparent string) context.Context {
	return t.context.Extract(ctx, propagation.MapCarrier{"traceparent": traceparent})
}

// TraceID returns that of the publication's trace, in hexadecimal; empty for none.
func (s *Span) TraceID() string {
	if s == nil {
		return ""
	}
	return s.span.SpanContext().TraceID().String()
}

// End ends it: with an error, or with the offset that the message has.
func (s *Span) End(at wire.Offset, err error) {
	if s == nil {
		return
	}
	if err != nil {
		s.span.SetStatus(codes.Error, string(wire.AsError(err).Code))
	} else {
		s.span.SetAttributes(attribute.String("zonecast.offset", at.String()))
	}
	s.span.End()
}

// A Delivery is a message on its way to the members of its room on this instance.
type Delivery struct {
	span  trace.Span
	write trace.Span
	left  atomic.Int64 // members whose sockets don't have it, and unknown until they are counted
	end   *time.Timer
}

// Deliver begins the span of a delivery, at the time that the broker accepted the message. It is
// nil unless traceparent names a sampled trace.
func (t *Tracer) Deliver(traceparent string, room wire.Room, at wire.Offset, accepted time.Time) *Delivery {
	if t == nil || traceparent == "" {
		return nil
	}
	ctx := t.extract(context.Background(), traceparent)
	if !trace.SpanContextFromContext(ctx).IsSampled() {
		return nil
	}
	ctx, span := t.tracer.Start(ctx, "deliver", trace.WithSpanKind(trace.SpanKindConsumer), trace.WithTimestamp(accepted),
		trace.WithAttributes(attribute.String("messaging.destination.name", room.String()), attribute.String("zonecast.offset", at.String())))
	span.AddEvent("received from the broker")
	_, write := t.tracer.Start(ctx, "write")
	d := &Delivery{span: span, write: write}
	d.left.Store(unknown)
	return d
}

// Queued tells that the message is in the write queues of so many members.
func (d *Delivery) Queued(members int) {
	if d == nil {
		return
	}
	d.span.AddEvent("queued")
	d.span.SetAttributes(attribute.Int("zonecast.members", members))
	d.end = time.AfterFunc(writeTimeout, func() { d.finish("timeout") })
	d.add(int64(members) - unknown)
}

// TraceID returns that of the delivery's trace, in hexadecimal.
func (d *Delivery) TraceID() string { return d.span.SpanContext().TraceID().String() }

// Written tells that the message is on the socket of one more member. It may be called before
// Queued.
func (d *Delivery) Written() { d.add(-1) }

func (d *Delivery) add(n int64) {
	if d.left.Add(n) == 0 && d.end.Stop() {
		d.finish("")
	}
}

func (d *Delivery) finish(problem string) {
	if problem != "" {
		d.write.SetStatus(codes.Error, fmt.Sprintf("%d members' sockets had not taken it after %v", d.left.Load(), writeTimeout))
	}
	d.write.End()
	d.span.End()
}
