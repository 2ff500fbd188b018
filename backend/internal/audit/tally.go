package audit

import (
	"context"
	"sync"
	"time"
)

// A tally bounds how many entries of a kind are written: the first few of each caller in a minute,
// and how many more there were at its end. Beyond so many callers there is only how many there
// were of all others.
type tally struct {
	// Static.
	each    int // entries of a caller that are written
	callers int // that are told apart

	mu    sync.Mutex
	count map[caller]int // since the minute began
}

type caller struct {
	action, who, address, result string
	others                       bool // all that are not told apart
}

const (
	tallyInterval = time.Minute
	// Those that anybody can be, and those that have a password.
	maxStrangers, maxOperators = 20, 1000
)

// add counts an entry, and reports whether it is to be written.
func (t *tally) add(c caller) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, known := t.count[c]; !known && len(t.count) >= t.callers {
		c = caller{action: c.action, result: c.result, others: true}
		t.count[c]++
		return false
	}
	if t.count == nil {
		t.count = map[caller]int{}
	}
	t.count[c]++
	return t.count[c] <= t.each
}

// Failure records what someone failed to get in with. Anybody can cause it, at any rate.
func (l *Log) Failure(e Entry) {
	if l == nil {
		return
	}
	if e.Result = Refused; l.failures.add(caller{action: e.Action, address: e.Address, result: e.Result}) {
		l.record(e, Others)
	}
}

// Service records what a service changed, which may do so at a high rate.
func (l *Log) Service(e Entry) {
	if l != nil && l.services.add(caller{action: e.Action, who: e.Who, address: e.Address, result: e.Result}) {
		l.record(e, Others)
	}
}

// flushTally writes how many entries were not.
func (l *Log) flushTally(t *tally, list List) {
	t.mu.Lock()
	count := t.count
	t.count = nil
	t.mu.Unlock()
	for c, n := range count {
		detail := "more of the same caller within a minute"
		if c.others {
			detail = "from further addresses within a minute"
		} else {
			n -= t.each
		}
		if n > 0 {
			l.record(Entry{Who: c.who, Action: c.action, Result: c.result, Detail: detail, Count: n, Address: c.address}, list)
		}
	}
}

func (l *Log) flushTallies() {
	l.flushTally(&l.failures, Others)
	l.flushTally(&l.services, Others)
	l.flushTally(&l.changes, Operators)
}

// Run writes to the store, until ctx ends; then it writes what there is left.
func (l *Log) Run(ctx context.Context) {
	counted := time.NewTicker(tallyInterval)
	defer counted.Stop()
	again := time.NewTimer(shareInterval) // after the store took nothing
	defer again.Stop()
	for {
		select {
		case <-l.unshared:
		case <-again.C:
		case <-counted.C:
			l.flushTallies()
		case <-ctx.Done():
			l.flushTallies()
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
			defer cancel()
			l.flushStore(last)
			l.close()
			return
		}
		l.flushStore(ctx)
		again.Reset(shareInterval)
	}
}
