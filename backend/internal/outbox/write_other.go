//go:build !unix

package outbox

import (
	"errors"
	"syscall"
)

// rawConn returns nil: no descriptor can be written to without waiting, so each sink is written to
// by a goroutine.
func rawConn(Sink) syscall.RawConn { return nil }

func write(int, []byte) (n int, err error) { return 0, errors.ErrUnsupported }
