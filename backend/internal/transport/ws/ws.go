// Package ws serves clients over WebSocket.
//
//	GET /ws ──▶ Handler ── Upgrade ──▶ melody (reading, the life cycle) ──▶ Session of the hub
//	hub ──▶ outbox ──▶ conn, which melody's own control frames go through as well
//
// melody never writes data: each broadcast is one prepared frame in the outbox.
package ws

import (
	"context"
	crand "crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"github.com/labstack/echo/v4"
	"github.com/olahol/melody"

	"github.com/zonecast/zonecast/backend/internal/auth"
	"github.com/zonecast/zonecast/backend/internal/hub"
	"github.com/zonecast/zonecast/backend/internal/limit"
	"github.com/zonecast/zonecast/backend/internal/metrics"
	"github.com/zonecast/zonecast/backend/internal/outbox"
	"github.com/zonecast/zonecast/backend/wire"
)

const transport = "websocket"

// Options of a [Handler]. All are needed.
type Options struct {
	Hub           *hub.Hub
	Pool          *outbox.Pool
	Metrics       *metrics.Metrics
	Log           *slog.Logger
	Node          string
	Heartbeat     time.Duration
	MaxFrameBytes int
	// DeflateFrom is from how many bytes on frames are compressed for those who can inflate them; 0 for never.
	DeflateFrom int
	Guard       *auth.Guard
	Limits      Limits
}

// Limits are those of clients. Zero values are no limits.
type Limits struct {
	Connections           int
	ConnectionsPerUser    int // of one user, as the token names it
	ConnectionsPerAddress int
	Frames                limit.Rate // that one connection sends
	UserFrames            limit.Rate // that all connections of a user send
	AddressFrames         limit.Rate // that all connections from an address send
}

// A Handler upgrades requests and serves the connections.
type Handler struct {
	Options
	melody   *melody.Melody
	deflated *outbox.Form // nil when nothing is compressed
	open     sync.WaitGroup

	mu          sync.Mutex
	leaving     bool
	connections int // that were taken over, or are about to be

	bytes                     limit.Rate // of one connection
	users, addresses          *limit.Count
	userFrames, addressFrames *limit.Keyed
}

// New returns a handler.
func New(o Options) *Handler {
	h := &Handler{Options: o, melody: melody.New(), bytes: bytesOf(o.Limits.Frames, o.MaxFrameBytes),
		users: limit.NewCount(o.Limits.ConnectionsPerUser), addresses: limit.NewCount(o.Limits.ConnectionsPerAddress),
		userFrames: limit.NewKeyed(o.Limits.UserFrames), addressFrames: limit.NewKeyed(o.Limits.AddressFrames)}
	if o.DeflateFrom > 0 {
		h.deflated = deflated(o.DeflateFrom)
	}
	m := h.melody
	m.Upgrader = &websocket.Upgrader{ReadBufferSize: 256, WriteBufferSize: 256, WriteBufferPool: new(sync.Pool),
		CheckOrigin: func(*http.Request) bool { return true }}
	m.Config.MaxMessageSize = int64(o.MaxFrameBytes)
	m.Config.MessageBufferSize = 1
	m.Config.PingPeriod = 100 * 365 * 24 * time.Hour // the hub's heartbeat pings
	m.Config.PongWait = 2*o.Heartbeat + 5*time.Second
	m.HandleConnect(h.connect)
	m.HandleDisconnect(h.disconnect)
	m.HandleMessage(func(s *melody.Session, p []byte) { c := client(s); c.aside(func() { c.handle(p) }) })
	m.HandleMessageBinary(func(s *melody.Session, _ []byte) {
		client(s).refuseFrame(0, false, wire.Errorf(wire.CodeBadFrame, "frames are text: send JSON in a text frame"))
	})
	m.HandlePong(func(s *melody.Session) { client(s).pong() })
	m.HandleClose(func(s *melody.Session, code int, _ string) error {
		client(s).answerClose(code)
		return nil
	})
	m.HandleError(h.failed)
	return h
}

