//go:build unix && (!linux || race)

package outbox

import "syscall"

// write is write(2) as the scheduler knows it, and the race detector, which learns from it what the
// kernel reads.
func write(fd int, p []byte) (n int, err error) {
	n, err = syscall.Write(fd, p)
	return max(n, 0), err
}
