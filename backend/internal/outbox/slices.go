package outbox

import "sync"

// keepFrames is up to how many entries a queue's own slice has, which it keeps while it is empty:
// few, so that idle connections stay slim. Longer ones come from a pool.
const keepFrames = 16

// A slicePool has the slices for the entries of busy queues, in a few sizes, so that a flood
// doesn't make garbage of them: the entries point to frames, so the collector would have to read
// all of them.
type slicePool struct {
	short, middle, long sync.Pool // of *[shortSlice]entry and so on
}

const (
	shortSlice  = 128
	middleSlice = 512
	longSlice   = 2048 // as many small frames as wire.QueuedBytes holds
)

// get returns an empty slice for more than n entries, or nil when that is more than any has.
func (p *slicePool) get(n int) []entry {
	switch {
	case n < shortSlice:
		if s, ok := p.short.Get().(*[shortSlice]entry); ok {
			return s[:0]
		}
		return make([]entry, 0, shortSlice)
	case n < middleSlice:
		if s, ok := p.middle.Get().(*[middleSlice]entry); ok {
			return s[:0]
		}
		return make([]entry, 0, middleSlice)
	case n < longSlice:
		if s, ok := p.long.Get().(*[longSlice]entry); ok {
			return s[:0]
		}
		return make([]entry, 0, longSlice)
	}
	return nil
}

// grow returns a slice with the same entries and room for more, and puts the old one back.
func (p *slicePool) grow(old []entry) []entry {
	s := p.get(len(old))
	if s == nil {
		return old // append makes a longer one
	}
	s = append(s, old...)
	p.put(old)
	return s
}

// put takes a slice back, and forgets the frames in it. One of another size is the collector's.
func (p *slicePool) put(s []entry) {
	clear(s)
	switch cap(s) {
	case shortSlice:
		p.short.Put((*[shortSlice]entry)(s[:shortSlice]))
	case middleSlice:
		p.middle.Put((*[middleSlice]entry)(s[:middleSlice]))
	case longSlice:
		p.long.Put((*[longSlice]entry)(s[:longSlice]))
	}
}
