package sse

import (
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/zonecast/zonecast/backend/internal/outbox"
	"github.com/zonecast/zonecast/backend/internal/transport"
	"github.com/zonecast/zonecast/backend/wire"
)

// respond serves HTTP/2, and returns when the stream has ended.
func (h *Handler) respond(c echo.Context, visit *transport.Admission) error {
	header := c.Response().Header()
	setHeader(header)
	b := newBody(c.Response().Writer)
	s := &stream{framing: plain}
	queue := h.pool.NewQueue(b, plain.Encoding, s)
	s.Connection = visit.Open(queue)
	s.Authorize(visit.Who)
	ctx := c.Request().Context()
	announced, err := s.join(ctx, visit.Query)
	if err != nil && announced {
		queue.Close(wire.CloseRestart, "the replay failed: reconnect and resume")
	}
	if err == nil || announced {
		select {
		case <-ctx.Done():
		case <-b.closed:
		}
	}
	s.End()
	<-b.closed
	if began := b.waitWriters(); began || err == nil {
		return nil
	}
	header.Del("Content-Type") // it is the refusal's now
	return h.refuse(c, err)
}

// A body is a response as the outbox's sink. Nobody reads its client: net/http watches it.
type body struct {
	w       http.ResponseWriter
	control *http.ResponseController
	closed  chan struct{}
	close   func()

	writing sync.Mutex // held while w is written to
	began   bool       // something was written

	mu   sync.Mutex
	over bool // the handler returns: w must not be touched any more
}

var _ outbox.Sink = (*body)(nil)

func newBody(w http.ResponseWriter) *body {
	b := &body{w: w, control: http.NewResponseController(w), closed: make(chan struct{})}
	b.close = sync.OnceFunc(func() { close(b.closed) })
	return b
}

// Write sends p at once.
func (b *body) Write(p []byte) (int, error) {
	b.writing.Lock()
	defer b.writing.Unlock()
	select {
	case <-b.closed:
		return 0, net.ErrClosed
	default:
	}
	b.began = true
	n, err := b.w.Write(p)
	if err != nil {
		return n, err
	}
	return n, b.control.Flush()
}

// SetDeadline bounds how long writing may take.
func (b *body) SetDeadline(t time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.over {
		return net.ErrClosed
	}
	return b.control.SetWriteDeadline(t)
}

// Close ends the stream. A write that is under way fails.
func (b *body) Close() error {
	b.close()
	if b.writing.TryLock() {
		b.writing.Unlock()
		return nil
	}
	return b.SetDeadline(time.Now())
}

// waitWriters waits until the response is not written to any more, and tells whether it ever was.
func (b *body) waitWriters() (began bool) {
	b.writing.Lock()
	defer b.writing.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.over = true
	return b.began
}
