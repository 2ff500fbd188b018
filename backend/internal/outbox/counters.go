package outbox

import "time"

// counters count what reaches the sockets, for the meter and for the account of the pool, which all
// writers share: each writer has counters of its own, which it adds to those after a round, instead
// of taking turns with the others at each frame.
type counters struct {
	pool      *Pool
	transport string // of what is counted
	messages  int
	bytes     int
	charge    int
	times     []time.Duration
	queued    []time.Duration // of the first message of each write
}

// maxTimes is after how many latencies they are handed on, with the write that reached it.
const maxTimes = 1024

// add counts bytes on the queue's socket, and the frames that end with them. It returns what these
// are charged, which the caller takes out of the queue's account.
func (c *counters) add(q *Queue, frames []entry, bytes int) (charge int) {
	if c.transport != q.encoding.Transport || len(c.times) > maxTimes {
		c.flush()
		c.transport = q.encoding.Transport
	}
	messages, sampled := 0, false
	now := time.Now().UnixMicro()
	for _, e := range frames {
		f := e.frame
		if f == nil {
			continue
		}
		charge += int(e.charge)
		if f.isMessage() {
			messages++
		}
		if f.OnWritten != nil {
			f.OnWritten(q.encoding.Transport, time.Duration(now-f.Accepted)*time.Microsecond)
		}
		if f.Accepted != 0 {
			if f.FannedOut != 0 && !sampled {
				sampled = true
				c.queued = append(c.queued, time.Duration(now-f.FannedOut)*time.Microsecond)
			}
			c.times = append(c.times, time.Duration(now-f.Accepted)*time.Microsecond)
		}
	}
	q.sent.Add(uint64(messages))
	q.wrote.Add(uint64(bytes))
	c.messages += messages
	c.bytes += bytes
	c.charge += charge
	return charge
}

// flush hands on what was counted.
func (c *counters) flush() {
	if c.bytes > 0 {
		c.pool.opts.Meter.Written(c.transport, c.messages, c.bytes)
	}
	if len(c.times) > 0 {
		c.pool.opts.Meter.Latencies(c.transport, c.times, c.queued)
	}
	if c.charge > 0 {
		c.pool.queuedBytes.Add(-int64(c.charge))
	}
	c.messages, c.bytes, c.charge, c.times, c.queued = 0, 0, 0, c.times[:0], c.queued[:0]
}
