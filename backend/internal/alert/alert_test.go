package alert

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/zonecast/zonecast/backend/wire"
)

func TestWhatPublishersSendIsUnderstood(t *testing.T) {
	tests := []struct{ give, want string }{
		{`{"id":7,"severity":"CRITICAL","title":" Fire ","raisedAt":"2026-01-01T00:00:00Z"}`, "7 critical Fire 1767225600000 0 false true"},
		{`{"title":"No id"}`, "No id warning No id 0 0 false true"},
		{`{"id":"a","severity":"fatal","raisedAt":1767225600}`, "a warning a 0 0 false true"},
		{`{"id":"a","cleared":true}`, "a warning a 0 0 true true"},
		{`{"id":"a","clearedAt":1,"expiresAt":1767225600000}`, "a warning a 0 1767225600000 true true"},
		{`{"id":"a","clearedAt":0}`, "a warning a 0 0 false true"},
		{`{"id":1e3}`, "1000 warning 1000 0 0 false true"},
		{`{"id":"` + strings.Repeat("ä", 301) + `"}`, strings.Repeat("ä", 300) + " warning " + strings.Repeat("ä", 300) + " 0 0 false true"},
		{`{"id":null,"title":{}}`, " warning  0 0 false false"},
		{`[1]`, "   0 0 false false"},
		{`null`, "   0 0 false false"},
	}
	for _, tt := range tests {
		a, ok := Read([]byte(tt.give))
		if got := fmt.Sprint(a.ID, " ", a.Severity, " ", a.Title, " ", a.RaisedAt, " ", a.ExpiresAt, " ", a.Cleared, " ", ok); got != tt.want {
			t.Errorf("%.60s: got %q, want %q", tt.give, got, tt.want)
		}
	}
}

func TestAStateIsWhatIsOpenAndWhoHasSeenToIt(t *testing.T) {
	room := wire.Room{Warehouse: "w", Zone: "a"}
	var s State
	at := int64(0)
	tell := func(event, data string) {
		at++
		s.Apply(&wire.Message{Room: room, Event: event, Time: at, Data: []byte(data)})
	}
	want := func(want ...string) {
		t.Helper()
		var got []string
		for _, o := range s.At(1767225600000) {
			got = append(got, fmt.Sprint(o.ID, " ", o.RaisedAt, " ", o.AcknowledgedBy, " ", o.AcknowledgedAt))
		}
		if strings.Join(got, "; ") != strings.Join(want, "; ") {
			t.Errorf("open are %q, want %q", got, want)
		}
	}
	tell(wire.EventAlertAcknowledged, `{"id":"fire","by":"Anna"}`) // the alert was updated since
	tell(wire.EventAlert, `{"id":"printer"}`)
	tell(wire.EventAlert, `{"id":"fire","severity":"critical"}`)
	tell(wire.EventAlert, `{"id":"old","expiresAt":1767225600000}`)
	want("fire 3 Anna 1", "printer 2  0")
	tell(wire.EventShiftSnapshot, `{"workers":3}`)
	tell(wire.EventAlert, `{"id":"printer","cleared":true}`)
	want("fire 3 Anna 1")
	tell(wire.EventShiftSnapshot, `{"alerts":[{"id":"door"}]}`)
	tell(wire.EventAlert, `{"id":"fire","severity":"critical"}`) // another one
	want("fire 8  0", "door 7  0")
	tell(wire.EventAlertEscalated, `{"id":"door"}`)
	if o := s.At(1767225600000)[1]; o.EscalatedAt != 9 || o.EscalatesAt(60_000) != 0 {
		t.Errorf("escalated: %+v", o)
	}
	if o := s.At(1767225600000)[0]; o.EscalatesAt(60_000) != 60_008 || o.EscalatesAt(0) != 0 {
		t.Errorf("not escalated: %+v", o)
	}
	tell(wire.EventAlert, `{"id":"quiet","escalateAfter":0}`)
	tell(wire.EventAlert, `{"id":"soon","escalateAfter":5}`)
	for _, o := range s.At(1767225600000) {
		if at := map[string]int64{"quiet": 0, "soon": 300_011}; (o.ID == "quiet" || o.ID == "soon") && o.EscalatesAt(60_000) != at[o.ID] {
			t.Errorf("%s escalates at %d", o.ID, o.EscalatesAt(60_000))
		}
	}
	at = 1767225600000 - 10
	tell(wire.EventShiftSnapshot, `{"alerts":[{"id":"fire","expiresAt":1767225599995}]}`)
	tell(wire.EventAlertAcknowledged, `{"id":"fire","by":"Anna"}`)
	want()
	at += 10
	tell(wire.EventAlert, `{"id":"fire"}`) // raised again
	want("fire 1767225600003  0")
}

// What screens can't show is told by the name of its field, and what they understand is fine.
func TestWhatScreensCannotShowIsToldByItsField(t *testing.T) {
	tests := []struct{ event, give, want string }{
		{wire.EventZoneUpdate, `{"workers":12,"unitsDone":"5250","pickRate":0,"ordersOpen":null,"temperature":{}}`, ""},
		{wire.EventZoneUpdate, `{}`, ""},
		{wire.EventZoneUpdate, `[1]`, "data"},
		{wire.EventZoneUpdate, `"x"`, "data"},
		{wire.EventZoneUpdate, `{"pickRate":-1}`, "pickRate"},
		{wire.EventZoneUpdate, `{"pickRate":"fast"}`, "pickRate"},
		{wire.EventZoneUpdate, `{"unitsDone":1e308}`, "unitsDone"},
		{wire.EventZoneUpdate, `{"now":1767225600}`, "now"},
		{wire.EventShiftSnapshot, `{"startsAt":"2026-01-01T06:00:00Z","endsAt":1767225600000,"name":"Ambient","alerts":[{"id":1},{"title":"x","raisedAt":0}]}`, ""},
		{wire.EventShiftSnapshot, `{"startsAt":"tomorrow"}`, "startsAt"},
		{wire.EventShiftSnapshot, `{"timeZone":2}`, "timeZone"},
		{wire.EventShiftSnapshot, `{"alerts":{}}`, "alerts"},
		{wire.EventShiftSnapshot, `{"alerts":[{"id":1},{"detail":"no id"}]}`, "alerts[1].id"},
		{wire.EventShiftSnapshot, `{"alerts":[7]}`, "alerts[0].data"},
		{wire.EventAlert, `{"id":7,"severity":"fatal","cleared":true}`, ""},
		{wire.EventAlert, `{"severity":"critical"}`, "id"},
		{wire.EventAlert, `{"id":"a","expiresAt":"soon"}`, "expiresAt"},
		{"OTHER", `[`, ""},
	}
	for _, tt := range tests {
		got := ""
		if m, ok := errors.AsType[*Mistake](Check(tt.event, []byte(tt.give))); ok {
			got = m.Field
		}
		if got != tt.want {
			t.Errorf("%s %s: %q, want %q", tt.event, tt.give, got, tt.want)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"id":1,"alerts":[{"id":"a"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if a, ok := Read(data); ok && (a.ID == "" || strings.ContainsAny(Key(a.ID), "\n\x00")) {
			t.Errorf("%q has the id %q", data, a.ID)
		}
		Listed(data)
		for _, event := range []string{wire.EventAlert, wire.EventZoneUpdate, wire.EventShiftSnapshot} {
			_ = Check(event, data)
		}
		ReadAcknowledgement(data)
	})
}
