package outbox

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zonecast/zonecast/backend/wire"
)

// Options of a [Pool]. Zero values mean the defaults.
type Options struct {
	// MaxQueuedBytes is the most memory that what waits for one connection may take (default
	// wire.QueuedBytes).
	MaxQueuedBytes int
	// Writers is the number of goroutines that write (default GOMAXPROCS).
	Writers int
	// SlowAfter is how long the oldest message may wait for a connection before it counts as slow
	// (default wire.SlowAfter).
	SlowAfter time.Duration
	// CloseGrace is how long a peer has to take what waits and to answer the closing frame
	// (default 5 s).
	CloseGrace time.Duration
	// Meter is told what happens; it must not block.
	Meter Meter
	// BeforeTake, if not nil, is called before what waits for a connection is taken to be written.
	// A simulation waits in it until nobody pushes any more, so that what leaves together repeats.
	BeforeTake func()
}

// A Meter counts what goes through the queues. Its methods are called by several goroutines at
// once.
type Meter interface {
	// Written tells that published events reached a socket over this transport.
	Written(transport string, messages, bytes int)
	// Latencies tells how long each of them took from the broker's acceptance to the socket, and
	// how long the first one of each write took from its fan-out: a sample, since the others of
	// the write waited for less. The slices are the caller's.
	Latencies(transport string, durations, queued []time.Duration)
	// DroppedSlow tells that so many messages were dropped with a client that was too slow for
	// them.
	DroppedSlow(messages int)
	// DroppedLost tells that so many messages waited for a connection when it ended for another
	// reason.
	DroppedLost(messages int)
	// Conflated tells that a waiting message was replaced by a newer one.
	Conflated()
	// Slow tells that so many connections more (or fewer, when negative) are slow now.
	Slow(connections int)
}

// A Pool has the writers of one process, which all of its queues share.
type Pool struct {
	opts        Options
	writers     []*writer
	began       time.Time
	queuedBytes atomic.Int64
	turn        atomic.Uint32 // of the writers
	stop        chan struct{}
	running     sync.WaitGroup // writers, and the goroutines of stalled queues
	chunks      sync.Pool      // of *chunk
	slices      slicePool

	mu      sync.Mutex
	stalled map[*Queue]struct{} // whose sockets are full
}

// NewPool starts the writers. Close ends them.
func NewPool(opts Options) *Pool {
	if opts.MaxQueuedBytes == 0 {
		opts.MaxQueuedBytes = wire.QueuedBytes
	}
	if opts.Writers == 0 {
		opts.Writers = runtime.GOMAXPROCS(0)
	}
	if opts.CloseGrace == 0 {
		opts.CloseGrace = 5 * time.Second
	}
	if opts.SlowAfter == 0 {
		opts.SlowAfter = wire.SlowAfter
	}
	p := &Pool{opts: opts, began: time.Now(), stop: make(chan struct{}), stalled: map[*Queue]struct{}{}}
	p.chunks.New = func() any { return new(chunk) }
	for range opts.Writers {
		w := newWriter(p)
		p.writers = append(p.writers, w)
		p.running.Go(func() { w.run(p.stop) })
	}
	p.running.Go(p.watchSlow)
	return p
}

// NewQueue returns the queue of a connection, which owns the sink. prefixer may be nil.
func (p *Pool) NewQueue(sink Sink, encoding *Encoding, prefixer Prefixer) *Queue {
	q := &Queue{pool: p, encoding: encoding, sink: sink, prefixer: prefixer, fd: -1}
	q.frames = q.first[:0]
	if raw := rawConn(sink); raw != nil {
		_ = raw.Control(func(fd uintptr) { q.fd = int(fd) })
	}
	return q
}

// writer returns the one whose turn it is.
func (p *Pool) writer() *writer { return p.writers[p.turn.Add(1)%uint32(len(p.writers))] }

// MaxQueuedBytes returns the most bytes that wait for one connection.
func (p *Pool) MaxQueuedBytes() int { return p.opts.MaxQueuedBytes }

// QueuedBytes returns about how many bytes wait in all queues: the writers add up their counters
// after each round.
func (p *Pool) QueuedBytes() int64 { return max(0, p.queuedBytes.Load()) }

// Close ends the writers. Call it when all connections have ended: what still waits is not written.
func (p *Pool) Close() {
	close(p.stop)
	p.running.Wait()
}

// fanoutChunk is how many queues a writer is given at once: so many that waking it costs little for
// each of them, and so few that the members of a large room are written by all writers, the first
// ones before the last ones have their frame.
const fanoutChunk = 64

// A chunk collects queues that became non-empty.
type chunk [fanoutChunk]*Queue

// Fanout pushes f to each queue. It never blocks; a queue that is closed, or closes because of f,
// is passed over.
func (p *Pool) Fanout(f *Frame, queues []*Queue) {
	c := p.chunks.Get().(*chunk)
	now, n, charge := p.now(), 0, 0
	give := func() {
		p.queuedBytes.Add(int64(charge))
		if n > 0 {
			p.writer().add(c[:n]...)
		}
		n, charge = 0, 0
	}
	for i, q := range queues {
		if i%fanoutChunk == 0 {
			prefetch(queues[i:min(i+fanoutChunk, len(queues))])
		}
		one, _ := q.add(f, now)
		charge += one.charge
		if one.needsWriter {
			c[n] = q
			n++
		}
		if n == len(c) {
			give()
		}
	}
	give()
	clear(c[:])
	p.chunks.Put(c)
}

// prefetch reads what a push and a write need of each queue, so that memory fetches several at
// once: while each is locked in turn, it fetches one after the other. Where 10,000 queues are in no
// cache, that halves what a fan-out costs.
func prefetch(queues []*Queue) {
	for _, q := range queues {
		q.sent.Load()
		q.wrote.Load()
	}
}
