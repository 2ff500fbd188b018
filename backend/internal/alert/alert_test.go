package alert

import (
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
	at = 1767225600000 - 10
	tell(wire.EventShiftSnapshot, `{"alerts":[{"id":"fire","expiresAt":1767225599995}]}`)
	tell(wire.EventAlertAcknowledged, `{"id":"fire","by":"Anna"}`)
	want()
	at += 10
	tell(wire.EventAlert, `{"id":"fire"}`) // raised again
	want("fire 1767225600003  0")
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"id":1,"alerts":[{"id":"a"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if a, ok := Read(data); ok && (a.ID == "" || strings.ContainsAny(Key(a.ID), "\n\x00")) {
			t.Errorf("%q has the id %q", data, a.ID)
		}
		Listed(data)
		ReadAcknowledgement(data)
	})
}
