package ws

import (
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/internal/metrics"
	"github.com/zonecast/zonecast/backend/internal/outbox"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/wire"
)

// held is a connection on which something happens just before a deadline of its reader is set.
type held struct {
	net.Conn
	before func()
}

func (h held) SetReadDeadline(t time.Time) error {
	h.before()
	return h.Conn.SetReadDeadline(t)
}

// A pong, or the end of what the server did for a client, gives the reader more time. When the
// connection is closed in that very moment, it still has its grace and no more.
func TestNoReaderOutlivesTheGraceOfAClosingConnection(t *testing.T) {
	pool := outbox.NewPool(outbox.Options{Meter: metrics.New("test"), CloseGrace: 100 * time.Millisecond})
	defer pool.Close()
	server, client := net.Pipe()
	defer client.Close()
	go io.Copy(io.Discard, client) // it takes the closing frame, and answers nothing
	closed := make(chan struct{})
	c := new(conn)
	c.Conn = held{server, func() {
		go func() {
			defer close(closed)
			c.queue.Close(wire.CloseLimit, "in the moment of a pong")
		}()
		select {
		case <-closed: // before the deadline is set
		case <-time.After(50 * time.Millisecond): // it waits for that
		}
	}}
	c.queue = pool.NewQueue(c.Conn, frames, nil)
	testkit.Must(t, c.SetReadDeadline(time.Now().Add(time.Hour)))
	<-closed
	ended := make(chan error)
	go func() {
		_, err := c.Conn.Read(make([]byte, 1))
		ended <- err
	}()
	select {
	case err := <-ended:
		if !os.IsTimeout(err) {
			t.Errorf("the reader ended with %v", err)
		}
	case <-time.After(5 * time.Second):
		t.Error("the reader goes on although its grace of 100 ms is over")
	}
	c.queue.Hangup(wire.CloseLimit)
}
