package delivery

import (
	"testing"

	"github.com/zonecast/zonecast/backend/wire"
)

// ours and others make messages of the epoch "e1".
func ours(seq uint32, n uint64) Message {
	return Message{Seq: seq, Ours: true, Epoch: []byte("e1"), N: n}
}
func others(n uint64) Message { return Message{Epoch: []byte("e1"), N: n} }

func TestTrackerTotals(t *testing.T) {
	sent := setOf(0, 1, 2, 3) // and 9 was sent, but not accepted
	joined := wire.Offset{Epoch: "e1", N: 100}
	for _, tt := range []struct {
		name string
		join wire.Offset
		give []Message
		want Totals
	}{
		{"all in order", joined,
			[]Message{ours(0, 101), ours(1, 102), ours(2, 103), ours(3, 104)},
			Totals{Expected: 4, Received: 4}},
		{"publishers that overtake each other reorder nothing", joined,
			[]Message{ours(1, 101), ours(0, 102), ours(3, 103), ours(2, 104)},
			Totals{Expected: 4, Received: 4}},
		{"lost in the middle", joined,
			[]Message{ours(0, 101), ours(3, 104)},
			Totals{Expected: 4, Received: 2, Holes: 2}},
		{"lost at the beginning", joined,
			[]Message{ours(1, 102), ours(2, 103), ours(3, 104)},
			Totals{Expected: 4, Received: 3, Holes: 1}},
		{"lost at the end", joined,
			[]Message{ours(0, 101), ours(1, 102), ours(2, 103)},
			Totals{Expected: 4, Received: 3}},
		{"nothing arrived", joined, nil, Totals{Expected: 4}},
		{"twice", joined,
			[]Message{ours(0, 101), ours(1, 102), ours(1, 102), ours(2, 103), ours(1, 102), ours(3, 104)},
			Totals{Expected: 4, Received: 4, Duplicated: 2}},
		{"twice under two offsets", joined,
			[]Message{ours(0, 101), ours(0, 102), ours(1, 103), ours(2, 104), ours(3, 105)},
			Totals{Expected: 4, Received: 4, Duplicated: 1}},
		{"reordered", joined,
			[]Message{ours(0, 101), ours(2, 103), ours(1, 102), ours(3, 104)},
			Totals{Expected: 4, Received: 4, Reordered: 1}},
		{"one held back past two", joined,
			[]Message{ours(1, 102), ours(2, 103), ours(0, 101), ours(3, 104)},
			Totals{Expected: 4, Received: 4, Reordered: 1}},
		{"one offset for two messages", joined,
			[]Message{ours(0, 101), ours(1, 101), ours(2, 102), ours(3, 103)},
			Totals{Expected: 4, Received: 4, Reused: 1}},
		{"accepted, though the answer said otherwise", joined,
			[]Message{ours(0, 101), ours(9, 102), ours(1, 103), ours(2, 104), ours(3, 105)},
			Totals{Expected: 4, Received: 4, Unconfirmed: 1}},
		{"someone else publishes too", joined,
			[]Message{others(101), ours(0, 102), ours(1, 103), ours(2, 104), others(105), ours(3, 106)},
			Totals{Expected: 4, Received: 4, Foreign: 2}},
		{"someone else's message is lost, one doubled, one late", joined,
			[]Message{others(102), ours(0, 103), ours(1, 104), ours(2, 106), others(105), others(105), ours(3, 107)},
			Totals{Expected: 4, Received: 4, Foreign: 3, Holes: 1, Duplicated: 1, Reordered: 1}},
		{"a message from before the join", joined,
			[]Message{others(100), ours(0, 101), ours(1, 102), ours(2, 103), ours(3, 104)},
			Totals{Expected: 4, Received: 4, Foreign: 1, Duplicated: 1}},
		{"joined a room without messages", wire.Offset{Epoch: "e1"},
			[]Message{ours(0, 1), ours(1, 2), ours(2, 3), ours(3, 4)},
			Totals{Expected: 4, Received: 4}},
		{"joined without an offset", wire.Offset{},
			[]Message{ours(0, 55), ours(1, 56), ours(3, 58)},
			Totals{Expected: 4, Received: 3, Holes: 1}},
		{"a new epoch, its first message lost", wire.Offset{Epoch: "e0", N: 7},
			[]Message{
				{Seq: 0, Ours: true, Epoch: []byte("e0"), N: 9}, // 8 is a hole in e0
				ours(1, 2), ours(2, 3), ours(3, 4),
			},
			Totals{Expected: 4, Received: 4, Holes: 2, Restarted: 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var l Tracker
			l.Join(tt.join)
			for _, m := range tt.give {
				l.Record(m)
			}
			got := l.Totals(sent)
			if got != tt.want {
				t.Errorf("score\n got %+v\nwant %+v", got, tt.want)
			}
			if holds := l.HasAll(sent); holds != (got.Lost() == 0) {
				t.Errorf("Holds says %v with %d lost", holds, got.Lost())
			}
		})
	}
}

func TestTrackerPosition(t *testing.T) {
	var l Tracker
	at := func(epoch string, n uint64) {
		t.Helper()
		if got, want := l.Position(), (wire.Offset{Epoch: epoch, N: n}); got != want {
			t.Errorf("position %v, want %v", got, want)
		}
	}
	at("", 0)
	l.Join(wire.Offset{Epoch: "e1"})
	at("e1", 0)
	l.Record(ours(0, 1))
	l.Record(ours(2, 3))
	at("e1", 3)
	l.Record(ours(1, 2))
	at("e1", 3)
	l.Gap(wire.Offset{Epoch: "e1", N: 7})
	at("e1", 7)
	l.Gap(wire.Offset{Epoch: "e2", N: 0})
	at("e2", 0)
}

