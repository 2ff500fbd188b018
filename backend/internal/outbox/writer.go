package outbox

import (
	"errors"
	"slices"
	"sync"
	"syscall"

	"github.com/zonecast/zonecast/backend/wire"
)

// maxWrite is the most bytes gathered into one write to a socket, and so the size of a writer's
// buffer. A larger frame is written on its own, without being copied.
const maxWrite = 64 << 10

// A writer writes the queues on its list, each one's frames in as few system calls as they fit in.
type writer struct {
	wake chan struct{} // holds a token while the list is not empty

	mu   sync.Mutex
	list []*Queue

	// Owned by run.
	few      [keepFrames]entry
	buf      []byte
	counters counters
}

func newWriter(p *Pool) *writer {
	return &writer{wake: make(chan struct{}, 1), buf: make([]byte, 0, maxWrite), counters: counters{pool: p}}
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
			if i%fanoutChunk == 0 {
				prefetch(batch[i:min(i+fanoutChunk, len(batch))])
			}
			q.pool.beforeTake()
			if w.flush(q) {
				w.add(q)
			}
			batch[i] = nil
		}
		w.counters.flush()
	}
}

func (p *Pool) beforeTake() {
	if p.opts.BeforeTake != nil {
		p.opts.BeforeTake()
	}
}

// flush writes once what the queue holds, and reports whether more came in meanwhile.
func (w *writer) flush(q *Queue) (more bool) {
	entries := q.take(w.few[:0])
	defer q.pool.slices.put(entries)
	if !q.canTry() {
		q.stall(nil, nil, entries)
		return false
	}
	for rest := entries; len(rest) > 0; {
		p, n := q.gather(w.buf, rest)
		done, err := q.tryWrite(p)
		switch {
		case err == syscall.EAGAIN || err == nil && done < len(p):
			w.counters.add(q, nil, done)
			q.stall(append([]byte(nil), p[done:]...), append([]entry(nil), rest[:n]...), rest[n:])
			return false
		case err != nil:
			q.end(rest)
			return false
		}
		charge := w.counters.add(q, rest[:n], len(p))
		if rest = rest[n:]; len(rest) == 0 {
			return q.release(charge)
		}
		q.written(charge)
	}
	return q.release(0)
}

// gather returns the bytes of the first n entries as one slice: that of a single frame itself, or
// buf.
func (q *Queue) gather(buf []byte, entries []entry) (p []byte, n int) {
	if q.prefixer != nil {
		return q.gatherPrefixed(buf, entries)
	}
	first := entries[0].bytes(q.encoding)
	if len(entries) == 1 || len(first)+len(entries[1].bytes(q.encoding)) > maxWrite {
		return first, 1
	}
	p = buf[:0]
	for ; n < len(entries); n++ {
		b := entries[n].bytes(q.encoding)
		if len(p)+len(b) > maxWrite {
			break
		}
		p = append(p, b...)
	}
	return p, n
}

// gatherPrefixed always uses buf, or a larger one. A prefix is taken to be as long as the one
// before.
func (q *Queue) gatherPrefixed(buf []byte, entries []entry) (p []byte, n int) {
	p = buf[:0]
	for prefix := 0; n < len(entries); n++ {
		if entries[n].frame == nil {
			continue
		}
		b := entries[n].bytes(q.encoding)
		if n > 0 && len(p)+prefix+len(b) > maxWrite {
			break
		}
		before := len(p)
		p = q.prefixer.Prefix(p, entries[n].frame)
		prefix = len(p) - before
		p = append(p, b...)
	}
	return p, n
}

// bytes returns the frame's bytes; none when it was taken out.
func (e entry) bytes(by *Encoding) []byte {
	if e.frame == nil {
		return nil
	}
	return e.frame.In(by)
}

// canTry reports whether the sink can be written to without waiting.
func (q *Queue) canTry() bool {
	if q.fd >= 0 {
		return true
	}
	_, ok := q.sink.(TryWriter)
	return ok
}

// tryWrite writes what the sink takes of p without waiting; a descriptor that is full may say
// EAGAIN. Only the writer that has the queue calls it, and nobody else closes the socket meanwhile:
// so the descriptor is the queue's still, and needs not be held on to as net.Conn does.
func (q *Queue) tryWrite(p []byte) (n int, err error) {
	if q.fd < 0 {
		return q.sink.(TryWriter).TryWrite(p)
	}
	for {
		if n, err = write(q.fd, p); err != syscall.EINTR {
			return n, err
		}
	}
}

// The queue's side of writing. The caller is the one that q.state names.

// take returns what waits: a copy in few, or the queue's slice from the pool. It stays in the
// account until it is written.
func (q *Queue) take(few []entry) []entry {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.names = nil
	if q.holes > 0 {
		q.compactLocked()
	}
	if cap(q.frames) <= keepFrames {
		few = append(few, q.frames...)
		clear(q.frames)
		q.frames = q.frames[:0]
		return few
	}
	entries := q.frames
	q.frames = q.pool.slices.get(0) // it is busy
	return entries
}

