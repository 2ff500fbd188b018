package lameduck

import (
	"math"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// refuseHandshakes makes the kernel refuse every further handshake, so that the queue of those to
// accept empties. It reports whether it could.
//
// A listener that is bound to a network interface (SO_BINDTOIFINDEX) hears only what arrives there,
// and this interface does not exist. Handshakes that have begun belong to the old one, and end as
// usual. Needs Linux 5.7, or CAP_NET_RAW.
func refuseHandshakes(l net.Listener) bool {
	conn, ok := l.(syscall.Conn)
	if !ok || l.Addr().Network() != "tcp" {
		return false
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return false
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_BINDTOIFINDEX, math.MaxInt32)
	})
	return err == nil && failed == nil
}
