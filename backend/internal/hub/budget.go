package hub

import (
	"container/list"
	"sync"
	"time"
)

// A budget bounds how many bytes of messages are on their way from publishers to members: let in, and not yet in the members'
// queues. The zero value has nothing on its way.
type budget struct {
	mu    sync.Mutex
	taken int
	late  list.List // of the shares that may be given up, in the order in which that happens; *share
}

// A share is one message's part of a budget. It is guarded by the budget's mutex.
type share struct {
	of    *budget
	bytes int
	until time.Time     // when it is given up; set once
	late  *list.Element // nil as long as the broker has the message
}

// take returns a share of so many bytes if no more than most are taken with it; nil if not. A message that is larger than that has
// to be alone.
func (b *budget) take(bytes, most int, now time.Time) *share {
	b.mu.Lock()
	defer b.mu.Unlock()
	for e := b.late.Front(); e != nil && now.After(e.Value.(*share).until); e = b.late.Front() {
		e.Value.(*share).releaseLocked()
	}
	if b.taken > 0 && b.taken+bytes > most {
		return nil
	}
	b.taken += bytes
	return &share{of: b, bytes: bytes}
}

// accepted tells that the broker has the message and will deliver it, but who knows when: the subscription may have been lost. So the
// share is given up at some time, which must be about in the order of the calls.
func (s *share) accepted(until time.Time) {
	b := s.of
	b.mu.Lock()
	defer b.mu.Unlock()
	s.until = until
	s.late = b.late.PushBack(s)
}

// release gives the share back, if it was not given up.
func (s *share) release() {
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	s.releaseLocked()
}

func (s *share) releaseLocked() {
	b := s.of
	b.taken -= s.bytes
	s.bytes = 0
	if s.late != nil {
		b.late.Remove(s.late)
		s.late = nil
	}
}
