package edge

import (
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// setUserTimeout sets TCP_USER_TIMEOUT: RFC 5482. Where it fails, the system's own time holds.
func setUserTimeout(c *net.TCPConn, d time.Duration) {
	if raw, err := c.SyscallConn(); err == nil && d > 0 {
		_ = raw.Control(func(fd uintptr) {
			_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(d.Milliseconds()))
		})
	}
}

// SetReceiveBuffer sets SO_RCVBUF of the connections that a TCP listener accepts, which bounds what
// the kernel holds of what a client has sent and nobody has read yet, as while its answers wait.
// The system lets it grow to many MiB. It has to be set before a connection is there: the client is
// told at the first moment how much it may send.
func SetReceiveBuffer(l net.Listener, bytes int) {
	if tcp, ok := l.(*net.TCPListener); ok {
		if raw, err := tcp.SyscallConn(); err == nil {
			_ = raw.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, bytes) })
		}
	}
}

// unsent returns how many bytes the peer has not acknowledged: SIOCOUTQ of tcp(7). It is 0 for a
// connection that is gone.
func unsent(c *net.TCPConn) (n int) {
	if raw, err := c.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { n, _ = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) })
	}
	return n
}
