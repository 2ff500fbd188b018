package ws_test

import (
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/zonecast/zonecast/backend/wire"
)

// With deflate and without it a client gets the same; what a client compresses is understood.
func TestDeflateIsTransparent(t *testing.T) {
	s := start(t, options{deflate: 1024})
	plain := s.dial("warehouse=w1")
	websocket.DefaultDialer.EnableCompression = true
	small := s.dial("warehouse=w1")
	websocket.DefaultDialer.EnableCompression = false
	data := `"` + strings.Repeat("pick rate ", 400) + `"`
	s.Publish(wire.Room{Warehouse: "w1"}, "BIG", data)
	s.Publish(wire.Room{Warehouse: "w1"}, "SMALL", `1`)
	for name, c := range map[string]*client{"plain": plain, "deflated": small} {
		f := c.wait("the small event", func(f wire.ServerFrame) bool { return f.Event == "SMALL" })
		if got := c.of("BIG"); len(got) != 1 || string(got[0].Data) != data || string(f.Data) != `1` {
			t.Errorf("%s got %d big events", name, len(got))
		}
		for i := range 3 { // gorilla compresses what it sends, too
			if f := c.ask("echo", int64(i+1), data); f.Event != wire.EventAck || string(f.Data) != data {
				t.Errorf("%s: echo was answered %s %.40s", name, f.Event, f.Data)
			}
		}
	}
	sent := s.Counter("zonecast_delivered_bytes_total")
	if sent > 4*4000+4000 { // of two big events and six echoes only those of one client are plain
		t.Errorf("%v bytes were sent, so nothing was compressed", sent)
	}
}

// An offer that can't be accepted means no compression; the answer to others names no window.
func TestTheAnswerIsWithinTheOffer(t *testing.T) {
	const accepted = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
	for _, c := range []struct {
		offer, want string
		deflate     int
	}{
		{"permessage-deflate; client_max_window_bits", accepted, 1024},
		{"permessage-deflate; client_max_window_bits=9", accepted, 1024},
		{"permessage-deflate; server_max_window_bits=10", "", 1024},
		{"permessage-deflate; server_max_window_bits=10, permessage-deflate", accepted, 1024},
		{`other; text="a, permessage-deflate, b"`, "", 1024},
		{"permessage-deflate", "", 0}, // compression is off
	} {
		s := start(t, options{deflate: c.deflate})
		r := s.rawWith("warehouse=w1", "Sec-WebSocket-Extensions: "+c.offer+"\r\n", nil)
		if got := r.handshaken().Get("Sec-WebSocket-Extensions"); got != c.want {
			t.Errorf("%q was answered with %q, want %q", c.offer, got, c.want)
		}
		data := `"` + strings.Repeat("pick rate ", 400) + `"`
		r.until(text) // connected
		s.Publish(wire.Room{Warehouse: "w1"}, "BIG", data)
		opcode, payload, err := r.next()
		if is := opcode == compressed|text; err != nil || is != (c.want != "") || !is && !strings.Contains(payload, data) {
			t.Errorf("%q: the event is a frame that begins with %x and has %d bytes: %v", c.offer, opcode, len(payload), err)
		}
		r.Close()
	}
}
