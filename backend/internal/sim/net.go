package sim

import (
	"context"
	"errors"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"time"
)

// A network has all connections. What is written waits in a link until the world delivers it.
type network struct {
	seed uint64

	mu    sync.Mutex
	links []*link // in the order of their connections
}

// A link is one direction of a connection. Guarded by the network's mutex, but for deliver and ended,
// which the world calls.
type link struct {
	name    string
	rand    *rand.Rand
	slow    time.Duration // on top of what each chunk takes
	held    bool          // nothing is delivered
	chunks  []chunk
	bytes   int
	fin     bool // nothing follows the chunks
	dead    bool // ended, or cut
	last    time.Time
	room    chan struct{} // something was delivered
	deliver func(p []byte)
	ended   func(err error)
}

type chunk struct {
	p   []byte
	due time.Time
}

var errCut = errors.New("connection reset by peer")

// newLink makes one whose delays follow from the seed and the name.
func (n *network) newLink(name string, deliver func([]byte), ended func(error)) *link {
	h := fnv.New64a()
	_, _ = io.WriteString(h, name)
	l := &link{name: name, rand: rand.New(rand.NewPCG(n.seed, h.Sum64())), room: make(chan struct{}, 1), deliver: deliver, ended: ended}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.links = append(n.links, l)
	return l
}

// send queues p on the link.
func (n *network) send(l *link, p []byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.sendLocked(l, p)
}

func (n *network) sendLocked(l *link, p []byte) {
	if l.dead || l.fin || len(p) == 0 {
		return
	}
	delay := time.Duration(l.rand.Int64N(int64(3 * time.Millisecond)))
	if l.rand.IntN(40) == 0 {
		delay += time.Duration(l.rand.Int64N(int64(200 * time.Millisecond)))
	}
	due := time.Now().Add(delay + l.slow)
	if due.Before(l.last) {
		due = l.last // TCP keeps the order
	}
	l.last = due
	l.chunks = append(l.chunks, chunk{append([]byte(nil), p...), due})
	l.bytes += len(p)
}

// finish lets the link end after what is queued.
func (n *network) finish(l *link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	l.fin = true
}

// cut ends links at once; what is under way is lost. Each end learns of it.
func (n *network) cut(links ...*link) {
	n.mu.Lock()
	var ends []func(error)
	for _, l := range links {
		if !l.dead {
			l.dead, l.chunks, l.bytes = true, nil, 0
			ends = append(ends, l.ended)
		}
	}
	n.mu.Unlock()
	for _, ended := range ends {
		ended(errCut)
	}
}

// ready returns the links that have something to deliver now, and when the next one has.
func (n *network) ready(now time.Time) (ready []*link, next time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	kept := n.links[:0]
	for _, l := range n.links {
		if l.dead {
			continue
		}
		kept = append(kept, l)
		switch {
		case l.held:
		case len(l.chunks) == 0 && l.fin:
			ready = append(ready, l)
		case len(l.chunks) == 0:
		case !l.chunks[0].due.After(now):
			ready = append(ready, l)
		case next.IsZero() || l.chunks[0].due.Before(next):
			next = l.chunks[0].due
		}
	}
	clear(n.links[len(kept):])
	n.links = kept
	return ready, next
}

// deliverNext delivers the first chunk of a link, or a part of it, as TCP may.
func (n *network) deliverNext(l *link) {
	n.mu.Lock()
	if len(l.chunks) == 0 {
		l.dead = true
		n.mu.Unlock()
		l.ended(io.EOF)
		return
	}
	c := &l.chunks[0]
	p := c.p
	if len(p) > 8 && l.rand.IntN(20) == 0 {
		p = p[:1+l.rand.IntN(len(p)-1)]
		c.p = c.p[len(p):]
	} else {
		l.chunks = l.chunks[1:]
	}
	l.bytes -= len(p)
	n.mu.Unlock()
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

// connect makes a connection.
func (n *network) connect(name string, window int, deliver func([]byte), ended func(error)) (*conn, *peer) {
	c := &conn{net: n, name: name, window: window, wake: make(chan struct{}, 1), rewrites: make(chan struct{}, 1)}
	c.out = n.newLink(name+" >", deliver, ended)
	to := n.newLink(name+" <", c.take, c.end)
	return c, &peer{n, to, c.out}
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
	c.net.sendLocked(c.out, p[:n])
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
