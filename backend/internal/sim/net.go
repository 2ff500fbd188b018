package sim

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// A network has all connections. What is written waits in a link until the world delivers it.
//
// What a program writes while the world waits for it may come from several goroutines, in any
// order. So it is looked at only when all are at rest (settle): what was written to one connection
// at one moment is one chunk, and when it is delivered follows from the connection and from what
// was written.
type network struct {
	seed  uint64
	trace func(l *link, what string) // is told of each delivery; nil for nobody

	mu    sync.Mutex
	links []*link // in the order of their connections
}

// A link is one direction of a connection. Guarded by the network's mutex, but for deliver and
// ended, which the world calls.
type link struct {
	name     string
	chance   *linkChance
	commands bool          // for Redis
	slow     time.Duration // on top of what each chunk takes
	held     bool          // nothing is delivered
	chunks   []chunk
	settled  int // how many of the chunks have a time of delivery; the others were just written
	bytes    int
	closed   bool // nothing more is sent
	dead     bool // its end was delivered
	last     time.Time
	room     chan struct{} // something was delivered
	deliver  func(p []byte)
	ended    func(err error)
}

// A chunk is what was written at one moment, or the end of a link.
type chunk struct {
	at    time.Time
	parts [][]byte // as they were written
	end   error    // io.EOF, or errCut
	due   time.Time
	key   uint64 // decides between two that are due at the same time
	first int    // how many bytes come alone, as TCP may cut them; 0 for all
}

var errCut = errors.New("connection reset by peer")

// A linkChance decides the delays of one connection's links.
type linkChance struct {
	seed uint64
	name uint64
	// pooled connections are used by whoever comes first, and have one name. So what is drawn
	// follows from what is sent, or was sent last; not from which of them it is sent over.
	pooled bool
	last   uint64
}

// draw returns the random numbers for a chunk.
func (c *linkChance) draw(ch *chunk) *rand.Rand {
	h := fnv.New64a()
	var p [16]byte
	binary.BigEndian.PutUint64(p[:], c.name)
	binary.BigEndian.PutUint64(p[8:], uint64(ch.at.UnixNano()))
	_, _ = h.Write(p[:])
	if c.pooled {
		for _, p := range ch.parts {
			_, _ = h.Write(p)
		}
	}
	if !c.pooled || ch.end != nil {
		binary.BigEndian.PutUint64(p[:], c.last)
		_, _ = h.Write(p[:8])
	}
	c.last = h.Sum64()
	return rand.New(rand.NewPCG(c.seed, c.last))
}

func hashOf(text string) uint64 {
	h := fnv.New64a()
	_, _ = io.WriteString(h, text)
	return h.Sum64()
}

func (n *network) newLink(name string, c *linkChance, deliver func([]byte), ended func(error)) *link {
	l := &link{name: name, chance: c, room: make(chan struct{}, 1), deliver: deliver, ended: ended}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.links = append(n.links, l)
	return l
}

// send queues p on the link as a chunk of its own. The world calls it.
func (n *network) send(l *link, p []byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !l.closed && len(p) > 0 {
		l.bytes += len(p)
		l.add(chunk{at: moment(), parts: [][]byte{slices.Clone(p)}})
		n.settleLink(l)
	}
}

// moment is the time to the microsecond, which is when the world made the last thing happen, or a
// timer of a program fired. Writers have their rounds within it, a nanosecond each, in an order
// that does not repeat.
func moment() time.Time { return time.Now().Truncate(time.Microsecond) }

// writeLocked queues what a program writes.
func (n *network) writeLocked(l *link, p []byte) {
	if l.closed || len(p) == 0 {
		return
	}
	now := moment()
	l.bytes += len(p)
	if last := len(l.chunks) - 1; last >= l.settled && l.chunks[last].at.Equal(now) {
		l.chunks[last].parts = append(l.chunks[last].parts, slices.Clone(p))
		return
	}
	l.add(chunk{at: now, parts: [][]byte{slices.Clone(p)}})
}

func (l *link) add(c chunk) { l.chunks = append(l.chunks, c) }

