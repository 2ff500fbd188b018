//go:build linux

package swarm

import (
	"slices"

	"github.com/zonecast/zonecast/loadtest/peers/internal/dialect"
	"github.com/zonecast/zonecast/loadtest/peers/internal/frame"
	"github.com/zonecast/zonecast/loadtest/peers/internal/payload"
)

// A stream is the messages of one publisher into one room.
type stream struct {
	room      int
	publisher int
	sent      uint32   // how many, and the number of the next one
	refused   []uint32 // numbers that the server refused
}

// A publisher is a client that sends.
type publisher struct {
	conn    *conn
	streams []uint16
	lastID  int64
	pending map[int64]message // by the id that its answer carries
	turn    int               // of the streams, when it sends as fast as it may
	paused  uint64            // until when the server asked it to wait
}

// A message is a published one.
type message struct {
	stream uint16
	seq    uint32
}

// publish puts the next message of a stream into its publisher's output. It is stamped with the time at.
func (s *Swarm) publish(number uint16, at uint64) {
	st := &s.streams[number]
	p := &s.publishers[st.publisher]
	if p.conn.state != ready {
		return
	}
	p.lastID++
	p.pending[p.lastID] = message{stream: number, seq: st.sent}
	s.data = s.plan.Template.Append(s.data[:0], payload.Stamp{Stream: number, Seq: st.sent, At: at})
	s.text = s.plan.Dialect.AppendPublish(s.text[:0], p.lastID, s.rooms[st.room].name, s.data)
	s.send(p.conn, frame.Text, s.text)
	st.sent++
	s.tally.published++
}

// answered takes the server's answer to a publish.
func (s *Swarm) answered(p *publisher, e *dialect.Event, now uint64) {
	m, ok := p.pending[e.ID]
	if !ok {
		count(s.tally.complaints, "an answer to nothing")
		return
	}
	delete(p.pending, e.ID)
	if e.Kind == dialect.Ack {
		s.tally.acked++
		return
	}
	count(s.tally.refused, e.Reason)
	s.streams[m.stream].refused = append(s.streams[m.stream].refused, m.seq)
	p.paused = max(p.paused, now+uint64(e.Wait))
}

// topUp publishes until the window is full.
func (s *Swarm) topUp(p *publisher) {
	now := s.now()
	if now < p.paused || p.conn.state != ready {
		return
	}
	for len(p.pending) < s.window {
		s.publish(p.streams[p.turn], now)
		p.turn = (p.turn + 1) % len(p.streams)
	}
}

// unanswered counts the publishes whose answer has not come and may still do so.
func (s *Swarm) unanswered(living bool) (n int) {
	for i := range s.publishers {
		if p := &s.publishers[i]; !living || p.conn.state == ready {
			n += len(p.pending)
		}
	}
	return n
}

// unaccepted lists for each stream the numbers that the server refused or has not answered, in their order.
func (s *Swarm) unaccepted() [][]uint32 {
	absent := make([][]uint32, len(s.streams))
	for i := range s.streams {
		absent[i] = slices.Clone(s.streams[i].refused)
	}
	for i := range s.publishers {
		for _, m := range s.publishers[i].pending {
			absent[m.stream] = append(absent[m.stream], m.seq)
		}
	}
	for _, numbers := range absent {
		slices.Sort(numbers)
	}
	return absent
}
