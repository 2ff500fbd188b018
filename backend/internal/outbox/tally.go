package outbox

import "time"

// A tally counts what reaches the sockets, for the meter and for the account of the pool. All writers share these: so each has a tally
// of its own, which it settles after a round, instead of taking turns with the others at each frame.
type tally struct {
	pool      *Pool
	transport string // of what is counted
	messages  int
	bytes     int
	charge    int
	times     []time.Duration
}

// maxTally is how many latencies are collected at most.
const maxTally = 1024

// add counts bytes on the queue's socket, and the frames that end with them. It returns what these are charged, which the caller
// takes out of the queue's account.
func (t *tally) add(q *Queue, frames []entry, bytes int) (charge int) {
	messages := 0
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
		if f.Accepted != 0 {
			t.times = append(t.times, time.Duration(now-f.Accepted)*time.Microsecond)
		}
	}
	q.sent.Add(uint64(messages))
	q.wrote.Add(uint64(bytes))
	if t.transport != q.form.Transport || len(t.times) > maxTally {
		t.settle()
		t.transport = q.form.Transport
	}
	t.messages += messages
	t.bytes += bytes
	t.charge += charge
	return charge
}

// settle hands on what was counted.
func (t *tally) settle() {
	if t.bytes > 0 {
		t.pool.opts.Meter.Written(t.transport, t.messages, t.bytes)
	}
	if len(t.times) > 0 {
		t.pool.opts.Meter.Latencies(t.times)
	}
	if t.charge > 0 {
		t.pool.waiting.Add(-int64(t.charge))
	}
	t.messages, t.bytes, t.charge, t.times = 0, 0, 0, t.times[:0]
}
