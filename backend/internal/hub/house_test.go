package hub_test

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/internal/backpressure"
	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/internal/hub"
	"github.com/zonecast/zonecast/backend/internal/outbox"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/wire"
)

var eventually = testkit.Eventually

// lines is the encoding of these tests: one frame a line.
var lines = &outbox.Encoding{
	Append: func(dst []byte, f *outbox.Frame) []byte { return append(append(dst, f.JSON...), '\n') },
	Closing: func(code wire.CloseCode, _ string) []byte {
		return fmt.Appendf(nil, `{"event":"closed","id":%d}`+"\n", code)
	},
}

type quiet struct{}

func (quiet) Written(string, int, int)                 {}
func (quiet) Latencies(_ string, _, _ []time.Duration) {}
func (quiet) DroppedSlow(int)                          {}
func (quiet) DroppedLost(int)                          {}
func (quiet) Conflated()                               {}
func (quiet) Slow(int)                                 {}

// A stopwatch keeps how long messages took from the broker to a socket.
type stopwatch struct {
	quiet
	mu   sync.Mutex
	took []time.Duration
}

func (s *stopwatch) Latencies(_ string, d, _ []time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.took = append(s.took, d...)
}

// p99 returns the 99th percentile, once there are n.
func (s *stopwatch) p99(t testing.TB, n int) time.Duration {
	t.Helper()
	eventually(t, fmt.Sprintf("%d messages are on their sockets", n), func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.took) >= n
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.Sort(s.took)
	return s.took[len(s.took)*99/100]
}

func (s *stopwatch) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.took = nil
}

// A house is a hub with real queues and a broker that can be told to be slow, late or broken.
type house struct {
	*hub.Hub
	t      testing.TB
	broker *controlled
	pool   *outbox.Pool
	gaps   atomic.Int64
	waits  atomic.Int64  // of publishers
	ping   *outbox.Frame // of the sessions that are opened
	dial   func(t testing.TB) (server, client net.Conn)
}

type options struct {
	limits broker.Limits
	rooms  int // per session
	// rooms of all sessions together, and of one warehouse
	instanceRooms, warehouseRooms int
	onRoomRefused                 func(limit string)

	bytes    int // per queue
	beat     time.Duration
	overPipe bool          // connections in memory, for tests with a clock of their own
	slow     time.Duration // after which a client is slow
	wait     time.Duration // of publishers
	linger   time.Duration // of rooms without members
	meter    outbox.Meter  // quiet without one
	hubMeter hub.Meter
	stall    time.Duration // after which nobody waits for members that take nothing
	signal   backpressure.Signal
}

// endless keeps all that a test publishes, so that whoever is late finds it.
var endless = broker.Limits{Messages: 1_000_000, Bytes: 1 << 30}

// build returns a house whose end is checked: no session, no room, no subscription, no byte is
// left.
func build(t testing.TB, o options) *house {
	h := &house{t: t, dial: tcp}
	if o.overPipe {
		h.dial = func(testing.TB) (net.Conn, net.Conn) { return net.Pipe() }
	}
	meter := cmp.Or[outbox.Meter](o.meter, quiet{})
	h.pool = outbox.NewPool(outbox.Options{Meter: meter, MaxQueuedBytes: o.bytes, SlowAfter: o.slow})
	h.Hub = hub.New(hub.Options{Pool: h.pool, Meter: o.hubMeter, Heartbeat: o.beat, MaxRooms: o.rooms, InstanceRooms: o.instanceRooms, WarehouseRooms: o.warehouseRooms,
		OnRoomRefused: o.onRoomRefused, OnGap: func() { h.gaps.Add(1) },
		PublishWait: o.wait, RetainAge: o.limits.RetainAge, Linger: o.linger, StallTimeout: o.stall, Signal: o.signal, OnWait: func() { h.waits.Add(1) }})
	h.broker = newControlled(t, o.limits, h.Hub)
	h.Use(h.broker)
	t.Cleanup(func() {
		for _, s := range h.Sessions() {
			s.Close()
			s.Queue.Hangup(wire.CloseGoingAway)
		}
		eventually(t, "no room is left", func() bool { return h.Rooms() == 0 })
		if n := h.Connections(); n != 0 {
			t.Errorf("%d connections are left", n)
		}
		if left := h.broker.subscribed(); len(left) > 0 {
			t.Errorf("still subscribed to %v", left)
		}
		eventually(t, "no byte waits", func() bool { return h.pool.QueuedBytes() == 0 })
		h.pool.Close()
	})
	return h
}

