// Package edge bounds what connections cost, over TCP and Unix sockets, before HTTP sees the first
// byte of them.
//
//	accept(2) ──▶ Listener ── over a limit: reset or closed, counted ──▶ gone
//	                 └─▶ conn, with a bounded send buffer and a user timeout ──▶ net/http ──▶ transports
//	conn.Close ── what the peer does not take in time is dropped by a reset
//
// A connection counts from accept to the end of its socket, whoever took it over meanwhile.
package edge

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

// Options of a [Listener]. Zero values are no limits.
type Options struct {
	Connections           int // at once
	ConnectionsPerAddress int // at once; a /64 of IPv6 is one address
	// Proxies are networks whose addresses stand for many clients: they have no limit by address.
	Proxies []*net.IPNet
	// SendBufferBytes is SO_SNDBUF of tcp(7), which bounds what the kernel holds for a client that
	// does not read: the system lets it grow to several MiB. Linux takes twice as much.
	SendBufferBytes int
	// UserTimeout is TCP_USER_TIMEOUT of tcp(7): how long a peer may acknowledge nothing, or keep
	// its window closed, although something is sent to it. Only Linux knows it.
	UserTimeout time.Duration
	// Refused is told each connection over a limit: "tcp_limit" or "tcp_address_limit".
	Refused func(reason string)
}

// loopbackReserve is how many connections from this machine itself are let in beyond the limit, so
// that probes reach an instance that strangers have filled.
const loopbackReserve = 32

// A Listener accepts connections within its limits.
type Listener struct {
	net.Listener
	opts Options

	mu        sync.Mutex
	open      int
	addresses map[netip.Addr]int
}

// Listen returns a listener that takes its connections from l.
func Listen(l net.Listener, o Options) *Listener {
	return &Listener{Listener: l, opts: o, addresses: map[netip.Addr]int{}}
}

// Accept implements net.Listener. Connections over a limit are reset, or closed on a Unix socket,
// and never returned.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		accepted, err := l.Listener.Accept()
		if local, ok := accepted.(*net.UnixConn); ok {
			if reason := l.enter(netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.Addr{}); reason != "" {
				_ = local.Close() // the peer sees the end of it
				l.opts.Refused(reason)
				continue
			}
			return &localConn{local, sync.OnceFunc(func() { l.leave(netip.Addr{}) })}, nil
		}
		tcp, ok := accepted.(*net.TCPConn)
		if err != nil || !ok {
			return accepted, err
		}
		peer := tcp.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().Unmap().WithZone("")
		counted := l.counted(peer)
		if reason := l.enter(peer, counted); reason != "" {
			reset(tcp)
			l.opts.Refused(reason)
			continue
		}
		if l.opts.SendBufferBytes > 0 {
			_ = tcp.SetWriteBuffer(l.opts.SendBufferBytes) // it fails for a connection that is gone already
		}
		setUserTimeout(tcp, l.opts.UserTimeout)
		return &conn{TCPConn: tcp, listener: l, address: counted}, nil
	}
}

// counted returns the address that a peer counts under; none for a proxy.
func (l *Listener) counted(peer netip.Addr) netip.Addr {
	for _, p := range l.opts.Proxies {
		if p.Contains(peer.AsSlice()) {
			return netip.Addr{}
		}
	}
	if peer.Is6() {
		network, _ := peer.Prefix(64) // of an IPv6 address it can't fail
		return network.Addr()
	}
	return peer
}

// enter counts a connection in, or says which limit it is over.
func (l *Listener) enter(peer, counted netip.Addr) (reason string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	most := l.opts.Connections
	if most > 0 && peer.IsLoopback() {
		most += loopbackReserve
	}
	switch {
	case most > 0 && l.open >= most:
		return "tcp_limit"
	case l.opts.ConnectionsPerAddress > 0 && counted.IsValid() && l.addresses[counted] >= l.opts.ConnectionsPerAddress:
		return "tcp_address_limit"
	}
	l.open++
	if counted.IsValid() {
		l.addresses[counted]++
	}
	return ""
}

func (l *Listener) leave(counted netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open--
	if !counted.IsValid() {
		return
	}
	if l.addresses[counted]--; l.addresses[counted] == 0 {
		delete(l.addresses, counted)
	}
}

// Open returns how many connections are open.
func (l *Listener) Open() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open
}

// A peer may take what was written to it before Close for as long as it takes something every
// lingerTime, and maxLingerTime in all. The kernel itself would wait for as long as the peer
// answers its window probes.
const lingerTime, maxLingerTime = 5 * time.Second, 20 * time.Second

// A conn is counted until its socket is gone. It keeps all that a TCP connection can do.
type conn struct {
	*net.TCPConn
	listener *Listener  // static
	address  netip.Addr // static: what it counts under
	closing  sync.Once  // Close
}

// Close ends the connection. What was written goes on to the peer for a while ([lingerTime]); what
// it has not taken then is dropped. Reads and writes that wait fail at once.
func (c *conn) Close() (err error) {
	first := false
	c.closing.Do(func() {
		first = true
		left := unsent(c.TCPConn)
		if left == 0 {
			err = c.end(c.TCPConn.Close)
			return
		}
		_ = c.CloseWrite() // it fails for a connection that is gone, as Close tells
		err = c.SetDeadline(time.Unix(1, 0))
		now := time.Now()
		c.linger(left, now, now.Add(maxLingerTime), lingerStep)
	})
	if !first {
		return net.ErrClosed
	}
	return err
}

// lingerStep is after how long it is looked first whether the peer has taken everything.
const lingerStep = 20 * time.Millisecond

// linger closes the socket as soon as the peer has acknowledged everything, and resets it when the
// peer took nothing since moved for too long, or at over.
func (c *conn) linger(left int, moved, over time.Time, step time.Duration) {
	time.AfterFunc(step, func() {
		n, now := unsent(c.TCPConn), time.Now()
		if n < left {
			moved = now
		}
		switch {
		case n == 0:
			_ = c.end(c.TCPConn.Close) // nobody waits for it any more
		case now.After(over) || now.Sub(moved) > lingerTime:
			_ = c.end(func() error { return reset(c.TCPConn) })
		default:
			c.linger(n, moved, over, min(2*step, time.Second))
		}
	})
}

// A localConn is a connection over a Unix socket, counted until it is closed. Its peer has no
// address: it is this machine, where a proxy may stand for many clients, so there is no limit by
// address.
type localConn struct {
	*net.UnixConn
	leave func() // once
}

// RemoteAddr implements net.Conn.
func (*localConn) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

// Close implements net.Conn.
func (c *localConn) Close() error {
	defer c.leave()
	return c.UnixConn.Close()
}

func (c *conn) end(how func() error) error {
	defer c.listener.leave(c.address)
	return how()
}

// reset closes a connection with RST, so that the kernel keeps nothing of it.
func reset(c *net.TCPConn) error {
	_ = c.SetLinger(0) // it fails for a connection that is gone
	return c.Close()
}
