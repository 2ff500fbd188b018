package backpressure

import "time"

// A Sample is what is known of a room's members when a publisher wants to go on. A member is behind
// from the moment more than [HighWatermark] is queued for it until at most [LowWatermark] is.
type Sample struct {
	Members int
	// Behind are the members that are behind, without those that were given up.
	Behind int
	// Unwritten are those among them whose sockets are not full: the server has not come round to
	// them.
	Unwritten int
	// Reading are those among them whose sockets are full, and have taken something since they
	// were.
	Reading int
	// Waiting is set while publishers wait already.
	Waiting bool
	// Stalled is for how long no full socket has taken anything; StallTimeout is how long that may
	// last.
	Stalled, StallTimeout time.Duration
	// Grace is for how long the room may still wait for a few. It is full again after the room has
	// moved on by the bound of one connection.
	Grace time.Duration
}

// A Verdict says what becomes of the publishers to a room.
type Verdict uint8

const (
	// Open lets publishers go on.
	Open Verdict = iota
	// WaitForMany makes them wait: the members together set the pace.
	WaitForMany
	// WaitForFew makes them wait, as long as the grace lasts.
	WaitForFew
	// GiveUp lets them go on, and those behind are not waited for until they take something again.
	GiveUp
)

const (
	// manyDivisor is which part of a room's members sets its pace: one of so many.
	manyDivisor = 4
	// fewDivisor is which part is waited for, as long as the grace lasts, before it is seen to
	// read.
	fewDivisor = 8
)

// Decide says whether the publishers to a room wait for its members.
//
// Publishers go at the pace of the many. A few that fall behind the others are outliers: they are
// left to the bound of their queue, which ends them with 4408. But on a busy machine anybody is
// held up for a moment. So a few are waited for a little when they are seen to read, when they are
// not so few in a small room, and when publishers wait anyway. Nobody waits for peers that take
// nothing.
func Decide(s Sample) Verdict {
	alone := s.Behind == 1 && s.Members > 1
	switch {
	case s.Behind == 0:
		return Open
	case s.Unwritten == 0 && s.Stalled >= s.StallTimeout:
		return GiveUp
	case s.Behind*manyDivisor >= s.Members && !alone:
		return WaitForMany
	case s.Grace > 0 && (s.Waiting || s.Unwritten+s.Reading > 0 || s.Behind*fewDivisor >= s.Members):
		return WaitForFew
	}
	return Open
}
