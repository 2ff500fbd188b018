package outbox

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// unsent returns how many bytes the peer of a socket has not acknowledged yet: SIOCOUTQ of tcp(7).
func unsent(conn syscall.RawConn) int {
	n := -1
	if conn == nil {
		return n
	}
	_ = conn.Control(func(fd uintptr) {
		if v, err := unix.IoctlGetInt(int(fd), unix.SIOCOUTQ); err == nil {
			n = v
		}
	})
	return n
}
