package outbox

import "golang.org/x/sys/unix"

// unsent returns how many bytes the peer of a socket has not acknowledged yet: SIOCOUTQ of tcp(7). -1 when it is no socket.
func unsent(sink Sink) int {
	n := -1
	if raw := rawConn(sink); raw != nil {
		_ = raw.Control(func(fd uintptr) {
			if v, err := unix.IoctlGetInt(int(fd), unix.SIOCOUTQ); err == nil {
				n = v
			}
		})
	}
	return n
}
