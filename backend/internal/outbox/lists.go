package outbox

import "sync"

// keepFrames is up to how many entries a queue's own list has, which it keeps while it is empty: few, so that idle connections
// stay slim. Longer ones are lent to it.
const keepFrames = 16

// lists lends busy queues what their entries stand on, in a few sizes, so that a flood doesn't make garbage of it: the entries
// point to frames, so the collector would have to read all of it, too.
type lists struct {
	short, middle, long sync.Pool // of *[shortList]entry and so on
}

const (
	shortList  = 128
	middleList = 512
	longList   = 2048 // as many small frames as wire.QueuedBytes holds
)

// lend returns an empty list for more than n entries, or nil when that is more than any has.
func (l *lists) lend(n int) []entry {
	switch {
	case n < shortList:
		if p, ok := l.short.Get().(*[shortList]entry); ok {
			return p[:0]
		}
		return make([]entry, 0, shortList)
	case n < middleList:
		if p, ok := l.middle.Get().(*[middleList]entry); ok {
			return p[:0]
		}
		return make([]entry, 0, middleList)
	case n < longList:
		if p, ok := l.long.Get().(*[longList]entry); ok {
			return p[:0]
		}
		return make([]entry, 0, longList)
	}
	return nil
}

// longer returns a list with the same entries and room for more, and takes the old one back.
func (l *lists) longer(old []entry) []entry {
	list := l.lend(len(old))
	if list == nil {
		return old // append makes a longer one
	}
	list = append(list, old...)
	l.back(old)
	return list
}

// back takes back a list, and forgets the frames on it. What was not lent is the collector's.
func (l *lists) back(list []entry) {
	clear(list)
	switch cap(list) {
	case shortList:
		l.short.Put((*[shortList]entry)(list[:shortList]))
	case middleList:
		l.middle.Put((*[middleList]entry)(list[:middleList]))
	case longList:
		l.long.Put((*[longList]entry)(list[:longList]))
	}
}