// settleLink gives what was just written its times of delivery. All goroutines are at rest.
func (n *network) settleLink(l *link) {
	for ; l.settled < len(l.chunks); l.settled++ {
		c := &l.chunks[l.settled]
		if l.commands && !slices.ContainsFunc(c.parts, isPartial) {
			for i, p := range c.parts {
				c.parts[i] = sortChannels(p)
			}
			slices.SortFunc(c.parts, bytes.Compare)
		}
		r := l.chance.draw(c)
		delay := time.Duration(1+r.Int64N(3000)) * time.Microsecond
		switch {
		case c.end == errCut:
			delay /= 3
		case r.IntN(40) == 0:
			delay += time.Duration(r.Int64N(int64(200 * time.Millisecond)))
		}
		c.due, c.key = c.at.Add(delay+l.slow), r.Uint64()
		c.due = c.due.Truncate(time.Microsecond)
		if c.due.Before(l.last) {
			c.due = l.last // TCP keeps the order
		}
		l.last = c.due
		c.parts = [][]byte{slices.Concat(c.parts...)}
		if size := len(c.parts[0]); size > 8 && r.IntN(20) == 0 {
			c.first = 1 + r.IntN(size-1)
		}
	}
}

// sortChannels puts the channels of each SUBSCRIBE in order: after a reconnect go-redis asks for
// them in the order of a map.
func sortChannels(p []byte) (sorted []byte) {
	for len(p) > 0 {
		args, n := parseCommand(p)
		if cmd := strings.ToUpper(args[0]); len(args) > 2 && (cmd == "SUBSCRIBE" || cmd == "SSUBSCRIBE") {
			slices.Sort(args[1:])
		}
		sorted = append(sorted, bulks(args...)...)
		p = p[n:]
	}
	return sorted
}

// isPartial reports whether what a program wrote to Redis at once is not whole commands.
func isPartial(p []byte) bool {
	for len(p) > 0 {
		_, n := parseCommand(p)
		if n == 0 {
			return true
		}
		p = p[n:]
	}
	return false
}

// excerpt shows what goes to Redis and back; the rest is in the transcript.
func (l *link) excerpt(p []byte) string {
	if !l.chance.pooled || len(p) == 0 {
		return ""
	}
	return fmt.Sprintf(" %.150q", p)
}

// finish lets the link end after what is queued.
func (n *network) finish(l *link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !l.closed {
		l.closed = true
		l.add(chunk{at: moment(), end: io.EOF})
	}
}

// cut ends links: what is under way is lost. Each end learns of it within a millisecond.
func (n *network) cut(links ...*link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, l := range links {
		if l.dead || len(l.chunks) > 0 && l.chunks[0].end == errCut {
			continue
		}
		l.closed, l.held, l.bytes, l.settled, l.last = true, false, 0, 0, time.Time{}
		l.chunks = []chunk{{at: time.Now(), end: errCut}}
	}
}

// next returns the link whose first chunk is due first, and when that is; nil for none. All
// goroutines are at rest.
func (n *network) next() (first *link, due time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	kept := n.links[:0]
	for _, l := range n.links {
		if l.dead {
			continue
		}
		kept = append(kept, l)
		n.settleLink(l)
		if l.held || len(l.chunks) == 0 {
			continue
		}
		switch c := &l.chunks[0]; {
		case first == nil, c.due.Before(due), c.due.Equal(due) && c.key < first.chunks[0].key:
			first, due = l, c.due
		}
	}
	clear(n.links[len(kept):])
	n.links = kept
	return first, due
}

// deliverNext delivers the first chunk of a link, or a part of it, as TCP may.
func (n *network) deliverNext(l *link) {
	n.mu.Lock()
	c := &l.chunks[0]
	end, key := c.end, c.key
	var p []byte
	switch {
	case end != nil:
		l.dead = true
	case c.first > 0:
		p, c.parts[0], c.first = c.parts[0][:c.first], c.parts[0][c.first:], 0
	default:
		p, l.chunks = c.parts[0], l.chunks[1:]
		l.settled--
	}
	l.bytes -= len(p)
	n.mu.Unlock()
	if n.trace != nil {
		n.trace(l, fmt.Sprintf("%d bytes, end %v, key %x%s", len(p), end, key, l.excerpt(p)))
	}
	if end != nil {
		l.ended(end)
		return
	}
	select {
	case l.room <- struct{}{}:
	default:
	}
	l.deliver(p)
}

// A conn is the end of a connection that a program reads and writes; the world is at the other one.
type conn struct {
	net    *network
	name   string
	out    *link
	direct func(p []byte) (answer []byte) // answers at once, before anything is sent; nil for nothing
	window int                            // the most bytes under way from here, as the kernel's buffers hold

	mu             sync.Mutex
	in             []byte
	err            error // after what came in
	closed         bool
	reading        time.Time // deadlines
	writing        time.Time
	wake, rewrites chan struct{}
}

// A peer is the world's end of a connection.
type peer struct {
	net *network
	to  *link // towards the program
	out *link // from the program
}

