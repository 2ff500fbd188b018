package sse

import (
	"net"
	"syscall"
	"time"
)

// tcpUserTimeout is TCP_USER_TIMEOUT of tcp(7): RFC 5482.
const tcpUserTimeout = 18

// setTCPUserTimeout ends a connection whose peer acknowledges nothing for that long although
// heartbeats are sent. There is no pong that could be missed here, as there is with WebSocket.
func setTCPUserTimeout(conn net.Conn, d time.Duration) {
	raw, ok := conn.(syscall.Conn)
	if !ok {
		return
	}
	if fd, err := raw.SyscallConn(); err == nil {
		_ = fd.Control(func(fd uintptr) { // where it fails, the system's own time holds
			_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, int(d.Milliseconds()))
		})
	}
}
