//go:build !linux

package outbox

import (
	"net"
	"syscall"
)

func write(fd int, p []byte) (n int, err error) {
	n, err = syscall.Write(fd, p)
	return max(n, 0), err
}

// unsent returns that it is not known how many bytes are left in a socket: then only what it takes counts.
func unsent(net.Conn) int { return -1 }
