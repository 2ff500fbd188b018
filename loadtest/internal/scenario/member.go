package scenario

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/zonecast/zonecast/backend/wire"
	"github.com/zonecast/zonecast/loadtest/internal/account"
	"github.com/zonecast/zonecast/loadtest/internal/latency"
	"github.com/zonecast/zonecast/loadtest/internal/report"
	"github.com/zonecast/zonecast/loadtest/internal/schedule"
	"github.com/zonecast/zonecast/loadtest/internal/stamp"
	"github.com/zonecast/zonecast/loadtest/internal/ws"
)

// dialers is how many connections may be in the making at once.
const dialers = 256

// A member is one client that joined the room.
type member struct {
	// Static after joining.
	index int
	home  int // which of the addresses it connected to
	lane  *latency.Lane

	mu     sync.Mutex
	conn   *ws.Conn // nil while it is away
	gone   bool     // it has given up
	ledger account.Ledger
	last   time.Duration // when it received its latest message, on the run's clock
	pause  time.Duration // how long the server asked it to stay away, before it closed the connection

	sending  sync.Mutex
	numbered int64       // echoes sent
	echoed   account.Set // the numbers of those that went out
}

// current returns the member's connection, nil while it is away.
func (m *member) current() *ws.Conn {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.conn
}

func (m *member) hasGivenUp() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.gone
}

// connect opens the plan's connections at their rate and returns when each has joined or failed.
func (r *Run) connect(ctx context.Context) {
	n := r.plan.Connections
	s := schedule.ConstantOf(r.plan.ConnectRate, uint32(n))
	r.enter("connect", s.At(s.Count()))
	// No attempt takes longer than its timeout, so all of them get their turn.
	workers := min(n, dialers)
	patience := time.Duration(math.Ceil(float64(n)/float64(workers))+1) * ws.DialTimeout
	pool := schedule.Pool{Workers: workers, Grace: patience}
	schedule.Drive(ctx, s, time.Now(), pool, func(i uint32, _ time.Duration) { r.join(ctx, int(i)) })
	r.joined.Store(int64(len(r.members)))
}

// join opens connection i.
func (r *Run) join(ctx context.Context, i int) {
	began := time.Now()
	conn, hello, err := r.dialer.Dial(ctx, r.plan.WSURLs[i%len(r.plan.WSURLs)])
	if err != nil {
		if ctx.Err() == nil {
			r.failures.Add("connect", err)
			r.oneLess()
		}
		return
	}
	at, ok := position(hello, r.plan.Room)
	if !ok {
		conn.Close()
		r.failures.AddKind("connect: not in the room", notInRoom(hello, r.plan.Room))
		r.oneLess()
		return
	}
	r.connects.Lane(0).Record(time.Since(began))

	m := &member{home: i % len(r.plan.WSURLs), conn: conn}
	m.ledger.Join(at)
	r.mu.Lock()
	m.index = len(r.members)
	m.lane = r.latencies.Lane(m.index)
	r.members = append(r.members, m)
	r.mu.Unlock()
	r.live.Add(1)
	r.errands.Go(func() { r.read(m, conn) }) // on a goroutine of its own: the stack that dialling needed is not kept
}

// position returns where a room stood when the connection joined it.
func position(hello wire.Connected, room wire.Room) (wire.Offset, bool) {
	for _, p := range hello.Rooms {
		if p.Room == room.String() {
			o, _ := wire.ParseOffset(p.Offset) // the zero Offset when it has none: the first message is the beginning then
			return o, true
		}
	}
	return wire.Offset{}, false
}

func notInRoom(hello wire.Connected, room wire.Room) string {
	joined := make([]string, 0, len(hello.Rooms))
	for _, p := range hello.Rooms {
		joined = append(joined, p.Room)
	}
	return fmt.Sprintf("asked for the room %s, the server joined the connection to %q", room, joined)
}

// read takes a member's frames until its connection ends, and sees to it that it comes back.
func (r *Run) read(m *member, conn *ws.Conn) {
	err := conn.Read(func(p []byte) {
		if at := r.now(); !r.over.Load() {
			r.load.receive(m, r.reader.Read(p), at)
		}
	})
	conn.Close()
	r.live.Add(-1)
	m.mu.Lock()
	if r.over.Load() {
		m.mu.Unlock()
		return
	}
	m.conn = nil
	m.mu.Unlock()
	r.broken.Add(1)
	r.failures.Add("connection", err)
	r.errands.Go(func() { r.comeBack(m, err) })
}

