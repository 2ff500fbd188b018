// Package outbox is the one place where bytes wait for a client.
//
//	hub ── Pool.Fanout ──▶ Queue (one per connection, bounded in bytes)
//	                          │ became non-empty
//	                          ▼
//	                       writer (a few per process) ── one write per queue ──▶ Sink
//	                          │ sink full
//	                          ▼
//	                       a goroutine of the queue's own, until it is empty again
//
// A broadcast costs no goroutine wake-up per member: Fanout appends the same frame to each queue
// and hands the queues that became non-empty to their writers, in one step per writer. What queues
// up while a writer is busy goes out in its next round in one system call of up to 64 KiB, so the
// system batches by itself exactly as far as it is loaded. The frames are copied together for that:
// see docs/benchmarks.md for what that costs beside writev(2).
//
// Pushing never blocks. A queue over its bound drops what it holds, tells the client with a close
// frame, and ends. A socket that takes no more holds up neither the writer nor any other
// connection.
//
// The package imports nothing of Zonecast but wire and backpressure. A transport brings how frames
// look on its socket ([Encoding]), what it writes to ([Sink]) and, where each connection differs,
// what stands before a frame ([Prefixer]): docs/transports.md says how to add one.
package outbox
