package ws

import (
	"context"
	"errors"
	"time"

	"github.com/gorilla/websocket"

	"github.com/zonecast/zonecast/backend/internal/auth"
	"github.com/zonecast/zonecast/backend/internal/hub"
	"github.com/zonecast/zonecast/backend/internal/limit"
	"github.com/zonecast/zonecast/backend/internal/outbox"
	"github.com/zonecast/zonecast/backend/internal/transport"
	"github.com/zonecast/zonecast/backend/wire"
	"github.com/zonecast/zonecast/backend/wsframe"
)

// A session is one client's side of the protocol. It is used by the connection's reader alone.
type session struct {
	transport.Session // from begin on

	handler *Handler
	conn    *conn
	queue   *outbox.Queue
	// query names the user of the token, if there is one. Its rooms are dropped once joined.
	query transport.Query
	who   *auth.Identity
	// refused is why the client was not let in: told over the connection, as browsers tell nothing.
	refused error
	bad     int   // frames in a row that were not the protocol
	latest  int64 // when the latest frame came, in seconds since 1970

	frames   limit.Bucket
	prepaid  int // frames that were spent before they were inflated
	peer     hub.Peer
	counted  string       // the token's user, under whom connections and frames are counted; or empty
	refusals limit.Bucket // frames that were refused because they came too early
}

// receive handles a frame.
func (c *session) receive(p []byte) {
	now, before := time.Now().Unix(), c.latest
	if c.latest = now; now-before <= frequent {
		c.extendReadDeadline(func() { c.handle(p) })
	} else {
		c.runOnFreshStack(func() { c.handle(p) })
	}
}

// frequent is how many seconds are at most between two frames of a client whose reader handles them
// itself: it sends so often that its stack may stay large.
const frequent = 10

// runOnFreshStack runs f on a goroutine of its own and waits for it. A stack never shrinks below
// what its goroutine once needed, and the reader's lives as long as the connection: here it stays
// small.
func (c *session) runOnFreshStack(f func()) {
	c.extendReadDeadline(func() {
		done := make(chan struct{})
		go func() {
			defer close(done)
			defer func() { c.handler.recoverConn(recover(), c) }()
			f()
		}()
		<-done
	})
}

// extendReadDeadline runs f while nobody reads, so that no pong is seen either, and then gives the
// peer more time: it is not taken for dead because of what the server did for it.
func (c *session) extendReadDeadline(f func()) {
	began := time.Now()
	f()
	if now := time.Now(); now.Sub(began) > busyAfter {
		// An error means that the connection is gone, as reading then tells.
		_ = c.conn.SetReadDeadline(now.Add(c.handler.ReadTimeout()))
	}
}

// busyAfter is how long f may keep the reader from pongs before the deadline is extended.
const busyAfter = 50 * time.Millisecond

// answerClose answers a close frame with its code (RFC 6455 section 5.5.1), but not an answer.
func (c *session) answerClose(code int) {
	if c.queue.Code() != 0 {
		return
	}
	p := []byte(nil)
	if code != websocket.CloseNoStatusReceived {
		p = websocket.FormatCloseMessage(code, "")
	}
	c.queue.Push(outbox.NewRaw(wsframe.Append(nil, wsframe.Close, p)))
}

// start joins the rooms of the query and sends connected.
func (c *session) start() {
	if c.refused != nil {
		c.refuse(0, false, c.refused)
		c.Explain(c.refused.Error())
		c.queue.Close(transport.RefusalCode(c.refused), c.refused.Error())
		return
	}
	c.Authorize(c.who)
	ctx, cancel := context.WithTimeout(context.Background(), transport.ActionTimeout)
	defer cancel()
	err := c.Join(ctx, c.query.Joins, func(places wire.Cursor) { c.queue.Send(c.Connected(places)) })
	c.query.Joins = nil
	if err != nil {
		c.refuse(0, false, err)
		c.Explain("its rooms could not be joined: " + wire.AsError(err).Message)
		code := wire.CloseRestart
		if wire.AsError(err).Code == wire.CodeLimitReached { // coming back at once is no use
			code = wire.CloseLimit
		}
		c.queue.Close(code, "the rooms could not be joined: reconnect")
	}
}

func (c *session) send(json []byte) { c.queue.Send(outbox.NewControl("", json)) }

// refuse answers with an error frame, and ends a connection that doesn't speak the protocol.
func (c *session) refuse(id int64, hasID bool, err error) {
	e := wire.AsError(err)
	if e.Code == wire.CodeInternal {
		c.handler.Log.Error("frame failed", "connection", c.ID, "error", err)
	}
	c.send(wire.AppendError(nil, id, hasID, err))
	if e.Code != wire.CodeBadFrame {
		return
	}
	if c.bad++; c.bad > wire.BadFramesInARow {
		c.queue.Close(wire.CloseBadFrame, "too many frames that are not the protocol")
	}
}