// What the server says is lost is no hole; what it skips without a word is.
func TestTrackerGap(t *testing.T) {
	for _, tt := range []struct {
		name string
		give func(l *Tracker)
		want Totals
	}{
		{"within an epoch", func(l *Tracker) {
			l.Record(ours(0, 101))
			l.Gap(wire.Offset{Epoch: "e1", N: 103})
			l.Record(ours(3, 104))
		}, Totals{Expected: 4, Received: 2}},
		{"and a hole behind it", func(l *Tracker) {
			l.Record(ours(0, 101))
			l.Gap(wire.Offset{Epoch: "e1", N: 102})
			l.Record(ours(3, 104))
		}, Totals{Expected: 4, Received: 2, Holes: 1}},
		{"of what it has", func(l *Tracker) {
			l.Record(ours(0, 101))
			l.Record(ours(1, 102))
			l.Gap(wire.Offset{Epoch: "e1", N: 101})
			l.Record(ours(2, 103))
			l.Record(ours(3, 104))
		}, Totals{Expected: 4, Received: 4}},
		{"to a new epoch", func(l *Tracker) {
			l.Record(ours(0, 101))
			l.Gap(wire.Offset{Epoch: "e2", N: 2})
			l.Record(Message{Seq: 3, Ours: true, Epoch: []byte("e2"), N: 3})
		}, Totals{Expected: 4, Received: 2, Restarted: 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var l Tracker
			l.Join(wire.Offset{Epoch: "e1", N: 100})
			tt.give(&l)
			if got := l.Totals(setOf(0, 1, 2, 3)); got != tt.want {
				t.Errorf("score\n got %+v\nwant %+v", got, tt.want)
			}
		})
	}
}

func TestTrackerSaysWhatIsNew(t *testing.T) {
	var l Tracker
	for _, tt := range []struct {
		give Message
		want bool
	}{{ours(0, 1), true}, {ours(0, 1), false}, {others(2), false}, {ours(1, 3), true}, {ours(1, 4), false}} {
		if got := l.Record(tt.give); got != tt.want {
			t.Errorf("Message(%+v) = %v, want %v", tt.give, got, tt.want)
		}
	}
}

// Echoes on one connection come back in order; those of requests of their own have none.
func TestTrackerEchoes(t *testing.T) {
	for _, tt := range []struct {
		name   string
		record func(*Tracker, uint32) bool
		want   Totals
	}{
		{"ordered", (*Tracker).RecordEcho, Totals{Expected: 7, Received: 5, Duplicated: 1, Reordered: 1}},
		{"unordered", (*Tracker).RecordUnorderedEcho, Totals{Expected: 7, Received: 5, Duplicated: 1}},
	} {
		var l Tracker
		for _, k := range []uint32{0, 1, 3, 2, 2, 6} {
			tt.record(&l, k)
		}
		if got := l.Totals(setOf(0, 1, 2, 3, 4, 5, 6)); got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
}

func TestTotalsAdd(t *testing.T) {
	one := Totals{1, 2, 3, 4, 5, 6, 7, 8, 9}
	got := one
	got.Add(one)
	if want := (Totals{2, 4, 6, 8, 10, 12, 14, 16, 18}); got != want {
		t.Errorf("sum %+v, want %+v", got, want)
	}
}

func TestTrackerInOrderDoesNotAllocate(t *testing.T) {
	var l Tracker
	l.Join(wire.Offset{Epoch: "e1", N: 0})
	l.Record(ours(0, 1))
	m := ours(1, 2)
	if allocs := testing.AllocsPerRun(10_000, func() { l.Record(m); m.Seq++; m.N++ }); allocs != 0 {
		t.Errorf("%v allocations per message", allocs)
	}
}

// A server that gives no offsets is held to the order of each stream.
func TestWithoutOffsets(t *testing.T) {
	var l Tracker
	for _, m := range []Message{
		{Stream: 0, Seq: 0, Ours: true}, {Stream: 1, Seq: 0, Ours: true}, {Stream: 0, Seq: 2, Ours: true},
		{Stream: 0, Seq: 1, Ours: true}, {Stream: 1, Seq: 0, Ours: true}, {},
	} {
		l.Record(m)
	}
	var first, second Set
	first.AddBelow(4)
	second.AddBelow(1)
	got := l.Totals(&first, &second)
	if want := (Totals{Expected: 5, Received: 4, Duplicated: 1, Reordered: 1, Foreign: 1}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if l.HasAll(&first, &second) || !l.HasAll(&Set{}, &second) || l.HasAll(&Set{}, &Set{}, &second) {
		t.Error("what the member holds is not what it received")
	}
}

// Who leaves before the end must have all between its coming and its going, and nothing else.
func TestVisit(t *testing.T) {
	var l Tracker
	l.Join(wire.Offset{Epoch: "e", N: 10})
	for _, n := range []uint64{11, 12, 14} {
		l.Record(Message{Seq: uint32(n), Ours: true, Epoch: []byte("e"), N: n})
	}
	if got, want := l.VisitTotals(), (Totals{Expected: 4, Received: 3, Holes: 1}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}
