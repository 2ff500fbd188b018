//go:build unix

package outbox

import "syscall"

// rawConn returns the sink as one with a descriptor that write works on; nil when it has none.
func rawConn(sink Sink) syscall.RawConn {
	if c, ok := sink.(syscall.Conn); ok {
		if raw, err := c.SyscallConn(); err == nil {
			return raw
		}
	}
	return nil
}
