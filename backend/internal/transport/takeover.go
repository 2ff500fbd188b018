package transport

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
)

// TakeOver takes the connection of a request over from net/http, which knows nothing of it any
// more: it has no deadline, and closing it never waits. What the client sent after its request is
// in the reader.
func TakeOver(c echo.Context) (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(c.Response()).Hijack()
	if err != nil {
		return nil, nil, fmt.Errorf("take over the connection: %w", err)
	}
	conn.SetDeadline(time.Time{})
	if overTLS, ok := conn.(*tls.Conn); ok {
		conn = &tlsConn{overTLS}
	}
	return conn, buffered, nil
}

// A tlsConn has no descriptor that anybody could write to past TLS.
type tlsConn struct{ *tls.Conn }

// Close ends the connection soon. Writes and reads that wait fail. Its last words (close_notify,
// RFC 8446 section 6.1) may wait for the peer for 5 s, in nobody's time.
func (c *tlsConn) Close() error {
	time.AfterFunc(0, func() { _ = c.Conn.Close() }) // nobody waits for it any more
	return c.Conn.SetReadDeadline(time.Unix(1, 0))
}
