package brokertest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/wire"
)

// payloads are valid JSON that does not survive being decoded and encoded again, being taken for
// text with line ends, or being cut at a buffer's size.
var payloads = []string{
	`null`, `true`, `""`, `[]`, `{}`, `-0`, `0.10`, `1e400`, `12345678901234567890123456789`,
	`{"b":1,"a":2,"b":3}`,
	"{ \"a\" :\t1 ,\r\n\"b\":\n[ 1,2 ] }",
	`"<b>&amp;</b>"`,
	`"\u0000\ud800 \u00e9 \/"`,
	"\"\u2028 Kühlhaus 倉庫 🚚 \u007f\"",
	`{"zone":"+OK","n":"$-1","x":"*3"}`,
	`"` + strings.Repeat("é", 32<<10) + `"`,
	strings.Repeat("[", 1000) + strings.Repeat("]", 1000),
}

func dataAsSent(t *testing.T, open Open) {
	b, r := start(t, open, broker.Limits{})
	room := Room(t)
	Subscribe(t, b, room)
	var first wire.Offset
	for i, data := range payloads {
		o := publish(t, b, broker.Publication{Room: room, Event: "E", Retain: true, Data: json.RawMessage(data)})
		if i == 0 {
			first = o
		}
	}
	if _, err := b.Publish(t.Context(), broker.Publication{Room: room, Event: "E"}); err != nil {
		t.Fatal(err)
	}
	n := uint64(len(payloads) + 1)
	same := func(where string, messages []*broker.Message) {
		t.Helper()
		wantRange(t, messages, 1, n)
		for i, data := range payloads {
			if got := messages[i].Data; !bytes.Equal(got, []byte(data)) {
				t.Errorf("%s: %.80q arrived as %.80q", where, data, got)
			}
		}
		if got := messages[n-1].Data; len(got) > 0 && string(got) != "null" {
			t.Errorf("%s: absent data arrived as %q, want none or null", where, got)
		}
	}
	same("delivered", r.WantExactly(room, 1, n))
	page := history(t, b, room, wire.Offset{Epoch: first.Epoch}, int(n))
	if page.Gap != nil {
		t.Errorf("gap %+v", page.Gap)
	}
	same("history", page.Messages)
	b.Unsubscribe(room)
	s, err := b.Subscribe(t.Context(), room)
	if err != nil || len(s.Retained) != 1 || !bytes.Equal(s.Retained[0].Data, []byte(payloads[len(payloads)-1])) {
		t.Errorf("retained: %d messages, %v; want the last payload", len(s.Retained), err)
	}
}

func metadata(t *testing.T, open Open) {
	const clocks = 5 * time.Second // that the store's clock may differ from ours
	b, r := start(t, open, broker.Limits{})
	room := Room(t)
	Subscribe(t, b, room)
	given := []broker.Publication{
		{Room: room, Event: "stock:low", Data: json.RawMessage(`1`)},
		{Room: room, Event: strings.Repeat("E", wire.MaxEventLen), Data: json.RawMessage(`2`), Retain: true},
		{Room: room, Event: "a.b_c-d", Data: json.RawMessage(`3`), IdempotencyKey: "k"},
	}
	var last wire.Offset
	for _, p := range given {
		last = publish(t, b, p)
	}
	delivered := r.WantExactly(room, 1, uint64(len(given)))
	kept := history(t, b, room, wire.Offset{Epoch: last.Epoch}, 10).Messages
	wantRange(t, kept, 1, uint64(len(given)))
	for i, p := range given {
		m := delivered[i]
		if m.Room != p.Room || m.Event != p.Event || m.Retain != p.Retain || m.Offset.Epoch != last.Epoch {
			t.Errorf("%+v was delivered as %+v", p, m)
		}
		if off := time.Since(m.Accepted.Time()); off.Abs() > clocks || m.Time != m.Accepted.Millis() {
			t.Errorf("accepted %d µs (%v ago), time %d ms: want now, and the same", m.Accepted, off, m.Time)
		}
		if i > 0 && m.Accepted < delivered[i-1].Accepted {
			t.Errorf("%s was accepted at %d, before the one that it follows", m.Offset, m.Accepted)
		}
		if fmt.Sprintf("%+v", *kept[i]) != fmt.Sprintf("%+v", *m) {
			t.Errorf("delivered as %+v, kept as %+v", *m, *kept[i])
		}
	}
}

// conflateNames: what a message is the newest state of reaches whoever gets it live.
func conflateNames(t *testing.T, open Open) {
	b, r := start(t, open, broker.Limits{})
	room := Room(t)
	Subscribe(t, b, room)
	names := []string{"", "zone-a", "", "zone-b.temp_1:x", "zone-a"}
	for _, name := range names {
		publish(t, b, broker.Publication{Room: room, Event: "E", Conflate: name})
	}
	for i, m := range r.WantExactly(room, 1, uint64(len(names))) {
		if m.Conflate() != names[i] {
			t.Errorf("message %d arrived with the name %q, want %q", i+1, m.Conflate(), names[i])
		}
	}
}
