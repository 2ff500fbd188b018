package ws

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
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
)

// frames is how WebSocket looks on the socket: RFC 6455 section 5.2, one unmasked text frame.
var frames = &outbox.Encoding{
	Transport: transport.WebSocket,
	Header:    func(dst []byte, n int) []byte { return appendHeader(dst, 0x81, n) },
	Closing: func(code wire.CloseCode, reason string) []byte {
		const most = 123 // RFC 6455 section 5.5: 125 bytes, of which the code takes two
		p := websocket.FormatCloseMessage(int(code), strings.ToValidUTF8(reason[:min(len(reason), most)], ""))
		return append(header(0x88, len(p)), p...)
	},
}

// pingFrame goes beside each heartbeat. Its JSON makes it a control frame of two bytes.
var pingFrame = outbox.NewRaw([]byte{0x89, 0})

// header returns a frame's header, with room for n bytes of payload.
func header(first byte, n int) []byte { return appendHeader(make([]byte, 0, 10+n), first, n) }

func appendHeader(h []byte, first byte, n int) []byte {
	switch {
	case n < 126:
		return append(h, first, byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(h, first, 126), uint16(n))
	}
	return binary.BigEndian.AppendUint64(append(h, first, 127), uint64(n))
}

// A conn makes melody write through the outbox.
type conn struct {
	net.Conn
	queue   *outbox.Queue
	session *session
	early   []byte // that came with the request

	upgraded bool      // set before melody starts its writer
	inflater *inflater // nil when deflate was not negotiated

	rate   limit.Rate // of bytes that may come in
	read   limit.Bucket
	pieces pieces
}

func (c *conn) Read(p []byte) (int, error) {
	if c.inflater == nil {
		return c.receive(p)
	}
	for {
		if n, err := c.inflater.drain(p); n > 0 || err != nil {
			return n, err
		}
		n, err := c.receive(p)
		if err != nil {
			return 0, err
		}
		c.inflater.feed(p[:n])
	}
}

// receive reads from the socket, as fast as bytes may come in.
func (c *conn) receive(p []byte) (int, error) {
	if len(c.early) > 0 {
		n := copy(p, c.early)
		if c.early = c.early[n:]; len(c.early) == 0 {
			c.early = nil
		}
		return c.took(p[:n], nil)
	}
	n, err := c.Conn.Read(p)
	return c.took(p[:n], err)
}

// took accounts for what came in.
func (c *conn) took(p []byte, err error) (int, error) {
	now := time.Now()
	if c.session.IsOpen() {
		c.session.ReceivedBytes(len(p))
	}
	if c.read.Spend(c.rate, float64(len(p)), now) > 0 {
		c.queue.Close(wire.CloseLimit, "too many bytes were sent")
		return 0, errTooManyBytes
	}
	if broken := c.pieces.feed(p, now); broken != nil {
		return 0, broken
	}
	return len(p), err
}

var errTooManyBytes = errors.New("ws: too many bytes came in")

// Write takes the response to the handshake. What melody writes later is the end of its writer, see connect.
func (c *conn) Write(p []byte) (int, error) {
	if c.upgraded {
		return len(p), nil
	}
	response := p
	if end := []byte("\r\n\r\n"); c.inflater != nil && bytes.HasSuffix(p, end) {
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

// hijacked is the response writer that melody upgrades. Its header holds the subprotocol that was chosen.
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
