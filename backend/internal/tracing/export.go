package tracing

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// The bounds of sending spans.
const (
	exportTimeout  = 5 * time.Second // of one request
	exportAttempts = 3
	exportPause    = time.Second // between two of them
	maxAnswer      = 64 << 10
)

// exporter posts spans to a collector (OTLP 1.x over HTTP, in protobuf). OpenTelemetry's own client
// links gRPC and its gateway, 2.5 MB, without using them.
type exporter struct {
	url    string
	client http.Client
	sent   func(error) // hears what became of each batch
}

var _ otlptrace.Client = (*exporter)(nil)

// Start implements [otlptrace.Client].
func (e *exporter) Start(context.Context) error { return nil }

// Stop implements [otlptrace.Client].
func (e *exporter) Stop(context.Context) error {
	e.client.CloseIdleConnections()
	return nil
}

// UploadTraces implements [otlptrace.Client]. What can't be sent in a few attempts is lost, which
// sent hears, and nobody else.
func (e *exporter) UploadTraces(ctx context.Context, spans []*tracepb.ResourceSpans) error {
	e.sent(e.upload(ctx, spans))
	return nil
}

func (e *exporter) upload(ctx context.Context, spans []*tracepb.ResourceSpans) error {
	// ExportTraceServiceRequest has the same fields, in a package that is the service's.
	body, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: spans})
	if err != nil {
		return fmt.Errorf("encode spans: %w", err)
	}
	for attempt := 1; ; attempt++ {
		again, err := e.post(ctx, body)
		if err == nil || !again || attempt == exportAttempts {
			return err
		}
		select {
		case <-time.After(exportPause):
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		}
	}
}

// post sends a request once; again says whether it may be sent another time after an error.
func (e *exporter) post(ctx context.Context, body []byte) (again bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, exportTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, e.url, bytes.NewReader(body))
	if err != nil {
		return false, err
	}
	request.Header.Set("Content-Type", "application/x-protobuf")
	response, err := e.client.Do(request)
	if err != nil {
		return true, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	switch code := response.StatusCode; {
	case code == http.StatusTooManyRequests, code >= 502 && code <= 504:
		return true, fmt.Errorf("the collector answered %s", response.Status)
	case code < 200 || code > 299:
		return false, fmt.Errorf("the collector answered %s", response.Status)
	case err != nil:
		return false, fmt.Errorf("read the collector's answer: %w", err)
	}
	return false, rejected(answer)
}

// rejected returns what an ExportTraceServiceResponse says of spans that were not taken.
func rejected(answer []byte) error {
	partial, _ := fieldOf(answer, 1)
	_, spans := fieldOf(partial, 1)
	message, _ := fieldOf(partial, 2)
	if spans == 0 && len(message) == 0 {
		return nil
	}
	return fmt.Errorf("the collector refused %d spans: %.200s", spans, message)
}

// fieldOf returns a field of a protobuf message, of the one type or the other.
func fieldOf(message []byte, number protowire.Number) (content []byte, value uint64) {
	for len(message) > 0 {
		n, kind, tag := protowire.ConsumeTag(message)
		if tag < 0 {
			return nil, 0
		}
		message = message[tag:]
		size := protowire.ConsumeFieldValue(n, kind, message)
		if size < 0 {
			return nil, 0
		}
		if n == number {
			content, _ = protowire.ConsumeBytes(message[:size])
			value, _ = protowire.ConsumeVarint(message[:size])
			return content, value
		}
		message = message[size:]
	}
	return nil, 0
}
