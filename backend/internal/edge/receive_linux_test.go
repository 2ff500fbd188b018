package edge_test

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/internal/edge"
	"github.com/zonecast/zonecast/backend/internal/testkit"
)

// A client may send what the receive buffer takes, and no more, while nobody reads: even before its
// connection was accepted.
func TestWhatNobodyReadsIsBoundedInTheKernel(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	testkit.Must(t, err)
	defer l.Close()
	const receive, send = 32 << 10, 16 << 10
	edge.SetReceiveBuffer(l, receive)
	c, err := net.Dial("tcp", l.Addr().String())
	testkit.Must(t, err)
	defer c.Close()
	testkit.Must(t, c.(*net.TCPConn).SetWriteBuffer(send))
	testkit.Must(t, c.SetWriteDeadline(time.Now().Add(time.Second)))
	n, err := c.Write(make([]byte, 10<<20))
	if err == nil || n > 2*receive+4*send { // Linux takes twice as much, and what one write goes over it
		t.Errorf("%d bytes were taken, %v", n, err)
	}
	testkit.Must(t, c.SetWriteDeadline(time.Time{}))
	read := make(chan error)
	go func() {
		conn, err := l.Accept()
		if err == nil {
			defer conn.Close()
			_, err = io.CopyN(io.Discard, conn, int64(n))
		}
		read <- err
	}()
	testkit.Must(t, <-read)
}
