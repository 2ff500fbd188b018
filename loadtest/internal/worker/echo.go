//go:build linux

package worker

import (
	"fmt"
	"time"

	"github.com/zonecast/zonecast/loadtest/internal/client"
	"github.com/zonecast/zonecast/loadtest/internal/delivery"
	"github.com/zonecast/zonecast/loadtest/internal/failure"
	"github.com/zonecast/zonecast/loadtest/internal/protocol"
	"github.com/zonecast/zonecast/loadtest/internal/stamp"
)

// echoes are round trips: echo i is sent on the connection of member i, counted around, which must
// have it back. Where connections go one way, members post theirs, and the answer is the echo.
//
// The id of an echo is its number on its connection, given as it is written: by it answers are
// lost, duplicated or reordered. The stamp in the data says which echo it is, and when it was due.
type echoes struct {
	w      *Worker
	codec  protocol.Codec
	issued uint32
}

// memberEchoes is one member's part of it.
type memberEchoes struct {
	next    int64
	sent    delivery.Set     // the numbers of those that went out
	answers delivery.Tracker // the numbers of those that were answered
	pool    *echoPool        // nil where the member's own connection takes them
}

// errOffline is the error of a message whose connection is lost.
var errOffline = failure.New("connection lost", "its connection is lost")

func (e *echoes) send(due uint64) {
	w := e.w
	i := e.issued
	e.issued++
	m := e.owner(i)
	if !m.joined {
		w.fail(errOffline)
		return
	}
	if m.echo == nil {
		m.echo = &memberEchoes{}
		if w.job.Mode != client.WebSocket {
			m.echo.pool = &echoPool{e: e, m: m}
		}
	}
	if m.echo.pool != nil && m.echo.pool.full() {
		w.counts.NotSent++
		return
	}
	number := m.echo.next
	m.echo.sent.Add(uint64(number))
	m.echo.next++
	w.counts.Sent++
	if m.echo.pool != nil {
		m.echo.pool.send(number, i, due)
		return
	}
	w.data = w.template.Append(w.data[:0], stamp.Stamp{Stream: stamp.Echo, Seq: i, At: due})
	w.text = e.codec.AppendEcho(w.text[:0], protocol.FirstID+number, w.data)
	w.loop.Send(m.conn, w.text)
}

func (e *echoes) owner(i uint32) *member { return e.w.joined[int(i)%len(e.w.joined)] }

func (e *echoes) handleAck(m *member, a *protocol.Event, now uint64) {
	w := e.w
	s, ok := w.template.Read(a.Data)
	k := a.ID - protocol.FirstID
	switch {
	case m.echo == nil || k < 0 || k >= m.echo.next:
		w.failures.AddKind("frame: ack without a request", fmt.Sprintf("ack with the id %d", a.ID))
		return
	case !ok || s.Stream != stamp.Echo || e.owner(s.Seq) != m:
		w.counts.Damaged++
		w.failures.AddKind("frame: damaged data", fmt.Sprintf("the ack with the id %d does not have the data of its echo", a.ID))
		return
	case m.echo.pool != nil:
		if !m.echo.answers.RecordUnorderedEcho(uint32(k)) {
			return
		}
	case !m.echo.answers.RecordEcho(uint32(k)):
		return
	}
	took := time.Duration(int64(now - s.At))
	w.counts.Received++
	w.last = max(w.last, uint64(int64(now)-w.job.ClockAhead))
	w.secondLive.Record(took)
}

// handleRefused takes the answer to an echo that the server does not want.
func (e *echoes) handleRefused(m *member, a *protocol.Event) {
	e.w.failures.AddKind("server: error "+a.Reason, string(a.Data))
	e.uncount(m, a.ID-protocol.FirstID)
}

// handleFailure notes that an echo's request did.
func (e *echoes) handleFailure(m *member, number int64, err error) {
	e.w.failures.Add("send", err)
	e.uncount(m, number)
}

func (e *echoes) uncount(m *member, number int64) {
	if m.echo != nil && number >= 0 && number < m.echo.next {
		e.w.counts.Sent--
		e.w.counts.Failed++
		m.echo.sent.Remove(uint64(number))
	}
}

// fail counts a message that could not be sent, or was not taken.
func (w *Worker) fail(err error) {
	w.counts.Failed++
	w.failures.Add("send", err)
}
