// Package problem tells errors over HTTP as RFC 9457 says: application/problem+json, with a
// sentence that tells the caller what to change.
//
//	api ── Of ──▶ Problem ──▶ answer
//	transport ── Of ──▶ Problem ──▶ answer, over connections of its own too
package problem

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"

	"github.com/zonecast/zonecast/backend/wire"
)

// ContentType is that of a problem's JSON.
const ContentType = "application/problem+json"

// A Problem is what the caller is told.
type Problem struct {
	Status int
	Detail string
	// Code is the protocol's, if it has one for this.
	Code wire.ErrorCode
	// RetryAfter is in milliseconds; 0 when trying again does not help.
	RetryAfter int64
	// Accepted is where the event stands that was accepted all the same; nil for none.
	Accepted *wire.Position
	// RequestID is how the log names the request; may be empty.
	RequestID string
}

// status is the HTTP status of each code that the protocol has; the others are 400.
var status = map[wire.ErrorCode]int{
	wire.CodeUnauthenticated: http.StatusUnauthorized, wire.CodeForbidden: http.StatusForbidden,
	wire.CodeTooLarge: http.StatusRequestEntityTooLarge, wire.CodeLimitReached: http.StatusTooManyRequests,
	wire.CodeRateLimited: http.StatusTooManyRequests, wire.CodeUnavailable: http.StatusServiceUnavailable,
	wire.CodeIdempotencyConflict: http.StatusConflict, wire.CodeReplaced: http.StatusConflict, wire.CodeInternal: http.StatusInternalServerError,
	wire.CodeQuotaExceeded: http.StatusInsufficientStorage, wire.CodeNotDurable: http.StatusGatewayTimeout,
	wire.CodeDurableUnsupported: http.StatusNotImplemented,
}

// Of returns the problem of an error: a *wire.Error or an *echo.HTTPError; any other is the
// server's own fault.
func Of(err error) Problem {
	var refused *echo.HTTPError
	if errors.As(err, &refused) {
		return Problem{Status: refused.Code, Detail: fmt.Sprint(refused.Message)}
	}
	e := wire.AsError(err)
	p := Problem{Status: http.StatusBadRequest, Detail: e.Message, Code: e.Code, RetryAfter: e.RetryAfter, Accepted: e.Accepted}
	if s, ok := status[e.Code]; ok {
		p.Status = s
	}
	return p
}

// SetHeader sets Retry-After, where there is one (RFC 9110 section 10.2.3: in seconds).
func (p Problem) SetHeader(h http.Header) {
	if p.RetryAfter > 0 {
		h.Set("Retry-After", strconv.FormatInt((p.RetryAfter+999)/1000, 10))
	}
}

// JSON is the body.
func (p Problem) JSON() []byte {
	fields := map[string]any{"title": http.StatusText(p.Status), "status": p.Status, "detail": p.Detail}
	if p.Code != "" {
		fields["code"] = p.Code
	}
	if p.RequestID != "" {
		fields["requestId"] = p.RequestID
	}
	if p.Accepted != nil {
		fields["accepted"] = p.Accepted
	}
	text, _ := json.Marshal(fields) // texts and a number
	return text
}
