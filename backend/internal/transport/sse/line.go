package sse

import (
	"bytes"

	"github.com/zonecast/zonecast/backend/wire"
)

// A line is the field id of the events of one connection: its cursor, framed. It is written with
// every message, so its text is kept, and a message that follows the one before changes a few
// digits in it.
type line struct {
	framing framing
	cursor  wire.Cursor
	text    []byte // "id: …\n", framed
	ends    []int  // where the offset of each room ends in text
}

func newLine(f framing, c wire.Cursor) line {
	l := line{framing: f, cursor: c, ends: make([]int, len(c))}
	l.render()
	return l
}

// move sets where the client stands in a room.
func (l *line) move(p wire.Place) {
	for i := range l.cursor {
		own := &l.cursor[i]
		if own.Room != p.Room {
			continue
		}
		same := own.Retained == 0 && own.Offset.Epoch == p.Offset.Epoch && digits(own.Offset.N) == digits(p.Offset.N)
		*own = p
		if !same {
			l.render()
			return
		}
		overwrite(l.text[:l.ends[i]], p.Offset.N)
		return
	}
}

// gotRetained notes that a retained event of a room is written. It reports whether that moves the
// client: whoever has all of them need not ask for them again.
func (l *line) gotRetained(room wire.Room) bool {
	last := l.cursor.GotRetained(room)
	if last {
		l.render()
	}
	return last
}

// overwrite writes n over the digits at the end of p.
func overwrite(p []byte, n uint64) {
	for at := len(p) - 1; ; at-- {
		p[at] = byte('0' + n%10)
		if n /= 10; n == 0 {
			return
		}
	}
}

// render makes the text anew.
func (l *line) render() {
	body := []byte("id: ")
	for i := range l.cursor {
		if i > 0 {
			body = append(body, ',')
		}
		body = l.cursor[i : i+1].Append(body)
		l.ends[i] = len(body)
	}
	body = append(body, '\n')
	l.text = l.framing.wrap(l.text[:0], body)
	for i, shift := 0, bytes.Index(l.text, body); i < len(l.ends); i++ {
		l.ends[i] += shift
	}
}

func digits(n uint64) int {
	d := 1
	for ; n >= 10; n /= 10 {
		d++
	}
	return d
}
