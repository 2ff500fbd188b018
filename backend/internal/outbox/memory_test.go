package outbox_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/zonecast/zonecast/backend/internal/outbox"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/wire"
)

// squeezed is an encoding that makes little of much, as deflate does of zeros.
var squeezed = &outbox.Encoding{
	Append:  func(dst []byte, f *outbox.Frame) []byte { return fmt.Appendf(dst, "%d\n", len(f.JSON)) },
	Closing: lines.Closing,
}

// headed is an encoding that puts a header before the JSON.
var headed = &outbox.Encoding{
	Header:  func(dst []byte, _ int) []byte { return append(dst, "> "...) },
	Closing: lines.Closing,
}

// The bound is one of memory, whatever is pushed and whatever its encoding makes of it.
func TestTheBoundIsOneOfMemory(t *testing.T) {
	const bound = 1 << 20
	zeros := make([]byte, 65_000)
	event := func(i, bytes int, conflate string) *outbox.Frame {
		return outbox.Broadcast(&wire.Message{Room: wire.Room{Warehouse: fmt.Sprint("w-", i%7)}, Event: "E", Data: []byte(`"` + strings.Repeat("x", bytes) + `"`),
			Offset: wire.Offset{Epoch: fmt.Sprint("epoch-", i), N: uint64(i + 1)}}, 1, conflate)
	}
	for _, c := range []struct {
		name string
		by   *outbox.Encoding
		push func(q *outbox.Queue, i int) error
	}{
		{"answers that are large before they are compressed", squeezed, func(q *outbox.Queue, i int) error { return q.Send(outbox.NewControl("", zeros)) }},
		{"answers", lines, func(q *outbox.Queue, i int) error { return q.Send(outbox.NewControl("", make([]byte, 1000))) }},
		{"answers of nothing", lines, func(q *outbox.Queue, i int) error { return q.Send(outbox.NewControl("", []byte("{}"))) }},
		{"pongs", lines, func(q *outbox.Queue, i int) error { return q.WriteRaw([]byte{0x8a, 0}) }},
		{"large events", lines, func(q *outbox.Queue, i int) error { return q.Push(event(i, 60_000, "")) }},
		{"large events behind a header", headed, func(q *outbox.Queue, i int) error { return q.Push(event(i, 60_000, "")) }},
		{"large events, compressed", squeezed, func(q *outbox.Queue, i int) error { return q.Push(event(i, 60_000, "")) }},
		{"small events", lines, func(q *outbox.Queue, i int) error { return q.Push(event(i, 1, "")) }},
		{"small events behind a header", headed, func(q *outbox.Queue, i int) error { return q.Push(event(i, 1, "")) }},
		{"replayed events", lines, func(q *outbox.Queue, i int) error { return q.Push(event(i, 1000, "").Replay()) }},
		{"states of many names", headed, func(q *outbox.Queue, i int) error { return q.Push(event(i, 1, fmt.Sprint("name-", i))) }},
		{"states that are conflated", headed, func(q *outbox.Queue, i int) error {
			e := wire.Offset{Epoch: "e", N: uint64(i + 1)}
			return q.Push(outbox.Broadcast(&wire.Message{Room: wire.Room{Warehouse: "w"}, Event: "E", Offset: e}, 1, fmt.Sprint(i%1000)))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, _ := start(t, outbox.Options{MaxQueuedBytes: bound})
			q, _ := stalledQueue(t, p, c.by)
			before := testkit.LiveHeap()
			for i, step := 0, 0; i < 5_000 && q.Stats().QueuedBytes+2*step < bound; i++ {
				waiting := q.Stats().QueuedBytes
				testkit.Must(t, c.push(q, i))
				step = max(step, q.Stats().QueuedBytes-waiting)
			}
			// The writer's own 64 KiB, and the lists that hold the entries, come on top.
			const most = bound + 64<<10 + bound/8
			if grown := testkit.LiveHeap() - before; grown > most {
				t.Errorf("%d bytes of heap for %d that are charged", grown, q.Stats().QueuedBytes)
			} else {
				t.Logf("%d bytes of heap for %d that are charged", grown, q.Stats().QueuedBytes)
			}
			runtime.KeepAlive(q)
			endAll(t, nil, q)
		})
	}
}
