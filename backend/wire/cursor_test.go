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
	if got := c.At(whole).String(); got != "m1x2-1" {
		t.Errorf("it stands at %s in %s", got, whole)
	}
	if got := c.At(other); !got.IsZero() {
		t.Errorf("it stands at %s in a room that it doesn't name", got)
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
			if c.At(p.Room) != p.Offset {
				t.Fatalf("%q: room %d is found at %s", text, i, c.At(p.Room))
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
