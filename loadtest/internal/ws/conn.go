package ws

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/zonecast/zonecast/backend/wire"
)

// WriteTimeout is how long the server's socket may be full before a Send gives up; the connection is lost then.
const WriteTimeout = 10 * time.Second

// A Conn is one open connection. Read belongs to one goroutine; Send and Close may be called by any.
type Conn struct {
	conn    *websocket.Conn
	buffers *sync.Pool

	sending sync.Mutex // held while a frame is being written
}

// Read hands each frame to handle, which must not keep it, and returns why the connection ended: a [*Closed] if the
// server said so. Pings are answered meanwhile.
func (c *Conn) Read(handle func(p []byte)) error {
	for {
		_, r, err := c.conn.NextReader()
		if err != nil {
			return ended(err)
		}
		buffer := c.buffers.Get().(*[]byte)
		n, err := readAll(r, buffer)
		if err == nil {
			handle((*buffer)[:n])
		}
		c.buffers.Put(buffer)
		if err != nil {
			return ended(err)
		}
	}
}

// readAll reads r to its end into *buffer, which grows as needed.
func readAll(r io.Reader, buffer *[]byte) (int, error) {
	n := 0
	for {
		if n == len(*buffer) {
			*buffer = append(*buffer, make([]byte, n)...)
		}
		read, err := r.Read((*buffer)[n:])
		n += read
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

// Send writes one frame.
func (c *Conn) Send(p []byte) error {
	c.sending.Lock()
	defer c.sending.Unlock()
	if err := c.conn.SetWriteDeadline(time.Now().Add(WriteTimeout)); err != nil {
		return err
	}
	return c.conn.WriteMessage(websocket.TextMessage, p)
}

// Close says goodbye, without waiting for an answer, and closes the connection; Read returns.
func (c *Conn) Close() {
	bye := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
	_ = c.conn.WriteControl(websocket.CloseMessage, bye, time.Now().Add(100*time.Millisecond))
	_ = c.conn.Close()
}

// Closed is the error of a connection that the server closed with a close frame.
type Closed struct {
	Code   int
	Reason string
}

func (e *Closed) Error() string {
	if e.Reason == "" {
		return "the server " + e.Kind()
	}
	return fmt.Sprintf("the server %s: %s", e.Kind(), e.Reason)
}

// Kind names the failure in a few words.
func (e *Closed) Kind() string {
	if name := wire.CloseCode(e.Code).String(); name != "unknown" {
		return fmt.Sprintf("closed with %d %s", e.Code, name)
	}
	return fmt.Sprintf("closed with %d", e.Code)
}

// ended turns gorilla's error for a close frame into ours. Its 1006 stands for a connection that ended without one.
func ended(err error) error {
	var e *websocket.CloseError
	switch {
	case !errors.As(err, &e):
		return err
	case e.Code == websocket.CloseAbnormalClosure:
		return io.ErrUnexpectedEOF
	}
	return &Closed{Code: e.Code, Reason: e.Text}
}
