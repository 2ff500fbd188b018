// Package eventstream reads Server-Sent Events (the HTML standard, section 9.2.6) from plain slices of bytes.
//
//	http1.Body ──▶ Next ──▶ Event
//
// Nothing here does input or output, and nothing is kept between two calls.
package eventstream

import "bytes"

// MaxEvent is the longest event in bytes that is waited for.
const MaxEvent = 2 << 20

// An Event is one event; its slices are parts of what was read, but for data of several lines.
type Event struct {
	Name, Data []byte
	ID         []byte
	HasID      bool
}

// Next reads the event that p begins with and says how many bytes it has: 0 when its end is not there yet. Comments and
// retry times are passed over; an event without data has nil Data.
func Next(p []byte) (e Event, n int) {
	lines := 0
	for n < len(p) {
		end := bytes.IndexByte(p[n:], '\n')
		if end < 0 {
			return Event{}, 0
		}
		line := bytes.TrimSuffix(p[n:n+end], []byte("\r"))
		n += end + 1
		if len(line) == 0 {
			return e, n
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(name) {
		case "data":
			if lines++; lines == 1 {
				e.Data = value[:len(value):len(value)]
			} else {
				e.Data = append(append(e.Data, '\n'), value...)
			}
		case "event":
			e.Name = value
		case "id":
			e.ID, e.HasID = value, true
		}
	}
	return Event{}, 0
}
