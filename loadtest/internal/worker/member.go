//go:build linux

package worker

import (
	"fmt"
	"time"

	"github.com/zonecast/zonecast/backend/wire"
	"github.com/zonecast/zonecast/loadtest/internal/client"
	"github.com/zonecast/zonecast/loadtest/internal/delivery"
	"github.com/zonecast/zonecast/loadtest/internal/failure"
	"github.com/zonecast/zonecast/loadtest/internal/http1"
	"github.com/zonecast/zonecast/loadtest/internal/protocol"
	"github.com/zonecast/zonecast/loadtest/internal/stamp"
)

// A member is one client that joins a room.
type member struct {
	w              *Worker
	conn           *client.Conn
	tracker        delivery.Tracker
	echo           *memberEchoes // nil until it sends one
	timer          *client.Timer // joinTimeout while it dials, the pause while it is disconnected
	dialStart      uint64        // when it began to dial
	offlineSince   uint64        // 0 while it is connected
	reconnectStart uint64        // when it first tried to reconnect
	catchUpTo      uint64        // it has everything once it has this offset; 0 when it is not behind
	retryAfter     time.Duration
	closeErr       error // of its last connection's end
	index, room    int32
	home           int32 // which of the targets it connected to
	tries          int32

	joined     bool // connected and in its room
	everJoined bool // has joined before
	counted    bool // in the worker's joined
	gaveUp     bool // does not reconnect any more
	slow       bool
	churning   bool // it may leave and be replaced
	offline    bool // disconnected on purpose
}

var _ client.Handler = (*member)(nil)

// dial begins a connection to the target whose turn it is.
func (m *member) dial(now uint64) {
	w := m.w
	m.dialStart = now
	seat := protocol.Subscription{Room: w.rooms[m.room].name}
	if m.everJoined {
		seat.After = m.tracker.Position()
	}
	conn, err := w.loop.Dial(w.job.Mode, m.target(), seat, m)
	if err != nil {
		m.dialFailed(err, now)
		return
	}
	m.conn = conn
	w.dials++
	m.timer = w.loop.At(now+uint64(joinTimeout), func(uint64) { w.loop.Abort(conn, client.ErrTimeout) })
}

// target is where it connects: with each try to the next one.
func (m *member) target() *client.Target {
	return m.w.targets[(int(m.home)+int(m.tries))%len(m.w.targets)]
}

func (m *member) Event(_ *client.Conn, e *protocol.Event, now uint64) {
	w := m.w
	switch e.Kind {
	case protocol.Delivery:
		m.handleDelivery(e, now)
	case protocol.Ready:
		if !m.joined {
			m.handleReady(e, now)
		}
	case protocol.Ack:
		w.echoes.handleAck(m, e, now)
	case protocol.Refused:
		w.echoes.handleRefused(m, e)
	case protocol.OtherRoom:
		if w.template.FromRun(e.Data) {
			w.counts.Misrouted++
			s, _ := stamp.Find(e.Data)
			w.failures.AddKind("frame: message in the wrong room", fmt.Sprintf("message %d", s.Seq))
		}
	default:
		m.handleControl(e)
	}
}

// handleControl handles events that are neither messages nor acks.
func (m *member) handleControl(e *protocol.Event) {
	w := m.w
	switch e.Kind {
	case protocol.NotInRoom:
		if !m.joined && !m.everJoined && !w.job.ByFrame {
			w.loop.Abort(m.conn, failure.New("not in the room", fmt.Sprintf(
				"asked for the room %s, the server joined the connection to %q", w.rooms[m.room].name, e.Reason)))
		}
	case protocol.JoinRefused:
		w.loop.Abort(m.conn, failure.New("subscribe refused with "+e.Reason,
			fmt.Sprintf("the server refused subscribe with %s: %s", e.Reason, e.Data)))
	case protocol.Gap:
		if !m.slow {
			w.counts.Gaps++
			w.failures.AddKind("server: gap", string(e.Data))
		}
		w.history.skipped(m, "gap", e)
		m.skipTo(e)
	case protocol.Conflated: // of another publisher, for the load tester conflates nothing
		w.history.skipped(m, "conflated", e)
		m.skipTo(e)
	case protocol.Drain:
		m.retryAfter = e.RetryAfter
		if w.job.Mode == client.Polling { // nobody closes a connection between two polls
			w.loop.Abort(m.conn, &client.CloseError{Code: int(wire.CloseRestart), Reason: "draining"})
		}
	case protocol.ServerError:
		w.failures.AddKind("server: error "+e.Reason, string(e.Data))
	case protocol.Malformed:
		w.counts.Unreadable++
		w.failures.AddKind("frame: unreadable", e.Reason)
	}
}

func (m *member) skipTo(e *protocol.Event) {
	if len(e.Epoch) > 0 {
		m.tracker.Gap(wire.Offset{Epoch: string(e.Epoch), N: e.N})
	}
}

