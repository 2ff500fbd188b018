//go:build linux

package worker

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/zonecast/zonecast/backend/wire"
	"github.com/zonecast/zonecast/loadtest/internal/delivery"
	"github.com/zonecast/zonecast/loadtest/internal/failure"
	"github.com/zonecast/zonecast/loadtest/internal/http1"
	"github.com/zonecast/zonecast/loadtest/internal/protocol"
	"github.com/zonecast/zonecast/loadtest/internal/stamp"
)

// httpPublisher publishes through the HTTP API, as a warehouse's services do: with keep-alive
// connections, one request a message, and no second attempt, so that each request stands for
// exactly one message. Where the job allows for batches, those that wait for a free connection go
// out together. Clients whose connections go one way publish likewise, by frames.
type httpPublisher struct {
	w         *Worker
	codec     protocol.Codec // of clients; nil for the API
	batchSize int            // messages in a request
	paths     []string       // by room
	targets   []string       // the same as members of a batch
	free      []*apiConn
	all       []*apiConn
	queue     []message // that found no free connection, from head on
	head      int
	acked     []delivery.Set
}

type message struct {
	room   int
	seq    uint32
	due    uint64
	offset string // in the answer; only a history asks for it
}

// An apiConn is one connection to the API.
type apiConn struct {
	httpConn
	p     *httpPublisher
	batch []message // that the request carries
}

var _ publisher = (*httpPublisher)(nil)
var _ requester = (*apiConn)(nil)

func newHTTPPublisher(w *Worker, speech protocol.Codec) *httpPublisher {
	p := &httpPublisher{w: w, batchSize: w.job.Publish.Batch, acked: make([]delivery.Set, len(w.job.Rooms))}
	if w.job.Publish.ByClients {
		p.codec, p.batchSize = speech, 1
	}
	for _, name := range w.job.Rooms {
		p.paths = append(p.paths, PublishPath(name))
		room, _ := wire.ParseRoom(name)                                                    // the settings made it
		target, _ := json.Marshal(wire.Target{Warehouse: room.Warehouse, Zone: room.Zone}) // strings alone
		p.targets = append(p.targets, string(target[1:len(target)-1]))
	}
	for i := range w.job.Publish.Publishers {
		r := &apiConn{p: p}
		r.httpConn = httpConn{w: w, user: r}
		if p.codec != nil {
			r.target = w.targets[i%len(w.targets)]
		} else {
			r.target = w.job.Publish.Bases[i%len(w.job.Publish.Bases)].Target(w.job.Publish.Key)
		}
		p.all = append(p.all, r)
	}
	p.free = slices.Clone(p.all)
	slices.Reverse(p.free) // the first one is taken first
	return p
}

// PublishPath returns the path at which the API takes events for a room.
func PublishPath(room string) string {
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

func (p *httpPublisher) publish(room int, due, now uint64) {
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
	next.start(now)
}

func (r *apiConn) request() *http1.Request {
	w := r.p.w
	if r.p.codec != nil {
		m := r.batch[0]
		w.data = r.p.appendData(w.data[:0], m)
		w.text = r.p.codec.AppendPublish(w.text[:0], protocol.FirstID+int64(m.seq), w.rooms[m.room].name, w.data)
		return PostFrame(r.p.codec, r.target, w.text)
	}
	path := strings.TrimSuffix(r.target.Path, "/")
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
	return &http1.Request{Method: "POST", Target: path, ContentType: "application/json", Body: w.text}
}

func (p *httpPublisher) appendData(dst []byte, m message) []byte {
	return p.w.template.Append(dst, stamp.Stamp{Stream: uint32(m.room), Seq: m.seq, At: m.due})
}

func (r *apiConn) handleResponse(a *http1.Response, err error, now uint64) {
	var answer []byte
	switch {
	case err != nil:
	case r.p.codec != nil:
		var e protocol.Event
		e, err = ReadPosted(r.p.codec, a)
		if answer = e.Data; err == nil && e.Kind == protocol.Refused {
			r.countRefused(e.Reason, serverError(e.Data).Error())
			r.batch = r.batch[:0]
		}
	case a.Status != 200:
		err = failure.NewStatus(a.Status, a.Body)
	case len(r.batch) > 1:
		r.handleBatch(a.Body, now)
		return
	default:
		answer = a.Body
	}
	if err == nil && len(r.batch) == 1 && r.p.w.history != nil {
		r.batch[0].offset = position(answer)
	}
	r.finishBatch(err, now)
}

func (r *apiConn) countRefused(code, text string) {
	r.p.w.counts.Failed++
	r.p.w.failures.AddKind("send: refused with "+code, text)
}

func (r *apiConn) handleBatch(body []byte, now uint64) {
	var answer struct {
		Results []struct {
			Offset string
			Error  *wire.Error
		}
	}
	if err := json.Unmarshal(body, &answer); err != nil || len(answer.Results) != len(r.batch) {
		r.finishBatch(fmt.Errorf("a batch of %d messages was answered with %.80q", len(r.batch), body), now)
		return
	}
	taken := r.batch[:0]
	for i, result := range answer.Results {
		if result.Error == nil {
			r.batch[i].offset = result.Offset
			taken = append(taken, r.batch[i])
			continue
		}
		r.countRefused(string(result.Error.Code), result.Error.Message)
	}
	r.batch = taken
	r.finishBatch(nil, now)
}

func (r *apiConn) finishBatch(err error, now uint64) {
	w := r.p.w
	w.tallies.Sends.Record(time.Duration(now - r.started))
	for _, m := range r.batch {
		w.history.published(w.rooms[m.room].name, uint32(m.room), m.seq, m.offset)
		if err != nil {
			w.fail(err)
		} else {
			w.counts.Sent++
			r.p.acked[m.room].Add(uint64(m.seq))
		}
	}
	if r.p.head == len(r.p.queue) {
		r.p.free = append(r.p.free, r)
		return
	}
	n := min(r.p.batchSize, len(r.p.queue)-r.p.head)
	r.batch = append(r.batch[:0], r.p.queue[r.p.head:r.p.head+n]...)
	if r.p.head += n; r.p.head == len(r.p.queue) {
		r.p.queue, r.p.head = r.p.queue[:0], 0
	}
	r.busy = true
	w.loop.At(now, r.start) // not deeper and deeper, should connections fail at once
}

func (p *httpPublisher) busy() bool { return len(p.free) < len(p.all) }

func (p *httpPublisher) dropQueue() int {
	n := len(p.queue) - p.head
	p.queue, p.head = nil, 0
	return n
}

func (p *httpPublisher) failPending() {
	for _, r := range p.all {
		if r.busy {
			r.timeOut()
		}
	}
}

func (p *httpPublisher) accepted() []delivery.Set { return p.acked }

// serverError reads what the server said in an error frame.
func serverError(data []byte) error {
	var e wire.Error
	if json.Unmarshal(data, &e) != nil || e.Code == "" {
		return fmt.Errorf("refused: %s", data)
	}
	return &e
}
