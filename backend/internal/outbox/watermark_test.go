package outbox_test

import (
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/internal/backpressure"
	"github.com/zonecast/zonecast/backend/internal/outbox"
	"github.com/zonecast/zonecast/backend/wire"
)

// Rooms learn when the queue of a member falls behind, whether its peer is seen to read, and when
// it has caught up: publishers wait accordingly.
func TestRoomsLearnHowAQueueStandsBetweenItsWatermarks(t *testing.T) {
	const bound = 64 << 10
	for _, tt := range []struct {
		name   string
		others int  // members that are not behind
		rooms  int  // that the queue is in
		full   bool // a room that has not seen the member read waits for it
	}{
		{name: "the only member", rooms: 1, full: true},
		{name: "one of many members", others: 20, rooms: 1},
		{name: "one of many members, in many rooms", others: 20, rooms: 3, full: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, _ := start(t, outbox.Options{MaxQueuedBytes: bound})
			q, sink := stalledQueue(t, p, lines)
			c := &backpressure.Control{MaxQueuedBytes: bound, PublishWait: time.Hour, StallTimeout: time.Hour}
			var rooms []*backpressure.Load
			for range tt.rooms {
				r := c.NewLoad(wire.Room{Warehouse: "w"})
				for range tt.others {
					r.Join(new(backpressure.Member), backpressure.Ready)
				}
				q.Watch(r)
				rooms = append(rooms, r)
			}
			waits := func() bool { return !rooms[0].IsOpen() }
			for n := 1; q.Stats().QueuedBytes <= backpressure.HighWatermark(bound); n++ {
				if waits() {
					t.Fatalf("publishers wait at %d bytes", q.Stats().QueuedBytes)
				}
				q.Push(message(n))
			}
			if waits() != tt.full {
				t.Errorf("publishers wait for a peer that has not read: %v, want %v", waits(), tt.full)
			}
			drained := q.AtLowWatermark()
			sink.let(200) // the message that is being written
			eventually(t, "publishers wait for a peer that reads", waits)
			select {
			case <-drained:
				t.Error("a replay goes on although the queue is behind")
			default:
			}
			sink.let(plenty)
			<-drained
			eventually(t, "publishers go on", rooms[0].IsOpen)
			for _, r := range rooms {
				q.Unwatch(r)
				if members, _ := r.Counts(); members != tt.others {
					t.Errorf("%d members are left, want %d", members, tt.others)
				}
			}
			q.Hangup(wire.CloseGoingAway)
		})
	}
}

// A closing queue makes nobody wait.
func TestAClosingQueueIsNotBehind(t *testing.T) {
	const bound = 64 << 10
	p, _ := start(t, outbox.Options{MaxQueuedBytes: bound, CloseGrace: time.Hour})
	q, _ := stalledQueue(t, p, lines)
	r := (&backpressure.Control{MaxQueuedBytes: bound, PublishWait: time.Hour, StallTimeout: time.Hour}).NewLoad(wire.Room{Warehouse: "w"})
	q.Watch(r)
	for n := 1; r.IsOpen(); n++ {
		q.Push(message(n))
	}
	drained := q.AtLowWatermark()
	q.Close(wire.CloseGoingAway, "")
	<-drained
	if !r.IsOpen() {
		t.Error("publishers wait for a client that is leaving")
	}
	q.Hangup(wire.CloseGoingAway)
}