func tcp(t testing.TB) (server, client net.Conn) {
	t.Helper()
	small := func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) {
			_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_MAXSEG, 1460)
		})
	}
	ln, err := (&net.ListenConfig{Control: small}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	testkit.Must(t, err)
	defer ln.Close()
	client, err = (&net.Dialer{Control: small}).Dial("tcp", ln.Addr().String())
	testkit.Must(t, err)
	server, err = ln.Accept()
	testkit.Must(t, err)
	return server, client
}

// narrow is tcp with small buffers in the kernel, and segments as on an Ethernet: those of the
// loopback device are larger than such buffers, and a slow reader's window would hardly ever open.
func narrow(t testing.TB) (server, client net.Conn) {
	server, client = tcp(t)
	_ = server.(*net.TCPConn).SetWriteBuffer(64 << 10)
	_ = client.(*net.TCPConn).SetReadBuffer(128 << 10)
	return server, client
}

// paced reads no faster than that.
type paced struct {
	io.Reader
	pause time.Duration
}

func (p paced) Read(buf []byte) (int, error) {
	time.Sleep(p.pause)
	return p.Reader.Read(buf)
}

func room(name string) wire.Room { return wire.Room{Warehouse: "w", Zone: name} }

// xs is a text of n letters, as data.
func xs(n int) json.RawMessage { return json.RawMessage(`"` + strings.Repeat("x", n) + `"`) }

// publish publishes n messages to the room.
func (h *house) publish(room wire.Room, n int) (last wire.Offset) {
	h.t.Helper()
	for range n {
		last = h.send(broker.Publication{Room: room})
	}
	return last
}

func (h *house) send(p broker.Publication) wire.Offset {
	h.t.Helper()
	p.Event = cmp.Or(p.Event, wire.EventZoneUpdate)
	if p.Data == nil {
		p.Data = json.RawMessage(`{}`)
	}
	receipt, err := h.Publish(context.Background(), p)
	if err != nil {
		h.t.Errorf("publish to %s: %v", p.Room, err)
	}
	return receipt.Offset
}

// deliver brings a message of that offset, whatever the broker has.
func (h *house) deliver(room wire.Room, at wire.Offset) {
	h.Message(&broker.Message{Message: wire.Message{Room: room, Event: "E", Offset: at}})
}

// flood publishes to the room until stop: a few messages each millisecond, less when the clients
// can't follow.
func (h *house) flood(room wire.Room, publishers int) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for range publishers {
		all.Go(func() {
			for ctx.Err() == nil {
				h.publish(room, 3)
				time.Sleep(time.Millisecond)
				for h.pool.QueuedBytes() > 64<<10 && ctx.Err() == nil {
					time.Sleep(100 * time.Microsecond)
				}
			}
		})
	}
	stop = sync.OnceFunc(func() { cancel(); all.Wait() })
	h.t.Cleanup(stop)
	return stop
}

// drain opens a connection whose client throws away what it reads.
func drain(t testing.TB) net.Conn {
	server, client := tcp(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer client.Close()
		io.Copy(io.Discard, client)
	}()
	t.Cleanup(func() {
		server.Close()
		<-done
	})
	return server
}

// idle opens a session on a connection, which several may share: a process has descriptors for
// fewer than 10,000 pairs.
func (h *house) idle(t testing.TB, name string, conn net.Conn, joins ...hub.Join) *hub.Session {
	t.Helper()
	s := h.Open(name, "", h.pool.NewQueue(conn, lines, nil), nil)
	t.Cleanup(func() {
		s.Close()
		s.Queue.Hangup(wire.CloseGoingAway)
	})
	if len(joins) > 0 {
		testkit.Must(t, s.Join(t.Context(), joins, silent))
	}
	return s
}

// silent announces nothing.
func silent(wire.Cursor) {}

// A guest is a session with the client at its other end, which reads all that comes.
type guest struct {
	*hub.Session
	t      testing.TB
	client net.Conn
	pace   time.Duration // between two reads of 1500 bytes; 0 for as fast as they come
	asleep chan struct{} // the client reads nothing until it is closed
	wake   func()
	done   chan struct{} // closed when the client has read to the end

	mu     sync.Mutex
	frames []wire.ServerFrame
}

func (h *house) guest(name string) *guest {
	h.t.Helper()
	g := h.sleeper(name)
	g.wake()
	return g
}

// member is a guest in these rooms.
func (h *house) member(name string, rooms ...wire.Room) *guest {
	h.t.Helper()
	g := h.guest(name)
	g.enter(rooms...)
	return g
}

// sleeper is a guest whose client reads nothing until it is woken.
func (h *house) sleeper(name string) *guest {
	h.t.Helper()
	server, client := h.dial(h.t)
	g := &guest{t: h.t, client: client, asleep: make(chan struct{}), done: make(chan struct{}),
		Session: h.Open(name, "user-of-"+name, h.pool.NewQueue(server, lines, nil), h.ping)}
	g.wake = sync.OnceFunc(func() { close(g.asleep) })
	go g.read()
	h.t.Cleanup(g.end)
	return g
}

