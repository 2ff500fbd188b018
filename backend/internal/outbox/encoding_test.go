package outbox_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/zonecast/zonecast/backend/internal/outbox"
	"github.com/zonecast/zonecast/backend/wire"
)

// However many transports a program has: each queue gets the bytes of its own, made once a frame.
func TestEachQueueGetsItsOwnEncoding(t *testing.T) {
	const encodings, members = 40, 3
	synctest.Test(t, func(t *testing.T) {
		p, _ := start(t, outbox.Options{})
		made := make([]int, encodings)
		var queues []*outbox.Queue
		var clients []*fake
		for i := range encodings {
			by := &outbox.Encoding{Closing: lines.Closing, Append: func(dst []byte, f *outbox.Frame) []byte {
				made[i]++
				return fmt.Appendf(dst, "%d of %s %s\n", i, f.Event, f.Message.Offset)
			}}
			if i%4 == 0 {
				by = &outbox.Encoding{Closing: lines.Closing, Header: func(dst []byte, n int) []byte {
					made[i]++
					return fmt.Appendf(dst, "%d of ", i)
				}}
			}
			for range members {
				c := newFake()
				c.let(plenty)
				clients, queues = append(clients, c), append(queues, p.NewQueue(c, by, nil))
			}
		}
		f := outbox.Broadcast(&wire.Message{Room: wire.Room{Warehouse: "w"}, Event: "E",
			Offset: wire.Offset{Epoch: "k", N: 7}}, 0, "")
		p.Fanout(f, queues)
		synctest.Wait()
		for i, c := range clients {
			want := fmt.Sprintf("%d of E k-7", i/members)
			if i/members%4 == 0 {
				want = fmt.Sprintf("%d of %s", i/members, f.JSON)
			}
			if got := c.lines(); !slices.Equal(got, []string{want}) {
				t.Errorf("queue %d got %q, want %q", i, got, want)
			}
		}
		if slices.Max(made) != 1 || slices.Min(made) != 1 {
			t.Errorf("the frame was encoded %v times, want once in each encoding", made)
		}
		endAll(t, nil, queues...)
		synctest.Wait()
	})
}

// An encoding sees what a frame is, not only its JSON.
func TestAnEncodingSeesTheFrame(t *testing.T) {
	room, at := wire.Room{Warehouse: "w", Zone: "a"}, wire.Offset{Epoch: "k", N: 3}
	m := &wire.Message{Room: room, Event: "ALERT", Offset: at}
	for _, tt := range []struct {
		give *outbox.Frame
		want string
	}{
		{outbox.Broadcast(m, 5, "name"), "1 ALERT zone:w:a@k-3"},
		{outbox.Broadcast(m, 5, "name").Replay(), "1 ALERT zone:w:a@k-3"},
		{outbox.NewRetained(m), "2 ALERT "},
		{outbox.NewGap(room, wire.Offset{}, at), "3 gap zone:w:a@k-3"},
		{outbox.NewControl(wire.EventHeartbeat, []byte("{}")), "0 heartbeat "},
		{outbox.NewDrain(1500e6), "0 drain 1.5s "},
	} {
		got := ""
		tt.give.In(&outbox.Encoding{Append: func(_ []byte, f *outbox.Frame) []byte {
			got = fmt.Sprint(f.Kind, " ", f.Event, " ")
			if f.RetryAfter > 0 {
				got += fmt.Sprint(f.RetryAfter, " ")
			}
			if p, ok := f.Position(); ok {
				got += fmt.Sprintf("%s@%s", p.Room, p.Offset)
			}
			return nil
		}})
		if got != tt.want {
			t.Errorf("%s is seen as %q, want %q", tt.give.JSON, got, tt.want)
		}
	}
}
