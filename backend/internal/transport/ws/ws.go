// Package ws serves clients over WebSocket.
//
//	GET /ws ──▶ Handler ── Upgrade ──▶ melody (reading, the life cycle) ──▶ Session of the hub
//	hub ──▶ outbox ──▶ the connection that conn took over; what melody writes after the upgrade is dropped
//
// melody never writes data: each broadcast is one prepared frame in the outbox.
package ws

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
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
	"github.com/zonecast/zonecast/backend/internal/outbox"
	"github.com/zonecast/zonecast/backend/internal/requestid"
	"github.com/zonecast/zonecast/backend/internal/transport"
	"github.com/zonecast/zonecast/backend/wire"
	"github.com/zonecast/zonecast/backend/wsframe"
)

// Options of a [Handler]. All are needed, but for Transport.
type Options struct {
	Gate *transport.Gate
	Pool *outbox.Pool
	// DeflateFrom is from how many bytes on frames are compressed where negotiated; 0 for never.
	DeflateFrom int
	// Transport is the name under which connections and what is written are counted (default
	// transport.WebSocket).
	Transport string
}

// A Handler upgrades requests and serves the connections.
type Handler struct {
	*transport.Gate
	pool     *outbox.Pool
	melody   *melody.Melody
	plain    *outbox.Encoding
	deflated *outbox.Encoding // nil when nothing is compressed
}

// New returns a handler.
func New(o Options) *Handler {
	h := &Handler{Gate: o.Gate, pool: o.Pool, melody: melody.New(), plain: frames}
	if o.Transport != "" {
		named := *frames
		named.Transport = o.Transport
		h.plain = &named
	}
	o.Gate.AddTransport(h.plain.Transport)
	if o.DeflateFrom > 0 {
		h.deflated = deflated(o.DeflateFrom, h.plain.Transport)
	}
	m := h.melody
	m.Upgrader = &websocket.Upgrader{ReadBufferSize: 256, WriteBufferSize: 256, WriteBufferPool: new(sync.Pool),
		CheckOrigin: func(*http.Request) bool { return true }} // the gate did
	m.Config.MaxMessageSize = int64(h.MaxFrameBytes)
	m.Config.MessageBufferSize = 1
	m.Config.PingPeriod = 100 * 365 * 24 * time.Hour // the hub's heartbeat pings
	m.Config.PongWait = h.ReadTimeout()
	m.HandleConnect(h.connect)
	m.HandleDisconnect(func(s *melody.Session) { frameHandlerOf(s).End() })
	m.HandleMessage(func(s *melody.Session, p []byte) { frameHandlerOf(s).receive(p) })
	m.HandleMessageBinary(func(s *melody.Session, _ []byte) {
		frameHandlerOf(s).refuseFrame(0, false, wire.Errorf(wire.CodeBadFrame, "frames are text: send JSON in a text frame"))
	})
	m.HandlePong(func(s *melody.Session) { frameHandlerOf(s).pong() })
	m.HandleClose(func(s *melody.Session, code int, _ string) error {
		frameHandlerOf(s).answerClose(code)
		return nil
	})
	m.HandleError(h.failed)
	return h
}