func (p *peer) send(b []byte) { p.net.send(p.to, b) }
func (p *peer) finish()       { p.net.finish(p.to) }
func (p *peer) cut()          { p.net.cut(p.out, p.to) }

// connect makes a connection. Those of a pool have one name.
func (n *network) connect(name string, pooled bool, window int, deliver func([]byte), ended func(error)) (*conn, *peer) {
	c := &conn{net: n, name: name, window: window, wake: make(chan struct{}, 1), rewrites: make(chan struct{}, 1)}
	out := &linkChance{seed: n.seed, pooled: pooled, name: hashOf(name)}
	to := out
	if !pooled {
		to = &linkChance{seed: n.seed, name: hashOf(name + " <")}
	}
	c.out = n.newLink(name+" >", out, deliver, ended)
	c.out.commands = pooled
	return c, &peer{n, n.newLink(name+" <", to, c.take, c.end), c.out}
}

func (c *conn) take(p []byte) {
	c.mu.Lock()
	c.in = append(c.in, p...)
	c.mu.Unlock()
	signal(c.wake)
}

func (c *conn) end(err error) {
	c.mu.Lock()
	if c.err == nil {
		c.err = err
	}
	c.mu.Unlock()
	signal(c.wake)
	signal(c.rewrites)
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (c *conn) Read(p []byte) (int, error) {
	for {
		c.mu.Lock()
		deadline := c.reading
		switch {
		case c.closed:
			c.mu.Unlock()
			return 0, net.ErrClosed
		case !deadline.IsZero() && !time.Now().Before(deadline):
			c.mu.Unlock()
			return 0, os.ErrDeadlineExceeded
		case len(c.in) > 0:
			n := copy(p, c.in)
			c.in = c.in[n:]
			c.mu.Unlock()
			return n, nil
		case c.err != nil:
			defer c.mu.Unlock()
			return 0, c.err
		}
		c.mu.Unlock()
		waitUntil(c.wake, nil, deadline)
	}
}

func waitUntil(a, b chan struct{}, deadline time.Time) {
	var over <-chan time.Time
	if !deadline.IsZero() {
		t := time.NewTimer(time.Until(deadline))
		defer t.Stop()
		over = t.C
	}
	select {
	case <-a:
	case <-b:
	case <-over:
	}
}

func (c *conn) writable() error {
	switch {
	case c.closed:
		return net.ErrClosed
	case c.err != nil && c.err != io.EOF:
		return c.err
	case !c.writing.IsZero() && !time.Now().Before(c.writing):
		return os.ErrDeadlineExceeded
	}
	return nil
}

// TryWrite implements outbox.TryWriter.
func (c *conn) TryWrite(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.writable(); err != nil {
		return 0, err
	}
	if c.direct != nil {
		if answer := c.direct(p); answer != nil {
			c.in = append(c.in, answer...)
			signal(c.wake)
			return len(p), nil
		}
	}
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	n := max(0, min(len(p), c.window-c.out.bytes))
	c.net.writeLocked(c.out, p[:n])
	return n, nil
}

func (c *conn) Write(p []byte) (written int, err error) {
	for {
		n, err := c.TryWrite(p[written:])
		if written += n; err != nil || written == len(p) {
			return written, err
		}
		c.mu.Lock()
		deadline := c.writing
		c.mu.Unlock()
		waitUntil(c.out.room, c.rewrites, deadline)
	}
}

func (c *conn) Close() error {
	c.mu.Lock()
	was := c.closed
	c.closed = true
	c.mu.Unlock()
	if !was {
		signal(c.wake)
		signal(c.rewrites)
		c.net.finish(c.out)
	}
	return nil
}

func (c *conn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reading = t
	signal(c.wake)
	return nil
}

func (c *conn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writing = t
	signal(c.rewrites)
	return nil
}

func (c *conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

func (c *conn) LocalAddr() net.Addr  { return address("127.0.0.1:1") }
func (c *conn) RemoteAddr() net.Addr { return address("127.0.0.1:2") }

type address string

func (address) Network() string  { return "tcp" }
func (a address) String() string { return string(a) }

// A listener is where an instance accepts.
type listener struct {
	waiting chan net.Conn
	ctx     context.Context
	stop    context.CancelFunc
}

func newListener() *listener {
	l := &listener{waiting: make(chan net.Conn, 1000)}
	l.ctx, l.stop = context.WithCancel(context.Background())
	return l
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.waiting:
		return c, nil
	case <-l.ctx.Done():
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error   { l.stop(); return nil }
func (l *listener) Addr() net.Addr { return address("127.0.0.1:3001") }