// handleReady notes that the member is in its room.
func (m *member) handleReady(e *protocol.Event, now uint64) {
	w := m.w
	m.timer.Stop()
	w.dials--
	m.joined, m.tries = true, 0
	at := wire.Offset{Epoch: string(e.Epoch), N: e.N}
	if !m.everJoined {
		m.everJoined = true
		m.tracker.Join(at)
		w.history.joined(m, "join", at)
		w.tallies.Connects.Record(time.Duration(now - m.dialStart))
		if !m.counted {
			m.counted = true
			w.joined = append(w.joined, m)
			w.rooms[m.room].required += m.requiredCount()
		}
	} else {
		if m.tracker.Position().IsZero() {
			m.tracker.Join(at)
			w.history.joined(m, "join", at)
		} else {
			w.history.joined(m, "resume", m.tracker.Position())
		}
		w.counts.Resumed++
		w.tallies.Offline.Record(time.Duration(now - m.offlineSince))
		m.catchUpTo = at.N
		m.checkCaughtUp(now)
	}
	m.offlineSince = 0
	if m.slow {
		w.loop.Pause(m.conn)
	}
}

// requiredCount is 1 for a member that must have every message in time, else 0.
func (m *member) requiredCount() int {
	if m.slow || m.churning {
		return 0
	}
	return 1
}

// checkCaughtUp records the replay time once a reconnected member has what it missed.
func (m *member) checkCaughtUp(now uint64) {
	if m.reconnectStart > 0 && m.tracker.Position().N >= m.catchUpTo {
		m.w.tallies.Replay.Record(time.Duration(now - m.reconnectStart))
		m.catchUpTo, m.reconnectStart = 0, 0
	}
}

func (m *member) handleDelivery(e *protocol.Event, now uint64) {
	w := m.w
	s, ok := w.template.Read(e.Data)
	writers := uint32(w.job.Publish.Writers)
	message := delivery.Message{Epoch: e.Epoch, N: e.N}
	w.history.event(m, e, s, ok)
	switch {
	case !ok && w.template.FromRun(e.Data):
		m.tracker.Record(message) // its offset is good; as one of ours it is lost
		w.counts.Damaged++
		w.failures.AddKind("frame: damaged data", "the data is not byte for byte what was published")
		return
	case !ok:
		m.tracker.Record(message)
		return
	case s.Stream/writers != uint32(m.room):
		w.counts.Misrouted++
		w.failures.AddKind("frame: message in the wrong room", fmt.Sprintf("message %d", s.Seq))
		return
	}
	message.Ours, message.Seq, message.Stream = true, s.Seq, int(s.Stream%writers)
	if !m.tracker.Record(message) {
		return
	}
	took := time.Duration(int64(now-s.At) - w.job.ClockAhead)
	w.counts.Received++
	w.last = max(w.last, uint64(int64(now)-w.job.ClockAhead))
	if m.slow {
		w.tallies.SlowLatency.Record(took)
		return
	}
	r := &w.rooms[m.room]
	if r.latency != nil {
		r.latency.Record(took)
	}
	if m.catchUpTo == 0 {
		w.secondLive.Record(took)
	} else {
		w.secondReplayed.Record(took)
		m.checkCaughtUp(now)
	}
	if !m.churning {
		w.track(r, message.Stream, s.Seq, took)
	}
}

func (w *Worker) track(r *room, stream int, seq uint32, took time.Duration) {
	a := r.arrivals[stream]
	if int(seq) >= len(a) {
		grow := int(seq) + 1 - len(a)
		if w.tracked+grow > w.job.Tracked {
			return
		}
		w.tracked += grow
		a = append(a, make([]arrival, grow)...)
		r.arrivals[stream] = a
	}
	a[seq].count++
	a[seq].last = max(a[seq].last, uint32(min(max(took, 0).Microseconds(), 1<<32-1)))
}

// Response implements [client.Handler]; members make no requests.
func (m *member) Response(*client.Conn, *http1.Response, uint64) {}

func (m *member) Closed(_ *client.Conn, why error, now uint64) {
	w := m.w
	m.timer.Stop()
	m.conn = nil
	if !m.joined {
		w.dials--
		m.dialFailed(why, now)
		return
	}
	m.joined = false
	if !w.closed {
		w.history.closed(m, why)
	}
	switch {
	case w.closed:
	case m.slow: // as was to be expected
		w.counts.SlowBroken++
	default:
		w.counts.Broken++
		w.failures.Add("connection", why)
	}
	m.closeErr = why
	m.offlineSince = now
	m.reconnect(now)
}

func (m *member) dialFailed(why error, now uint64) {
	if m.everJoined {
		m.retryDial(why, now)
		return
	}
	m.w.failures.Add("connect", why)
	m.gaveUp = true
	m.w.active--
}