// Serve is the handler of GET /ws. It returns when the connection is taken over, not when it ends.
func (h *Handler) Serve(c echo.Context) error {
	r := c.Request()
	if err := h.CheckOrigin(r); err != nil {
		return h.Refuse(err, requestid.Attr(c))
	}
	query, err := transport.ParseQuery(r)
	if err != nil {
		return h.Refuse(err, requestid.Attr(c))
	}
	if err := checkHandshake(c); err != nil {
		return h.RefuseAs(string(wire.CodeBadFrame), err, requestid.Attr(c))
	}
	who, refused := h.who(c, &query)
	peer := transport.PeerOf(c)
	leave, err := h.enter(peer.Address, who, refused, requestid.Attr(c))
	if err != nil {
		return err
	}
	taken, buffered, err := transport.TakeOver(c)
	if err != nil {
		leave()
		return err
	}
	c.Response().Status = http.StatusSwitchingProtocols // for metrics: melody writes the answer
	encoding := h.plain
	if h.deflated != nil && refused == nil && offersDeflate(r) {
		encoding = h.deflated
	}
	wrapped := &conn{Conn: taken, queue: h.pool.NewQueue(taken, encoding, nil),
		in: inbound{limit: h.MaxFrameBytes, deflate: encoding == h.deflated}}
	if n := buffered.Reader.Buffered(); n > 0 { // what is lost here would be lost silently
		early := make([]byte, n)
		_, _ = io.ReadFull(buffered, early)
		wrapped.Conn = earlyConn{taken, io.MultiReader(bytes.NewReader(early), taken)}
	}
	cl := &frameHandler{handler: h, conn: wrapped, queue: wrapped.queue, query: query, peer: peer, who: who, refused: refused}
	wrapped.frameHandler = cl
	if refused == nil {
		cl.counted = who.User
	}
	if wrapped.in.deflate {
		wrapped.in.allow = cl.allowCompressed
	}
	answer := http.Header{requestid.Header: {requestid.Of(c)}}
	if p := subprotocol(r); p != "" {
		answer.Set("Sec-Websocket-Protocol", p)
	}
	handshake := handshakeOf(r)
	go func() {
		defer leave()
		defer func() {
			if h.recoverConn(recover(), cl) && cl.IsOpen() {
				cl.End()
			}
		}()
		if err := h.melody.HandleRequest(hijacked{wrapped, answer}, handshake); err != nil {
			wrapped.queue.Hangup(wire.CloseBadFrame)
			h.Log.Debug("upgrade failed", "error", err)
		}
	}()
	return nil
}

// freeRooms is how many rooms a connection may begin in at no cost: those of its warehouse and
// zone, with which thousands may come back at once.
const freeRooms = 2

// who returns who connects, or why they are not let in: told over the connection, since a browser
// tells its page nothing about a refused handshake.
func (h *Handler) who(c echo.Context, query *transport.Query) (who *auth.Identity, refused error) {
	if who, refused = h.Identify(c, query); refused != nil {
		return nil, refused
	}
	if refused = query.Permit(who); refused != nil {
		return who, refused
	}
	if n := h.NewRooms(*query) - freeRooms; n <= 0 {
		h.ReturnAddress(c)
	} else if refused = h.AllowRequest(c, who.User, n); refused != nil {
		return who, refused
	}
	return who, h.EnterUser(who.User)
}

// enter counts the connection in: among those that are open, or among the few that are told why
// they are refused. Without an error, leave has to follow.
func (h *Handler) enter(address string, who *auth.Identity, refused error, about ...any) (leave func(), err error) {
	if refused != nil {
		return h.LeaveRefused, h.EnterRefused(refused, about...)
	}
	if err := h.Enter(address, about...); err != nil {
		h.LeaveUser(who.User)
		return nil, err
	}
	return func() { h.LeaveUser(who.User); h.Leave(address) }, nil
}

// checkHandshake refuses what is not a WebSocket handshake (RFC 6455 section 4.2.1).
func checkHandshake(c echo.Context) error {
	r := c.Request()
	key := r.Header.Get("Sec-WebSocket-Key")
	if !websocket.IsWebSocketUpgrade(r) || r.Header.Get("Sec-WebSocket-Version") != "13" || key == "" {
		c.Response().Header().Set("Upgrade", "websocket") // RFC 9110 section 15.5.22
		c.Response().Header().Set("Sec-WebSocket-Version", "13")
		return echo.NewHTTPError(http.StatusUpgradeRequired,
			"this is a WebSocket endpoint: connect to it with a WebSocket client")
	}
	if p, err := base64.StdEncoding.DecodeString(key); err != nil || len(p) != 16 {
		return echo.NewHTTPError(http.StatusBadRequest, "the header Sec-WebSocket-Key must be 16 bytes in base64")
	}
	return nil
}