// Serve is the handler of GET /ws. It returns when the connection is taken over, not when it ends.
func (h *Handler) Serve(c echo.Context) error {
	r := c.Request()
	query, err := parseQuery(r)
	if err != nil {
		h.Metrics.Refused.WithLabelValues(string(wire.AsError(err).Code)).Inc()
		return err
	}
	if err := checkHandshake(c); err != nil {
		h.Metrics.Refused.WithLabelValues(string(wire.CodeBadFrame)).Inc()
		return err
	}
	address := c.RealIP()
	if err := h.enter(address); err != nil {
		return err
	}
	taken, buffered, err := http.NewResponseController(c.Response()).Hijack()
	if err != nil {
		h.leave(address)
		return err
	}
	taken.SetDeadline(time.Time{})
	form := frames
	if h.deflated != nil && offersDeflate(r) {
		form = h.deflated
	}
	wrapped := &conn{Conn: taken, queue: h.Pool.NewQueue(taken, form), rate: h.bytes}
	if form == h.deflated {
		wrapped.inflater = &inflater{limit: h.MaxFrameBytes}
	}
	if n := buffered.Reader.Buffered(); n > 0 { // sent before the response: what is lost here would be lost silently
		wrapped.early = make([]byte, n)
		_, _ = io.ReadFull(buffered, wrapped.early)
	}
	slim := &http.Request{Method: r.Method, Host: r.Host, Header: http.Header{}, Proto: r.Proto,
		ProtoMajor: r.ProtoMajor, ProtoMinor: r.ProtoMinor}
	for _, name := range []string{"Connection", "Upgrade", "Sec-Websocket-Version", "Sec-Websocket-Key"} {
		slim.Header[name] = r.Header[name]
	}
	cl := &session{handler: h, conn: wrapped, queue: wrapped.queue, joins: query.joins, user: query.user, address: address}
	wrapped.session = cl
	if cl.who, cl.refused = h.Guard.Client(r); cl.refused == nil && cl.who.User != "" {
		cl.user = cl.who.User // the token names the user; without one the client says who it is
	}
	answer := http.Header{}
	if p := subprotocol(r); p != "" {
		answer.Set("Sec-Websocket-Protocol", p)
	}
	go func() {
		defer h.leave(address)
		defer func() {
			if h.survive(recover(), cl) && cl.hubs != nil {
				h.end(cl)
			}
		}()
		if err := h.melody.HandleRequest(hijacked{wrapped, answer}, slim); err != nil {
			wrapped.queue.Hangup(wire.CloseBadFrame)
			h.Log.Debug("upgrade failed", "error", err)
		}
	}()
	return nil
}

// survive takes what recover returned, and ends one connection, instead of all of them, when something panicked: net/http
// does not look after a connection that was taken over.
func (h *Handler) survive(p any, c *session) (panicked bool) {
	if p == nil {
		return false
	}
	h.Log.Error("connection panicked", "panic", p, "stack", string(debug.Stack()))
	c.queue.Hangup(wire.CloseGoingAway)
	return true
}

// subprotocol chooses one of those that the client offers, since a browser insists on one: ours, or else the first, which
// may be its token.
func subprotocol(r *http.Request) string {
	offered := auth.Offered(r)
	switch {
	case len(offered) == 0:
		return ""
	case slices.Contains(offered, auth.Subprotocol):
		return auth.Subprotocol
	}
	return offered[0]
}

// enter counts a connection in, or refuses it.
func (h *Handler) enter(address string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.leaving:
		h.Metrics.Refused.WithLabelValues("draining").Inc()
		return &wire.Error{Code: wire.CodeUnavailable, Message: "this instance is leaving: connect again", RetryAfter: 1000}
	case h.Limits.Connections > 0 && h.connections >= h.Limits.Connections:
		h.Metrics.Refused.WithLabelValues(string(wire.CodeLimitReached)).Inc()
		return &wire.Error{Code: wire.CodeUnavailable, RetryAfter: 5000,
			Message: "this instance holds as many connections as it may: try another one, or later"}
	case !h.addresses.Enter(address):
		h.Metrics.Refused.WithLabelValues("address_limit").Inc()
		return &wire.Error{Code: wire.CodeLimitReached, RetryAfter: 5000,
			Message: fmt.Sprintf("there are %d connections from this address already, the most that are allowed", h.addresses.Most())}
	}
	h.connections++
	h.open.Add(1)
	return nil
}

