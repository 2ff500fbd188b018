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
	return due
}

// Run sends heartbeats until ctx ends.
func (h *Hub) Run(ctx context.Context) {
	tick := time.NewTicker(h.opts.Heartbeat / heartbeatSlots)
	defer tick.Stop()
	for slot := 0; ; slot = (slot + 1) % heartbeatSlots {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		due := h.heartbeats.due(slot)
		if len(due) == 0 {
			continue
		}
		now := time.Now()
		beat := outbox.NewControl(wire.EventHeartbeat, wire.AppendFrame(nil, wire.EventHeartbeat,
			wire.Heartbeat{Connections: h.Connections(), Time: now.UnixMilli()}))
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
