package outbox

import (
	"sync"
	"syscall"
	"time"

	"github.com/zonecast/zonecast/backend/wire"
)

// maxWrite is the most bytes gathered into one write to a socket, and so the size of a writer's buffer. A larger frame is
// written on its own, without being copied.
const maxWrite = 64 << 10

// keepFrames is how long an empty queue's list may stay, so that idle connections stay slim.
const keepFrames = 16

// A writer writes the queues on its list, each one's frames in as few system calls as they fit in.
type writer struct {
	index int
	wake  chan struct{} // holds a token while the list is not empty

	mu   sync.Mutex
	list []*Queue

	// Owned by run.
	frames []*Frame
	buf    []byte
	try    attempt
}

func newWriter(index int) *writer {
	w := &writer{index: index, wake: make(chan struct{}, 1), buf: make([]byte, 0, maxWrite)}
	w.try.call = w.try.do
	return w
}

func (w *writer) add(queues ...*Queue) {
	w.mu.Lock()
	w.list = append(w.list, queues...)
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *writer) run(stop <-chan struct{}) {
	var batch []*Queue
	for {
		select {
		case <-w.wake:
		case <-stop:
			return
		}
		w.mu.Lock()
		batch, w.list = w.list, batch[:0]
		w.mu.Unlock()
		for i, q := range batch {
			if w.flush(q) {
				w.add(q)
			}
			batch[i] = nil
		}
	}
}

// flush writes once what the queue holds, and reports whether more came in meanwhile.
func (w *writer) flush(q *Queue) (more bool) {
	w.frames = q.take(w.frames[:0])
	defer clear(w.frames)
	if q.raw == nil {
		q.stall(nil, nil, w.frames)
		return false
	}
	for rest := w.frames; len(rest) > 0; {
		p, n, marks := q.gather(w.buf, rest)
		done, err := w.try.write(q.raw, p)
		switch {
		case err == syscall.EAGAIN || err == nil && done < len(p):
			q.account(0, done, marks)
			q.stall(append([]byte(nil), p[done:]...), append([]*Frame(nil), rest[:n]...), rest[n:])
			return false
		case err != nil:
			q.end()
			return false
		}
		q.written(rest[:n], len(p), marks)
		rest = rest[n:]
	}
	return q.release()
}

// gather returns the bytes of the first n frames as one slice: that of a single frame itself, or buf. marks is how many of
// them did not wait.
func (q *Queue) gather(buf []byte, frames []*Frame) (p []byte, n, marks int) {
	if q.marker != nil {
		return q.gatherMarked(buf, frames)
	}
	first := frames[0].In(q.form)
	if len(frames) == 1 || len(first)+len(frames[1].In(q.form)) > maxWrite {
		return first, 1, 0
	}
	p = append(buf[:0], first...)
	for n = 1; n < len(frames); n++ {
		b := frames[n].In(q.form)
		if len(p)+len(b) > maxWrite {
			break
		}
		p = append(p, b...)
	}
	return p, n, 0
}

// gatherMarked always uses buf, or a larger one. A mark is supposed to be as long as the one before.
func (q *Queue) gatherMarked(buf []byte, frames []*Frame) (p []byte, n, marks int) {
	p = buf[:0]
	for mark := 0; n < len(frames); n++ {
		b := frames[n].In(q.form)
		if n > 0 && len(p)+mark+len(b) > maxWrite {
			break
		}
		before := len(p)
		p = q.marker.Mark(p, frames[n])
		mark = len(p) - before
		marks += mark
		p = append(p, b...)
	}
	return p, n, marks
}

// An attempt is one write(2) that does not wait for the socket. It is kept by its writer, so that none is allocated.
type attempt struct {
	call func(fd uintptr) bool
	p    []byte
	n    int
	err  error
}

// write returns how much of p the socket took. The error is EAGAIN when it was full.
func (a *attempt) write(conn syscall.RawConn, p []byte) (n int, err error) {
	a.p, a.n, a.err = p, 0, nil
	err = conn.Write(a.call)
	a.p = nil
	if err == nil {
		err = a.err
	}
	return max(a.n, 0), err
}

