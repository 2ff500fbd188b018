//go:build linux && !race

package outbox

import (
	"syscall"
	"unsafe"
)

// write is write(2) on a socket that never waits, so the scheduler is not told of it: to be told,
// and to hand the processor on and get it back when a write takes longer than 20 µs, costs more
// than to keep it for so long.
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