// arrived records the latency of a message that was received at a time on the run's clock.
func (r *Run) arrived(m *member, seq uint32, at time.Duration) {
	m.lane.Record(at - time.Duration(r.start.Load()) - r.schedule.At(seq))
}

// control takes what every scenario treats alike: frames that are neither messages of the room nor answers.
func (r *Run) control(m *member, f stamp.Frame) {
	switch {
	case f.Kind == stamp.Unreadable:
		r.violations.unreadable.Add(1)
		r.failures.AddKind("frame: unreadable", f.Event)
	case f.Kind == stamp.Elsewhere && f.Ours:
		r.violations.misrouted.Add(1)
		r.failures.AddKind("frame: message in the wrong room", fmt.Sprintf("message %d", f.Seq))
	case f.Kind == stamp.Answer:
		r.failures.AddKind("frame: answer to nothing", fmt.Sprintf("ack with the id %d", f.ID))
	case f.Kind != stamp.Control:
	case f.Event == wire.EventGap:
		r.gap(m, f.Data)
	case f.Event == wire.EventConflated: // of another publisher, for the load tester conflates nothing
		var c wire.Conflated
		_ = json.Unmarshal(f.Data, &c)
		m.passOver(r.plan.Room, c.Room, c.To)
	case f.Event == wire.EventDrain:
		var d wire.Drain
		_ = json.Unmarshal(f.Data, &d) // what can't be read asks for no pause
		m.mu.Lock()
		m.pause = time.Duration(d.RetryAfter) * time.Millisecond
		m.mu.Unlock()
	case f.Event == wire.EventError:
		var e wire.Error
		_ = json.Unmarshal(f.Data, &e) // what can't be read is shown as it is
		r.failures.AddKind(fmt.Sprintf("server: error %s", e.Code), string(f.Data))
	}
}

// gap notes that the server told a member of messages that it can't have.
func (r *Run) gap(m *member, data json.RawMessage) {
	var g wire.Gap
	if json.Unmarshal(data, &g) == nil && g.Room != r.plan.Room.String() {
		return // of the warehouse's own room, which the members of a zone are in as well
	}
	r.violations.gaps.Add(1)
	r.failures.AddKind("server: gap", string(data))
	m.passOver(r.plan.Room, g.Room, g.To)
}

// passOver notes that the messages of a room up to an offset do not come.
func (m *member) passOver(room wire.Room, of, to string) {
	if o, err := wire.ParseOffset(to); err == nil && of == room.String() {
		m.mu.Lock()
		m.ledger.Gap(o)
		m.mu.Unlock()
	}
}

// disconnect closes all connections and waits until nothing is under way any more.
func (r *Run) disconnect() {
	r.enter("close", 0)
	r.over.Store(true)
	r.forbid()
	next := make(chan *ws.Conn)
	var closers sync.WaitGroup
	for range dialers {
		closers.Go(func() {
			for conn := range next {
				conn.Close()
			}
		})
	}
	for _, m := range r.members {
		if conn := m.current(); conn != nil {
			next <- conn
		}
	}
	close(next)
	closers.Wait()
	r.errands.Wait()
}

// total adds up the members' scores, and returns when the last message arrived on the run's clock, and how many members
// are not connected at the end.
func (r *Run) total() (sum account.Score, last time.Duration, lost int) {
	for _, m := range r.members {
		sum.Add(r.load.score(m))
		m.mu.Lock()
		last = max(last, m.last)
		if m.conn == nil {
			lost++
		}
		m.mu.Unlock()
	}
	return sum, last, lost
}

func (v *violations) report(s account.Score) report.Violations {
	return report.Violations{
		Holes: s.Holes, Reused: s.Reused, Restarted: s.Restarted,
		Damaged: v.damaged.Load(), Misrouted: v.misrouted.Load(), Unreadable: v.unreadable.Load(), Gaps: v.gaps.Load(),
	}
}
