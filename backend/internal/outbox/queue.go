package outbox

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zonecast/zonecast/backend/internal/backpressure"
	"github.com/zonecast/zonecast/backend/wire"
)

// ErrClosed is returned for a queue that takes no more frames.
var ErrClosed = errors.New("outbox: closed")

// A Queue holds what waits for one connection, at most Options.MaxQueuedBytes of memory: of the
// frames, whether others hold them too or not, and of what each costs beside its bytes. The copy of
// at most 64 KiB that a full socket did not take comes on top. Its methods may be called by several
// goroutines; frames leave in the order in which they were pushed.
//
// Frames are atomic on the socket: one that was begun is finished before anything else is written.
type Queue struct {
	// What each message touches comes first and takes three cache lines, of which prefetch reads
	// the first two: with 10,000 queues none of them is in a cache. A test holds this.

	// Static after construction.
	pool     *Pool
	encoding *Encoding
	fd       int      // the descriptor of sink, or -1
	prefixer Prefixer // nil for none

	sent atomic.Uint64 // published events written to the socket

	mu          sync.Mutex
	frames      []entry
	wrote       atomic.Uint64 // bytes written to the socket
	queuedBytes int           // what frames, and those being written, are charged
	names       *names        // where the messages with a conflate name are; nil while there are few frames
	holes       int32         // about how many frames were taken out
	oldest      moment        // when the oldest frame was pushed; while stalled
	state       state         // who may write to the socket
	closing     bool          // no more frames are taken
	hangup      bool          // the peer is not read any more: one more attempt to write, then the socket closes
	slow        bool          // its oldest frame has waited for longer than Options.SlowAfter
	taken       bool          // the socket took something since it was full; while stalled
	level       backpressure.Level
	code        wire.CloseCode // why the connection ends; 0 while it doesn't

	first    [2]entry // inline backing array of frames
	watchers *watcher
	atLow    chan struct{} // closed when the queue is ready again; nil while nobody waits for that
	sink     Sink          // static
}

// An entry is one frame in one queue.
type entry struct {
	frame  *Frame // nil when it was taken out
	charge uint32
	at     moment // when it was pushed
}

// A moment is in milliseconds since the pool began; it begins anew after 49 days, and only
// differences of less than 24 days count.
type moment uint32

func (p *Pool) now() moment { return moment(time.Since(p.began).Milliseconds()) }

// since returns how long ago then was; 0 when it is later, as it may be when another goroutine read
// the clock after this one.
func (m moment) since(then moment) time.Duration {
	return max(0, time.Duration(int32(m-then))*time.Millisecond)
}

// state says who may write to the socket of a queue.
type state uint8

const (
	idle    state = iota // nobody: there is nothing to write
	ready                // the writer: the queue is on its list or in its hands
	stalled              // the queue's own goroutine, for the socket was full
	ended                // nobody any more: the socket is closed
)

// Push appends frames, which leave together if nothing else waits. It never blocks. ErrClosed means
// that the queue takes no more, maybe because of these very frames: over the bound, the queue drops
// what waits and closes with [wire.CloseSlowConsumer].
func (q *Queue) Push(frames ...*Frame) (err error) {
	var all addResult
	now := q.pool.now()
	for _, f := range frames {
		var one addResult
		one, err = q.add(f, now)
		all.needsWriter = all.needsWriter || one.needsWriter
		all.charge += one.charge
	}
	q.pool.queuedBytes.Add(int64(all.charge))
	if all.needsWriter {
		q.pool.writer().add(q)
	}
	return err
}

// Send appends a frame that is for this connection alone: what waits is only its bytes on the
// socket.
func (q *Queue) Send(f *Frame) error {
	own := newOwn(f.Kind, q.encoding.encode(f))
	own.Event = f.Event
	return q.Push(own)
}

// WriteRaw appends bytes that are on the socket as they are: what a WebSocket library writes on its
// own behalf: the response to the upgrade. p is copied.
func (q *Queue) WriteRaw(p []byte) error {
	return q.Push(NewRaw(append([]byte(nil), p...)))
}

// A addResult is what the caller of push has to see to, without the lock.
type addResult struct {
	needsWriter bool // the queue has to be given to a writer now
	charge      int  // what has to be added to what waits in the pool
}

func (q *Queue) add(f *Frame, now moment) (addResult, error) {
	n := f.in(q.encoding).charge
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closing {
		return addResult{}, ErrClosed
	}
	if f.Message.Conflate != "" && len(q.frames) > 0 {
		q.conflateLocked(f.Message)
	}
	if q.queuedBytes+n > q.pool.opts.MaxQueuedBytes {
		q.dropLocked(f)
		return addResult{needsWriter: q.closeLocked(wire.CloseSlowConsumer,
			"too many bytes were waiting: reconnect and resume")}, ErrClosed
	}
	q.appendLocked(f, n, now)
	return addResult{q.wakeLocked(), n}, nil
}

func (q *Queue) appendLocked(f *Frame, charge int, now moment) {
	if q.names != nil && f.Message.Conflate != "" {
		q.names.set(f.Message, len(q.frames))
	}
	if n := len(q.frames); n >= keepFrames && n == cap(q.frames) {
		q.frames = q.pool.slices.grow(q.frames)
	}
	q.frames = append(q.frames, entry{f, uint32(charge), now})
	q.chargeLocked(charge)
}

// wakeLocked reports whether the queue has to be given to a writer, which the caller then does
// without the lock.
func (q *Queue) wakeLocked() bool {
	if q.state != idle {
		return false
	}
	q.state = ready
	return true
}

