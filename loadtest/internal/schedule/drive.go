package schedule

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// A Pool is who sends.
type Pool struct {
	// Workers is how many messages can be on their way at once.
	Workers int
	// Grace is how long after the end what was due and found no free worker is still sent. What is left then is counted as
	// not sent.
	Grace time.Duration
}

// A Send issues message i, which was due late ago, and returns when the worker is free for the next one.
type Send func(i uint32, late time.Duration)

// A Tally says what became of a schedule. Due is Sent + NotSent.
type Tally struct {
	Due     uint32 // messages whose time came before the end
	NotSent uint32 // those for which no worker became free in time
}

// Drive calls send for each message when it is due and returns when all calls have returned. Messages are taken in order; with several workers those whose times are close can overtake one another.
//
// When ctx ends, messages due by then still go out if a worker is free and later ones are not due at all.
func Drive(ctx context.Context, s Constant, start time.Time, pool Pool, send Send) Tally {
	var (
		next    atomic.Uint64
		sent    atomic.Uint32
		cutoff  = start.Add(s.At(s.Count()) + pool.Grace)
		stopped atomic.Int64 // when ctx ended, counted from start; 0 while it has not
	)
	defer context.AfterFunc(ctx, func() { stopped.CompareAndSwap(0, max(1, int64(time.Since(start)))) })()

	work := func() {
		timer := time.NewTimer(time.Hour)
		defer timer.Stop()
		for {
			taken := next.Add(1) - 1
			if taken >= uint64(s.Count()) {
				return
			}
			i := uint32(taken)
			due := start.Add(s.At(i))
			if wait := time.Until(due); wait > 0 {
				timer.Reset(wait)
				select {
				case <-timer.C:
				case <-ctx.Done():
				}
			}
			now := time.Now()
			if now.Before(due) || now.After(cutoff) {
				return
			}
			send(i, now.Sub(due))
			sent.Add(1)
			if ctx.Err() != nil {
				return
			}
		}
	}
	var wg sync.WaitGroup
	for range pool.Workers {
		wg.Go(work)
	}
	wg.Wait()

	due := s.Count()
	if ctx.Err() != nil {
		elapsed := time.Duration(stopped.Load())
		if elapsed == 0 { // the AfterFunc has not run yet
			elapsed = time.Since(start)
		}
		due = s.Due(elapsed)
	}
	// A message that fell due between the end of ctx and the worker's look at the clock went out all the same.
	due = max(due, sent.Load())
	return Tally{Due: due, NotSent: due - sent.Load()}
}