// leave counts it out.
func (h *Handler) leave(address string) {
	h.addresses.Leave(address)
	h.mu.Lock()
	h.connections--
	h.mu.Unlock()
	h.open.Done()
}

// client returns our side of a session. It hangs on the connection, since a map of keys would weigh more than all else here.
func client(s *melody.Session) *session { return s.WebsocketConnection().NetConn().(*conn).session }

// connect begins a session. melody then starts a writer for it, which has nothing to do here and would cost each connection
// a goroutine: the message that the session is closed, of which conn lets nothing through, ends it at once. melody goes on
// reading all the same.
func (h *Handler) connect(s *melody.Session) {
	c := client(s)
	s.Request = bare
	c.conn.upgraded = true
	if err := s.Close(); err != nil {
		h.Log.Error("melody's writer does not end", "error", err)
	}
	c.aside(func() { h.begin(c) })
	s.WebsocketConnection().SetPingHandler(c.ping)
}

// bare stands for the request that a session came with, which nobody needs any more.
var bare = new(http.Request)

func (h *Handler) begin(c *session) {
	c.hubs = h.Hub.Open("c-"+crand.Text()[:16], c.user, c.queue, pingFrame)
	h.Metrics.Opened.WithLabelValues(transport).Inc()
	c.start()
}

func (h *Handler) disconnect(s *melody.Session) { h.end(client(s)) }

func (h *Handler) end(c *session) {
	c.queue.Hangup(wire.CloseGoingAway)
	c.expireAt(time.Time{})
	h.users.Leave(c.counted)
	code := c.queue.Code()
	h.Metrics.Closed.WithLabelValues(transport, code.String()).Inc() // first, so that who sees it gone sees why
	c.hubs.Close()
	t := c.hubs.Tracking()
	h.Log.Debug("connection closed", "connection", c.hubs.ID, "code", uint16(code), "reason", code.String(),
		"after", t.Duration, "received", t.Received, "sent", t.Messages, "bytes", t.Bytes, "rtt", t.RTT)
}

// failed learns why reading ended, before melody closes the connection.
func (h *Handler) failed(s *melody.Session, err error) {
	var closed *websocket.CloseError
	switch {
	case errors.Is(err, websocket.ErrReadLimit), errors.Is(err, errInflatedTooBig):
		client(s).queue.Close(wire.CloseTooBig, fmt.Sprintf("a frame has more than %d bytes", h.MaxFrameBytes))
	case errors.As(err, &closed), errors.Is(err, net.ErrClosed):
	default:
		var timeout net.Error
		if !errors.As(err, &timeout) && err.Error() != "EOF" {
			client(s).queue.Close(wire.CloseBadFrame, err.Error())
		}
	}
}

// Drain tells each client to come back elsewhere and closes the connections, spread over the time given by ctx.
func (h *Handler) Drain(ctx context.Context) {
	h.mu.Lock()
	h.leaving = true
	h.mu.Unlock()
	sessions := h.Hub.Sessions()
	until, ok := ctx.Deadline()
	if !ok {
		until = time.Now()
	}
	pause := time.Until(until) / 2 / time.Duration(len(sessions)+1)
	for _, s := range sessions {
		s.Queue.Push(outbox.NewControl(wire.AppendFrame(nil, wire.EventDrain, wire.Drain{RetryAfter: 100 + rand.Int64N(1900)})))
		s.Queue.Close(wire.CloseRestart, "restart: reconnect")
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
	gone := make(chan struct{})
	go func() { h.open.Wait(); close(gone) }()
	select {
	case <-gone:
	case <-ctx.Done():
		for _, s := range h.Hub.Sessions() {
			s.Queue.Hangup(wire.CloseRestart)
		}
		<-gone
	}
}
