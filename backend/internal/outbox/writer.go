package outbox

import (
	"errors"
	"slices"
	"sync"
	"syscall"

	"github.com/zonecast/zonecast/backend/wire"
)

// maxWrite is the most bytes gathered into one write to a socket, and so the size of a writer's buffer. A larger frame is
// written on its own, without being copied.
const maxWrite = 64 << 10

// A writer writes the queues on its list, each one's frames in as few system calls as they fit in.
type writer struct {
	wake chan struct{} // holds a token while the list is not empty

	mu   sync.Mutex
	list []*Queue

	// Owned by run.
	few   [keepFrames]entry
	buf   []byte
	tally tally
}

func newWriter(p *Pool) *writer {
	return &writer{wake: make(chan struct{}, 1), buf: make([]byte, 0, maxWrite), tally: tally{pool: p}}
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
				warm(batch[i:min(i+fanoutChunk, len(batch))])
			}
			if w.flush(q) {
				w.add(q)
			}
			batch[i] = nil
		}
		w.tally.settle()
	}
}

// flush writes once what the queue holds, and reports whether more came in meanwhile.
func (w *writer) flush(q *Queue) (more bool) {
	entries := q.take(w.few[:0])
	defer q.pool.lists.back(entries)
	if q.fd < 0 {
		q.stall(nil, nil, entries)
		return false
	}
	for rest := entries; len(rest) > 0; {
		p, n := q.gather(w.buf, rest)
		done, err := q.try(p)
		switch {
		case err == syscall.EAGAIN || err == nil && done < len(p):
			w.tally.add(q, nil, done)
			q.stall(append([]byte(nil), p[done:]...), append([]entry(nil), rest[:n]...), rest[n:])
			return false
		case err != nil:
			q.end(rest)
			return false
		}
		charge := w.tally.add(q, rest[:n], len(p))
		if rest = rest[n:]; len(rest) == 0 {
			return q.release(charge, len(p))
		}
		q.written(charge, len(p))
	}
	return q.release(0, 0)
}

// gather returns the bytes of the first n entries as one slice: that of a single frame itself, or buf.
func (q *Queue) gather(buf []byte, entries []entry) (p []byte, n int) {
	if q.marker != nil {
		return q.gatherMarked(buf, entries)
	}
	if first := entries[0].bytes(q.form); len(entries) == 1 || len(first)+len(entries[1].bytes(q.form)) > maxWrite {
		return first, 1
	}
	p = buf[:0]
	for ; n < len(entries); n++ {
		b := entries[n].bytes(q.form)
		if len(p)+len(b) > maxWrite {
			break
		}
		p = append(p, b...)
	}
	return p, n
}

// gatherMarked always uses buf, or a larger one. A mark is supposed to be as long as the one before.
func (q *Queue) gatherMarked(buf []byte, entries []entry) (p []byte, n int) {
	p = buf[:0]
	for mark := 0; n < len(entries); n++ {
		if entries[n].frame == nil {
			continue
		}
		b := entries[n].bytes(q.form)
		if n > 0 && len(p)+mark+len(b) > maxWrite {
			break
		}
		before := len(p)
		p = q.marker.Mark(p, entries[n].frame)
		mark = len(p) - before
		p = append(p, b...)
	}
	return p, n
}

// bytes returns the frame's bytes; none when it was taken out.
func (e entry) bytes(form *Form) []byte {
	if e.frame == nil {
		return nil
	}
	return e.frame.In(form)
}

// try writes what the socket takes of p without waiting: EAGAIN when it is full. Only the writer that has the queue calls it, and
// nobody else closes the socket meanwhile: so the descriptor is the queue's still, and needs not be held on to as net.Conn does.
func (q *Queue) try(p []byte) (n int, err error) {
	for {
		if n, err = write(q.fd, p); err != syscall.EINTR {
			return n, err
		}
	}
}

// The queue's side of writing. The caller is the one that q.state names.

// take returns what waits: a copy on few, or the list that was lent to the queue. It stays in the account until it is written.
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
	q.frames = q.pool.lists.lend(0) // it is busy
	return entries
}

// written takes what is on the socket out of the queue's account.
func (q *Queue) written(charge, bytes int) {
	q.mu.Lock()
	q.tookLocked(bytes)
	q.chargeLocked(-charge)
	q.mu.Unlock()
}

// release is written at the end of the writer's turn, and reports whether there is more to write already.
func (q *Queue) release(charge, bytes int) (more bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.tookLocked(bytes)
	q.chargeLocked(-charge)
	if len(q.frames) > 0 {
		return true
	}
	if cap(q.frames) > keepFrames {
		q.pool.lists.back(q.frames)
		q.emptyLocked()
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
func (q *Queue) stall(rest []byte, begun, later []entry) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.hangup {
		q.endLocked(slices.Concat(begun, later)...) // nobody reads at the other end
		return
	}
	if q.code == wire.CloseSlowConsumer { // while they were in the writer's hands; drop what Push would have dropped
		n, charge := count(later)
		kept, keeps := essential(later)
		later = kept
		q.settleLocked(keeps - charge)
		q.pool.opts.Meter.Dropped(n)
	}
	meanwhile := q.frames
	q.frames, q.names = append(append([]entry(nil), later...), meanwhile...), nil
	q.pool.lists.back(meanwhile)
	q.state = stalled
	q.stalledLocked()
	q.oldest = q.pool.now()
	if len(begun) > 0 {
		q.oldest = begun[0].at
	} else if len(q.frames) > 0 {
		q.oldest = q.frames[0].at
	}
	q.pool.addStalled(q)
	q.pool.running.Go(func() { q.drain(rest, begun) })
}

// drain writes until the queue is empty. Writing waits while the socket is full; closing the socket ends it.
func (q *Queue) drain(rest []byte, begun []entry) {
	var buf []byte
	t := tally{pool: q.pool}
	for {
		if len(rest) > 0 {
			if err := q.writeAll(rest); err != nil {
				q.end(begun)
				return
			}
		}
		charge := t.add(q, begun, len(rest))
		t.settle()
		q.mu.Lock()
		q.chargeLocked(-charge)
		if len(q.frames) == 0 {
			q.recoverLocked()
			q.emptyLocked()
			q.restLocked()
			q.mu.Unlock()
			return
		}
		if need := min(maxWrite, q.waiting); cap(buf) < need {
			buf = make([]byte, 0, need)
		}
		var n int
		rest, n = q.gather(buf, q.frames)
		begun = append(begun[:0], q.frames[:n]...)
		q.oldest = begun[0].at
		q.names.leave(begun)
		clear(q.frames[:n])
		q.frames = q.frames[n:]
		q.mu.Unlock()
	}
}

// writeAll writes p, and waits for the socket.
func (q *Queue) writeAll(p []byte) error {
	raw := rawConn(q.conn)
	if raw == nil {
		n, err := q.conn.Write(p)
		q.took(n)
		return err
	}
	var failed error
	err := raw.Write(func(fd uintptr) bool {
		for len(p) > 0 && failed == nil {
			switch n, err := write(int(fd), p); err {
			case nil:
				p = p[n:]
				q.took(n)
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

func (q *Queue) took(bytes int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.tookLocked(bytes)
}

// end closes the socket and forgets what waits, and what the caller has in hand.
func (q *Queue) end(inHand []entry) {
	q.mu.Lock()
	q.endLocked(inHand...)
	q.mu.Unlock()
}
