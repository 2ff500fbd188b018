package broker

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/zonecast/zonecast/backend/wire"
)

// FuzzBusMessage: whatever lies in Redis is either refused or a message as a publisher could have
// sent it: it is one JSON frame, with the offset that it has.
func FuzzBusMessage(f *testing.F) {
	for _, seed := range []string{
		"k3f9 17 1764313200000000 0  ZONE_UPDATE\n{\"a\":1}",
		"k3f9 17 1764313200000000 1 stock,s1:ABC.7.1764313200000.bWFj ALERT\n\"x\"",
		"k3f9 18446744073709551615 -1 2 , \n",
		"k3f9 1 1 0  connected\n{}",
		"k3f9 1 1 0  ALERT\n1},{\"event\":\"ALERT\"",
		"K3F9-1 01 1 0  A\n1",
	} {
		f.Add(seed)
	}
	room := wire.Room{Warehouse: "w", Zone: "z"}
	const most = 1 << 10
	f.Fuzz(func(t *testing.T, payload string) {
		head, data, _ := strings.Cut(payload, "\n")
		parts := strings.Split(head, " ")
		live, _, err := decodePayload(room, payload, most)
		if err == nil {
			checkMessage(t, live, most)
		}
		if len(parts) != 6 {
			if err == nil {
				t.Errorf("%q is a message", payload)
			}
			return
		}
		stored, err := decodeEntry(room, parts[0], []any{parts[1] + "-" + parts[2], []any{"e", parts[5], "d", data}}, most)
		if err == nil {
			checkMessage(t, stored, most)
		}
	})
}

func checkMessage(t *testing.T, m *Message, most int) {
	t.Helper()
	if _, err := wire.ParseOffset(m.Offset.String()); err != nil {
		t.Error(err)
	}
	if err := wire.CheckEvent(m.Event); err != nil {
		t.Error(err)
	}
	if err := wire.CheckConflate(m.Conflate()); err != nil {
		t.Error(err)
	}
	if len(m.Data) > most || m.Accepted < 0 {
		t.Errorf("%d bytes, accepted at %d", len(m.Data), m.Accepted)
	}
	if frame := wire.AppendMessage(nil, &m.Message); !json.Valid(frame) {
		t.Errorf("the frame is %s", frame)
	}
}
