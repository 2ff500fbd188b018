package brokertest

import (
	"fmt"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/wire"
)

func history(t testing.TB, b broker.Broker, room wire.Room, after wire.Offset, limit int) broker.Page {
	t.Helper()
	page, err := b.History(t.Context(), room, after, limit)
	if err != nil {
		t.Fatalf("history of %s after %s: %v", room, after, err)
	}
	if len(page.Messages) > limit {
		t.Fatalf("history of %s after %s: %d messages, the limit was %d", room, after, len(page.Messages), limit)
	}
	return page
}

// wantPage fails unless the page has the messages from from to to, each with its number as its
// data, and this gap.
func wantPage(t *testing.T, page broker.Page, gap *broker.Gap, from, to uint64) {
	t.Helper()
	switch {
	case gap == nil && page.Gap != nil:
		t.Errorf("gap %+v although nothing is lost", *page.Gap)
	case gap != nil && page.Gap == nil:
		t.Errorf("no gap, want %+v", *gap)
	case gap != nil && *gap != *page.Gap:
		t.Errorf("gap %+v, want %+v", *page.Gap, *gap)
	}
	wantRange(t, page.Messages, from, to)
	for _, m := range page.Messages {
		if string(m.Data) != fmt.Sprint(m.Offset.N) {
			t.Errorf("%s carries %s", m.Offset, m.Data)
		}
	}
}

func historyFollows(t *testing.T, open Open) {
	b, _ := start(t, open, broker.Limits{})
	room, other := Room(t), Room(t)
	epoch := fill(t, b, room, 10).Epoch
	fill(t, b, other, 3)
	for _, tt := range []struct {
		after    uint64
		limit    int
		from, to uint64
	}{
		{after: 0, limit: 100, from: 1, to: 10},
		{after: 0, limit: 10, from: 1, to: 10},
		{after: 0, limit: 1, from: 1, to: 1},
		{after: 4, limit: 100, from: 5, to: 10},
		{after: 4, limit: 3, from: 5, to: 7},
		{after: 9, limit: 3, from: 10, to: 10},
		{after: 10, limit: 3, from: 11, to: 10},
	} {
		t.Run(fmt.Sprintf("after %d at most %d", tt.after, tt.limit), func(t *testing.T) {
			wantPage(t, history(t, b, room, wire.Offset{Epoch: epoch, N: tt.after}, tt.limit), nil, tt.from, tt.to)
		})
	}
}

func historyPages(t *testing.T, open Open) {
	const n, limit = 105, 10
	b, _ := start(t, open, broker.Limits{})
	room := Room(t)
	after := wire.Offset{Epoch: fill(t, b, room, n).Epoch}
	for after.N < n {
		page := history(t, b, room, after, limit)
		wantPage(t, page, nil, after.N+1, min(after.N+limit, n))
		after = page.Messages[len(page.Messages)-1].Offset
	}
}

func historyUnknown(t *testing.T, open Open) {
	b, _ := start(t, open, broker.Limits{Messages: 4})
	room, empty := Room(t), Room(t)
	current := fill(t, b, room, 10)
	at := func(n uint64) wire.Offset { return wire.Offset{Epoch: current.Epoch, N: n} }
	stranger := wire.Offset{Epoch: "stranger", N: 8} // as if of another life of this room
	for _, tt := range []struct {
		name        string
		after       wire.Offset
		to          wire.Offset // where the gap ends
		from, until uint64
	}{
		{name: "the future", after: at(11), to: current, from: 11, until: 10},
		{name: "the far future", after: at(1 << 62), to: current, from: 11, until: 10},
		{name: "another epoch", after: stranger, to: at(6), from: 7, until: 10},
		{name: "the start of another epoch", after: wire.Offset{Epoch: "stranger"}, to: at(6), from: 7, until: 10},
		{name: "no offset", after: wire.Offset{}, to: at(6), from: 7, until: 10},
	} {
		t.Run(tt.name, func(t *testing.T) {
			wantPage(t, history(t, b, room, tt.after, 100), &broker.Gap{From: tt.after, To: tt.to}, tt.from, tt.until)
		})
	}
	t.Run("a room without messages", func(t *testing.T) {
		page := history(t, b, empty, stranger, 100)
		if page.Gap == nil || page.Gap.From != stranger || page.Gap.To.N != 0 || page.Gap.To.Epoch == "" ||
			page.Gap.To.Epoch == stranger.Epoch || len(page.Messages) > 0 {
			t.Fatalf("%+v, want a gap from %s to the room's number 0 and no messages", page, stranger)
		}
		after := page.Gap.To
		if page = history(t, b, empty, after, 100); page.Gap != nil || len(page.Messages) > 0 {
			t.Errorf("after the gap: %+v, want nothing", page)
		}
		if got := publish(t, b, broker.Publication{Room: empty}); got != after.Next() {
			t.Errorf("the first message after a gap to %s got the offset %s", after, got)
		}
	})
}

