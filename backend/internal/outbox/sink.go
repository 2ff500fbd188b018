package outbox

import "time"

// A Sink is what a queue writes to: a connection, or what stands for one. The queue owns it:
// nothing else may write to it or close it. A sink with a descriptor ([syscall.Conn], as sockets
// have) is written to without waiting where the system can do that, and so is a [TryWriter]; any
// other one by a goroutine while there is something to write. Its methods may be called at once.
type Sink interface {
	// Write writes all of p, and waits while the peer takes nothing. An error ends the queue.
	Write(p []byte) (n int, err error)
	// SetDeadline is when a Write that waits, or a reader of the same connection, gives up.
	SetDeadline(t time.Time) error
	// Close ends the connection; a Write that waits fails then.
	Close() error
}

// A TryWriter is a sink that says how much it takes at once.
type TryWriter interface {
	Sink
	// TryWrite writes what it takes of p without waiting. It is full when that is not all of p.
	TryWrite(p []byte) (n int, err error)
}
