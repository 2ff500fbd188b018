package ws_test

import (
	"testing"

	"github.com/zonecast/zonecast/backend/wire"
)

// The account of a connection holds each byte of its frames as they came in, headers and
// compression included, and each message that went out.
func TestAConnectionIsAccountedForByTheByte(t *testing.T) {
	echo := `{"event":"echo","id":1,"data":"x"}`
	for _, c := range []struct {
		name, extensions string
		give             []byte
	}{
		{"plain", "", frame(final|text, echo)},
		{"in parts, around a ping", "", append(append(frame(text, echo[:5]), frame(final|ping, "p")...), frame(final|continuation, echo[5:])...)},
		{"compressed", "permessage-deflate", frame(final|compressed|text, deflated([]byte(echo)))},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := start(t, options{deflate: 1024})
			r := s.rawOffering("warehouse=w1", c.extensions)
			r.until(text) // connected
			if _, err := r.Write(c.give); err != nil {
				t.Fatal(err)
			}
			r.answer(1)
			s.Publish(wire.Room{Warehouse: "w1"}, "E", `1`)
			r.until(text)
			account := s.Hub.Sessions()[0].SessionStats()
			if account.Read != uint64(len(c.give)) || account.Received != 1 {
				t.Errorf("%d bytes and %d frames are counted as received, want %d and 1", account.Read, account.Received, len(c.give))
			}
			eventually(t, "the event is counted as sent", func() bool { return s.Hub.Sessions()[0].SessionStats().Messages == 1 })
		})
	}
}
