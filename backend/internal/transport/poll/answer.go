package poll

import (
	"context"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/zonecast/zonecast/backend/internal/outbox"
	"github.com/zonecast/zonecast/backend/internal/transport"
	"github.com/zonecast/zonecast/backend/wire"
)

// form is how frames stand in an answer: as they are, with a comma before each (answer.Mark) and the end of the list as what
// closes the connection. Heartbeats and drain are for those who stay.
var form = &outbox.Form{Transport: transport.Poll, Slot: 4, Final: true,
	Frame: func(json []byte) []byte {
		if transport.Is(json, wire.EventHeartbeat) || transport.Is(json, wire.EventDrain) {
			return nil
		}
		return json
	},
	Closing: func(wire.CloseCode, string) []byte { return []byte{listEnd} },
}

const listEnd = ']'

// An answer is what the outbox takes for the connection: it keeps what is written until the poll is answered with it.
type answer struct {
	net.Conn               // no other method is called
	limit    int           // of bytes; static
	cancel   func()        // ends joining, when no more fits in
	done     chan struct{} // closed when nothing more is written
	some     chan struct{} // closed when there is something, or nothing more will be
	finish   func()        // closes both
	notice   func()        // closes some

	// Owned by whoever writes, from begin on.
	moving   wire.Cursor // where the client stands after what was marked
	retained bool        // retained events were marked since the last write

	mu     sync.Mutex
	body   []byte
	cursor wire.Cursor // where the client stands after body
	full   bool        // more was there than fits in
	lost   bool        // retained events among it

	why wire.CloseCode // set when done
}

var _ outbox.Marker = (*answer)(nil)

func newAnswer(limit int, cancel func()) *answer {
	a := &answer{limit: limit, cancel: cancel, done: make(chan struct{}), some: make(chan struct{})}
	a.notice = sync.OnceFunc(func() { close(a.some) })
	a.finish = sync.OnceFunc(func() { a.notice(); close(a.done) })
	return a
}

// begin sets where the client stands before the first frame of its rooms.
func (a *answer) begin(c wire.Cursor) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.moving, a.cursor = c, slices.Clone(c)
}

// Mark implements outbox.Marker.
func (a *answer) Mark(dst []byte, f *outbox.Frame) []byte {
	if place, ok := f.Place(); ok {
		a.moving.Move(place.Room, place.Offset)
	}
	a.retained = a.retained || f.Retained()
	if p := f.In(form); len(p) > 0 && p[0] != listEnd {
		dst = append(dst, ',')
	}
	return dst
}

// Write takes frames, as far as there is room, and moves the cursor past them.
func (a *answer) Write(p []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	list, ended := p, p[len(p)-1] == listEnd
	if ended {
		list = p[:len(p)-1]
	}
	if len(a.body) > 0 && len(a.body)+len(list) > a.limit {
		a.full, a.lost = true, a.retained
		a.cancel()
		return 0, net.ErrClosed
	}
	if a.body = append(a.body, list...); len(list) > 0 {
		a.cursor = append(a.cursor[:0], a.moving...)
		a.retained = false
		a.notice()
	}
	if ended {
		a.finish()
	}
	return len(p), nil
}

// Close tells that nothing more is written.
func (a *answer) Close() error {
	a.finish()
	return nil
}

// SetDeadline does nothing: Write never waits.
func (a *answer) SetDeadline(time.Time) error { return nil }

// await waits until there is something, at most for that long.
func (a *answer) await(ctx context.Context, wait time.Duration) {
	over := time.NewTimer(wait)
	defer over.Stop()
	select {
	case <-a.some:
	case <-over.C:
	case <-ctx.Done():
	}
}

// messages returns the frames as a JSON array.
func (a *answer) messages() []byte {
	if len(a.body) == 0 {
		return []byte("[]")
	}
	a.body[0] = '['
	return append(a.body, listEnd)
}
