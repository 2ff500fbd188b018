// Package sse serves clients by Server-Sent Events, for networks that let no WebSocket through.
//
//	GET /sse ──▶ Handler ── Admit, Open ──▶ Gate ──▶ Session of the hub
//	hub ──▶ outbox ── the shared frame, and before it the id line of this connection (stream.Prefix) ──▶ socket
//
// Over HTTP/1.1 the connection is taken over and written to by the outbox's writers, like a
// WebSocket. Over HTTP/2 the stream belongs to net/http: the outbox writes to it through a body,
// with a goroutine while there is something to write.
package sse

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/zonecast/zonecast/backend/internal/outbox"
	"github.com/zonecast/zonecast/backend/internal/transport"
	"github.com/zonecast/zonecast/backend/wire"
)

// A Handler serves streams.
type Handler struct {
	gate *transport.Gate
	pool *outbox.Pool
}

// New returns a handler.
func New(gate *transport.Gate, pool *outbox.Pool) *Handler {
	gate.AddTransport(transport.SSE)
	return &Handler{gate, pool}
}

// Serve is the handler of GET /sse. Over HTTP/1 it returns when the connection is taken over and
// has joined its rooms, not when it ends.
func (h *Handler) Serve(c echo.Context) error {
	visit, err := h.gate.Admit(c)
	if err != nil {
		return h.refuse(c, err)
	}
	if c.Request().ProtoMajor >= 2 {
		defer visit.Leave()
		return h.respond(c, visit)
	}
	return h.takeOver(c, visit)
}

// setHeader says what follows, and keeps proxies from storing, changing and holding it back.
func setHeader(header http.Header) {
	header.Set("Content-Type", contentType)
	header.Set("Cache-Control", "no-store, no-transform")
	header.Set("X-Accel-Buffering", "no")
}

// takeOver serves HTTP/1.
func (h *Handler) takeOver(c echo.Context, visit *transport.Admission) error {
	conn, buffered, err := transport.TakeOver(c)
	if err != nil {
		visit.Leave()
		return err
	}
	setHeader(c.Response().Header())
	framing := chunked
	if !c.Request().ProtoAtLeast(1, 1) {
		framing = plain
	}
	s := &stream{framing: framing, head: head(c, framing)}
	queue := h.pool.NewQueue(conn, framing.Encoding, s)
	s.Connection = visit.Open(queue)
	s.Authorize(visit.Who)
	early := buffered.Reader.Buffered() > 0
	go func() {
		defer visit.Leave()
		s.watch(conn, early)
	}()
	announced, err := s.join(context.Background(), visit.Query)
	visit.Joins = nil // what is left of the visit lives as long as the connection
	switch {
	case err == nil:
	case announced || queue.Stats().Bytes > 0:
		queue.Close(wire.CloseRestart, "the rooms could not be joined: reconnect")
	default:
		h.logInternal(c, err)
		s.refuse(c, err)
	}
	return nil
}

// head is the response up to its body.
func head(c echo.Context, framing framing) []byte {
	header := c.Response().Header()
	header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	header.Set("Connection", "close")
	if framing.Encoding == chunked.Encoding {
		header.Set("Transfer-Encoding", "chunked")
	}
	return response(http.StatusOK, header)
}

func response(status int, header http.Header) []byte {
	b := bytes.NewBuffer(fmt.Appendf(nil, "HTTP/1.1 %d %s\r\n", status, http.StatusText(status)))
	_ = header.Write(b) // to memory
	b.WriteString("\r\n")
	return b.Bytes()
}

// A stream is one client's connection.
type stream struct {
	transport.Connection

	framing framing

	// Owned by whoever writes to the socket; the line from connected on.
	head []byte // what has to come first; nil when it is written
	line line
}

var _ outbox.Prefixer = (*stream)(nil)

// Prefix implements outbox.Prefixer: the field id of an event, which tells the position that its
// data leads to. Both are parts of one event, which counts for nothing when the connection is cut
// in between.
func (s *stream) Prefix(dst []byte, f *outbox.Frame) []byte {
	if s.head != nil {
		if f.Kind != outbox.Raw { // that is a refusal, which has a head of its own
			dst = append(dst, s.head...)
		}
		s.head = nil
	}
	position, moves := f.Position()
	switch {
	case moves:
		s.line.move(position)
	case f.Kind == outbox.Retained:
		moves = s.line.gotRetained(f.Message.Room)
	}
	if moves || f.Event == wire.EventConnected {
		dst = append(dst, s.line.text...)
	}
	if f.Event == wire.EventConnected {
		dst = s.framing.wrap(dst, appendRetry(nil, reconnectTime()))
	}
	return dst
}

// join joins the rooms of the query, and tells the client so.
func (s *stream) join(ctx context.Context, query transport.Query) (announced bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, transport.ActionTimeout)
	defer cancel()
	err = s.Join(ctx, query.Joins, func(places wire.Cursor) {
		announced = true
		s.line = newLine(s.framing, query.Cursor(places))
		s.Queue.Send(s.Connected(places))
	})
	return announced, err
}

// watch waits for the end of the connection. The client has nothing to say: one that sends a
// further request before it has the answer to this one gets none.
func (s *stream) watch(conn net.Conn, early bool) {
	if !early {
		var one [1]byte
		_, _ = conn.Read(one[:])
	}
	s.End()
}
