package outbox

import (
	"net"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// write is write(2) on a socket that never waits, so the scheduler is not told of it: to be told, and to hand the processor on
// and get it back when a write takes longer than 20 µs, costs more than to keep it for so long.
func write(fd int, p []byte) (n int, err error) {
	if len(p) == 0 {
		return 0, nil
	}
	r, _, errno := syscall.RawSyscall(syscall.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
	if errno != 0 {
		return 0, errno
	}
	return int(r), nil
}

// unsent returns how many bytes the peer of a socket has not acknowledged yet: SIOCOUTQ of tcp(7). -1 when it is no socket.
func unsent(conn net.Conn) int {
	n := -1
	if raw := rawConn(conn); raw != nil {
		_ = raw.Control(func(fd uintptr) {
			if v, err := unix.IoctlGetInt(int(fd), unix.SIOCOUTQ); err == nil {
				n = v
			}
		})
	}
	return n
}
