package ws

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/zonecast/zonecast/backend/internal/outbox"
	"github.com/zonecast/zonecast/backend/internal/transport"
	"github.com/zonecast/zonecast/backend/wire"
)

// BenchmarkRead checks frames of a client as they come in.
func BenchmarkRead(b *testing.B) {
	for _, size := range []int{40, 4096} {
		frame := masked(fin|text, strings.Repeat("x", size))
		for _, deflate := range []bool{false, true} {
			b.Run(fmt.Sprintf("%d bytes, deflate %v", size, deflate), func(b *testing.B) {
				const frames = 1000
				give := bytes.Repeat(frame, frames)
				b.SetBytes(int64(len(give)))
				b.ReportAllocs()
				buf := make([]byte, 256)
				for b.Loop() {
					c := incoming(nil, 256, 64<<10, deflate)
					c.Conn.(*stream).rest = give
					for err := error(nil); err != io.EOF; {
						_, err = c.Read(buf)
					}
				}
			})
		}
	}
}

// BenchmarkEncode makes a published message the frame that all members' sockets get, from the
// broker's message to the bytes.
func BenchmarkEncode(b *testing.B) {
	for _, size := range []int{128, 4096} {
		data := json.RawMessage(`"` + strings.Repeat("pick rate ", size/10) + `"`)
		m := &wire.Message{Room: wire.Room{Warehouse: "warehouse-1", Zone: "zone-a"}, Event: "ZONE_UPDATE",
			Offset: wire.Offset{Epoch: "1k2m3n", N: 123456}, Time: 1790000000000, Data: data}
		for name, form := range map[string]*outbox.Encoding{"plain": frames, "deflated": deflated(1024, transport.WebSocket)} {
			b.Run(fmt.Sprintf("%d bytes, %s", size, name), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					outbox.Broadcast(m, 0, "").In(form)
				}
			})
		}
	}
}

func BenchmarkCompress(b *testing.B) {
	p := []byte(`{"event":"SHIFT_SNAPSHOT","data":[` + strings.Repeat(`{"zone":"zone-a","pickRate":1402,"unitsDone":5250},`, 80) + `0]}`)
	b.SetBytes(int64(len(p)))
	for b.Loop() {
		compress(p)
	}
}
