// Package ws is one client's connection to Zonecast over WebSocket.
//
//	scenario ──▶ Dialer.Dial      upgrade, then wait for the frame "connected"
//	scenario ──▶ Conn.Subscribe   when it is a reconnect: go on from the last offset
//	scenario ──▶ Conn.Read        every frame that the server sends, until the connection ends
//	scenario ──▶ Conn.Send, Conn.Close
//
// A run holds many thousands of these, so a connection keeps a read buffer of 1 KiB and the stack of the goroutine in
// Read, and borrows everything else while it needs it.
package ws

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/zonecast/zonecast/backend/wire"
	"github.com/zonecast/zonecast/loadtest/internal/problem"
)

// DialTimeout is how long an upgrade and the wait for "connected" may take together.
const DialTimeout = 10 * time.Second

// MaxFrameBytes is the longest frame that a connection reads; a longer one ends it.
const MaxFrameBytes = 2 << 20

const bufferBytes = 1 << 10

// A Dialer opens connections. It is safe for use by several goroutines at once.
type Dialer struct {
	dialer  websocket.Dialer
	header  http.Header
	buffers sync.Pool // of *[]byte, for the frame that is being read
}

// NewDialer returns a dialer that shows the token, if it is not empty.
func NewDialer(token string) *Dialer {
	d := &Dialer{
		dialer: websocket.Dialer{
			NetDialContext:  (&net.Dialer{}).DialContext,
			ReadBufferSize:  bufferBytes,
			WriteBufferSize: bufferBytes,
			WriteBufferPool: &sync.Pool{},
		},
		header: http.Header{"User-Agent": {"zonecast-loadtest"}},
	}
	d.buffers.New = func() any { p := make([]byte, 4*bufferBytes); return &p }
	if token != "" {
		d.header.Set("Authorization", "Bearer "+token)
	}
	return d
}

// Dial opens a connection and returns it with what the server's first frame said. The error is a [*problem.Status] when
// the server refused the upgrade, and a [*ProtocolError] when what it sends is not Zonecast's protocol.
func (d *Dialer) Dial(ctx context.Context, url string) (*Conn, wire.Connected, error) {
	ctx, cancel := context.WithTimeout(ctx, DialTimeout)
	defer cancel()
	conn, resp, err := d.dialer.DialContext(ctx, url, d.header)
	if err != nil {
		if errors.Is(err, websocket.ErrBadHandshake) {
			body, _ := io.ReadAll(resp.Body) // at most 1 KiB, in memory already
			return nil, wire.Connected{}, problem.New(resp.StatusCode, body)
		}
		return nil, wire.Connected{}, err
	}
	conn.SetReadLimit(MaxFrameBytes)
	c := &Conn{conn: conn, buffers: &d.buffers}
	hello, err := c.hello(ctx)
	if err != nil {
		_ = conn.Close()
		return nil, wire.Connected{}, err
	}
	return c, hello, nil
}

// hello reads the first frame, until ctx ends.
func (c *Conn) hello(ctx context.Context) (wire.Connected, error) {
	f, err := c.next(ctx, "the frame connected")
	if err != nil {
		return wire.Connected{}, err
	}
	if f.Event != wire.EventConnected {
		return wire.Connected{}, &ProtocolError{fmt.Sprintf("its first frame is %q and not %q", f.Event, wire.EventConnected)}
	}
	var hello wire.Connected
	if err := wire.DecodeData(f.Data, &hello); err != nil {
		return wire.Connected{}, &ProtocolError{fmt.Sprintf("the frame connected: %v", err)}
	}
	return hello, nil
}

// next reads one frame while something is waited for, until ctx ends.
func (c *Conn) next(ctx context.Context, awaited string) (wire.ServerFrame, error) {
	stop := context.AfterFunc(ctx, func() { _ = c.conn.SetReadDeadline(time.Now()) })
	_, p, err := c.conn.ReadMessage()
	if !stop() {
		return wire.ServerFrame{}, fmt.Errorf("wait for %s: %w", awaited, ctx.Err())
	}
	_ = c.conn.SetReadDeadline(time.Time{})
	if err != nil {
		return wire.ServerFrame{}, fmt.Errorf("wait for %s: %w", awaited, ended(err))
	}
	f, err := wire.DecodeServer(p)
	if err != nil {
		return wire.ServerFrame{}, &ProtocolError{fmt.Sprintf("instead of %s: %v", awaited, err)}
	}
	return f, nil
}

// A ProtocolError says what a server sent that is not Zonecast's protocol.
type ProtocolError struct{ What string }

func (e *ProtocolError) Error() string {
	return "the server does not speak Zonecast's protocol: " + e.What
}

// Kind names the failure in a few words.
func (e *ProtocolError) Kind() string { return "not the protocol" }