// refuseFrame answers what is not the protocol.
func (c *session) refuseFrame(id int64, hasID bool, err error) {
	c.handler.Metrics.Received.WithLabelValues("bad_frame").Inc()
	c.refuse(id, hasID, err)
}

func (c *session) handle(p []byte) {
	if c.queue.Code() != 0 {
		return // the connection is closing; whoever was refused must not go on meanwhile
	}
	c.Received()
	if c.prepaid > 0 {
		c.prepaid--
	} else if wait := c.allowFrame(time.Now()); wait > 0 {
		f, _ := wire.DecodeClient(p) // for the answer needs the id
		c.send(wire.AppendError(nil, f.ID, f.HasID, transport.ErrRateLimited(wait)))
		return
	}
	f, err := wire.DecodeClient(p)
	if err != nil {
		c.refuseFrame(f.ID, f.HasID, err)
		return
	}
	c.bad = 0
	ctx, cancel := context.WithTimeout(context.Background(), transport.ActionTimeout)
	defer cancel()
	label := f.Event
	var answer any
	switch f.Event {
	case wire.EventSubscribe:
		if err = c.subscribe(ctx, f); err == nil {
			f.HasID = false // answered at the right place among the room's messages
		}
	case wire.EventUnsubscribe:
		answer, err = c.unsubscribe(f)
	case wire.EventPublish:
		answer, err = c.handler.Publish(ctx, transport.WebSocket, c.who, f)
	case wire.EventEcho:
		answer = f.Data
	case wire.EventAuthenticate:
		answer, err = c.authenticate(f)
	default:
		label = "unknown"
		err = wire.Errorf(wire.CodeUnknownEvent, "unknown event: send one of %v", wire.ClientEvents())
	}
	c.handler.Metrics.Received.WithLabelValues(label).Inc()
	switch {
	case err != nil:
		c.refuse(f.ID, f.HasID, err)
		if f.Event == wire.EventAuthenticate && wire.AsError(err).Code == wire.CodeForbidden {
			c.queue.Close(wire.CloseForbidden, err.Error())
		}
	case f.HasID:
		c.send(wire.AppendAck(nil, f.ID, answer))
	}
}

// authenticate takes a new token for the rest of the connection. One of another user, or of none,
// and one that permits less than what the connection is in, is forbidden, which ends it: a client
// that stayed would take silence for news.
func (c *session) authenticate(f wire.ClientFrame) (any, error) {
	var a wire.Authenticate
	if err := wire.DecodeRequest(f.Data, &a); err != nil {
		return nil, err
	}
	who, err := c.handler.Guard.Token(a.Token, c.peer.Address)
	if err != nil {
		return nil, err
	}
	if who.User != c.who.User {
		return nil, wire.Errorf(wire.CodeForbidden, "the token is of another user, or of none: connect anew with it")
	}
	for _, room := range c.Rooms() {
		if err := who.MayJoin(room); err != nil {
			return nil, err
		}
	}
	c.who = who
	c.Authorize(who)
	var answer wire.Authenticated
	if !who.Expires.IsZero() {
		answer.Expires = who.Expires.UnixMilli()
	}
	return answer, nil
}

func (c *session) subscribe(ctx context.Context, f wire.ClientFrame) error {
	var s wire.Subscribe
	if err := wire.DecodeRequest(f.Data, &s); err != nil {
		return err
	}
	room, err := s.Room()
	if err != nil {
		return err
	}
	if err := c.who.MayJoin(room); err != nil {
		return err
	}
	join := hub.Join{Room: room}
	if s.Offset != "" {
		from, err := wire.ParsePlace(room, s.Offset)
		if err != nil {
			return err
		}
		join.After, join.Retained = from.Offset, from.Retained > 0
	}
	announced := false
	err = c.Join(ctx, []hub.Join{join}, func(places wire.Cursor) {
		announced = true
		if f.HasID {
			c.send(wire.AppendAck(nil, f.ID, places[0].Position()))
		}
	})
	if err != nil && announced {
		// The ack can't be taken back: only a new connection tells the client where it stands.
		if !errors.Is(err, hub.ErrSessionClosed) {
			c.handler.Log.Warn("replay failed", "connection", c.ID, "room", room, "error", err)
		}
		c.queue.Close(wire.CloseRestart, "the replay failed: reconnect and resume")
		return nil
	}
	return err
}

func (c *session) unsubscribe(f wire.ClientFrame) (any, error) {
	var t wire.Target
	if err := wire.DecodeRequest(f.Data, &t); err != nil {
		return nil, err
	}
	room, err := t.Room()
	if err != nil {
		return nil, err
	}
	return wire.Position{Room: room.String()}, c.Leave(room)
}
