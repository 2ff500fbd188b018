package outbox

import "time"

// A client is slow when its oldest frame has waited for longer than Options.SlowAfter, by this
// process's own clock. Only a stalled queue can be: the others are in the hands of the writers,
// which come round in milliseconds.

// watchSlow looks for slow clients, a few times within SlowAfter.
func (p *Pool) watchSlow() {
	tick := time.NewTicker(p.opts.SlowAfter / 4)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			now := p.now()
			for _, q := range p.allStalled() {
				q.updateSlow(now)
			}
		case <-p.stop:
			return
		}
	}
}

func (p *Pool) allStalled() []*Queue {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]*Queue, 0, len(p.stalled))
	for q := range p.stalled {
		all = append(all, q)
	}
	return all
}

func (p *Pool) addStalled(q *Queue) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stalled[q] = struct{}{}
}

func (p *Pool) removeStalled(q *Queue) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.stalled, q)
}

func (q *Queue) updateSlow(now moment) {
	q.mu.Lock()
	defer q.mu.Unlock()
	slow := q.state == stalled && now.since(q.oldest) > q.pool.opts.SlowAfter
	if slow == q.slow {
		return
	}
	q.slow = slow
	if slow {
		q.pool.opts.Meter.Slow(1)
	} else {
		q.pool.opts.Meter.Slow(-1)
	}
}

// recoverLocked ends the stall of a queue, if it is stalled.
func (q *Queue) recoverLocked() {
	if q.state != stalled {
		return
	}
	q.pool.removeStalled(q)
	if q.slow {
		q.slow = false
		q.pool.opts.Meter.Slow(-1)
	}
}
