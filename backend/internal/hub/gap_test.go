package hub_test

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/internal/hub"
	"github.com/zonecast/zonecast/backend/wire"
)

func TestAGapIsToldToTheRoomsMembersAndBridged(t *testing.T) {
	h := build(t, options{})
	a, b, elsewhere := h.member("a", room("x")), h.member("b", room("x")), h.member("elsewhere", room("y"))
	from := h.publish(room("x"), 3)
	to := from
	to.N = 7
	h.Gap(room("x"), broker.Gap{From: from, To: to}, nil)
	h.Gap(room("nobody is here"), broker.Gap{From: from, To: to}, nil)
	h.deliver(room("x"), to.Next())
	for _, g := range []*guest{a, b} {
		wantNumbers(t, g, room("x"), "1", "2", "3", "gap 3-7", "8")
		wantUnbroken(t, g.seen())
	}
	if got := elsewhere.flush(); len(got) != 1 {
		t.Errorf("a member of another room got %d frames, want its joining alone", len(got))
	}
	if h.gaps.Load() == 0 {
		t.Error("the gap was not counted")
	}
	late := h.member("late", room("x")) // whoever comes now stands after the gap
	h.deliver(room("x"), to.Next().Next())
	wantNumbers(t, late, room("x"), "9")
	wantUnbroken(t, late.seen())
}

func TestANewEpochBeginsAfterAGap(t *testing.T) {
	h := build(t, options{})
	g := h.member("g", room("a"))
	last := h.publish(room("a"), 100)
	epoch := wire.Offset{Epoch: "next"}
	h.Gap(room("a"), broker.Gap{From: last, To: epoch}, nil)
	late := h.guest("late")
	if err := late.joinThen(t.Context(), func() {
		for range 3 { // numbers that the old epoch had too
			epoch = epoch.Next()
			h.deliver(room("a"), epoch)
		}
	}, hub.Join{Room: room("a")}); err != nil {
		t.Fatal(err)
	}
	got := numbers(t, g.flush(), room("a"))
	if len(got) != 104 || got[100] != "gap 100-0" || got[101] != "1" || got[103] != "3" {
		t.Errorf("the member got %q", got[min(95, len(got)):])
	}
	wantUnbroken(t, g.seen())
	wantNumbers(t, late, room("a"), "1", "2", "3")
}

func TestFreshMembersGetWhatIsRetained(t *testing.T) {
	h := build(t, options{})
	retain := func(event, data string) wire.Offset {
		return h.send(broker.Publication{Room: room("a"), Event: event, Retain: true, Data: json.RawMessage(data)})
	}
	retain("A", `"old"`)
	retain("B", `"b"`)
	retain("A", `"new"`)
	last := h.publish(room("a"), 1)

	first := h.member("first", room("a"))
	wantNumbers(t, first, room("a"), "retained 2", "retained 3")

	retain("B", `"b2"`) // while the room has members, the hub keeps it up to date by itself
	retain("C", `"c"`)
	second := h.member("second", room("a"))
	wantNumbers(t, second, room("a"), "retained 3", "retained 5", "retained 6")
	wantNumbers(t, first, room("a"), "retained 2", "retained 3", "5", "6")
	for i, want := range []struct{ event, data string }{{"A", `"new"`}, {"B", `"b2"`}, {"C", `"c"`}} {
		f := second.seen()[1+i]
		if f.Event != want.event || string(f.Data) != want.data || f.Time == 0 {
			t.Errorf("retained event %d is %s %s of time %d, want %s %s", i, f.Event, f.Data, f.Time, want.event, want.data)
		}
	}

	back := h.guest("back") // it has what was retained, or gets it with what it missed
	back.resume(room("a"), last)
	wantNumbers(t, back, room("a"), "5", "6")

	for _, g := range []*guest{first, second, back} {
		g.Close()
	}
	third := h.member("third", room("a")) // the hub forgot the room; the broker did not
	wantNumbers(t, third, room("a"), "retained 3", "retained 5", "retained 6")
}

// What an earlier subscription had still to say, of messages that the room has already, is not said
// again.
func TestWhatTheRoomHasIsNotSentAgain(t *testing.T) {
	h := build(t, options{})
	h.publish(room("a"), 4)
	g := h.member("g", room("a"))
	last := h.publish(room("a"), 6)
	h.Gap(room("a"), broker.Gap{From: wire.Offset{Epoch: "old", N: 5}, To: wire.Offset{Epoch: last.Epoch, N: 3}}, nil)
	for n := uint64(1); n <= last.N; n++ {
		h.deliver(room("a"), wire.Offset{Epoch: last.Epoch, N: n})
	}
	h.publish(room("a"), 1)
	wantNumbers(t, g, room("a"), "5", "6", "7", "8", "9", "10", "11")
	if n := h.gaps.Load(); n != 0 {
		t.Errorf("%d gaps were counted, want none", n)
	}
}

// After a gap newcomers get the retained events as they are then: one that the gap swallowed, none
// that is gone.
func TestRetainedEventsAreThoseAfterTheGap(t *testing.T) {
	h := build(t, options{limits: endless})
	h.member("g", room("a"))
	last := h.send(broker.Publication{Room: room("a"), Event: "SHIFT_SNAPSHOT", Retain: true, Data: []byte(`"old"`)})
	newer := &broker.Message{Message: wire.Message{Room: room("a"), Event: "SHIFT_SNAPSHOT", Data: []byte(`"new"`),
		Offset: wire.Offset{Epoch: last.Epoch, N: 5}}}
	to := wire.Offset{Epoch: last.Epoch, N: 7}
	for _, tt := range []struct {
		gap      broker.Gap
		retained []*broker.Message
		want     []string
	}{
		{broker.Gap{From: last, To: to}, []*broker.Message{newer}, []string{`"new"`}},
		{broker.Gap{From: to, To: wire.Offset{Epoch: "other", N: 3}}, nil, nil},
	} {
		h.Gap(room("a"), tt.gap, tt.retained)
		late := h.member("late to "+tt.gap.To.String(), room("a"))
		var got []string
		for _, f := range late.flush() {
			if f.Retained {
				got = append(got, string(f.Data))
			}
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("after %v the retained events are %v, want %v", tt.gap, got, tt.want)
		}
	}
}