// end ends the connection as a transport does.
func (g *guest) end() {
	g.Close()
	g.Queue.Hangup(wire.CloseGoingAway)
	g.wake()
	<-g.done
}

func (g *guest) read() {
	defer close(g.done)
	defer g.client.Close()
	<-g.asleep
	in := bufio.NewReader(g.client)
	if g.pace > 0 {
		in = bufio.NewReaderSize(paced{g.client, g.pace}, 1500)
	}
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return // what was cut off with the connection is lost with it
		}
		f, err := wire.DecodeServer(line)
		if err != nil {
			g.t.Errorf("%s: %q: %v", g.ID, line, err)
			return
		}
		g.mu.Lock()
		g.frames = append(g.frames, f)
		g.mu.Unlock()
	}
}

// seen returns what the client got so far.
func (g *guest) seen() []wire.ServerFrame {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.frames)
}

// got returns how many frames the client got so far.
func (g *guest) got() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.frames)
}

// flush waits until the client has got all that was pushed so far, and returns it.
func (g *guest) flush() []wire.ServerFrame {
	g.t.Helper()
	mark := fmt.Sprintf("mark-%d", time.Now().UnixNano())
	testkit.Must(g.t, g.Queue.Push(outbox.NewControl(mark, wire.AppendFrame(nil, mark, nil))))
	looked := 0
	eventually(g.t, g.ID+" gets what was pushed", func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		for ; looked < len(g.frames); looked++ {
			if g.frames[looked].Event == mark {
				g.frames = slices.Delete(g.frames, looked, looked+1)
				return true
			}
		}
		return false
	})
	return g.seen()
}

// wantAll waits for all that was pushed: so many messages of the room in their order, and no end.
func (g *guest) wantAll(room wire.Room, messages int) {
	g.t.Helper()
	if n := wantUnbroken(g.t, g.flush())[room.String()]; n != messages || g.Queue.Code() != 0 {
		g.t.Fatalf("%s got %d of %d messages, closed with %s", g.ID, n, messages, g.Queue.Code())
	}
}

// join joins rooms; the announcement becomes a frame "joined" for each of them.
func (g *guest) join(joins ...hub.Join) error {
	return g.joinThen(context.Background(), nil, joins...)
}

// mustJoin is join where nothing can go wrong.
func (g *guest) mustJoin(joins ...hub.Join) {
	g.t.Helper()
	testkit.Must(g.t, g.join(joins...))
}

// enter joins rooms afresh.
func (g *guest) enter(rooms ...wire.Room) {
	g.t.Helper()
	joins := make([]hub.Join, len(rooms))
	for i, r := range rooms {
		joins[i].Room = r
	}
	g.mustJoin(joins...)
}

// resume joins a room and asks for what came after an offset.
func (g *guest) resume(room wire.Room, after wire.Offset) {
	g.t.Helper()
	g.mustJoin(hub.Join{Room: room, After: after})
}

// joinThen calls then within the announcement, after its frames.
func (g *guest) joinThen(ctx context.Context, then func(), joins ...hub.Join) error {
	return g.Join(ctx, joins, func(places wire.Cursor) {
		for i, j := range joins {
			next := places[i].Offset.Next()
			if !j.After.IsZero() {
				next = j.After.Next()
			}
			g.Queue.Push(outbox.NewControl("joined", wire.AppendFrame(nil, "joined", joined{j.Room.String(), next.N, places[i].Offset.N})))
		}
		if then != nil {
			then()
		}
	})
}

// joined is what the client is told when it joins: the number of the message that must come next,
// and where the room stands.
type joined struct {
	Room string
	Next uint64
	At   uint64
}

// wantNowhere fails unless the guest is in no room, and the hub holds none.
func (g *guest) wantNowhere(h *house) {
	g.t.Helper()
	if left := h.broker.subscribed(); h.Rooms() != 0 || len(left) != 0 || len(g.Rooms()) != 0 {
		g.t.Errorf("%d rooms, subscribed to %v, the session in %v; want none", h.Rooms(), left, g.Rooms())
	}
}

func (g *guest) leave(room wire.Room) error {
	err := g.Leave(room)
	if err == nil {
		g.Queue.Push(left(room))
	}
	return err
}

// exit leaves a room that it is in.
func (g *guest) exit(room wire.Room) {
	g.t.Helper()
	if err := g.leave(room); err != nil {
		g.t.Error(err)
	}
}

// left is the frame that tells the checker that nothing more of the room may come.
func left(room wire.Room) *outbox.Frame {
	return outbox.NewControl("left", wire.AppendFrame(nil, "left", joined{Room: room.String()}))
}
