package poll

import (
	"context"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/zonecast/zonecast/backend/internal/outbox"
	"github.com/zonecast/zonecast/backend/internal/transport"
	"github.com/zonecast/zonecast/backend/wire"
)

// encoding is how frames stand in an answer: in a list, with a comma before each. Heartbeats, but
// for those that tell news, and drain are for those who stay.
var encoding = &outbox.Encoding{Transport: transport.Poll, Final: true,
	Append: func(dst []byte, f *outbox.Frame) []byte {
		if f.Kind == outbox.Control && !f.Urgent {
			return dst
		}
		return append(append(slices.Grow(dst, 1+len(f.JSON)), ','), f.JSON...)
	},
	Closing: func(wire.CloseCode, string) []byte { return nil }, // a poll that ends is answered with what it has
}

// An answer is the sink of a poll: it keeps what is written until the poll is answered with it.
// Retained events for which it has no room go to the client at once, since no later poll would
// bring them: a Write waits for that.
type answer struct {
	limit  int           // of bytes; static
	parts  *parts        // static
	cancel func()        // ends joining, when no more fits in
	done   chan struct{} // closed when nothing more is written
	some   chan struct{} // closed when there is something, or nothing more will be
	finish func()        // closes both
	notice func()        // closes some

	// Owned by whoever writes, from begin on.
	moving   wire.Cursor // where the client stands after the frames that are being written
	retained bool        // retained events are among these

	mu     sync.Mutex
	body   []byte
	cursor wire.Cursor // where the client stands after body
	full   bool        // more was there than fits in
	over   bool        // the handler has the response: it is not written to any more

	why wire.CloseCode // set when done
}

var (
	_ outbox.Sink     = (*answer)(nil)
	_ outbox.Prefixer = (*answer)(nil)
)

func newAnswer(limit int, parts *parts, cancel func()) *answer {
	a := &answer{limit: limit, parts: parts, cancel: cancel, done: make(chan struct{}), some: make(chan struct{})}
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

// Prefix implements outbox.Prefixer: it notes what Write is given next.
func (a *answer) Prefix(dst []byte, f *outbox.Frame) []byte {
	if position, ok := f.Position(); ok {
		a.moving.Move(position.Room, position.Offset)
	}
	if f.Kind == outbox.Retained {
		a.retained = true
		a.moving.GotRetained(f.Message.Room)
	}
	return dst
}

// Write takes frames, as far as there is room, and moves the cursor past them.
func (a *answer) Write(p []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.over {
		return 0, net.ErrClosed
	}
	if len(a.body) > 0 && len(a.body)+len(p) > a.limit {
		if !a.retained || a.parts.write(a.body) != nil {
			a.full = true
			a.cancel()
			return 0, net.ErrClosed
		}
		a.body = a.body[:0]
	}
	a.body = append(a.body, p...)
	a.cursor = append(a.cursor[:0], a.moving...)
	a.retained = false
	a.notice()
	return len(p), nil
}

// Close tells that nothing more is written.
func (a *answer) Close() error {
	a.finish()
	return nil
}

// end waits for a Write that is under way; none begins after it.
func (a *answer) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.over = true
}

// SetDeadline does nothing: a Write that waits for the client has a deadline of its own.
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

// parts writes the beginning of an answer that is too long to be kept: what is left of it, and the
// cursor, follow.
type parts struct {
	response http.ResponseWriter
	control  *http.ResponseController
	begun    bool
}

// write writes frames, with a comma before each. The client has [transport.ActionTimeout] to take
// them.
func (p *parts) write(frames []byte) error {
	if err := p.control.SetWriteDeadline(time.Now().Add(transport.ActionTimeout)); err != nil {
		return err
	}
	if !p.begun {
		p.begun = true
		setHeader(p.response.Header())
		p.response.WriteHeader(http.StatusOK)
		if _, err := p.response.Write([]byte(`{"messages":`)); err != nil {
			return err
		}
		frames[0] = '['
	}
	if _, err := p.response.Write(frames); err != nil {
		return err
	}
	return p.control.Flush()
}

func setHeader(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Type", echo.MIMEApplicationJSON)
}