func historyWindow(t *testing.T, open Open) {
	b, _ := start(t, open, broker.Limits{Messages: 5})
	room := Room(t)
	epoch := fill(t, b, room, 12).Epoch
	at := func(n uint64) wire.Offset { return wire.Offset{Epoch: epoch, N: n} }
	for _, tt := range []struct {
		after    uint64
		limit    int
		gap      bool
		from, to uint64
	}{
		{after: 0, limit: 100, gap: true, from: 8, to: 12},
		{after: 3, limit: 2, gap: true, from: 8, to: 9},
		{after: 6, limit: 100, gap: true, from: 8, to: 12},
		{after: 7, limit: 100, from: 8, to: 12},
		{after: 8, limit: 100, from: 9, to: 12},
		{after: 12, limit: 100, from: 13, to: 12},
	} {
		t.Run(fmt.Sprintf("after %d at most %d", tt.after, tt.limit), func(t *testing.T) {
			var gap *broker.Gap
			if tt.gap {
				gap = &broker.Gap{From: at(tt.after), To: at(7)}
			}
			wantPage(t, history(t, b, room, at(tt.after), tt.limit), gap, tt.from, tt.to)
		})
	}
}

// historyAge: what is too old is gone, but not the count: who has the last message missed nothing.
func historyAge(t *testing.T, open Open) {
	const n = 5
	b, _ := start(t, open, broker.Limits{Age: 500 * time.Millisecond})
	room := Room(t)
	published := time.Now()
	last := fill(t, b, room, n)
	begin := wire.Offset{Epoch: last.Epoch}
	page := history(t, b, room, begin, 100)
	if time.Since(published) < 400*time.Millisecond { // else this machine is too busy to tell
		wantPage(t, page, nil, 1, n)
	}
	testkit.Eventually(t, "the messages expire", func() bool {
		page = history(t, b, room, begin, 100)
		return len(page.Messages) == 0
	})
	if want := (broker.Gap{From: begin, To: last}); page.Gap == nil || *page.Gap != want {
		t.Errorf("after the start: gap %+v, want %+v", page.Gap, want)
	}
	wantPage(t, history(t, b, room, last, 100), nil, n+1, n)
	if s, err := b.Subscribe(t.Context(), room); err != nil || s.Offset != last {
		t.Errorf("the snapshot after the messages expired: %s %v, want %s", s.Offset, err, last)
	}
	if got := publish(t, b, broker.Publication{Room: room}); got != last.Next() {
		t.Errorf("the message after the expired ones got the offset %s, want %s", got, last.Next())
	}
}

func historyWhilePublishing(t *testing.T, open Open) {
	b, _ := start(t, open, broker.Limits{Messages: 50})
	room := Room(t)
	after := publish(t, b, broker.Publication{Room: room})
	accepted, stop := flood(t, b, room, 2)
	for range 200 {
		before := accepted.Load()
		page := history(t, b, room, after, 30)
		next := after.N + 1
		if page.Gap != nil {
			if page.Gap.From != after || page.Gap.To.Epoch != after.Epoch || page.Gap.To.N <= after.N {
				t.Fatalf("after %s: gap %+v", after, *page.Gap)
			}
			next = page.Gap.To.N + 1
		}
		wantRange(t, page.Messages, next, next+uint64(len(page.Messages))-1)
		if n := len(page.Messages); n > 0 {
			after = page.Messages[n-1].Offset
		}
		if len(page.Messages) < 30 && after.N < before {
			t.Fatalf("history ended at %s although message %d was accepted before", after, before)
		}
	}
	stop()
}
