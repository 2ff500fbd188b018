package hub

import (
	"context"
	"sync"
	"time"

	"github.com/zonecast/zonecast/backend/internal/outbox"
	"github.com/zonecast/zonecast/backend/wire"
)

// heartbeatSlots is into how many parts the heartbeat interval is cut: each session beats in one of
// them, so that heartbeats are spread over time and need one timer.
const heartbeatSlots = 128

// beats are the sessions by the slot in which they beat.
type heartbeats struct {
	mu    sync.Mutex
	slots [heartbeatSlots]map[*Session]struct{}
	next  int
}

func (b *heartbeats) add(s *Session) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s.beat = b.next
	b.next = (b.next + 1) % heartbeatSlots
	if b.slots[s.beat] == nil {
		b.slots[s.beat] = map[*Session]struct{}{}
	}
	b.slots[s.beat][s] = struct{}{}
}

func (b *heartbeats) remove(s *Session) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.slots[s.beat], s)
}

// due returns the sessions of a slot.
func (b *heartbeats) due(slot int) []*Session {
	b.mu.Lock()
	defer b.mu.Unlock()
	due := make([]*Session, 0, len(b.slots[slot]))
	for s := range b.slots[slot] {
		due = append(due, s)
	}
	OldestFirst(due)
	return due
}

// brokerLook is the time between two looks at the broker's health.
const brokerLook = 250 * time.Millisecond

// lookAtBroker tells all sessions at once when the broker went away or came back.
func (h *Hub) lookAtBroker() {
	away := h.broker.Health() != nil
	if h.away.Swap(away) == away {
		return
	}
	beat := h.heartbeat(time.Now())
	beat.Urgent = true
	sessions := h.Sessions()
	OldestFirst(sessions)
	for _, s := range sessions {
		s.Queue.Push(beat)
	}
}

// BrokerState is what clients are told of the broker: wire.BrokerUnavailable, or nothing.
func (h *Hub) BrokerState() string {
	if h.away.Load() {
		return wire.BrokerUnavailable
	}
	return ""
}

func (h *Hub) heartbeat(now time.Time) *outbox.Frame {
	return outbox.NewControl(wire.EventHeartbeat, wire.AppendFrame(nil, wire.EventHeartbeat,
		wire.Heartbeat{Connections: h.Connections(), Time: now.UnixMilli(), Broker: h.BrokerState()}))
}

// Run sends heartbeats until ctx ends.
func (h *Hub) Run(ctx context.Context) {
	look := time.NewTicker(brokerLook)
	defer look.Stop()
	tick := time.NewTicker(h.opts.Heartbeat / heartbeatSlots)
	defer tick.Stop()
	for slot := 0; ; slot = (slot + 1) % heartbeatSlots {
		select {
		case <-tick.C:
		case <-look.C:
			h.lookAtBroker()
			slot = (slot + heartbeatSlots - 1) % heartbeatSlots // it is still the same one's turn
			continue
		case <-ctx.Done():
			return
		}
		due := h.heartbeats.due(slot)
		if len(due) == 0 {
			continue
		}
		now := time.Now()
		beat := h.heartbeat(now)
		for _, s := range due {
			if s.ping == nil {
				s.Queue.Push(beat)
				continue
			}
			s.pinged.CompareAndSwap(0, now.UnixMicro())
			s.Queue.Push(beat, s.ping)
		}
	}
}
