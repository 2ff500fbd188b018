package ws

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gorilla/websocket"

	"github.com/zonecast/zonecast/backend/internal/limit"
	"github.com/zonecast/zonecast/backend/internal/outbox"
	"github.com/zonecast/zonecast/backend/internal/transport"
	"github.com/zonecast/zonecast/backend/wire"
	"github.com/zonecast/zonecast/backend/wsframe"
)

// frames is how WebSocket looks on the socket: RFC 6455 section 5.2, one unmasked text frame.
var frames = &outbox.Encoding{
	Transport: transport.WebSocket,
	Header: func(dst []byte, n int) []byte {
		return wsframe.Header{Op: wsframe.Text, Final: true, Length: n}.Append(dst)
	},
	Closing: func(code wire.CloseCode, reason string) []byte {
		const most = 123 // RFC 6455 section 5.5: 125 bytes, of which the code takes two
		p := websocket.FormatCloseMessage(int(code), strings.ToValidUTF8(reason[:min(len(reason), most)], ""))
		return wsframe.Append(nil, wsframe.Close, p)
	},
}

// pingFrame goes beside each heartbeat.
var pingFrame = outbox.NewRaw(wsframe.Append(nil, wsframe.Ping, nil))

// A conn checks what comes in from the socket to melody; what melody writes goes to the outbox.
type conn struct {
	net.Conn
	queue        *outbox.Queue
	frameHandler *frameHandler

	upgraded bool // set before melody starts its writer

	// Of the connection's reader.
	read limit.Bucket // of bytes
	in   inbound
}

// Read reads what gorilla/websocket is to see, as fast as bytes may come in.
func (c *conn) Read(p []byte) (int, error) {
	for {
		if n, err := c.in.pending(p); n > 0 || err != nil {
			return n, err
		}
		held, err := c.in.restore(p)
		if err != nil {
			return 0, err
		}
		n, err := c.Conn.Read(p[held:])
		now := time.Now()
		if c.frameHandler.IsOpen() {
			c.frameHandler.ReceivedBytes(n)
		}
		if c.read.Spend(c.frameHandler.handler.byteRate(), float64(n), now) > 0 {
			c.queue.Close(wire.CloseLimit, "too many bytes were sent")
			return 0, errTooManyBytes
		}
		c.in.closeOnly = c.in.closeOnly || c.queue.Code() != 0
		n = c.in.filter(p[:held+n], now)
		if c.in.err == nil {
			c.in.err = err
		}
		if n > 0 {
			return n, nil
		}
	}
}

var errTooManyBytes = errors.New("ws: too many bytes came in")

// An earlyConn begins with what its client sent together with the request.
type earlyConn struct {
	net.Conn
	in io.Reader
}

func (c earlyConn) Read(p []byte) (int, error) { return c.in.Read(p) }

// Write takes the handshake's response, and later the end of melody's writer: [Handler.connect].
func (c *conn) Write(p []byte) (int, error) {
	if c.upgraded {
		return len(p), nil
	}
	response := p
	if end := []byte("\r\n\r\n"); c.in.deflate && bytes.HasSuffix(p, end) {
		response = slices.Concat(bytes.TrimSuffix(p, end), []byte("\r\nSec-WebSocket-Extensions: "+extension), end)
	}
	if err := c.queue.WriteRaw(response); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Close does nothing: the connection ends with its reader or its queue.
func (c *conn) Close() error { return nil }

// SetWriteDeadline does nothing: the outbox decides how long a write may take.
func (c *conn) SetWriteDeadline(time.Time) error { return nil }

// SetReadDeadline leaves the deadline of a closing connection alone.
func (c *conn) SetReadDeadline(t time.Time) error { return c.queue.SetReadDeadline(t) }

// hijacked is the response writer that melody upgrades. Its header has the chosen subprotocol.
type hijacked struct {
	conn   *conn
	header http.Header
}

func (h hijacked) Header() http.Header       { return h.header }
func (h hijacked) Write([]byte) (int, error) { return 0, http.ErrHijacked }
func (h hijacked) WriteHeader(int)           {}
func (h hijacked) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return h.conn, bufio.NewReadWriter(bufio.NewReaderSize(h.conn, 16), bufio.NewWriterSize(h.conn, 16)), nil
}
