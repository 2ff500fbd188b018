//go:build linux

package worker

import (
	"errors"
	"fmt"
	"time"

	"github.com/zonecast/zonecast/backend/wire"
	"github.com/zonecast/zonecast/loadtest/internal/account"
	"github.com/zonecast/zonecast/loadtest/internal/dialect"
	"github.com/zonecast/zonecast/loadtest/internal/http1"
	"github.com/zonecast/zonecast/loadtest/internal/stamp"
	"github.com/zonecast/zonecast/loadtest/internal/swarm"
)

// A member is one client that joins a room.
type member struct {
	w           *Worker
	conn        *swarm.Conn
	ledger      account.Ledger
	echo        *echoing     // nil until it sends one
	timer       *swarm.Timer // its patience while it dials, its pause while it is away
	began       uint64       // when it began to dial
	away        uint64       // since when it wants to be connected and is not; 0 while it is
	first       uint64       // when it began to come back, before all tries
	behind      uint64       // it has everything once it has this offset; 0 when it is not behind
	pause       time.Duration
	why         error // of its last connection's end
	index, room int32
	home        int32 // which of the targets it connected to
	tries       int32

	seated   bool // it is connected and in its room
	joined   bool // it was, at least once since it is this member
	counted  bool // it is among the worker's joined ones
	gone     bool // it has given up
	slow     bool
	fleeting bool // it may leave for good and be replaced
	absent   bool // it is offline on purpose
}

var _ swarm.Handler = (*member)(nil)

// dial begins a connection to the target whose turn it is.
func (m *member) dial(now uint64) {
	w := m.w
	m.began = now
	seat := dialect.Seat{Room: w.rooms[m.room].name}
	if m.joined {
		seat.After = m.ledger.Position()
	}
	conn, err := w.loop.Dial(w.job.Mode, m.target(), seat, m, nil)
	if err != nil {
		m.failed(err, now)
		return
	}
	m.conn = conn
	w.dials++
	m.timer = w.loop.At(now+uint64(patience), func(uint64) { w.loop.End(conn, swarm.ErrTimeout) })
}

// target is where it connects: with each try to the next one.
func (m *member) target() *swarm.Target {
	return m.w.targets[(int(m.home)+int(m.tries))%len(m.w.targets)]
}

// Event implements [swarm.Handler].
func (m *member) Event(_ *swarm.Conn, e *dialect.Event, now uint64) {
	w := m.w
	switch e.Kind {
	case dialect.Delivery:
		m.delivery(e, now)
	case dialect.Ready:
		if !m.seated {
			m.ready(e, now)
		}
	case dialect.Ack:
		w.echoes.answer(m, e, now)
	case dialect.Refused:
		w.echoes.refused(m, e)
	case dialect.Elsewhere:
		if w.template.Resembles(e.Data) {
			w.counts.Misrouted++
			s, _ := stamp.Find(e.Data)
			w.failures.AddKind("frame: message in the wrong room", fmt.Sprintf("message %d", s.Seq))
		}
	default:
		m.control(e)
	}
}

// control takes what is neither a message nor an answer.
func (m *member) control(e *dialect.Event) {
	w := m.w
	switch e.Kind {
	case dialect.Absent:
		if !m.seated && !m.joined && !w.job.ByFrame {
			w.loop.End(m.conn, &notInRoom{want: w.rooms[m.room].name, got: e.Reason})
		}
	case dialect.NotJoined:
		w.loop.End(m.conn, &refused{code: e.Reason, text: string(e.Data)})
	case dialect.Gap:
		if !m.slow {
			w.counts.Gaps++
			w.failures.AddKind("server: gap", string(e.Data))
		}
		m.passOver(e)
	case dialect.Conflated: // of another publisher, for the load tester conflates nothing
		m.passOver(e)
	case dialect.Drain:
		m.pause = e.Wait
		if w.job.Mode == swarm.Polling { // nobody closes a connection between two polls
			w.loop.End(m.conn, &swarm.Closed{Code: int(wire.CloseRestart), Reason: "draining"})
		}
	case dialect.Complaint:
		w.failures.AddKind("server: error "+e.Reason, string(e.Data))
	case dialect.Unreadable:
		w.counts.Unreadable++
		w.failures.AddKind("frame: unreadable", e.Reason)
	}
}

func (m *member) passOver(e *dialect.Event) {
	if len(e.Epoch) > 0 {
		m.ledger.Gap(wire.Offset{Epoch: string(e.Epoch), N: e.N})
	}
}