// written takes what is on the socket out of the queue's account.
func (q *Queue) written(charge int) {
	q.mu.Lock()
	q.chargeLocked(-charge)
	q.mu.Unlock()
}

// release is written at the end of the writer's turn, and reports whether there is more to write
// already.
func (q *Queue) release(charge int) (more bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.chargeLocked(-charge)
	if len(q.frames) > 0 {
		return true
	}
	if cap(q.frames) > keepFrames {
		q.pool.slices.put(q.frames)
		q.emptyLocked()
	}
	q.restLocked()
	return false
}

// restLocked is called by the writer when nothing is left to write.
func (q *Queue) restLocked() {
	if q.hangup || q.closing && q.encoding.Final {
		q.endLocked()
	} else {
		q.state = idle
	}
}

// stall gives the queue to a goroutine of its own, which writes in this order: tail, the unwritten
// end of the frames begun; the frames later; those that were queued meanwhile.
func (q *Queue) stall(tail []byte, begun, later []entry) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.hangup {
		q.endLocked(slices.Concat(begun, later)...) // nobody reads at the other end
		return
	}
	if q.code == wire.CloseSlowConsumer { // since the writer took them: drop what Push would have dropped
		n, charge := count(later)
		kept, keeps := essential(later)
		later = kept
		q.chargeBothLocked(keeps - charge)
		q.pool.opts.Meter.DroppedSlow(n)
	}
	meanwhile := q.frames
	q.frames, q.names = append(append([]entry(nil), later...), meanwhile...), nil
	q.pool.slices.put(meanwhile)
	q.state = stalled
	q.stalledLocked()
	q.oldest = q.pool.now()
	if len(begun) > 0 {
		q.oldest = begun[0].at
	} else if len(q.frames) > 0 {
		q.oldest = q.frames[0].at
	}
	q.pool.addStalled(q)
	q.pool.running.Go(func() { q.drain(tail, begun) })
}

// drain writes until the queue is empty. Writing waits while the socket is full; closing the socket
// ends it.
func (q *Queue) drain(tail []byte, begun []entry) {
	var buf []byte
	c := counters{pool: q.pool}
	batch, p, n := begun, tail, len(begun)
	for writing := batch; ; p, n = q.gather(buf, writing) {
		if len(p) > 0 {
			if err := q.writeAll(p); err != nil {
				q.end(writing)
				return
			}
		}
		charge := c.add(q, writing[:n], len(p))
		c.flush()
		if writing = writing[n:]; len(writing) > 0 {
			q.written(charge)
			continue
		}
		q.pool.beforeTake()
		if batch = q.takeBatch(batch[:0], charge); len(batch) == 0 {
			return
		}
		writing = batch
		if _, most := count(batch); cap(buf) < min(maxWrite, most) {
			buf = make([]byte, 0, min(maxWrite, most))
		}
	}
}

// takeBatch takes what is written out of the queue's account, and returns the frames to write next,
// up to maxWrite bytes of them: those that wait can still be replaced and dropped. When there are
// none, the queue does not belong to its goroutine any more.
func (q *Queue) takeBatch(batch []entry, charge int) []entry {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.chargeLocked(-charge)
	if len(q.frames) == 0 {
		q.recoverLocked()
		q.emptyLocked()
		q.restLocked()
		return nil
	}
	n := 0
	for size := 0; n < len(q.frames); n++ {
		size += len(q.frames[n].bytes(q.encoding))
		if n > 0 && size > maxWrite {
			break
		}
	}
	batch = append(batch, q.frames[:n]...)
	q.oldest = batch[0].at
	q.names.leave(batch)
	clear(q.frames[:n])
	q.frames = q.frames[n:]
	return batch
}

// writeAll writes p, and waits for the socket.
func (q *Queue) writeAll(p []byte) error {
	raw := rawConn(q.sink)
	if raw == nil {
		_, err := q.sink.Write(p)
		q.took()
		return err
	}
	var failed error
	err := raw.Write(func(fd uintptr) bool {
		for len(p) > 0 && failed == nil {
			switch n, err := write(int(fd), p); err {
			case nil:
				p = p[n:]
				q.took()
			case syscall.EAGAIN:
				return false // RawConn waits until the descriptor is writable
			case syscall.EINTR:
			default:
				failed = err
			}
		}
		return true
	})
	return errors.Join(err, failed)
}

// took notes that the sink, which was full, took something.
func (q *Queue) took() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.tookLocked()
}

// end closes the socket and forgets what waits, and what the caller is writing.
func (q *Queue) end(writing []entry) {
	q.mu.Lock()
	q.endLocked(writing...)
	q.mu.Unlock()
}
