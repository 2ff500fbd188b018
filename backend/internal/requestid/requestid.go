// Package requestid names each request over HTTP, so that what a caller saw and what the log says
// of it are found together.
//
//	caller or proxy ── X-Request-Id ──▶ Set ──▶ routes ── Of ──▶ the answer's header, problem+json
//	                                              └────── Attr ──▶ lines of refusals and errors
package requestid

import (
	"context"
	"crypto/rand"
	"log/slog"
	"strings"

	"github.com/labstack/echo/v4"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// Header has the id, in requests and in answers.
const Header = echo.HeaderXRequestID

// maxBytes is the longest id that is taken from a caller: it becomes part of log lines.
const maxBytes = 128

// Set takes the id that the caller gave the request, or makes one, and returns it with the answer.
func Set(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		id := c.Request().Header.Get(Header)
		if !valid(id) {
			id = rand.Text()
		}
		c.Response().Header().Set(Header, id)
		return next(c)
	}
}

// valid reports whether an id has 1 to maxBytes letters, digits and the signs of UUIDs, base64 and
// paths.
func valid(id string) bool {
	return id != "" && len(id) <= maxBytes && strings.IndexFunc(id, func(r rune) bool {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		return !letter && !strings.ContainsRune("-_.:/+=@", r)
	}) < 0
}

// Of returns the id of a request; empty where Set had no say.
func Of(c echo.Context) string { return c.Response().Header().Get(Header) }

// Attr is what a line of the log says of a request: request_id and, if the caller sent a valid
// Traceparent, trace_id. It costs nothing unless the line is written, which has to be before the
// request ends.
func Attr(c echo.Context) slog.Attr { return slog.Any("", request{c}) }

type request struct{ echo.Context }

// LogValue implements slog.LogValuer, with a group that has no name: its attributes are the line's.
func (r request) LogValue() slog.Value {
	attrs := []slog.Attr{slog.String("request_id", Of(r))}
	ctx := propagation.TraceContext{}.Extract(context.Background(), propagation.HeaderCarrier(r.Request().Header))
	if span := trace.SpanContextFromContext(ctx); span.HasTraceID() {
		attrs = append(attrs, slog.String("trace_id", span.TraceID().String()))
	}
	return slog.GroupValue(attrs...)
}
