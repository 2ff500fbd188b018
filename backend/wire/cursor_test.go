package wire_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/zonecast/zonecast/backend/wire"
)

func TestACursorMovesInItsOwnRoomsOnly(t *testing.T) {
	c, err := wire.ParseCursor("zone:w:a@k3f9-17,warehouse:w@k3f9-3")
	must(t, err)
	whole, other := wire.Room{Warehouse: "w"}, wire.Room{Warehouse: "w", Zone: "b"}
	c.Move(whole, wire.Offset{Epoch: "m1x2", N: 1})
	c.Move(other, wire.Offset{Epoch: "m1x2", N: 9})
	if got, want := c.String(), "zone:w:a@k3f9-17,warehouse:w@m1x2-1"; got != want {
		t.Errorf("the cursor is %s, want %s", got, want)
	}
	if got := c.At(whole).Offset.String(); got != "m1x2-1" {
		t.Errorf("it stands at %s in %s", got, whole)
	}
	if got := c.At(other).Offset; !got.IsZero() {
		t.Errorf("it stands at %s in a room that it doesn't name", got)
	}
}

// A client that still has to get retained events says so wherever it says where it stands.
func TestACursorTellsWhichRetainedEventsAreStillToCome(t *testing.T) {
	a, b := wire.Room{Warehouse: "w", Zone: "a"}, wire.Room{Warehouse: "w"}
	c, err := wire.ParseCursor("zone:w:a@k3f9-17.retained,warehouse:w@k3f9-3")
	if err != nil || c.At(a).Retained != 1 || c.At(b).Retained != 0 {
		t.Fatalf("read as %v, %v", c, err)
	}
	c[0].Retained = 2
	if c.GotRetained(b) || c.GotRetained(a) || !strings.Contains(c.String(), "@k3f9-17.retained,") {
		t.Errorf("after one of two events it is %s", c)
	}
	if !c.GotRetained(a) || c.GotRetained(a) || c.String() != "zone:w:a@k3f9-17,warehouse:w@k3f9-3" {
		t.Errorf("after both it is %s", c)
	}
	c[0].Retained = 2
	if c.Move(a, wire.Offset{Epoch: "k3f9", N: 18}); c.At(a).Retained != 0 {
		t.Errorf("after a message it is %s", c)
	}
}

func TestACursorHasNoMoreRoomsThanAConnection(t *testing.T) {
	var parts []string
	for i := range wire.RoomsPerConnection {
		parts = append(parts, fmt.Sprintf("zone:w:z%d@k3f9-1", i))
	}
	if c, err := wire.ParseCursor(strings.Join(parts, ",")); err != nil || len(c) != len(parts) {
		t.Errorf("%d rooms: %v", len(parts), err)
	}
	_, err := wire.ParseCursor(strings.Join(append(parts, "warehouse:w@k3f9-1"), ","))
	if err == nil || wire.AsError(err).Code != wire.CodeLimitReached {
		t.Errorf("one more: %v, want %s", err, wire.CodeLimitReached)
	}
}

// Whatever a stranger sends as a cursor is refused with a sentence, or survives the way back.
func FuzzParseCursor(f *testing.F) {
	g := readGolden(f).Cursors
	for _, c := range g.Valid {
		f.Add(c.Text)
	}
	for _, text := range g.Invalid {
		f.Add(text)
	}
	f.Add(strings.Repeat("zone:w:a@k3f9-1,", 200))
	f.Fuzz(func(t *testing.T, text string) {
		c, err := wire.ParseCursor(text)
		if err != nil {
			if e := wire.AsError(err); e.Code != wire.CodeInvalidOffset && e.Code != wire.CodeLimitReached || len(e.Message) > 1024 {
				t.Fatalf("ParseCursor(%q): %v", text, err)
			}
			return
		}
		if c.String() != text || len(c) > wire.RoomsPerConnection {
			t.Fatalf("%q comes back as %q", text, c)
		}
		for i, p := range c {
			if c.At(p.Room) != p {
				t.Fatalf("%q: room %d is found at %v", text, i, c.At(p.Room))
			}
		}
	})
}

func BenchmarkAppendCursor(b *testing.B) {
	c, err := wire.ParseCursor("zone:warehouse-1:zone-a@k3f9a7c2-123456,warehouse:warehouse-1@k3f9a7c2-3")
	must(b, err)
	buf := make([]byte, 0, 512)
	b.ReportAllocs()
	for b.Loop() {
		buf = c.Append(buf[:0])
	}
}
