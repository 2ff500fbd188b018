package scenario

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
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
	conn  *ws.Conn
	lane  *latency.Lane

	alive atomic.Bool // its connection is open

	mu     sync.Mutex
	ledger account.Ledger
	last   time.Duration // when it received its latest message, on the run's clock

	sending  sync.Mutex
	numbered int64       // echoes sent
	echoed   account.Set // the numbers of those that went out
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
		}
		return
	}
	at, ok := position(hello, r.plan.Room)
	if !ok {
		conn.Close()
		r.failures.AddKind("connect: not in the room", notInRoom(hello, r.plan.Room))
		return
	}
	r.connects.Lane(0).Record(time.Since(began))

	m := &member{conn: conn}
	m.ledger.Join(at)
	m.alive.Store(true)
	r.mu.Lock()
	m.index = len(r.members)
	m.lane = r.latencies.Lane(m.index)
	r.members = append(r.members, m)
	r.mu.Unlock()
	r.live.Add(1)
	r.readers.Go(func() { r.read(m) }) // on a goroutine of its own: the stack that dialling needed is not kept
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

// read takes a member's frames until its connection ends.
func (r *Run) read(m *member) {
	err := m.conn.Read(func(p []byte) {
		if at := r.now(); !r.over.Load() {
			r.load.receive(m, r.reader.Read(p), at)
		}
	})
	m.alive.Store(false)
	m.conn.Close()
	left := r.live.Add(-1)
	if r.over.Load() {
		return
	}
	r.lost.Add(1)
	r.failures.Add("connection", err)
	if left == 0 {
		r.desert.Do(func() { close(r.deserts) })
	}
}

// arrived records the latency of a message that was received at a time on the run's clock.
func (r *Run) arrived(m *member, seq uint32, at time.Duration) {
	m.lane.Record(at - time.Duration(r.start.Load()) - r.schedule.At(seq))
}

// control takes what every scenario treats alike: frames that are neither messages of the room nor answers.
func (r *Run) control(f stamp.Frame) {
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
		r.violations.gaps.Add(1)
		r.failures.AddKind("server: gap", string(f.Data))
	case f.Event == wire.EventDrain:
		r.failures.AddKind("server: drain", string(f.Data))
	case f.Event == wire.EventError:
		var e wire.Error
		_ = json.Unmarshal(f.Data, &e) // what can't be read is shown as it is
		r.failures.AddKind(fmt.Sprintf("server: error %s", e.Code), string(f.Data))
	}
}

// disconnect closes all connections and waits for their readers.
func (r *Run) disconnect() {
	r.over.Store(true)
	r.enter("close", 0)
	next := make(chan *member)
	var closers sync.WaitGroup
	for range dialers {
		closers.Go(func() {
			for m := range next {
				m.conn.Close()
			}
		})
	}
	for _, m := range r.members {
		next <- m
	}
	close(next)
	closers.Wait()
	r.readers.Wait()
}

// total adds up the members' scores, and returns when the last message arrived on the run's clock.
func (r *Run) total() (account.Score, time.Duration) {
	var sum account.Score
	var last time.Duration
	for _, m := range r.members {
		sum.Add(r.load.score(m))
		m.mu.Lock()
		last = max(last, m.last)
		m.mu.Unlock()
	}
	return sum, last
}

func (v *violations) report(s account.Score) report.Violations {
	return report.Violations{
		Holes: s.Holes, Reused: s.Reused, Restarted: s.Restarted,
		Damaged: v.damaged.Load(), Misrouted: v.misrouted.Load(), Unreadable: v.unreadable.Load(), Gaps: v.gaps.Load(),
	}
}
