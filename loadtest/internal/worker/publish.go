//go:build linux

package worker

import (
	"encoding/json"
	"fmt"
	"net/url"
	"time"

	"github.com/zonecast/zonecast/backend/wire"
	"github.com/zonecast/zonecast/loadtest/internal/account"
	"github.com/zonecast/zonecast/loadtest/internal/dialect"
	"github.com/zonecast/zonecast/loadtest/internal/http1"
	"github.com/zonecast/zonecast/loadtest/internal/problem"
	"github.com/zonecast/zonecast/loadtest/internal/stamp"
	"github.com/zonecast/zonecast/loadtest/internal/swarm"
)

const (
	// requestTimeout is how long one publish may take.
	requestTimeout = 10 * time.Second
	// longestIdle is how long a connection is used again after its last answer: shorter than servers wait, or a rare message
	// would meet a connection that is just being closed.
	longestIdle = 20 * time.Second
)

// publishing publishes through the HTTP API, as a warehouse's services do: with keep-alive connections, one request a
// message, and no second attempt, so that each request stands for exactly one message. Where the job allows for batches,
// those that wait for a free connection go out together.
type publishing struct {
	w       *Worker
	paths   []string // by room
	targets []string // the same as members of a batch
	free    []*requester
	all     []*requester
	queue   []message // that found no free connection, from head on
	head    int
	took    []account.Set
}

// A message that is to be published.
type message struct {
	room int
	seq  uint32
	due  uint64
}

// A requester is one connection to the API.
type requester struct {
	p      *publishing
	target *swarm.Target
	conn   *swarm.Conn
	batch  []message // that the request carries
	busy   bool
	sent   bool
	began  uint64
	timer  *swarm.Timer
}

var _ publisher = (*publishing)(nil)
var _ swarm.Handler = (*requester)(nil)

func newPublishing(w *Worker) *publishing {
	p := &publishing{w: w, took: make([]account.Set, len(w.job.Rooms))}
	for _, name := range w.job.Rooms {
		p.paths = append(p.paths, Path(name))
		target, _ := json.Marshal(targetOf(name)) // strings alone
		p.targets = append(p.targets, string(target[1:len(target)-1]))
	}
	for i := range w.job.Publish.Publishers {
		base := w.job.Publish.Bases[i%len(w.job.Publish.Bases)]
		r := &requester{p: p, target: base.Target(w.job.Publish.Key)}
		p.all = append(p.all, r)
	}
	for i := len(p.all) - 1; i >= 0; i-- { // the first one is taken first
		p.free = append(p.free, p.all[i])
	}
	return p
}

func targetOf(name string) wire.Target {
	r, _ := wire.ParseRoom(name) // the settings made it
	return wire.Target{Warehouse: r.Warehouse, Zone: r.Zone}
}

// Path returns the path at which the API takes events for a room.
func Path(room string) string {
	r, err := wire.ParseRoom(room)
	if err != nil {
		return "/"
	}
	path := "/api/v1/warehouses/" + url.PathEscape(r.Warehouse)
	if r.Zone != "" {
		path += "/zones/" + url.PathEscape(r.Zone)
	}
	return path + "/broadcast"
}

func (p *publishing) issue(room int, due, now uint64) {
	r := &p.w.rooms[room]
	m := message{room: room, seq: r.sent[0], due: due}
	r.sent[0]++
	if len(p.free) == 0 {
		p.queue = append(p.queue, m)
		return
	}
	last := len(p.free) - 1
	next := p.free[last]
	p.free = p.free[:last]
	next.batch = append(next.batch[:0], m)
	next.take(now)
}

// take publishes a batch, on a new connection if there is none that is fresh.
func (r *requester) take(now uint64) {
	w := r.p.w
	r.busy, r.sent, r.began = true, false, now
	r.timer = w.loop.At(now+uint64(requestTimeout), func(now uint64) { r.expire() })
	if r.conn != nil {
		if since, idle := r.conn.Idle(); idle && time.Duration(now-since) < longestIdle {
			r.send()
			return
		}
		w.loop.Drop(r.conn)
		r.conn = nil
	}
	conn, err := w.loop.Dial(swarm.Requests, r.target, dialect.Seat{}, r, nil)
	if err != nil {
		r.done(err, now)
		return
	}
	r.conn = conn
}