// Close lets what waits go out, then a closing frame with the code and the reason; the peer has
// Options.CloseGrace to take all of it and to answer. Only the first call counts.
func (q *Queue) Close(code wire.CloseCode, reason string) {
	q.mu.Lock()
	needsWriter := q.closeLocked(code, reason)
	q.mu.Unlock()
	if needsWriter {
		q.pool.writer().add(q)
	}
}

func (q *Queue) closeLocked(code wire.CloseCode, reason string) (needsWriter bool) {
	if q.closing {
		return false
	}
	q.refuseLocked(code)
	if p := q.encoding.Closing(code, reason); len(p) > 0 {
		f := newOwn(Closing, p)
		charge := f.in(q.encoding).charge
		q.appendLocked(f, charge, q.pool.now())
		q.pool.queuedBytes.Add(int64(charge))
	}
	q.sink.SetDeadline(time.Now().Add(q.pool.opts.CloseGrace))
	return q.wakeLocked()
}

// SetReadDeadline sets until when the reader of the sink waits for its peer; a sink that nobody
// reads has no such deadline. A peer of a closing queue has Options.CloseGrace, whoever comes
// first.
func (q *Queue) SetReadDeadline(t time.Time) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	reader, ok := q.sink.(interface{ SetReadDeadline(time.Time) error })
	if q.closing || !ok {
		return nil
	}
	return reader.SetReadDeadline(t)
}

// Hangup ends the connection because the peer is not read any more: it left, broke the protocol, or
// has answered the closing frame. What waits is tried once. The code counts when no other did
// before.
func (q *Queue) Hangup(code wire.CloseCode) {
	q.mu.Lock()
	q.refuseLocked(code)
	q.hangup = true
	isStalled, needsWriter := q.state == stalled, q.wakeLocked()
	q.mu.Unlock()
	if isStalled {
		// Its goroutine finds out and does the rest. Closing waits for it to leave the socket,
		// where it may be about to note what the socket took: so not with the lock held.
		q.sink.Close()
	}
	if needsWriter {
		q.pool.writer().add(q)
	}
}

// refuseLocked takes no more frames from now on.
func (q *Queue) refuseLocked(code wire.CloseCode) {
	if q.code == 0 {
		q.code = code
	}
	q.closing = true
	q.levelLocked()
}

// endLocked closes the socket, for the code that stands or because the peer is gone. What waits is
// lost, and so is what the caller is writing.
func (q *Queue) endLocked(writing ...entry) {
	q.refuseLocked(wire.CloseGoingAway)
	n, _ := count(q.frames)
	m, _ := count(writing)
	if n+m > 0 {
		q.pool.opts.Meter.DroppedLost(n + m)
	}
	q.emptyLocked()
	q.chargeBothLocked(-q.queuedBytes)
	q.recoverLocked()
	q.state = ended
	q.sink.Close()
}

// Code returns why the connection ended or is ending; 0 while it isn't.
func (q *Queue) Code() wire.CloseCode {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.code
}

// keptBytes is the most that is kept of a queue over its bound: with room for the response to a
// handshake with the longest header.
const keptBytes = 24 << 10

// dropLocked drops the frames of a queue that is over its bound because of one more. It keeps up to
// keptBytes of the connection's own: the response to the handshake, without which no peer would
// understand the closing frame, pongs, the answer to a close.
func (q *Queue) dropLocked(last *Frame) {
	n, charge := count(append(q.frames, entry{frame: last}))
	kept, keeps := essential(q.frames)
	q.emptyLocked()
	q.frames = append(q.frames, kept...)
	q.chargeBothLocked(keeps - charge)
	q.pool.opts.Meter.DroppedSlow(n)
}

// essential returns the frames that dropLocked keeps, and what they are charged.
func essential(frames []entry) (kept []entry, charge int) {
	for _, e := range frames {
		if e.frame != nil && e.frame.own && charge+int(e.charge) <= keptBytes {
			kept, charge = append(kept, e), charge+int(e.charge)
		}
	}
	return kept, charge
}

// emptyLocked forgets the frames, and goes back to the inline array.
func (q *Queue) emptyLocked() {
	clear(q.first[:])
	q.frames, q.names, q.holes = q.first[:0], nil, 0
}

// count returns how many messages there are, and what all frames are charged together.
func count(entries []entry) (messages, charge int) {
	for _, e := range entries {
		if e.frame == nil {
			continue
		}
		charge += int(e.charge)
		if e.frame.isMessage() {
			messages++
		}
	}
	return messages, charge
}

// chargeBothLocked adds n bytes to the account of the queue and of the pool.
func (q *Queue) chargeBothLocked(n int) {
	q.pool.queuedBytes.Add(int64(n))
	q.chargeLocked(n)
}

// chargeLocked adds n bytes to the account of the queue alone.
func (q *Queue) chargeLocked(n int) {
	q.queuedBytes += n
	q.levelLocked()
}

// Transport returns the name of the transport that the queue belongs to.
func (q *Queue) Transport() string { return q.encoding.Transport }

// Stats is the account of a queue.
type Stats struct {
	Messages    uint64 // published events written to the socket
	Bytes       uint64 // bytes written to the socket
	QueuedBytes int    // bytes that wait, as they are charged
	Slow        bool   // the oldest message has waited for longer than Options.SlowAfter
}

// Stats returns the account as it stands.
func (q *Queue) Stats() Stats {
	q.mu.Lock()
	waiting, slow := q.queuedBytes, q.slow
	q.mu.Unlock()
	return Stats{Messages: q.sent.Load(), Bytes: q.wrote.Load(), QueuedBytes: waiting, Slow: slow}
}
