package hub_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/wire"
)

// wantRetained fails unless whoever joins the room now gets these retained events.
func (h *house) wantRetained(room wire.Room, want ...string) {
	h.t.Helper()
	late := h.member("late", room)
	defer late.end()
	var got []string
	for _, f := range late.flush() {
		if f.Retained {
			got = append(got, f.Event)
		}
	}
	if !slices.Equal(got, want) {
		h.t.Errorf("newcomers get %v, want %v", got, want)
	}
}

// A retained event that is deleted, or too old, is not sent to newcomers any more, members or not.
func TestNewcomersGetNoRetainedEventThatIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := build(t, options{overPipe: true, limits: broker.Limits{RetainAge: time.Hour}})
		h.member("member", room("a")) // so that the room stays
		for _, event := range []string{"A", "B", "C"} {
			h.send(broker.Publication{Room: room("a"), Event: event, Retain: true})
			time.Sleep(time.Minute)
		}
		h.wantRetained(room("a"), "A", "B", "C")
		if there, err := h.DeleteRetained(t.Context(), room("a"), "B"); err != nil || !there {
			t.Fatalf("delete a retained event: %v %v", there, err)
		}
		h.wantRetained(room("a"), "A", "C")
		h.send(broker.Publication{Room: room("a"), Event: "B", Retain: true})
		h.wantRetained(room("a"), "A", "C", "B")
		time.Sleep(time.Hour - 150*time.Second)
		h.wantRetained(room("a"), "C", "B")
	})
}

// A message that is late, and was deleted meanwhile, is delivered, but not retained; whatever came
// after the deletion is.
func TestADeletedRetainedEventStaysDeleted(t *testing.T) {
	h := build(t, options{limits: endless})
	h.member("member", room("a"))
	first := h.publish(room("a"), 1)
	message := func(event string, n uint64) *broker.Message {
		return &broker.Message{Retain: true, Message: wire.Message{Room: room("a"), Event: event,
			Offset: wire.Offset{Epoch: first.Epoch, N: n}}}
	}
	h.Retained(room("a"), broker.Snapshot{Offset: wire.Offset{Epoch: first.Epoch, N: 3}, Retained: []*broker.Message{message("KEPT", 3)}})
	h.Message(message("GONE", 2))
	h.Message(message("KEPT", 3))
	h.wantRetained(room("a"), "KEPT")
	h.Message(message("GONE", 4))
	h.wantRetained(room("a"), "KEPT", "GONE")
}

// What was kept for those who come back is gone with its room.
func TestADeletedRoomIsReplayedToNobody(t *testing.T) {
	h := build(t, options{limits: endless})
	member := h.member("member", room("a"))
	first := h.publish(room("a"), 1)
	last := h.publish(room("a"), 999)
	begin := wire.Offset{Epoch: first.Epoch}
	before := h.guest("before")
	before.resume(room("a"), begin) // the pages are kept
	wantUnbroken(t, before.flush())
	there, err := h.DeleteRoom(t.Context(), room("a"))
	if err != nil || !there {
		t.Fatalf("delete the room: %v %v", there, err)
	}
	after := h.guest("after")
	after.resume(room("a"), begin)
	h.publish(room("a"), 1)
	wantNumbers(t, after, room("a"), "gap 0-0", "1")
	frames := member.flush()
	if gap, next := frames[len(frames)-2], frames[len(frames)-1]; gap.Event != wire.EventGap || next.Offset == last.Next().String() {
		t.Errorf("a member got %s %s, then %s", gap.Event, gap.Data, next.Offset)
	}
	testkit.Must(t, h.broker.Health())
}