// ready notes that the member is in its room.
func (m *member) ready(e *dialect.Event, now uint64) {
	w := m.w
	m.timer.Stop()
	w.dials--
	m.seated, m.tries = true, 0
	at := wire.Offset{Epoch: string(e.Epoch), N: e.N}
	if !m.joined {
		m.joined = true
		m.ledger.Join(at)
		w.tallies.Connects.Record(time.Duration(now - m.began))
		if !m.counted {
			m.counted = true
			w.joined = append(w.joined, m)
			w.rooms[m.room].members += m.whole()
		}
	} else {
		if m.ledger.Position().IsZero() {
			m.ledger.Join(at)
		}
		w.counts.Resumed++
		w.tallies.Offline.Record(time.Duration(now - m.away))
		m.behind = at.N
		m.caughtUp(now)
	}
	m.away = 0
	if m.slow {
		w.loop.Pause(m.conn)
	}
}

// whole is 1 for a member that must have every message in time, else 0.
func (m *member) whole() int {
	if m.slow || m.fleeting {
		return 0
	}
	return 1
}

// caughtUp notes when a member that came back has what it missed.
func (m *member) caughtUp(now uint64) {
	if m.first > 0 && m.ledger.Position().N >= m.behind {
		m.w.tallies.Replay.Record(time.Duration(now - m.first))
		m.behind, m.first = 0, 0
	}
}

// delivery counts a published message.
func (m *member) delivery(e *dialect.Event, now uint64) {
	w := m.w
	s, ok := w.template.Read(e.Data)
	writers := uint32(max(w.job.Publish.Writers, 1))
	message := account.Message{Epoch: e.Epoch, N: e.N}
	switch {
	case !ok && w.template.Resembles(e.Data):
		m.ledger.Message(message) // its offset is good; as one of ours it is lost
		w.counts.Damaged++
		w.failures.AddKind("frame: damaged data", "the data is not byte for byte what was published")
		return
	case !ok:
		m.ledger.Message(message)
		return
	case s.Stream/writers != uint32(m.room):
		w.counts.Misrouted++
		w.failures.AddKind("frame: message in the wrong room", fmt.Sprintf("message %d", s.Seq))
		return
	}
	message.Ours, message.Seq, message.Stream = true, s.Seq, int(s.Stream%writers)
	if !m.ledger.Message(message) {
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
	if m.behind == 0 {
		w.secondLive.Record(took)
	} else {
		w.secondReplayed.Record(took)
		m.caughtUp(now)
	}
	if !m.fleeting {
		w.track(r, message.Stream, s.Seq, took)
	}
}

// track follows a message to its last receiver.
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

// Answer implements [swarm.Handler]; members make no requests.
func (m *member) Answer(*swarm.Conn, *http1.Response, uint64) {}

// Ended implements [swarm.Handler].
func (m *member) Ended(_ *swarm.Conn, why error, now uint64) {
	w := m.w
	m.timer.Stop()
	m.conn = nil
	if !m.seated {
		w.dials--
		m.failed(why, now)
		return
	}
	m.seated = false
	if why == nil {
		why = errEnded
	}
	switch {
	case w.over:
	case m.slow: // as was to be expected
		w.counts.SlowBroken++
	default:
		w.counts.Broken++
		w.failures.Add("connection", why)
	}
	m.why = why
	m.away = now
	m.comeBack(now)
}

// failed notes that an attempt to connect did.
func (m *member) failed(why error, now uint64) {
	if why == nil {
		why = errEnded
	}
	if m.joined {
		m.tryAgain(why, now)
		return
	}
	m.w.failures.Add("connect", why)
	m.gone = true
	m.w.staying--
}

var errEnded = errors.New("the connection ended")

// notInRoom is the end of a connection that the server did not let into its room.
type notInRoom struct{ want, got string }

func (e *notInRoom) Error() string {
	return fmt.Sprintf("asked for the room %s, the server joined the connection to %q", e.want, e.got)
}

// Kind names the failure in a few words.
func (e *notInRoom) Kind() string { return "not in the room" }

// refused is the end of a connection that may not subscribe.
type refused struct{ code, text string }

func (e *refused) Error() string {
	return fmt.Sprintf("the server refused subscribe with %s: %s", e.code, e.text)
}

// Kind names the failure in a few words.
func (e *refused) Kind() string { return "subscribe refused with " + e.code }