// do always reports true, which tells RawConn.Write not to wait until the descriptor is writable.
func (a *attempt) do(fd uintptr) bool {
	for {
		a.n, a.err = syscall.Write(int(fd), a.p)
		if a.err != syscall.EINTR {
			return true
		}
	}
}

// The queue's side of writing. The caller is the one that q.state names.

// take moves what waits to the end of frames. It stays in the account until it is written.
func (q *Queue) take(frames []*Frame) []*Frame {
	q.mu.Lock()
	defer q.mu.Unlock()
	frames = append(frames, q.frames...)
	if cap(q.frames) > keepFrames {
		q.frames = nil
	} else {
		clear(q.frames)
		q.frames = q.frames[:0]
	}
	return frames
}

// release ends the writer's turn, and reports whether there is more to write already.
func (q *Queue) release() (more bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.frames) > 0 {
		return true
	}
	q.restLocked()
	return false
}

// restLocked is called by the writer when nothing is left to write.
func (q *Queue) restLocked() {
	if q.hangup || q.closing && q.form.Final {
		q.endLocked()
	} else {
		q.state = idle
	}
}

// stall gives the queue to a goroutine of its own: first rest, the end of what the frames begun are, then the frames later,
// then what came in meanwhile.
func (q *Queue) stall(rest []byte, begun, later []*Frame) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.hangup {
		q.endLocked() // nobody reads at the other end
		return
	}
	if q.code == wire.CloseSlowConsumer { // while they were in the writer's hands; drop what Push would have dropped
		for _, f := range later {
			q.settleLocked(-len(f.In(q.form)))
		}
		q.pool.opts.Meter.Dropped(len(later))
		later = nil
	}
	q.frames = append(append([]*Frame(nil), later...), q.frames...)
	q.state = stalled
	q.oldest = time.Now().UnixMicro()
	q.pool.addStalled(q)
	q.pool.running.Go(func() { q.drain(rest, begun) })
}

// drain writes until the queue is empty. Writing blocks while the socket is full; closing the socket ends it.
func (q *Queue) drain(rest []byte, begun []*Frame) {
	var buf []byte
	marks := 0 // those in the first rest were taken out of the account with the part before it
	for {
		if len(rest) > 0 {
			if _, err := q.conn.Write(rest); err != nil {
				q.end()
				return
			}
			q.written(begun, len(rest), marks)
		}
		q.mu.Lock()
		if len(q.frames) == 0 {
			q.recoverLocked()
			q.restLocked()
			q.mu.Unlock()
			return
		}
		if buf == nil {
			buf = make([]byte, 0, min(maxWrite, q.waiting))
		}
		var n int
		rest, n, marks = q.gather(buf, q.frames)
		begun = append(begun[:0], q.frames[:n]...)
		if at := begun[0].Accepted; at != 0 {
			q.oldest = at
		}
		clear(q.frames[:n])
		q.frames = q.frames[n:]
		q.mu.Unlock()
	}
}

// written takes frames that are on the socket, of which the last part had n bytes, marks among them, out of the account.
func (q *Queue) written(frames []*Frame, n, marks int) {
	messages := 0
	now := time.Now().UnixMicro()
	for _, f := range frames {
		if f.isMessage() {
			messages++
		}
		if f.Accepted != 0 {
			q.pool.opts.Meter.Latency(time.Duration(now-f.Accepted) * time.Microsecond)
		}
	}
	q.account(messages, n, marks)
}

// account takes n bytes that are on the socket out of what waits, where marks of them never were.
func (q *Queue) account(messages, n, marks int) {
	q.sent.Add(uint64(messages))
	q.wrote.Add(uint64(n))
	q.pool.opts.Meter.Written(q.form.Transport, messages, n)
	q.mu.Lock()
	q.settleLocked(marks - n)
	q.mu.Unlock()
}

// end closes the socket and forgets what waits.
func (q *Queue) end() {
	q.mu.Lock()
	q.endLocked()
	q.mu.Unlock()
}