// handshakeOf returns what melody needs of a request, without what the server's own refers to: its
// buffers and contexts are freed while the connection goes on.
func handshakeOf(r *http.Request) *http.Request {
	h := &http.Request{Method: r.Method, Host: r.Host, Header: http.Header{}, Proto: r.Proto,
		ProtoMajor: r.ProtoMajor, ProtoMinor: r.ProtoMinor}
	for _, name := range []string{"Connection", "Upgrade", "Sec-Websocket-Version", "Sec-Websocket-Key"} {
		h.Header[name] = r.Header[name]
	}
	return h
}

// recoverConn takes what recover returned, and ends one connection, instead of all of them, when
// something panicked: net/http does not look after a connection that was taken over.
func (h *Handler) recoverConn(p any, c *frameHandler) (panicked bool) {
	if p == nil {
		return false
	}
	h.Log.Error("connection panicked", "panic", p, "stack", string(debug.Stack()))
	c.queue.Hangup(wire.CloseGoingAway)
	return true
}

// subprotocol chooses one of those that the client offers, since a browser insists on one: ours, or
// else the first, which may be its token.
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

// frameHandlerOf returns who handles the frames of a session. It hangs on the connection, lighter
// than a map of keys.
func frameHandlerOf(s *melody.Session) *frameHandler {
	return s.WebsocketConnection().NetConn().(*conn).frameHandler
}

// connect begins a session. melody then starts a writer for it, which has nothing to do here and
// would cost each connection a goroutine: the message that the session is closed, of which conn
// lets nothing through, ends it at once. melody goes on reading all the same.
func (h *Handler) connect(s *melody.Session) {
	c := frameHandlerOf(s)
	s.Request = nil // nobody needs it any more
	c.conn.upgraded = true
	if err := s.Close(); err != nil {
		h.Log.Error("melody's writer does not end", "error", err)
	}
	c.runOnFreshStack(func() { h.begin(c) })
	s.WebsocketConnection().SetPingHandler(c.ping)
}

func (h *Handler) begin(c *frameHandler) {
	c.Connection = h.Open(c.query.User, c.peer, c.queue, pingFrame)
	c.start()
}

// failed learns why reading ended, before melody closes the connection.
func (h *Handler) failed(s *melody.Session, err error) {
	c := frameHandlerOf(s)
	queue := c.queue
	var broken *wsframe.Error
	var network net.Error
	var closed *websocket.CloseError
	switch {
	case errors.Is(err, wsframe.ErrTooLong):
		queue.Close(wire.CloseTooBig, fmt.Sprintf("a frame has more than %d bytes", h.MaxFrameBytes))
	case errors.As(err, &broken):
		queue.Close(wire.CloseBadFrame, fmt.Sprintf("broken framing (%s): %s", broken.Problem, broken.Advice))
	case errors.As(err, &network):
		if network.Timeout() && queue.Code() == 0 {
			h.Metrics.PongTimeouts.Inc()
			if c.IsOpen() {
				c.Explain(fmt.Sprintf("no answer to pings for %v", h.ReadTimeout()))
			}
			queue.Close(wire.CloseGoingAway, fmt.Sprintf("no pong for %v", h.ReadTimeout()))
		}
	case errors.As(err, &closed), errors.Is(err, io.EOF), errors.Is(err, errTooManyBytes):
	case errors.Is(err, melody.ErrWriteClosed), errors.Is(err, websocket.ErrCloseSent):
		// melody's writer, which had to end, began only after the reader did: nobody's fault.
	default: // of frames that are valid, only what a close frame says can be wrong
		queue.Close(wire.CloseBadFrame, "broken close frame: send a code and text in UTF-8 (RFC 6455 section 5.5.1)")
	}
}
