package sse

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/zonecast/zonecast/backend/internal/chance"
	"github.com/zonecast/zonecast/backend/internal/outbox"
	"github.com/zonecast/zonecast/backend/internal/problem"
	"github.com/zonecast/zonecast/backend/internal/requestid"
	"github.com/zonecast/zonecast/backend/internal/transport"
	"github.com/zonecast/zonecast/backend/wire"
)

// A browser's EventSource gives up for good on any status but 200 (WHATWG HTML section 9.2.2), so
// one that is refused for a reason that passes is answered with a stream: when to come back, the
// error, and its end. What would be refused again keeps its status, which ends it. Programs that
// don't ask for text/event-stream by name get the status in both cases.

const contentType = "text/event-stream"

// retryDefault is the least time after which an EventSource comes back, where the error has none;
// retryMost bounds it, before jitter.
const retryDefault, retryMost = time.Second, 30 * time.Second

// retryReplaced is after how long an EventSource comes back whose place a newer connection took: it
// can't be told to stay away, and two that replace each other must not do so all the time.
const retryReplaced = time.Minute

// refusal is the answer to a request that gets no stream.
type refusal struct {
	status      int
	contentType string
	body        []byte
}

func refusalOf(c echo.Context, err error) refusal {
	if e := wire.AsError(err); passes(e) && strings.Contains(c.Request().Header.Get("Accept"), contentType) {
		return refusal{http.StatusOK, contentType, comeBack(*e)}
	}
	p := problem.Of(err)
	p.RequestID = requestid.Of(c)
	return refusal{p.Status, problem.ContentType, p.JSON()}
}

// passes reports whether the same request may succeed later.
func passes(e *wire.Error) bool {
	return e.RetryAfter > 0 || e.Code == wire.CodeUnavailable || e.Code == wire.CodeRateLimited || e.Code == wire.CodeInternal
}

// comeBack is a stream that only says when to come back, which is spread over twice the time.
func comeBack(e wire.Error) []byte {
	after := min(retryMost, max(retryDefault, time.Duration(min(e.RetryAfter, retryMost.Milliseconds()))*time.Millisecond))
	after += chance.N(after)
	e.RetryAfter = after.Milliseconds()
	p := appendData(appendRetry(nil, after), wire.AppendError(nil, 0, false, &e))
	return append(append(p, '\n'), closing(transport.RefusalCode(&e), e.Message)...)
}

func appendRetry(dst []byte, after time.Duration) []byte {
	return fmt.Appendf(dst, "retry: %d\n", after.Milliseconds())
}

// reconnectTime is when an EventSource comes back that lost its connection without a word: about as
// long as browsers wait by themselves. It takes back what an earlier refusal set.
func reconnectTime() time.Duration { return 2*time.Second + chance.N(2*time.Second) }

// refuse answers a request whose stream has not begun.
func (h *Handler) refuse(c echo.Context, err error) error {
	answer := refusalOf(c, err)
	if answer.status != http.StatusOK {
		return err
	}
	h.logInternal(c, err)
	setHeader(c.Response().Header())
	return c.Blob(answer.status, answer.contentType, answer.body)
}

// refuse answers over a connection that was taken over, and ends it.
func (s *stream) refuse(c echo.Context, err error) {
	answer, header := refusalOf(c, err), c.Response().Header()
	c.Response().Status, c.Response().Committed = answer.status, true // for those who count
	header.Del("Transfer-Encoding")
	header.Set("Content-Type", answer.contentType)
	header.Set("Content-Length", fmt.Sprint(len(answer.body)))
	if answer.status != http.StatusOK {
		problem.Of(err).SetHeader(header)
	}
	s.Queue.Push(outbox.NewRaw(bytes.Join([][]byte{response(answer.status, header), answer.body}, nil)))
	s.Queue.Hangup(wire.CloseRestart)
}

func (h *Handler) logInternal(c echo.Context, err error) {
	if wire.AsError(err).Code == wire.CodeInternal {
		h.gate.Log.Error("stream failed", "error", err, requestid.Attr(c))
	}
}