func (r *requester) send() {
	w := r.p.w
	r.sent = true
	path := r.target.Path
	if path == "/" {
		path = ""
	}
	if len(r.batch) == 1 {
		m := r.batch[0]
		path += r.p.paths[m.room]
		w.text = append(w.text[:0], `{"event":"`+stamp.Event+`","data":`...)
		w.text = append(r.p.appendData(w.text, m), '}')
	} else {
		path += "/api/v1/broadcast"
		w.text = append(w.text[:0], `{"messages":[`...)
		for i, m := range r.batch {
			if i > 0 {
				w.text = append(w.text, ',')
			}
			w.text = append(append(w.text, '{'), r.p.targets[m.room]...)
			w.text = append(w.text, `,"event":"`+stamp.Event+`","data":`...)
			w.text = append(r.p.appendData(w.text, m), '}')
		}
		w.text = append(w.text, "]}"...)
	}
	w.loop.Ask(r.conn, &http1.Request{Method: "POST", Target: path, ContentType: "application/json", Body: w.text})
}

func (p *publishing) appendData(dst []byte, m message) []byte {
	return p.w.template.Append(dst, stamp.Stamp{Stream: uint32(m.room), Seq: m.seq, At: m.due})
}

// expire gives a request up that takes too long.
func (r *requester) expire() {
	if r.conn != nil {
		r.p.w.loop.Drop(r.conn)
		r.conn = nil
	}
	r.done(swarm.ErrTimeout, swarm.Now())
}

// Event implements [swarm.Handler]: the connection is there.
func (r *requester) Event(_ *swarm.Conn, e *dialect.Event, _ uint64) {
	if e.Kind == dialect.Ready && r.busy && !r.sent {
		r.send()
	}
}

// Answer implements [swarm.Handler].
func (r *requester) Answer(c *swarm.Conn, a *http1.Response, now uint64) {
	if !r.busy {
		return
	}
	if a.Close {
		r.p.w.loop.Drop(c)
		r.conn = nil
	}
	if a.Status != 200 {
		r.done(problem.New(a.Status, a.Body), now)
		return
	}
	if len(r.batch) > 1 {
		r.judge(a.Body, now)
		return
	}
	r.done(nil, now)
}

// judge takes the answer to a batch, message by message.
func (r *requester) judge(body []byte, now uint64) {
	var answer struct {
		Results []struct{ Error *wire.Error }
	}
	if err := json.Unmarshal(body, &answer); err != nil || len(answer.Results) != len(r.batch) {
		r.done(fmt.Errorf("a batch of %d messages was answered with %.80q", len(r.batch), body), now)
		return
	}
	taken := r.batch[:0]
	for i, result := range answer.Results {
		if result.Error == nil {
			taken = append(taken, r.batch[i])
			continue
		}
		r.p.w.counts.failed++
		r.p.w.failures.AddKind("send: refused with "+string(result.Error.Code), result.Error.Message)
	}
	r.batch = taken
	r.done(nil, now)
}

// Ended implements [swarm.Handler].
func (r *requester) Ended(_ *swarm.Conn, why error, now uint64) {
	r.conn = nil
	if r.busy {
		if why == nil {
			why = errEnded
		}
		r.done(why, now)
	}
}

// done notes what became of the message, and takes the next one.
func (r *requester) done(err error, now uint64) {
	w := r.p.w
	r.timer.Stop()
	r.busy = false
	w.sends.Record(time.Duration(now - r.began))
	for _, m := range r.batch {
		if err != nil {
			w.fail(err)
		} else {
			w.counts.sent++
			r.p.took[m.room].Add(uint64(m.seq))
		}
	}
	if r.p.head == len(r.p.queue) {
		r.p.free = append(r.p.free, r)
		return
	}
	n := min(max(w.job.Publish.Batch, 1), len(r.p.queue)-r.p.head)
	r.batch = append(r.batch[:0], r.p.queue[r.p.head:r.p.head+n]...)
	if r.p.head += n; r.p.head == len(r.p.queue) {
		r.p.queue, r.p.head = r.p.queue[:0], 0
	}
	r.busy = true
	w.loop.At(now, r.take) // not deeper and deeper, should connections fail at once
}

func (p *publishing) busy() bool { return len(p.free) < len(p.all) }

func (p *publishing) giveUpWaiting() int {
	n := len(p.queue) - p.head
	p.queue, p.head = nil, 0
	return n
}

func (p *publishing) giveUp() {
	for _, r := range p.all {
		if r.busy {
			r.expire()
		}
	}
}

func (p *publishing) accepted() []account.Set { return p.took }

func (p *publishing) close() {}

// reason reads what the server said in an error frame.
func reason(data []byte) error {
	var e wire.Error
	if json.Unmarshal(data, &e) != nil || e.Code == "" {
		return fmt.Errorf("refused: %s", data)
	}
	return &e
}
