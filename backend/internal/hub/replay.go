package hub

import (
	"container/list"
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/internal/outbox"
	"github.com/zonecast/zonecast/backend/wire"
)

const (
	// replayPage is how many messages of history are asked for at once.
	replayPage = 200
	// replayReads is how many pages may be read from the broker at once.
	replayReads = 8
	// replayTimeout bounds one read. It is made for all that wait for it, so it does not end with
	// any one's patience.
	replayTimeout = 10 * time.Second
	// replayBytes bounds the pages that are kept, in bytes of memory: of their frames, and of each
	// encoding that was made of them. The one that was not used for longest goes first.
	replayBytes = 16 << 20
	// frameOverhead is what a frame takes besides its text, about.
	frameOverhead = 256
	// freshFor is how long the newest page of a room, to which messages are still being added, is
	// given to others.
	freshFor = 100 * time.Millisecond
)

// replays reads the history for those who come back. When thousands do, they missed nearly the
// same: pages begin at multiples of replayPage, whatever each one's own offset, so that one read
// and one encoding serve all of them.
type replays struct {
	hub    *Hub
	flight singleflight.Group
	reads  chan struct{} // holds a token for each read

	mu    sync.Mutex
	pages map[pageKey]*list.Element // of *replayedPage, in order
	order *list.List                // the latest used first
	bytes int                       // of the pages
}

// A pageKey names the messages number*replayPage+1 … (number+1)*replayPage of a room's epoch.
type pageKey struct {
	room   wire.Room
	epoch  string
	number uint64
}

// A replayedPage is part of a room's history as frames: without holes, and nothing is kept of what
// was before them.
type replayedPage struct {
	key    pageKey
	base   wire.Offset // the frames follow it
	frames []*outbox.Frame
	weight *pageWeight
	full   bool // nothing will be added
	read   time.Time
}

// A pageWeight is what the frames of one read take, which grows with each encoding that is made of
// them. It is guarded by replays.mu.
type pageWeight struct {
	bytes int
	kept  bool // it is part of replays.bytes
}

func newReplays(h *Hub) *replays {
	return &replays{hub: h, reads: make(chan struct{}, replayReads), pages: map[pageKey]*list.Element{}, order: list.New()}
}

// framesAfter returns frames that follow the offset, or the gap if there is one; neither when
// nothing follows. Pages of another epoch than the room's are not looked at: the room may have been
// deleted.
func (r *replays) framesAfter(ctx context.Context, room wire.Room, offset wire.Offset, epoch string) ([]*outbox.Frame, *broker.Gap, error) {
	if offset.Epoch == epoch {
		p, err := r.pageFor(ctx, pageKey{room, epoch, offset.N / replayPage}, offset)
		if err != nil {
			return nil, nil, err
		}
		if frames, gap, ok := p.after(offset); ok && (len(frames) > 0 || gap != nil) {
			return frames, gap, nil
		}
	}
	// The offset is of another history, ahead of this one, or at a hole within it: only the broker
	// knows what that means.
	page, err := r.read(ctx, room, offset)
	if err != nil {
		return nil, nil, err
	}
	return page.frames, page.gap, nil
}

// after returns what the page has for a client at the offset. It is not ok when the page
// can't tell.
func (p *replayedPage) after(offset wire.Offset) (frames []*outbox.Frame, gap *broker.Gap, ok bool) {
	end := p.base.N + uint64(len(p.frames))
	switch {
	case p.base.Epoch != offset.Epoch, offset.N > end:
		return nil, nil, false
	case offset.N < p.base.N:
		return p.frames, &broker.Gap{From: offset, To: p.base}, true
	}
	return p.frames[offset.N-p.base.N:], nil, true
}

// pageFor returns the page of the key. It may be one that was read for others a moment ago, if it
// has something for the offset.
func (r *replays) pageFor(ctx context.Context, key pageKey, offset wire.Offset) (*replayedPage, error) {
	if p := r.kept(key); p != nil {
		if frames, _, ok := p.after(offset); p.full || ok && len(frames) > 0 && time.Since(p.read) < freshFor {
			return p, nil
		}
	}
	start := wire.Offset{Epoch: key.epoch, N: key.number * replayPage}
	read, err := r.read(ctx, key.room, start)
	if err != nil {
		return nil, err
	}
	p := &replayedPage{key: key, base: start, frames: read.frames, weight: read.weight, full: len(read.frames) == replayPage, read: time.Now()}
	if read.gap != nil {
		p.base, p.full = read.gap.To, false // what is kept may be of any place
	}
	if p.base.Epoch == key.epoch && len(p.frames) > 0 {
		r.keep(p)
	}
	return p, nil
}

func (r *replays) kept(key pageKey) *replayedPage {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.pages[key]
	if e == nil {
		return nil
	}
	r.order.MoveToFront(e)
	return e.Value.(*replayedPage)
}

func (r *replays) keep(p *replayedPage) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.pages[p.key]; e != nil {
		r.forget(e) // it may be the same read, made for several
	}
	r.pages[p.key] = r.order.PushFront(p)
	r.bytes += p.weight.bytes
	p.weight.kept = true
	r.trim()
}

// grow takes in that frames take more.
func (r *replays) grow(w *pageWeight, bytes int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if w.bytes += bytes; w.kept {
		r.bytes += bytes
		r.trim()
	}
}

// trim is called with r.mu held.
func (r *replays) trim() {
	for r.bytes > replayBytes && r.order.Len() > 1 {
		r.forget(r.order.Back())
	}
}

// forget is called with r.mu held.
func (r *replays) forget(e *list.Element) {
	p := r.order.Remove(e).(*replayedPage)
	delete(r.pages, p.key)
	r.bytes -= p.weight.bytes
	p.weight.kept = false
}

// A readPage is what the broker answered, encoded.
type readPage struct {
	frames []*outbox.Frame
	weight *pageWeight
	gap    *broker.Gap
}

// read asks the broker, once for all who want the same at the same time.
func (r *replays) read(ctx context.Context, room wire.Room, after wire.Offset) (readPage, error) {
	answer := r.flight.DoChan(fmt.Sprint(room, " ", after), func() (any, error) {
		ctx, cancel := context.WithTimeout(context.Background(), replayTimeout)
		defer cancel()
		select {
		case r.reads <- struct{}{}:
			defer func() { <-r.reads }()
		case <-ctx.Done():
			return nil, errReplayTooLong()
		}
		page, err := r.hub.broker.History(ctx, room, after, replayPage)
		if err != nil {
			return nil, err
		}
		read := readPage{gap: page.Gap, frames: make([]*outbox.Frame, len(page.Messages)), weight: new(pageWeight)}
		grew := func(bytes int) { r.grow(read.weight, bytes) }
		for i, m := range page.Messages {
			f := outbox.Broadcast(&m.Message, 0, "")
			f.OnEncoded = grew
			read.frames[i], read.weight.bytes = f, read.weight.bytes+cap(f.JSON)+frameOverhead
		}
		return read, nil
	})
	select {
	case a := <-answer:
		if a.Err != nil {
			return readPage{}, a.Err
		}
		return a.Val.(readPage), nil
	case <-ctx.Done():
		return readPage{}, errReplayTooLong()
	}
}
