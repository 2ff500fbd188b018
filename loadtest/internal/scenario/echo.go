package scenario

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/zonecast/zonecast/backend/wire"
	"github.com/zonecast/zonecast/loadtest/internal/account"
	"github.com/zonecast/zonecast/loadtest/internal/stamp"
)

// echo sends message i on connection i, counted around; the same connection must have it back.
//
// The id of an echo is its number on its connection, 1, 2, 3 …, given as it is written: by it answers are lost, duplicated
// or reordered. The sequence number in the data says when it was due.
type echo struct{ run *Run }

var _ load = (*echo)(nil)

// errOffline is the error of an echo whose connection is lost.
var errOffline = errors.New("its connection is lost")

func (e *echo) send(_ context.Context, i uint32) error {
	m := e.run.members[e.owner(i)]
	m.sending.Lock()
	defer m.sending.Unlock()
	conn := m.current()
	if conn == nil {
		return errOffline
	}
	m.numbered++
	if err := conn.Send(e.frame(m.numbered, e.run.stamp.Append(nil, i))); err != nil {
		return err
	}
	m.echoed.Add(uint64(m.numbered))
	return nil
}

// owner returns the index of the member whose message i is.
func (e *echo) owner(i uint32) int { return int(int64(i) % max(e.run.joined.Load(), 1)) }

// frame returns an echo with this id and data.
func (e *echo) frame(id int64, data []byte) []byte {
	p := make([]byte, 0, len(data)+64)
	p = append(p, `{"event":"`+wire.EventEcho+`","id":`...)
	p = strconv.AppendInt(p, id, 10)
	p = append(append(p, `,"data":`...), data...)
	return append(p, '}')
}

func (e *echo) receive(m *member, frame stamp.Frame, at time.Duration) {
	switch {
	case frame.Kind == stamp.Answer && frame.Ours && e.owner(frame.Seq) == m.index:
		m.mu.Lock()
		fresh := m.ledger.Answer(uint32(frame.ID))
		if fresh {
			m.last = at
		}
		m.mu.Unlock()
		if fresh {
			e.run.arrived(m, frame.Seq, at)
		}
	case frame.Kind == stamp.Answer:
		e.run.violations.damaged.Add(1)
		e.run.failures.AddKind("frame: damaged data", fmt.Sprintf("the ack with the id %d does not have the data of its echo", frame.ID))
	case frame.Kind == stamp.Published:
		m.mu.Lock()
		m.ledger.Message(frame.Message) // of someone else, in the room: its order is checked all the same
		m.mu.Unlock()
	default:
		e.run.control(m, frame)
	}
}

func (e *echo) holds(m *member) bool {
	m.sending.Lock()
	defer m.sending.Unlock()
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ledger.Holds(&m.echoed)
}

func (e *echo) score(m *member) account.Score {
	m.sending.Lock()
	defer m.sending.Unlock()
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ledger.Score(&m.echoed)
}

func (e *echo) close() {}

// probe sends one echo to each instance and waits for the answer.
func (e *echo) probe(ctx context.Context) error {
	probes, err := e.run.openProbes(ctx, func(frame wire.ServerFrame, missing map[int]bool) {
		if frame.Event == wire.EventAck && frame.ID == 1 {
			delete(missing, 0)
		}
	}, 1)
	defer probes.close()
	if err != nil {
		return err
	}
	for _, p := range probes.all {
		if err := p.conn.Send(e.frame(1, e.run.mark(0))); err != nil {
			return explainDial(p.url, err)
		}
	}
	return probes.wait(ctx, func(url string, _ int) string {
		return fmt.Sprintf("%s did not answer an echo of %d bytes within %v: is it a Zonecast server?",
			url, e.run.plan.PayloadBytes, probeTimeout)
	})
}
