package wire

import (
	"slices"
	"strings"
)

// A Place is where a client stands in a room: it has everything up to Offset.
type Place struct {
	Room   Room
	Offset Offset
}

// A Cursor is where a client stands in all of its rooms, each of which it names once. Its text form
// is "{room}@{offset},{room}@{offset}": the parameter cursor, the field id of Server-Sent Events,
// and what a long poll answers with.
type Cursor []Place

// ParseCursor reads the text form; "" is a cursor of no rooms. The error is an *[Error] with
// [CodeInvalidOffset], or with [CodeLimitReached] for more than [RoomsPerConnection] rooms.
func ParseCursor(s string) (Cursor, error) {
	if s == "" {
		return nil, nil
	}
	n := strings.Count(s, ",") + 1
	if n > RoomsPerConnection {
		return nil, Errorf(CodeLimitReached, "the cursor names %d rooms: a connection may be in at most %d", n, RoomsPerConnection)
	}
	c := make(Cursor, 0, n)
	for part := range strings.SplitSeq(s, ",") {
		name, offset, ok := strings.Cut(part, "@")
		if !ok {
			return nil, errCursor(part, "has no @")
		}
		room, err := ParseRoom(name)
		if err != nil {
			return nil, errCursor(part, "does not begin with a room")
		}
		at, err := ParseOffset(offset)
		if err != nil {
			return nil, errCursor(part, "does not end with an offset")
		}
		if c.find(room) >= 0 {
			return nil, errCursor(part, "names its room a second time")
		}
		c = append(c, Place{Room: room, Offset: at})
	}
	return c, nil
}

func errCursor(part, what string) error {
	return Errorf(CodeInvalidOffset,
		"the cursor's part %s %s: send the cursor back as you received it, like \"zone:w:a@k3f9-17,warehouse:w@k3f9-3\"", quote(part), what)
}

// String returns the text form.
func (c Cursor) String() string { return string(c.Append(nil)) }

// Append appends the text form to dst.
func (c Cursor) Append(dst []byte) []byte {
	for i := range c {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = c[i].Room.append(dst)
		dst = append(dst, '@')
		dst = c[i].Offset.append(dst)
	}
	return dst
}

// Move sets the offset of a room that the cursor names; it does nothing for others.
func (c Cursor) Move(room Room, to Offset) {
	if i := c.find(room); i >= 0 {
		c[i].Offset = to
	}
}

// At returns the offset of a room; the zero Offset when the cursor does not name it.
func (c Cursor) At(room Room) Offset {
	if i := c.find(room); i >= 0 {
		return c[i].Offset
	}
	return Offset{}
}

func (c Cursor) find(room Room) int {
	return slices.IndexFunc(c, func(p Place) bool { return p.Room == room })
}
