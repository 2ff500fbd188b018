package hub_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/internal/hub"
	"github.com/zonecast/zonecast/backend/internal/outbox"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/wire"
)

// copied is an encoding that keeps a copy of the frame, as server-sent events and compressed frames
// do; headed is one that does not.
var (
	copied = &outbox.Encoding{Closing: lines.Closing, Append: func(dst []byte, f *outbox.Frame) []byte {
		return append(append(append(dst, "data: "...), f.JSON...), '\n')
	}}
	headed = &outbox.Encoding{Closing: lines.Closing,
		Header: func(dst []byte, _ int) []byte { return append(dst, "> "...) }}
)

// What is kept for those who come back is charged the memory that it takes, whatever encodings it
// was sent in, and stays within its bound.
func TestWhatIsKeptForReplaysIsChargedItsMemory(t *testing.T) {
	for _, c := range []struct {
		name      string
		messages  int
		encodings []*outbox.Encoding
	}{
		{"one encoding that shares the JSON", 4_000, []*outbox.Encoding{headed}},
		{"one encoding that copies", 4_000, []*outbox.Encoding{copied}},
		{"three encodings", 3_000, []*outbox.Encoding{headed, copied, lines}},
		{"more than may be kept", 12_000, []*outbox.Encoding{headed, copied, lines}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := build(t, options{limits: endless})
			h.idle(t, "so that the room stays", drain(t), hub.Join{Room: room("a")})
			data := xs(1000)
			var last wire.Offset
			for range c.messages {
				last = h.send(broker.Publication{Room: room("a"), Data: data})
			}
			eventually(t, "it has read", func() bool { return h.pool.QueuedBytes() == 0 })
			before := int(testkit.LiveHeap())
			for i, encoding := range c.encodings {
				s := h.Open(fmt.Sprint(i), "", h.pool.NewQueue(drain(t), encoding, nil), nil)
				if err := s.Join(t.Context(), []hub.Join{{Room: room("a"), After: wire.Offset{Epoch: last.Epoch, N: 1}}}, silent); err != nil {
					t.Fatal(err)
				}
				eventually(t, "it has read", func() bool { return h.pool.QueuedBytes() == 0 })
			}
			charged, takes := h.KeptForReplay(), int(testkit.LiveHeap())-before
			t.Logf("%d KiB are charged for %d KiB of heap", charged>>10, takes>>10)
			if charged > hub.ReplayBytes {
				t.Errorf("%d bytes are charged, the bound is %d", charged, hub.ReplayBytes)
			}
			const lists = 512 << 10 // and what else the new connections take
			if takes > charged+charged/5+lists || takes < charged-charged/5-lists {
				t.Errorf("%d bytes are charged for %d bytes of heap", charged, takes)
			}
			runtime.KeepAlive(h)
		})
	}
}

// What rooms keep for those who join in the next moment is bounded for all rooms together, and none
// of it outlives the rooms.
func TestRecentMessagesOfAllRoomsAreBounded(t *testing.T) {
	const rooms = 1500
	h := build(t, options{rooms: rooms, bytes: 8 << 20, limits: broker.Limits{Messages: 1}})
	var joins []hub.Join
	for i := range rooms {
		joins = append(joins, hub.Join{Room: room(fmt.Sprint(i))})
	}
	s := h.idle(t, "everywhere", drain(t))
	testkit.Must(t, s.Join(t.Context(), joins, silent))
	const oneMore = 31_000 // what one of these messages costs
	data := xs(15_000)
	full := false
	for range 4 {
		for _, j := range joins {
			h.send(broker.Publication{Room: j.Room, Data: data})
			cost, most := h.Recent()
			full = full || cost > most
		}
	}
	if cost, most := h.Recent(); !full || cost > most+oneMore {
		t.Errorf("%d bytes of recent messages are kept, want at most %d and one more, after more was published (%v)", cost, most, full)
	}
	s.Close()
	if cost, _ := h.Recent(); cost != 0 {
		t.Errorf("%d bytes of recent messages are kept for nobody", cost)
	}
}
