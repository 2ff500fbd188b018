package wire

import (
	"slices"
	"strings"
)

// A Place is where a client stands in a room: it has everything up to Offset, but for the retained
// events that it still has to get.
type Place struct {
	Room   Room
	Offset Offset
	// Retained is how many of them there are. The text form says only whether there are any.
	Retained int
}

// owesRetained ends the text form of an offset of a client that has not got all retained events.
const owesRetained = ".retained"

// ParsePlace reads an offset that a client resumes from: "k3f9-17", or "k3f9-17.retained" when its
// connection broke before all retained events had come. The error is an *[Error] with
// [CodeInvalidOffset].
func ParsePlace(room Room, s string) (Place, error) {
	p := Place{Room: room}
	s, owed := strings.CutSuffix(s, owesRetained)
	if owed {
		p.Retained = 1
	}
	var err error
	p.Offset, err = ParseOffset(s)
	return p, err
}

// Position returns the place as the server tells it.
func (p Place) Position() Position {
	return Position{Room: p.Room.String(), Offset: p.Offset.String(), Retained: p.Retained}
}

// A Cursor is where a client stands in all of its rooms, each of which it names once. Its text form
// is "{room}@{offset},{room}@{offset}", an offset as [ParsePlace] reads it: the parameter cursor,
// the field id of Server-Sent Events, and what a long poll answers with.
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
		p, err := ParsePlace(room, offset)
		if err != nil {
			return nil, errCursor(part, "does not end with an offset")
		}
		if c.find(room) >= 0 {
			return nil, errCursor(part, "names its room a second time")
		}
		c = append(c, p)
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
		if c[i].Retained > 0 {
			dst = append(dst, owesRetained...)
		}
	}
	return dst
}

// Move sets the offset of a room that the cursor names; it does nothing for others. What moves a
// room comes after its retained events.
func (c Cursor) Move(room Room, to Offset) {
	if i := c.find(room); i >= 0 {
		c[i].Offset, c[i].Retained = to, 0
	}
}

// GotRetained notes that a retained event of the room has come. It reports whether it was the last
// one.
func (c Cursor) GotRetained(room Room) bool {
	i := c.find(room)
	if i < 0 || c[i].Retained == 0 {
		return false
	}
	c[i].Retained--
	return c[i].Retained == 0
}

// At returns the place in a room; the zero Place when the cursor does not name it.
func (c Cursor) At(room Room) Place {
	if i := c.find(room); i >= 0 {
		return c[i]
	}
	return Place{}
}

func (c Cursor) find(room Room) int {
	return slices.IndexFunc(c, func(p Place) bool { return p.Room == room })
}
